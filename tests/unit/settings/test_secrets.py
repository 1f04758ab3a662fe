"""Secrets in files: what is read, and what is refused with the path only."""

import os
from pathlib import Path

import pytest

from herald_pipelines.errors import UsageError
from herald_pipelines.settings import SecretRef, resolve_secret

SECRET = "hunter2Zq"


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("content", [b"%b", b"%b\n", b"%b\r\n\n", b"\xef\xbb\xbf%b\n"])
def test_line_breaks_at_the_end_and_a_byte_order_mark_are_no_part_of_a_secret(
    tmp_path: Path, content: bytes
) -> None:
    path = write(tmp_path / "word", content % SECRET.encode())
    assert resolve_secret(SecretRef(file=path), {}) == SECRET


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (f"{SECRET}\0".encode(), "cannot be read: not UTF-8 text"),
        (f"{SECRET}\xe9".encode("latin-1"), "cannot be read: not UTF-8 text"),
        (SECRET.encode() * 8192, "cannot be read: larger than 65536 bytes"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused_and_not_repeated(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = write(tmp_path / "word", content)
    with pytest.raises(UsageError) as caught:
        resolve_secret(SecretRef(file=path), {})
    assert str(caught.value) == f"the secret file {path} {reason}"
    assert SECRET not in repr(caught.value.__context__)


def test_what_is_no_regular_file_is_neither_waited_for_nor_drained(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "loop").symlink_to("loop")
    reasons = {
        tmp_path / "fifo": "not a regular file",
        Path("/dev/zero"): "not a regular file",
        tmp_path: "is a directory",
        tmp_path / "loop": "too many levels of symbolic links",
        tmp_path / "gone": "no such file or directory",
        tmp_path / ("n" * 1000): "file name too long",
    }
    for path, reason in reasons.items():
        with pytest.raises(UsageError, match=rf"^the secret file .+ cannot be read: {reason}$") as caught:
            resolve_secret(SecretRef(file=path), {})
        assert len(caught.value.message) < 500
