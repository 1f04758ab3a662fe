"""What every store does. What only one of them can suffer is in its own file."""

import threading
from contextlib import ExitStack
from datetime import UTC, timedelta
from functools import partial
from pathlib import Path

import pytest

from herald_pipelines.resources.object_store.base import (
    READ_BYTES,
    ObjectExists,
    ObjectMissing,
    ObjectStore,
    StoreRefused,
    StoreUnavailable,
    Upload,
)
from herald_pipelines.resources.object_store.open_store import open_store
from herald_pipelines.resources.object_store.s3_options import S3Options
from herald_pipelines.values import utc_now
from s3_server import S3Server

LONG_PART = "p" * 255
LONGEST = "/".join([LONG_PART, LONG_PART, LONG_PART, "q" * 132])
ODD_KEYS = ("+-_.x", "-rf", "a.b/c+d/e_f-g", "0", "A/a", LONG_PART, LONGEST)
NO_KEYS = (
    "",
    "/",
    "/etc/passwd",
    "a/",
    "a//b",
    "../a",
    "a/../b",
    "a/./b",
    ".uploads/a",
    "a/.b",
    "herald-store.json",
    "lost+found/a",
    "a b",
    "a\nb",
    "a\0b",
    "é",
    "a%2fb",
    "a\\b",
    "C:a",
    "p" * 256,
    f"{LONGEST}q",
)


@pytest.fixture(params=["file", "s3", "s3 prefix"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "file":
        store = open_store((tmp_path / "store").as_uri(), S3Options(), work_folder=tmp_path)
    else:
        server: S3Server = request.getfixturevalue("s3_server")
        url = f"s3://{server.create_bucket()}{'/of/mine' if request.param == 's3 prefix' else ''}"
        store = open_store(url, server.options(), work_folder=tmp_path)
    store.prepare()
    return store


def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return [each.key for each in store.list(prefix)]


def write(store: ObjectStore, key: str, *chunks: bytes) -> None:
    with store.upload(key) as upload:
        for chunk in chunks:
            upload.write(chunk)
        upload.complete()


def fail_after(upload: Upload) -> None:
    upload.write(b"x")
    raise BrokenPipeError("the dump ended")


def get(store: ObjectStore, key: str) -> bytes:
    return store.get(key, most_bytes=10**9)


def test_an_upload_is_read_back(store: ObjectStore) -> None:
    write(store, "a/b", b"one ", b"", b"two")
    assert get(store, "a/b") == b"one two"
    with store.read("a/b") as chunks:
        assert b"".join(chunks) == b"one two"


def test_an_upload_is_not_seen_before_it_completes(store: ObjectStore) -> None:
    with store.upload("a/b") as upload:
        upload.write(b"x" * 100_000)
        assert keys(store) == []
        with pytest.raises(ObjectMissing):
            store.stat("a/b")
        upload.complete()
        assert keys(store) == ["a/b"]
    assert keys(store) == ["a/b"]


def test_an_upload_that_does_not_complete_leaves_nothing(store: ObjectStore) -> None:
    with store.upload("a/b") as upload:
        upload.write(b"x")
    with pytest.raises(BrokenPipeError, match="the dump ended"), store.upload("a/c") as upload:
        fail_after(upload)
    assert keys(store) == []
    assert store.abandon_uploads("") == 0


def test_an_upload_that_does_not_complete_leaves_what_was_there(store: ObjectStore) -> None:
    write(store, "a", b"old")
    with store.upload("a") as upload:
        upload.write(b"new")
    assert get(store, "a") == b"old"


def test_an_upload_replaces(store: ObjectStore) -> None:
    write(store, "a", b"a longer old one")
    write(store, "a", b"new")
    assert get(store, "a") == b"new"


def test_an_empty_object(store: ObjectStore) -> None:
    write(store, "a")
    store.put("b", b"")
    for key in ("a", "b"):
        assert get(store, key) == b""
        assert store.stat(key).size_bytes == 0
        with store.read(key) as chunks:
            assert list(chunks) == []


def test_odd_keys(store: ObjectStore) -> None:
    for key in ODD_KEYS:
        write(store, key, b"x")
        store.put(key, b"y")
        assert get(store, key) == b"y"
        assert keys(store) == [key]
        store.delete(key)
        assert keys(store) == []


def test_what_is_no_key_is_refused_everywhere(store: ObjectStore) -> None:
    for key in NO_KEYS:
        for action in (store.stat, store.delete, partial(store.put, content=b"x"), partial(get, store)):
            with pytest.raises(StoreRefused, match="is no key of a store"):
                action(key)
        for action in (store.upload, store.read):
            with pytest.raises(StoreRefused, match="is no key of a store"), action(key):
                pass
    assert keys(store) == []


def test_what_is_no_prefix_is_refused(store: ObjectStore) -> None:
    for prefix in ("a", "/", "a//", "../", "a/../", ".uploads/"):
        with pytest.raises(StoreRefused):
            keys(store, prefix)
        with pytest.raises(StoreRefused):
            store.abandon_uploads(prefix)


def test_put_without_replace_leaves_what_is_there(store: ObjectStore) -> None:
    store.put("a/b", b"first", replace=False)
    with pytest.raises(ObjectExists, match="a/b"):
        store.put("a/b", b"second", replace=False)
    assert get(store, "a/b") == b"first"
    store.put("a/b", b"third")
    assert get(store, "a/b") == b"third"


def test_of_many_that_put_at_once_one_succeeds(store: ObjectStore) -> None:
    for number in range(5):
        won: list[bytes] = []
        start = threading.Barrier(8)

        def put(content: bytes, key: str = f"lease/{number}") -> None:
            start.wait()  # noqa: B023 - the threads end before the next one
            try:
                store.put(key, content, replace=False)
            except ObjectExists:
                return
            won.append(content)  # noqa: B023

        threads = [threading.Thread(target=put, args=(bytes([each]) * 1000,)) for each in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [get(store, f"lease/{number}")] == won


def test_get_reads_no_more_than_it_may(store: ObjectStore) -> None:
    store.put("a", b"12345")
    assert store.get("a", most_bytes=5) == b"12345"
    with pytest.raises(StoreRefused, match="5 bytes"):
        store.get("a", most_bytes=4)


def test_what_is_missing_is_said_to_be(store: ObjectStore) -> None:
    store.put("a/b/c", b"x")
    for key in ("b", "a", "a/b", "a/c", "b/c/d"):
        with pytest.raises(ObjectMissing, match=key):
            store.stat(key)
        with pytest.raises(ObjectMissing, match=key):
            get(store, key)
        with pytest.raises(ObjectMissing, match=key), store.read(key):
            pass


def test_reading_from_a_byte_on(store: ObjectStore) -> None:
    content = bytes(range(256)) * 10_000
    store.put("a", content)
    for start in (0, 1, READ_BYTES, len(content) - 1, len(content)):
        with store.read("a", start=start) as chunks:
            read = list(chunks)
        assert b"".join(read) == content[start:]
        assert all(0 < len(chunk) <= READ_BYTES for chunk in read)
    with pytest.raises(StoreRefused), store.read("a", start=len(content) + 1) as chunks:
        list(chunks)


def test_reading_may_stop_early(store: ObjectStore) -> None:
    store.put("a", b"x" * 3_000_000)
    with store.read("a") as chunks:
        assert next(chunks)
    assert get(store, "a")


def test_what_happens_to_the_reader_is_its_own(store: ObjectStore) -> None:
    store.put("a", b"x")
    with pytest.raises(PermissionError, match="of the reader"), store.read("a"):
        raise PermissionError("of the reader")


def test_an_object_that_is_replaced_is_read_to_its_end_or_not(store: ObjectStore) -> None:
    old = b"o" * 5_000_000
    store.put("a", old)
    with store.read("a") as chunks:
        first = next(chunks)
        store.put("a", b"n" * 5_000_000)
        assert first + b"".join(chunks) == old


def test_listing_is_in_the_order_of_keys(store: ObjectStore) -> None:
    written = ["a/b", "a-b", "a.b", "a+b/c", "a0", "ab/c/d", "ab/c-d", "ab/c.d", "ab/c0", "B", "ab/x"]
    for key in written:
        store.put(key, key.encode())
    assert keys(store) == sorted(written)
    assert keys(store, "ab/") == [key for key in sorted(written) if key.startswith("ab/")]
    assert keys(store, "ab/c/") == ["ab/c/d"]
    assert keys(store, "a/b/") == []
    assert keys(store, "zz/") == []


def test_listing_tells_size_and_age(store: ObjectStore) -> None:
    before = utc_now()
    store.put("a/b", b"12345")
    [info] = store.list("a/")
    assert (info.key, info.size_bytes) == ("a/b", 5)
    assert before - timedelta(seconds=2) <= info.modified_at <= utc_now() + timedelta(seconds=2)
    assert info.modified_at.tzinfo == UTC
    assert store.stat("a/b") == info


def test_delete(store: ObjectStore) -> None:
    store.put("a/b/c", b"x")
    store.put("a/d", b"x")
    store.delete("a/b/c")
    store.delete("a/b/c")
    store.delete("never/was")
    store.delete("a")
    assert keys(store) == ["a/d"]


def test_interrupted_uploads_are_abandoned_by_prefix(store: ObjectStore) -> None:
    with ExitStack() as stack:
        uploads = {
            key: stack.enter_context(store.upload(key)) for key in ("a/b", "a/c/d", "a", "ab/c", "a-/b")
        }
        for upload in uploads.values():
            upload.write(b"x" * 10_000_000)
        assert store.abandon_uploads("b/") == 0
        assert store.abandon_uploads("a/") == 2
        for key in ("a/b", "a/c/d"):
            with pytest.raises((StoreUnavailable, StoreRefused)):
                uploads[key].complete()
        uploads["ab/c"].complete()
        assert keys(store) == ["ab/c"]
        assert store.abandon_uploads("") == 2
        assert store.abandon_uploads("") == 0
    assert keys(store) == ["ab/c"]


def test_prepare_leaves_a_store_as_it_is(store: ObjectStore) -> None:
    store.put("a", b"x")
    identity = store.check()
    assert len(identity) == 36
    assert store.prepare() == identity
    assert keys(store) == ["a"]
