"""Trees of files for tests; `python trees.py FOLDER restore|undo [ONLY..]` restores its newest backup, to be killed."""

import hashlib
import io
import os
import stat
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from making import ORIGIN, file_repository

from herald_pipelines.backup.catalog import Backup, read_catalog
from herald_pipelines.backup.database import describe_encryption
from herald_pipelines.backup.facts import FileFacts, Kind, Manifest, backup_prefix, new_backup_id
from herald_pipelines.backup.files import FILES, FILES_OBJECT, LISTING, LISTING_OBJECT, back_up_files
from herald_pipelines.backup.files_plan import plan_restore_files
from herald_pipelines.backup.files_restore import restore_files, undo_restore_files
from herald_pipelines.backup.lease import making
from herald_pipelines.backup.listing import Entry, write_line
from herald_pipelines.backup.repository import Repository
from herald_pipelines.resources.gpg import keyless_gpg
from herald_pipelines.settings import FilesSettings
from herald_pipelines.values import Say, utc_now

LEFT_BY_RESTORES = [".herald-restore-", ".herald-before-", ".herald-undone-", ".before-", ".undone-"]


def make_tree(root: Path) -> Path:
    """Make a tree with all that trees may have."""
    root.mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "bin/herald").write_bytes(b"#!/bin/sh\n")
    (root / "bin/herald").chmod(0o4750)
    os.link(root / "bin/herald", root / "bin/other-name")
    (root / "empty").mkdir(mode=0o711)
    (root / "nothing").touch()
    (root / "link").symlink_to("bin/herald")
    (root / "leads out").symlink_to("/etc/hostname")
    (root / "dangling").symlink_to("nowhere")
    (root / "new\nline \\ 'quote\" é").write_text("odd")
    Path(os.fsdecode(os.fsencode(root) + b"/no \xff utf-8")).write_text("odder")
    (root / ("n" * 255)).write_text("long")
    (root / "old").touch()
    os.utime(root / "old", ns=(-1_500_000_000, -1_500_000_001))
    os.utime(root / "nothing", ns=(1, 1_795_545_844_127_638_091))
    with (root / "sparse").open("wb") as file:
        file.truncate(9_000_000)
        file.seek(5_000_000)
        file.write(b"in the middle")
    (root / "large").write_bytes(os.urandom(6_000_000))
    deep = root / "deep"
    for _ in range(30):
        deep /= "d" * 60
    deep.mkdir(parents=True)
    (deep / "file").write_text("deep")
    (root / "locked").mkdir()
    (root / "locked/in").write_text("x")
    (root / "locked").chmod(0o555)
    return root


def look(root: Path, *, times: bool = True) -> dict[str, Any]:
    """Return all that a tree is, by path below it."""
    found = dict[str, Any]()
    for folder, folders, files, handle in os.fwalk(root):
        for name in (*folders, *files, "."):
            status = os.lstat(name, dir_fd=handle)
            facts: list[Any] = [stat.filemode(status.st_mode), status.st_uid, status.st_gid]
            if times:
                facts.append(status.st_mtime_ns)
            if stat.S_ISLNK(status.st_mode):
                facts.append(os.readlink(name, dir_fd=handle))
            elif stat.S_ISREG(status.st_mode):
                content = Path(folder, name).read_bytes()
                facts += [status.st_nlink, hashlib.sha256(content).hexdigest()]
            found[os.path.relpath(os.path.join(folder, name), root)] = tuple(facts)  # noqa: PTH118
    return found


def back_up(repo: Repository, *paths: Path | str, excludes: Sequence[str] = (), **options: Any) -> Backup:
    """Back trees up, and return the backup as the catalog has it."""
    settings = FilesSettings(paths=tuple(map(str, paths)), excludes=tuple(excludes))
    options.setdefault("say", lambda _text: None)
    manifest = back_up_files(repo, Kind.APPLICATION, settings, origin=ORIGIN, now=utc_now(), **options)
    return find(repo, manifest)


def find(repo: Repository, manifest: Manifest) -> Backup:
    """Return a backup as the catalog has it."""
    catalog = read_catalog(repo)
    assert catalog.problems == ()
    return next(each for each in catalog.backups if each.manifest.id == manifest.id)


def restore(
    repo: Repository, backup: Backup, *, say: Say = lambda _text: None, **options: Any
) -> dict[str, Any]:
    """Plan and restore."""
    return restore_files(repo, plan_restore_files(repo, backup, **options), now=utc_now(), say=say)


def litter(folder: Path) -> list[str]:
    """Return what restores left below a folder."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if any(word in path.name for word in LEFT_BY_RESTORES)
    )


def forge(
    repo: Repository,
    roots: Sequence[str],
    members: Sequence[tuple[tarfile.TarInfo, bytes]],
    entries: Sequence[Entry | Mapping[str, Any]],
) -> Backup:
    """Make a backup whose tar and listing are what one wants, signed by the right key."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    lines = b"".join(write_line(each if isinstance(each, Entry) else Entry(**each)) for each in entries)
    now = utc_now()
    backup_id = new_backup_id("application", now, os.urandom(3).hex())
    prefix = backup_prefix(repo.platform, repo.host, Kind.APPLICATION, "application", backup_id)
    with making(repo, prefix, backup_id, run_id=None, now=now) as work:
        parts = tuple(
            work.seal_part(name, key, iter([content]), lambda _c, _s: None, lambda: None)
            for name, key, content in (
                (FILES, FILES_OBJECT, buffer.getvalue()),
                (LISTING, LISTING_OBJECT, lines),
            )
        )
        manifest = Manifest(
            id=backup_id,
            kind=Kind.APPLICATION,
            name="application",
            platform=repo.platform,
            host=repo.host,
            started_at=now,
            finished_at=now,
            window=None,
            run_id=None,
            versions={},
            settings_sha256="",
            encryption=describe_encryption(work.key),
            parts=parts,
            files=FileFacts(roots=tuple(roots), excludes=(), files=len(entries), bytes=0),
        )
        work.publish(manifest)
    return find(repo, manifest)


def main(folder: Path, action: str, *only: str) -> None:
    """Do what a test wants to be killed in."""
    with keyless_gpg() as gpg:
        repo = file_repository(folder, gpg)
        if action == "undo":
            undo_restore_files(repo, None, say=print)
        else:
            restore(repo, read_catalog(repo).backups[-1], only=only)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
