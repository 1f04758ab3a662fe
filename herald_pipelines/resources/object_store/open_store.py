"""From a url to its store. Not here: what stores do."""

import re
from pathlib import Path
from urllib.parse import unquote

from herald_pipelines.errors import UsageError, unknown_value
from herald_pipelines.resources.object_store.base import ObjectStore, is_key
from herald_pipelines.resources.object_store.file_store import FileStore
from herald_pipelines.resources.object_store.s3_options import S3Options

_ENDPOINT = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?")
_LONGEST_PREFIX = 120
"""S3 takes names of 1024 bytes, and keys have up to 900."""


def open_store(url: str, options: S3Options, *, work_folder: Path) -> ObjectStore:
    """Return the store of a url; nothing is read yet.

    Args:
        url: file:///absolute/path, or s3://bucket or s3://bucket/prefix.
        options: for s3://.
        work_folder: where an upload may keep parts that wait, encrypted as they are.

    Raises:
        UsageError: the url is none of a store, or the options are wrong.
    """
    if any(not letter.isprintable() for letter in url):
        raise UsageError(f"the url of the store {url[:100]!a} holds a character that cannot be printed")
    scheme, slashes, rest = url.partition("://")
    if not slashes or scheme not in ("file", "s3"):
        # A password may stand in what follows, whatever was meant.
        raise unknown_value(
            "scheme of a store",
            scheme[:30] if slashes else "",
            ["file", "s3"],
            hint="file:///path, s3://bucket/prefix",
        )
    if "?" in rest or "#" in rest:
        raise UsageError("the url of the store holds a ? or a #", hint="in a path write %3F and %23")
    if scheme == "file":
        return FileStore(_read_path(rest))
    bucket, _, prefix = rest.strip("/").partition("/")
    if rest.startswith("/") or "@" in rest or ":" in rest or not bucket:
        raise UsageError("the url of the store names no bucket", hint="s3://bucket or s3://bucket/prefix")
    if prefix and (len(prefix) > _LONGEST_PREFIX or not is_key(prefix)):
        raise UsageError(
            f"the prefix {prefix[:_LONGEST_PREFIX]!a} of the store cannot be used",
            hint=f"letters, digits, . _ - + and / between them; at most {_LONGEST_PREFIX}",
        )
    check_options(options)
    # The SDK takes half a second to import: only who uses S3 waits for it.
    from herald_pipelines.resources.object_store.s3_store import S3Store  # noqa: PLC0415

    return S3Store(bucket, prefix, options, work_folder=work_folder)


def check_options(options: S3Options) -> None:
    """Refuse what the SDK would take otherwise than it is meant, or only when it is used.

    Raises:
        UsageError: an option is wrong.
    """
    # Nothing but a host: a user would have a password, and a path is not what the SDK would make of it.
    if options.endpoint_url is not None and not _ENDPOINT.fullmatch(options.endpoint_url):
        raise UsageError(
            "the endpoint of the store is not the url of a host",
            hint="https://s3.example.org, or with a port",
        )
    if options.kms_key_id is not None and options.sse != "aws:kms":
        raise UsageError("a KMS key is named for a store without sse aws:kms")
    if (options.access_key_id is None) != (options.secret_access_key is None):
        raise UsageError("an access key and its secret are set together, or neither of them")


def _read_path(rest: str) -> Path:
    path = Path(unquote(rest, errors="surrogateescape"))
    if not path.is_absolute() or ".." in path.parts or "\0" in str(path):
        raise UsageError(f"the url file://{rest[:100]} names no absolute path", hint="file:///absolute/path")
    return path
