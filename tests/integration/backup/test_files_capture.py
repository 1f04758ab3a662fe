"""Trees backed up for real: what is in the tar and the listing, what is refused, and what is said of the rest."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from trees import back_up, make_tree

from herald_pipelines.backup.catalog import Backup
from herald_pipelines.backup.facts import Kind
from herald_pipelines.backup.file_reading import FileReading
from herald_pipelines.backup.files import FILES, look_at, plan_files
from herald_pipelines.backup.files_archive import reading_files, reading_listing
from herald_pipelines.backup.names import compile_excludes
from herald_pipelines.backup.parts import open_part
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.tar_stream import TreeFacts
from herald_pipelines.backup.walk import Found, OwnFolders, walk_trees
from herald_pipelines.errors import PermanentFailure, UsageError
from herald_pipelines.settings import FilesSettings


def tar_of(repo: Repository, backup: Backup, path: Path) -> Path:
    """Write the clear tar of a backup into a file."""
    with open_part(repo, backup.manifest, FILES) as chunks:
        path.write_bytes(b"".join(chunks))
    return path


def listed(tar: Path, *options: str) -> list[str]:
    """Return the names that GNU tar lists."""
    done = subprocess.run(
        ["tar", "-tf", tar, "--quoting-style=literal", "--null", *options], capture_output=True, check=True
    )
    return done.stdout.decode("utf-8", "surrogateescape").splitlines()


def paths_of(repo: Repository, backup: Backup) -> dict[str, str]:
    """Return the types in a listing by path."""
    with reading_listing(repo, backup.manifest) as entries:
        return {entry.real_path: entry.type for entry in entries}


def test_gnu_tar_extracts_what_was_there(repo: Repository, tmp_path: Path) -> None:
    """In need gpg, zstd and tar are enough."""
    root = make_tree(tmp_path / "srv/app")
    backup = back_up(repo, root)
    tar = tar_of(repo, backup, tmp_path / "files.tar")
    out = tmp_path / "out"
    out.mkdir()

    subprocess.run(["tar", "-xpf", tar, "-C", out], check=True, capture_output=True)

    subprocess.run(["diff", "-r", "--no-dereference", root, out / str(root)[1:]], check=True)
    form = "%P %y %m %U %G %T@ %n %l\\n"
    trees = [
        sorted(
            subprocess.run(["find", each, "-printf", form], capture_output=True, check=True).stdout.split(
                b"\n"
            )
        )
        for each in (root, out / str(root)[1:])
    ]
    assert trees[0] == trees[1]


def test_members_agree_with_the_listing(repo: Repository, tmp_path: Path) -> None:
    root = make_tree(tmp_path / "srv/app")
    backup = back_up(repo, root)

    with reading_files(repo, backup.manifest) as members:
        found = [member.entry for member in members]

    facts = backup.manifest.files
    assert facts is not None
    assert facts.roots == (str(root),)
    assert facts.files == len([entry for entry in found if entry.type != "folder"])
    assert facts.bytes == sum(entry.size for entry in found)
    assert {entry.type for entry in found} == {"file", "folder", "symlink", "hardlink"}
    assert [entry.path for entry in found if entry.leaves] == [f"{root}/leads out"]


@pytest.mark.parametrize(
    "excludes",
    [
        ["*/node_modules/*", "*/logs/*", "*/tmp/*"],
        ["*.pyc"],
        ["logs"],
        ["app/logs", "src"],
        ["*/l?gs"],
        ["[a-c]*.py"],
        ["*/[!a]pp.log"],
        ["\\*"],
        ["*"],
        ["node_modules/x", "/nowhere/*"],
        ["*.PY", "s"],
    ],
    ids=str,
)
def test_excludes_are_those_of_gnu_tar(repo: Repository, tmp_path: Path, excludes: list[str]) -> None:
    home = Path("/var") / f"herald-test-{os.getpid()}" if "*/tmp/*" in excludes else tmp_path
    root = home / "app"
    for name in (
        "node_modules/x/index.js",
        "node_modules/.bin/y",
        "src/node_modules/z",
        "src/a.py",
        "src/a.pyc",
        "src/.hidden.pyc",
        "src/logs",
        "logs/app.log",
        "logs/.gitkeep",
        "tmp/a/b",
        "bpp.log",
        "*",
        "app/logs/l",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    theirs = tmp_path / "theirs.tar"
    options = [f"--exclude={pattern}" for pattern in excludes]
    try:
        subprocess.run(["tar", "-cf", theirs, *options, root], check=True, capture_output=True)
        wanted = sorted(listed(theirs))
        if not wanted:
            with pytest.raises(UsageError, match="is excluded itself"):
                back_up(repo, root, excludes=excludes)
            return
        ours = tar_of(repo, back_up(repo, root, excludes=excludes), tmp_path / "ours.tar")
    finally:
        if home != tmp_path:
            subprocess.run(["rm", "-r", home], check=True)

    assert sorted(listed(ours)) == wanted


def test_patterns_stand_for_what_a_shell_makes_of_them(repo: Repository, tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    for name in (
        "herald-a.conf",
        "herald-b.conf",
        "other.conf",
        "[h]erald.conf",
        "x/herald-c.conf",
        ".herald-d.conf",
    ):
        (etc / "sites" / name).parent.mkdir(parents=True, exist_ok=True)
        (etc / "sites" / name).write_text(name)
    (etc / "linked").symlink_to("sites")

    backup = back_up(repo, f"{etc}/*/herald*", f"{etc}/sites/?h]*", f"{etc}/*.none", f"{etc}/sites/x")

    assert backup.manifest.files is not None
    names = ("[h]erald.conf", "herald-a.conf", "herald-b.conf", "x")
    assert backup.manifest.files.roots == tuple(f"{etc}/sites/{name}" for name in names)
    assert backup.manifest.files.skipped == ((f"{etc}/*.none", "matches nothing"),)


def test_what_is_missing_or_empty_is_refused(repo: Repository, tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")

    with pytest.raises(PermanentFailure, match="gone is missing"):
        back_up(repo, tmp_path / "there", tmp_path / "gone")
    with pytest.raises(PermanentFailure, match="matches anything"):
        back_up(repo, f"{tmp_path}/none*")
    with pytest.raises(UsageError, match="names nothing"):
        back_up(repo)
    with pytest.raises(UsageError, match="symbolic link to a folder") as caught:
        back_up(repo, tmp_path / "link")
    assert f"{tmp_path}/folder" in str(caught.value)
    with pytest.raises(UsageError, match="cannot be backed up"):
        back_up(repo, "/")
    assert list(repo.store.list("v1/")) == []


def test_sockets_and_the_like_are_left_out_and_named(repo: Repository, tmp_path: Path) -> None:
    root = tmp_path / "app"
    root.mkdir()
    os.mkfifo(root / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(root / "socket"))
    listener.close()
    said = list[str]()

    backup = back_up(repo, root, say=said.append)

    assert backup.manifest.files is not None
    assert backup.manifest.files.skipped == ((f"{root}/fifo", "is a FIFO"), (f"{root}/socket", "is a socket"))
    assert f"{root}/fifo is a FIFO" in said
    assert paths_of(repo, backup)[f"{root}/fifo"] == "skipped"


def test_herald_itself_is_left_out(repo: Repository, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "backup.key").write_text("secret")

    backup = back_up(repo, tmp_path, own_folders=(home,))

    found = paths_of(repo, backup)
    own = {str(tmp_path / name) for name in ("home", "store", "work")}
    assert {path for path, kind in found.items() if kind == "skipped"} == own
    assert not [path for path in found if path.startswith(f"{home}/")]
    with pytest.raises(UsageError, match="belongs to herald itself"):
        back_up(repo, home / "backup.key", own_folders=(home,))


def test_attributes_that_are_not_kept_are_named(repo: Repository, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/file").touch()
    os.setxattr(tmp_path / "app/file", "user.note", b"x")

    backup = back_up(repo, tmp_path / "app")

    assert backup.manifest.files is not None
    assert backup.manifest.files.skipped == (
        (f"{tmp_path}/app/file", "is kept, but not its extended attributes: user.note"),
    )


def test_a_plan_says_what_would_be_backed_up(repo: Repository, tmp_path: Path) -> None:
    root = make_tree(tmp_path / "app")
    backup = back_up(repo, root)

    plan = plan_files(repo, Kind.APPLICATION, FilesSettings(paths=(str(root),)))

    assert backup.manifest.files is not None
    assert plan["files"] == backup.manifest.files.files
    assert plan["roots"] == [str(root)]
    # A second name of a file is counted here, and kept once there.
    assert plan["size_bytes"] - backup.manifest.files.bytes == len(b"#!/bin/sh\n")


WRITER = """
import sys
path, most = sys.argv[1], int(sys.argv[2])
while True:
    with open(path, "ab") as file:
        if file.tell() > most:
            file.truncate(most // 2)
        file.write(b"line " * 1000)
"""


def test_a_large_file_that_is_always_written_is_kept_and_named(repo: Repository, tmp_path: Path) -> None:
    root, size = tmp_path / "app", 30_000_000
    root.mkdir()
    (root / "log").write_bytes(b"x" * size)
    (root / "quiet").write_text("quiet")
    with subprocess.Popen([sys.executable, "-c", WRITER, root / "log", str(size)]) as writer:
        try:
            while (root / "log").stat().st_size == size:
                time.sleep(0.01)
            backup = back_up(repo, root)
        finally:
            writer.kill()

    assert backup.manifest.files is not None
    assert backup.manifest.files.changed == (f"{root}/log",)
    with reading_files(repo, backup.manifest) as members:
        entries = {member.entry.path: member.entry for member in members}
    assert not entries[f"{root}/log"].settled
    assert entries[f"{root}/log"].members == 3
    assert entries[f"{root}/quiet"].settled
    tar = tar_of(repo, backup, tmp_path / "files.tar")
    rename = "--transform=s,.*/,out-,"
    subprocess.run(["tar", "-xf", tar, "-C", tmp_path, rename], check=True, capture_output=True)
    assert (tmp_path / "out-log").stat().st_size == entries[f"{root}/log"].size


@pytest.mark.parametrize("changes", [1, 2, 3])
def test_a_small_file_that_changes_is_read_again(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: int
) -> None:
    root = tmp_path / "app"
    root.mkdir()
    (root / "log").write_text("0")
    read, count = FileReading.whole, 0

    def read_while_written(reading: FileReading) -> bytes:
        nonlocal count
        content = read(reading)
        count += 1
        if count <= changes:
            (root / "log").write_text(str(count))
        return content

    monkeypatch.setattr(FileReading, "whole", read_while_written)
    backup = back_up(repo, root)

    facts = backup.manifest.files
    assert facts is not None
    names = (f"{root}/log",)
    assert (facts.reread, facts.changed) == ((names, ()) if changes < 3 else ((), names))
    with reading_files(repo, backup.manifest) as members:
        contents = [b"".join(member.content) for member in members]
    assert contents == [b"", str(min(changes, 2)).encode()]


def test_a_file_that_changed_once_is_read_again(repo: Repository, tmp_path: Path) -> None:
    root = tmp_path / "app"
    root.mkdir()
    (root / "large").write_bytes(os.urandom(60_000_000))

    def change() -> None:
        # Once it is being read, as its last access says.
        prefix = f"/proc/{os.getpid()}/fd"
        while not any(_leads_to(f"{prefix}/{each}", root / "large") for each in os.listdir(prefix)):  # noqa: PTH208
            time.sleep(0.001)
        time.sleep(0.02)
        with (root / "large").open("r+b") as file:
            file.write(b"changed")
            file.truncate(50_000_000)

    changing = threading.Thread(target=change)
    changing.start()
    backup = back_up(repo, root)
    changing.join()

    assert backup.manifest.files is not None
    assert backup.manifest.files.reread == (f"{root}/large",)
    assert backup.manifest.files.changed == ()
    assert backup.manifest.files.bytes == 50_000_000
    with reading_files(repo, backup.manifest) as members:
        assert [member.entry.members for member in members] == [1, 2]


def _leads_to(link: str, path: Path) -> bool:
    try:
        return os.readlink(link) == str(path)  # noqa: PTH115
    except OSError:
        return False


def test_a_tree_that_changes_all_the_time_is_backed_up(repo: Repository, tmp_path: Path) -> None:
    """Files come and go, become folders and links: what is in the backup agrees with its listing."""
    root = tmp_path / "app"
    root.mkdir()
    shell = """
        i=0; while :; do i=$(( (i + 1) % 50 ))
            rm -rf "d$i" "f$i"; mkdir -p "d$i/e"; echo $i > "d$i/e/x"; ln -s /etc "f$i"
            rm -rf "d$(( (i + 25) % 50 ))"; ln -s /etc "d$(( (i + 25) % 50 ))"; rm -f "f$i"; echo $i > "f$i"
        done
    """
    with subprocess.Popen(["sh", "-c", shell], cwd=root, stderr=subprocess.DEVNULL) as changing:
        try:
            for _ in range(5):
                backup = back_up(repo, root)
                with reading_files(repo, backup.manifest) as members:
                    paths = [member.entry.path for member in members]
                assert paths == sorted(paths, key=lambda path: path.split("/"))
                assert not [path for path in paths if re.search(r"/[df]\d+/(passwd|hostname)", path)]
        finally:
            changing.kill()


def test_a_file_that_vanishes_before_it_is_looked_at_is_no_failure(tmp_path: Path) -> None:
    for name in ("goes", "is replaced", "stays"):
        (tmp_path / name).write_text("x")
    survey = TreeFacts()
    for each in walk_trees([str(tmp_path)], compile_excludes(()), OwnFolders.of([])):
        if isinstance(each, Found) and each.name == "goes":
            (tmp_path / "goes").unlink()
        look_at(each, survey)
    assert (survey.files, survey.unreadable) == (3, [])


@pytest.mark.root
def test_what_cannot_be_read_fails_the_backup(tmp_path: Path) -> None:
    root = tmp_path / "app"
    (root / "open").mkdir(parents=True)
    (root / "closed").mkdir(mode=0o700)
    for number in range(30):
        (root / f"open/{number:02}").touch(mode=0o600 if number else 0o644)
    code = """
import sys
from pathlib import Path
from herald_pipelines.errors import HeraldError
from herald_pipelines.resources.gpg import keyless_gpg
from making import file_repository
from trees import back_up
with keyless_gpg() as gpg:
    repo = file_repository(Path(sys.argv[1]), gpg)
    try:
        back_up(repo, sys.argv[2])
    except HeraldError as error:
        print(error)
    print(len(list(repo.store.list(""))))
"""
    place = tmp_path / "place"
    place.mkdir()
    os.chown(place, 65534, 65534)
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        folder.chmod(0o755)
    ids = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = subprocess.run(
        [*ids, sys.executable, "-c", code, place, root],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(place)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "cannot be read" in done.stdout
    assert f"{root}/closed (permission denied)" in done.stdout
    assert f"{root}/open/19 (permission denied)" in done.stdout
    assert f"{root}/open/00" not in done.stdout
    assert done.stdout.count("permission denied") == 20
    assert done.stdout.splitlines()[-1] == "0"
