import doctest
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from herald_pipelines.errors import UsageError
from herald_pipelines.resources.object_store import base, s3_upload
from herald_pipelines.resources.object_store.file_store import FileStore
from herald_pipelines.resources.object_store.open_store import open_store
from herald_pipelines.resources.object_store.s3_options import S3Options

FOLDER = Path("/var/empty")


def opened(url: str, **options: Any) -> base.ObjectStore:
    return open_store(url, S3Options(**options), work_folder=FOLDER)


def test_the_examples_hold() -> None:
    assert doctest.testmod(base).failed == 0
    assert doctest.testmod(s3_upload).failed == 0


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("file:///srv/backups", "file:///srv/backups"),
        ("file:///srv/backups/", "file:///srv/backups"),
        ("file:///srv/my%20backups%3F%23%25", "file:///srv/my%20backups%3F%23%25"),
        ("file:///srv/%C3%A9", "file:///srv/%C3%A9"),
        ("s3://backups", "s3://backups"),
        ("s3://backups/", "s3://backups"),
        ("s3://backups/shop/eu-1", "s3://backups/shop/eu-1"),
        ("s3://backups/shop/", "s3://backups/shop"),
    ],
)
def test_urls_of_stores(url: str, shown: str) -> None:
    assert opened(url).url == shown


def test_a_path_that_is_no_utf8_is_a_path() -> None:
    store = opened("file:///srv/%FF")
    assert isinstance(store, FileStore)
    assert store.url == "file:///srv/%FF"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", r"known: file, s3"),
        ("/srv/backups", r"known: file, s3"),
        ("S3://backups", r"unknown scheme of a store 'S3' \(known: file, s3\)"),
        ("https://user:word@host/backups", r"'https' \(known: file, s3\)"),
        ("gs://backups", r"'gs'"),
        ("file://srv/backups", "no absolute path"),
        ("file://", "no absolute path"),
        ("file:///srv/../etc", "no absolute path"),
        ("file:///srv/%2e%2e/etc", "no absolute path"),
        ("file:///srv/%00", "no absolute path"),
        ("file:///srv?x=1", r"holds a \? or a #"),
        ("file:///srv\n", "cannot be printed"),
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("s3://user:word@backups/shop", "names no bucket"),
        ("s3://backups/a//b", "the prefix 'a//b'"),
        ("s3://backups/../b", "the prefix '../b'"),
        ("s3://backups/a b", "the prefix 'a b'"),
        ("s3://backups/é", "the prefix"),
        (f"s3://backups/{'p' * 121}", "the prefix"),
        ("s3://backups/shop#1", r"holds a \? or a #"),
    ],
)
def test_what_is_no_url_of_a_store(url: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        opened(url)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"endpoint_url": "s3.example.org"}, "endpoint"),
        ({"endpoint_url": "ftp://s3.example.org"}, "endpoint"),
        ({"endpoint_url": "https://"}, "endpoint"),
        ({"endpoint_url": "https://[half"}, "endpoint"),
        ({"endpoint_url": "https://host:port"}, "endpoint"),
        ({"endpoint_url": "https://host/bucket"}, "endpoint"),
        ({"endpoint_url": "https://user:word@host"}, "endpoint"),
        ({"kms_key_id": "alias/x"}, "KMS key"),
        ({"access_key_id": "AKIA"}, "together"),
        ({"secret_access_key": "word"}, "together"),
        ({"region": "not a region"}, "region"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        opened("s3://backups", **options)
    assert "word" not in str(caught.value)


def test_options_show_no_secret() -> None:
    assert "word" not in repr(S3Options(access_key_id="AKIA", secret_access_key="word", session_token="word"))


def test_who_uses_no_s3_does_not_wait_for_its_sdk() -> None:
    code = (
        "import sys, herald_pipelines.definitions, herald_pipelines.resources.object_store.open_store;"
        "sys.exit(bool({'boto3', 'botocore', 'dagster_aws'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
