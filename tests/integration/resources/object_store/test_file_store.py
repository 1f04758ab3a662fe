"""What can happen to a store in a folder."""

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from herald_pipelines.resources.object_store.base import MARKER, ObjectMissing, ObjectStore, StoreRefused
from herald_pipelines.resources.object_store.file_store import FileStore

NOBODY = 65534
WRITER = """
import sys
from pathlib import Path
from herald_pipelines.resources.object_store.file_store import FileStore
store = FileStore(Path(sys.argv[1]))
number = 0
while True:
    key = f"a/b{number}/c"
    with store.upload(key) as upload:
        for _ in range(20):
            upload.write(b"x" * 100_000)
        print(key, flush=True)
        upload.complete()
    number += 1
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> FileStore:
    store = FileStore(root)
    store.prepare()
    return store


@contextmanager
def as_user_without_rights() -> Iterator[None]:
    """As root, be nobody for a while; others have no rights where they took them from themselves."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def refusals(store: ObjectStore, match: str) -> None:
    for action in (
        store.check,
        lambda: store.stat("a"),
        lambda: store.get("a", most_bytes=9),
        lambda: store.read("a").__enter__(),
        lambda: store.upload("a").__enter__(),
        lambda: store.put("a", b"x"),
        lambda: store.delete("a"),
        lambda: list(store.list("")),
        lambda: store.abandon_uploads(""),
    ):
        with pytest.raises(StoreRefused, match=match):
            action()


def files(root: Path) -> list[str]:
    return sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() and path.name != MARKER
    )


def test_a_folder_that_is_missing_is_no_empty_store(root: Path) -> None:
    refusals(FileStore(root), "no such folder")
    assert not root.exists()


def test_an_empty_mount_point_is_no_empty_store(root: Path) -> None:
    root.mkdir()
    refusals(FileStore(root), f"is no store: it has no {MARKER}")
    assert list(root.iterdir()) == []


def test_a_file_is_no_store(root: Path) -> None:
    root.write_text("x")
    refusals(FileStore(root), "not a directory")
    with pytest.raises(StoreRefused, match="not a directory"):
        FileStore(root).prepare()


def test_a_store_that_may_not_be_read_is_refused(root: Path, store: FileStore) -> None:
    store.put("a", b"x")
    root.chmod(0)
    with as_user_without_rights():
        refusals(store, "permission denied")
    root.chmod(0o700)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 1, "id": 5}', b"\xff" * 9000]
)
def test_a_damaged_marker_is_refused(root: Path, store: FileStore, content: bytes) -> None:
    (root / MARKER).write_bytes(content)
    refusals(store, "damaged")
    with pytest.raises(StoreRefused, match="damaged"):
        store.prepare()


def test_a_store_of_a_later_format_is_refused(root: Path, store: FileStore) -> None:
    (root / MARKER).write_text('{"format": 2, "id": "x"}')
    refusals(store, r"the format 2 \(known: 1\)")


def test_prepare_makes_no_folders_around_it(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="no such file or directory"):
        FileStore(tmp_path / "not" / "there").prepare()
    assert list(tmp_path.iterdir()) == []


def test_two_that_prepare_at_once_make_one_store(root: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(FileStore(root).prepare())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert files(root) == []


def test_everything_is_for_one_user_alone(root: Path, store: FileStore) -> None:
    with store.upload("a/b/c") as upload:
        modes = {path.stat().st_mode & 0o777 for path in root.rglob("*") if path.is_dir()}
        assert modes == {0o700}
        upload.complete()
    assert {path.stat().st_mode & 0o777 for path in (root, *root.rglob("*")) if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in root.rglob("*") if path.is_file()} == {0o600}


def test_a_link_that_leaves_the_store_is_not_followed(root: Path, store: FileStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "b").mkdir(parents=True)
    (outside / "secret").write_text("outside")
    (root / "a").symlink_to(outside)
    (root / "f").symlink_to(outside / "secret")
    for key in ("a/secret", "a/b/c", "f"):
        with pytest.raises(StoreRefused, match="symbolic link"):
            store.get(key, most_bytes=99)
    for key in ("a/secret", "a/b/c"):
        with pytest.raises(StoreRefused, match="symbolic link"):
            store.put(key, b"x")
        with pytest.raises(StoreRefused, match="symbolic link"):
            store.delete(key)
    with pytest.raises(StoreRefused, match="symbolic link"):
        list(store.list("a/"))
    with pytest.raises(StoreRefused, match="a is no regular file"):
        list(store.list(""))
    store.put("f", b"replaces the link, not what it leads to")
    assert (outside / "secret").read_text() == "outside"
    assert sorted(path.name for path in outside.iterdir()) == ["b", "secret"]


def test_uploads_do_not_follow_a_link_either(root: Path, store: FileStore, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (root / ".uploads").rmdir()
    (root / ".uploads").symlink_to(tmp_path / "outside")
    with pytest.raises(StoreRefused, match="symbolic link"):
        store.put("a", b"x")
    assert list((tmp_path / "outside").iterdir()) == []


def test_the_root_may_be_a_link(root: Path, store: FileStore, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    FileStore(tmp_path / "link").put("a", b"x")
    assert store.get("a", most_bytes=9) == b"x"


def test_a_fifo_is_not_waited_for(root: Path, store: FileStore) -> None:
    os.mkfifo(root / "a")
    with pytest.raises(StoreRefused, match="no regular file"):
        store.get("a", most_bytes=9)
    with pytest.raises(StoreRefused, match="no regular file"):
        list(store.list(""))


def test_what_is_no_object_is_not_listed(root: Path, store: FileStore) -> None:
    for name in (".hidden", "read me.txt", "é", "x~"):
        (root / name).write_text("x")
    (root / "lost+found").mkdir(mode=0)
    (root / "empty").mkdir()
    store.put("a", b"x")
    assert [each.key for each in store.list("")] == ["a"]


def test_a_folder_that_may_not_be_listed_makes_no_short_listing(root: Path, store: FileStore) -> None:
    store.put("a/b", b"x")
    store.put("c", b"x")
    (root / "a").chmod(0)
    if os.geteuid() == 0:
        for path in (root.parents[1], root.parents[0], root, root / MARKER):
            os.chown(path, NOBODY, -1)
    with as_user_without_rights(), pytest.raises(StoreRefused, match="permission denied"):
        list(store.list(""))
    (root / "a").chmod(0o700)


def test_a_file_where_a_folder_is_wanted(store: FileStore) -> None:
    store.put("a", b"x")
    with pytest.raises(StoreRefused, match="not a directory"):
        store.put("a/b", b"y")
    with pytest.raises(ObjectMissing):
        store.stat("a/b")
    store.put("b/c", b"x")
    with pytest.raises(StoreRefused, match="is a directory"):
        store.put("b", b"y")
    assert [each.key for each in store.list("")] == ["a", "b/c"]


def test_a_file_system_without_room_refuses_and_leaves_nothing(root: Path, store: FileStore) -> None:
    """A limit on the size of files stands for it: the write is cut short and the next one fails."""
    store.put("a", b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with store.upload("a") as upload:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, limits[1]))
        try:
            upload.write(b"x" * 100_000)
            with pytest.raises(StoreRefused, match="a cannot be written: file too large"):
                upload.write(b"x" * 100_000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files(root) == ["a"]
    assert store.get("a", most_bytes=9) == b"old"


def test_an_object_that_is_cut_off_while_it_is_read_is_no_short_one(root: Path, store: FileStore) -> None:
    store.put("a", b"x" * 3_000_000)
    with store.read("a") as chunks:
        next(chunks)
        os.truncate(root / "a", 1_500_000)
        with pytest.raises(StoreRefused, match="cut off"):
            list(chunks)


def test_a_store_that_goes_away_while_it_is_written(root: Path, store: FileStore) -> None:
    with store.upload("a") as upload:
        upload.write(b"x")
        (root / MARKER).rename(root / "elsewhere")
        with pytest.raises(StoreRefused, match="is no store"):
            upload.complete()
        (root / "elsewhere").rename(root / MARKER)
    assert files(root) == []


def test_folders_that_come_and_go_stop_nobody(root: Path, store: FileStore) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(60):
                store.put(f"a/b/{number}", b"x")
                store.delete(f"a/b/{number}")
        except BaseException as error:  # noqa: BLE001 - told of below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(each,)) for each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(path.name for path in root.iterdir()) == [".uploads", MARKER]


@pytest.mark.parametrize("lines", [1, 2, 3])
def test_a_writer_that_is_killed_leaves_whole_objects_and_what_can_be_found(
    root: Path, store: FileStore, lines: int
) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(lines):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    listed = list(store.list(""))
    assert all(each.size_bytes == 2_000_000 for each in listed)
    left = [name for name in files(root) if name.startswith(".uploads")]
    assert store.abandon_uploads("b/") == 0
    assert store.abandon_uploads("a/") == len(left) <= 1
    assert files(root) == [each.key for each in listed]
    assert list((root / ".uploads").iterdir()) == []


def test_a_writer_that_is_killed_before_it_completes_leaves_nothing_visible(
    root: Path, store: FileStore
) -> None:
    script = WRITER.replace("upload.complete()", "sys.stdin.read()")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(root)], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    assert list(store.list("")) == []
    assert len(files(root)) == 1
    assert store.abandon_uploads("a/b0/") == 1
    assert files(root) == []
