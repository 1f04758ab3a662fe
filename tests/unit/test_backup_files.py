"""Names, patterns and listings of backups of files, without any file."""

import doctest
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herald_pipelines.backup import files_units, listing, names
from herald_pipelines.backup.listing import Entry, check_entries, read_lines, write_line
from herald_pipelines.backup.names import compile_selection, read_name, show_name
from herald_pipelines.backup.unsealing import Damaged


@pytest.mark.parametrize("module", [names, listing, files_units])
def test_examples_are_true(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


@given(st.binary(min_size=1))
def test_every_name_is_shown_as_text_and_read_again(name: bytes) -> None:
    path = name.decode("utf-8", "surrogateescape")

    shown = show_name(path)

    shown.encode("utf-8")
    assert shown.isprintable()
    assert read_name(shown) == path


@pytest.mark.parametrize("text", ["\\", "\\q", "\\x", "\\x41", "\\u0041", "a\nb", "\udcff", "\\u00zz"])
def test_no_other_text_is_a_name(text: str) -> None:
    """A name has one way to be written: two that look different are different."""
    with pytest.raises(ValueError, match="no name"):
        read_name(text)


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=20), st.integers(1, 50))
def test_lines_come_back_whatever_the_chunks(paths: list[bytes], size: int) -> None:
    entries = [
        Entry(path=show_name("/" + path.decode("utf-8", "surrogateescape")), type="folder", mode=0o755)
        for path in paths
    ]
    text = b"".join(map(write_line, entries))

    chunks = [text[start : start + size] for start in range(0, len(text), size)]

    assert list(read_lines(chunks, "a listing")) == entries


@pytest.mark.parametrize(
    "text", [b"{}\n", b"[]\n", b"x\n", b'{"path":"/a","type":"device"}\n', b'{"path":"/a"']
)
def test_what_is_no_listing_is_refused(text: bytes) -> None:
    with pytest.raises(Damaged):
        list(read_lines([text], "a listing"))


def test_a_listing_without_a_line_end_is_not_kept_whole() -> None:
    with pytest.raises(Damaged, match="more than 1048576 bytes"):
        list(read_lines([b"x" * 700_000] * 3, "a listing"))


def test_trees_follow_one_another() -> None:
    entries = [
        Entry(path=path, type=kind, sha256="x" if kind == "file" else None)
        for path, kind in (
            ("/a", "folder"),
            ("/a/b", "folder"),
            ("/a/b/c", "file"),
            ("/a/d", "file"),
            ("/a-b", "file"),
            ("/b", "folder"),
            ("/b/c", "skipped"),
        )
    ]

    assert list(check_entries(entries, ["/a", "/a-b", "/b"], "a listing")) == entries


def test_a_selection_is_anchored() -> None:
    selection = compile_selection(["/srv/app"])

    assert not selection.fullmatch("/other/srv/app")
    assert compile_selection([]).fullmatch("") is None
