"""Trees restored for real: in place and elsewhere, whole and in part, and put back."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from making import ORIGIN
from trees import back_up, find, litter, look, make_tree, restore

from herald_pipelines.backup.compare import compare_tree
from herald_pipelines.backup.extract import extract_into
from herald_pipelines.backup.facts import Kind
from herald_pipelines.backup.files import back_up_files
from herald_pipelines.backup.files_plan import plan_restore_files
from herald_pipelines.backup.files_restore import recover_restores, restore_files, undo_restore_files
from herald_pipelines.backup.repository import Repository
from herald_pipelines.errors import GuardRefusal, HeraldError, UsageError
from herald_pipelines.resources.descent import Descent, remove_tree
from herald_pipelines.settings import FilesSettings
from herald_pipelines.values import utc_now


def say(_text: str) -> None:
    """Hear nothing."""


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_tree_comes_back_and_goes_again(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr("herald_pipelines.backup.files_swap.exchange", lambda *_: False)
    root = make_tree(tmp_path / "srv/app")
    saved = look(root)
    backup = back_up(repo, root)
    (root / "large").write_text("broken")
    shutil.rmtree(root / "deep")
    (root / "new").write_text("since")
    broken = look(root)

    done = restore(repo, backup)

    assert look(root) == saved
    kept = Path(done["trees"][0]["kept"])
    assert look(kept) == broken
    assert compare_tree(repo, backup, Path("/")).document() == {
        "files": backup.manifest.files.files if backup.manifest.files else 0,
        "bytes": backup.manifest.files.bytes if backup.manifest.files else 0,
        "differences": 0,
        "named": [],
    }
    assert litter(tmp_path / "srv") == [kept.name]

    undo_restore_files(repo, done["restore"], say=say)

    assert look(root) == broken
    assert look(Path(str(kept).replace(".before-", ".undone-"))) == saved
    with pytest.raises(GuardRefusal, match="is undone already"):
        undo_restore_files(repo, done["restore"], say=say)


def test_a_sparse_file_stays_one(repo: Repository, tmp_path: Path) -> None:
    root = make_tree(tmp_path / "app")
    backup = back_up(repo, root)

    restore(repo, backup)

    assert (root / "sparse").stat().st_blocks * 512 < 1_000_000


def test_a_tree_comes_where_there_is_none(repo: Repository, tmp_path: Path) -> None:
    """As on a bare machine."""
    root = make_tree(tmp_path / "srv/app")
    saved = look(root)
    backup = back_up(repo, root)
    shutil.rmtree(tmp_path / "srv")

    done = restore(repo, backup)

    assert look(root) == saved
    assert done["trees"] == [{"path": str(root), "kept": None}]
    undo_restore_files(repo, None, say=say)
    assert not root.exists()


def test_single_files_are_replaced_and_put_back(repo: Repository, tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    (etc / "herald").mkdir(parents=True)
    (etc / "sites").mkdir()
    (etc / "herald/main.yaml").write_text("main")
    (etc / "sites/herald.conf").write_text("site")
    (etc / "sites/herald-link").symlink_to("herald.conf")
    (etc / "sites/herald-gone").write_text("gone")
    (etc / "sites/other.conf").write_text("other")
    backup = back_up(repo, etc / "herald", f"{etc}/sites/herald*")
    (etc / "sites/herald.conf").write_text("broken")
    (etc / "sites/herald-link").unlink()
    (etc / "sites/herald-link").mkdir()
    (etc / "sites/herald-gone").unlink()
    (etc / "sites/other.conf").write_text("newer")
    broken = look(etc, times=False)

    restore(repo, backup)

    assert (etc / "sites/herald.conf").read_text() == "site"
    assert (etc / "sites/herald-link").readlink() == Path("herald.conf")
    assert (etc / "sites/herald-gone").read_text() == "gone"
    assert (etc / "sites/other.conf").read_text() == "newer"
    # The next backup is not of what the restore kept.
    again = back_up(repo, etc / "herald", f"{etc}/sites/herald*")
    assert again.manifest.files is not None
    assert backup.manifest.files is not None
    assert again.manifest.files.roots == backup.manifest.files.roots

    undo_restore_files(repo, None, say=say)

    now = look(etc, times=False)
    assert {path: facts for path, facts in now.items() if "undone" not in path} == broken


def test_a_part_is_put_into_place_and_the_rest_left_alone(repo: Repository, tmp_path: Path) -> None:
    root = make_tree(tmp_path / "app")
    (root / "public/css").mkdir(parents=True)
    (root / "public/css/a.css").write_text("a")
    (root / "public/css/b.css").write_text("b")
    (root / "public/index.html").write_text("index")
    (root / "public/css").chmod(0o750)
    backup = back_up(repo, root)
    before = look(root, times=False)
    shutil.rmtree(root / "public/css")
    (root / "public/index.html").write_text("newer")
    (root / "public/mine").write_text("mine")
    (root / "bin/herald").write_text("newer")

    restore(repo, backup, only=[f"{root}/public/css", f"{root}/public/*.html", f"{root}/bin/other-name"])

    assert (root / "public/mine").read_text() == "mine"
    assert (root / "bin/herald").read_text() == "newer"
    assert (root / "bin/other-name").read_bytes() == b"#!/bin/sh\n"
    after = look(root, times=False)
    for path in ("public/css", "public/css/a.css", "public/css/b.css", "public/index.html"):
        assert after[path] == before[path]
    assert [path for path in litter(tmp_path) if "restore" in path] == []

    undo_restore_files(repo, None, say=say)

    assert not (root / "public/css").exists()
    assert (root / "public/index.html").read_text() == "newer"
    assert (root / "public/mine").read_text() == "mine"


def test_a_destination_takes_trees_at_their_whole_paths(repo: Repository, tmp_path: Path) -> None:
    root = make_tree(tmp_path / "srv/app")
    backup = back_up(repo, root)
    before = look(root)

    restore(repo, backup, destination=tmp_path / "elsewhere")
    (tmp_path / "drill").mkdir()
    extract_into(repo, backup.manifest, tmp_path / "drill", say=say)

    for folder in ("elsewhere", "drill"):
        assert look(tmp_path / folder / str(root)[1:]) == before
        assert compare_tree(repo, backup, tmp_path / folder).is_equal
    assert look(root) == before


def test_every_difference_is_found(repo: Repository, tmp_path: Path) -> None:
    root = make_tree(tmp_path / "app")
    backup = back_up(repo, root)
    times = {path: path.lstat().st_mtime_ns for path in root.rglob("*")}

    def keep_time(path: Path) -> None:
        os.utime(path, ns=(times[path], times[path]), follow_symlinks=False)

    with (root / "large").open("r+b") as file:
        file.write(b"flipped")
    keep_time(root / "large")
    (root / "nothing").chmod(0o611)
    (root / "link").unlink()
    (root / "link").symlink_to("elsewhere")
    keep_time(root / "link")
    (root / "dangling").unlink()
    (root / "extra").write_text("x")
    (root / "bin/other-name").unlink()
    shutil.copy2(root / "bin/herald", root / "bin/other-name")
    (root / "bin/other-name").chmod(0o4750)
    (root / "n" / "x").parent.mkdir()
    os.utime(root / "old", ns=(1, 1))
    keep_time(root / "bin")
    os.utime(root, ns=(0, root.stat().st_mtime_ns))

    found = dict(compare_tree(repo, backup, Path("/")).named)

    root_time = found.pop(str(root))
    assert root_time == "has another time"
    assert found == {
        f"{root}/large": "has another content",
        f"{root}/nothing": "has mode 611 instead of 644",
        f"{root}/link": "leads elsewhere",
        f"{root}/dangling": "is missing",
        f"{root}/extra": "is not in the backup",
        f"{root}/n": "is not in the backup",
        f"{root}/bin/other-name": f"is not the same file as {root}/bin/herald",
        f"{root}/old": "has another time",
    }


def test_what_a_restore_lacks_is_said_before(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_tree(tmp_path / "srv/app")
    backup = back_up(repo, root)

    with pytest.raises(UsageError, match="is not in application-"):
        plan_restore_files(repo, backup, only=[f"{root}/none"])
    with pytest.raises(UsageError, match="is not in application-"):
        plan_restore_files(repo, backup, only=["/etc/passwd"])
    with pytest.raises(UsageError, match="no absolute path"):
        plan_restore_files(repo, backup, only=["app/link"])
    with pytest.raises(GuardRefusal, match="belongs to herald itself"):
        plan_restore_files(repo, backup, own_folders=(root / "empty",))
    with pytest.raises(GuardRefusal, match="is no folder"):
        plan_restore_files(repo, backup, destination=root / "nothing")
    real = os.statvfs

    def small(path: Path) -> os.statvfs_result:
        facts = list(real(path))
        facts[4] = 100
        return os.statvfs_result(facts)

    monkeypatch.setattr(os, "statvfs", small)
    with pytest.raises(GuardRefusal, match="not enough disk"):
        plan_restore_files(repo, backup)
    assert litter(tmp_path) == []


@pytest.mark.root
def test_mounts_are_minded(repo: Repository, tmp_path: Path) -> None:
    root = tmp_path / "srv/app"
    root.mkdir(parents=True)
    (root / "file").write_text("x")
    backup = back_up(repo, root)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", root], check=True)
    try:
        with pytest.raises(GuardRefusal, match="is a mount point"):
            plan_restore_files(repo, backup)
        with pytest.raises(HeraldError, match="on another file system"):
            restore(repo, backup, only=[f"{root}/file"])
        subprocess.run(["mount", "-o", "remount,ro", root], check=True)
        with pytest.raises(GuardRefusal, match="read-only"):
            plan_restore_files(repo, backup, destination=root)
    finally:
        subprocess.run(["umount", root], check=True)
    assert litter(tmp_path) == []


@pytest.mark.root
def test_a_full_disk_leaves_all_as_it_was(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", disk], check=True)
    try:
        root = disk / "app"
        root.mkdir()
        (root / "file").write_bytes(os.urandom(1_800_000))
        backup = back_up(repo, root)
        plan = plan_restore_files
        before = look(root)
        with pytest.raises(GuardRefusal, match="not enough disk"):
            plan(repo, backup)
        monkeypatch.setattr("herald_pipelines.backup.files_plan._require_room", lambda *_: (0, 0))
        with pytest.raises(HeraldError, match="no space left"):
            restore(repo, backup)
        assert look(root) == before
        assert litter(disk) == []
        assert recover_restores(repo, say=say) == []
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.root
def test_owners_come_back_for_root_alone(tmp_path: Path) -> None:
    root = tmp_path / "place/app"
    (root / "theirs").mkdir(parents=True)
    (root / "theirs/file").write_text("x")
    (root / "mine").write_text("y")
    (root / "mine").chmod(0o4711)
    (root / "theirs/link").symlink_to("file")
    for path in (root / "theirs", root / "theirs/file", root / "theirs/link"):
        os.chown(path, 12345, 54321, follow_symlinks=False)
    (root / "theirs/file").chmod(0o6711)
    code = """
import sys
from pathlib import Path
from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.compare import compare_tree
from herald_pipelines.backup.files_plan import plan_restore_files
from herald_pipelines.resources.gpg import keyless_gpg
from making import file_repository
from herald_pipelines.resources.descent import Descent, remove_tree
from herald_pipelines.settings import FilesSettings
from herald_pipelines.values import utc_now
from making import ORIGIN
from trees import back_up, restore
place, root, action = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
with keyless_gpg() as gpg:
    repo = file_repository(place, gpg)
    if action == "back up":
        back_up(repo, root)
    else:
        backup = read_catalog(repo).backups[-1]
        print(*plan_restore_files(repo, backup, destination=place / action).warnings, sep="\\n")
        restore(repo, backup, destination=place / action)
        print(compare_tree(repo, backup, place / action).document())
"""
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        folder.chmod(0o755)

    def run(action: str, *before: str) -> str:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path / "place")}
        argv = [*before, sys.executable, "-c", code, tmp_path / "place", root, action]
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout

    run("back up")
    restored = run("by-root")
    subprocess.run(
        ["chown", "-R", "65534:65534", tmp_path / "place/store", tmp_path / "place/work"], check=True
    )
    os.chown(tmp_path / "place", 65534, 65534)
    said = run("by-nobody", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")

    out = tmp_path / "place/by-root" / str(root)[1:]
    assert (out / "theirs/file").stat().st_uid == 12345
    assert (out / "theirs/link").lstat().st_gid == 54321
    assert (out / "theirs/file").stat().st_mode & 0o7777 == 0o6711
    assert (out / "mine").stat().st_mode & 0o7777 == 0o4711
    assert "'differences': 0" in restored
    assert "only root can give them back" in said
    assert "'differences': 0" in said
    out = tmp_path / "place/by-nobody" / str(root)[1:]
    assert (out / "theirs/file").stat().st_mode & 0o7777 == 0o711


def test_two_restores_at_once_are_refused(repo: Repository, tmp_path: Path) -> None:
    root = make_tree(tmp_path / "app")
    backup = back_up(repo, root)
    before = look(root)

    def second(_text: str) -> None:
        with pytest.raises(UsageError, match="another restore of files is running"):
            restore(repo, backup)

    restore(repo, backup, say=second)

    assert look(root) == before


def test_an_undo_minds_what_happened_since(repo: Repository, tmp_path: Path) -> None:
    root = make_tree(tmp_path / "app")
    backup = back_up(repo, root)
    done = restore(repo, backup)
    root.rename(tmp_path / "aside")
    root.mkdir()
    (root / "deployed").touch()

    with pytest.raises(GuardRefusal, match="not the tree any more"):
        undo_restore_files(repo, None, say=say)

    (root / "deployed").unlink()
    root.rmdir()
    (tmp_path / "aside").rename(root)
    shutil.rmtree(done["trees"][0]["kept"])
    with pytest.raises(GuardRefusal, match="not there any more"):
        undo_restore_files(repo, None, say=say)


def test_restores_of_one_time_do_not_meet(repo: Repository, tmp_path: Path) -> None:
    """A whole recovery restores both kinds as of one time, and they may lie in one folder."""
    now = utc_now()
    for kind, name in ((Kind.APPLICATION, "app"), (Kind.CONFIGURATION, "app.conf")):
        (tmp_path / name).write_text("as backed up")
        manifest = back_up_files(
            repo, kind, FilesSettings(paths=(str(tmp_path / name),)), origin=ORIGIN, now=now, say=say
        )
        (tmp_path / name).write_text("broken")
        restore_files(repo, plan_restore_files(repo, find(repo, manifest)), now=now, say=say)

    undo_restore_files(repo, None, kind=Kind.APPLICATION, say=say)

    assert (tmp_path / "app").read_text() == "broken"
    assert (tmp_path / "app.conf").read_text() == "as backed up"
    with pytest.raises(UsageError, match="no restore of the application"):
        undo_restore_files(repo, None, kind=Kind.APPLICATION, say=say)


def test_a_tree_may_be_deeper_than_handles_and_paths(repo: Repository, tmp_path: Path) -> None:
    """1500 folders in one another: 16 KB of path where the system takes 4, and more than a process may hold open."""
    root = tmp_path / "app"
    root.mkdir()
    descent = Descent(os.open(tmp_path, os.O_RDONLY))
    descent.enter("app")
    for _ in range(1500):
        os.mkdir("d" * 10, dir_fd=descent.handle)
        descent.enter("d" * 10)
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=descent.handle))
    descent.close()
    handles = len(list(Path("/proc/self/fd").iterdir()))
    backup = back_up(repo, root)
    (tmp_path / "drill").mkdir()

    extract_into(repo, backup.manifest, tmp_path / "drill", say=say)
    done = restore(repo, backup)

    assert compare_tree(repo, backup, tmp_path / "drill").document()["differences"] == 0
    assert compare_tree(repo, backup, Path("/")).is_equal
    assert len(list(Path("/proc/self/fd").iterdir())) == handles
    folder = os.open(tmp_path, os.O_RDONLY)
    for name in ("app", "drill", Path(done["trees"][0]["kept"]).name):
        remove_tree(folder, name)
        assert not (tmp_path / name).exists()
    os.close(folder)
