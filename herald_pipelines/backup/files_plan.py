"""What restoring files would do, asked before anything is stopped or changed: what, from where, to where, what it takes.

Not here: doing it (files_restore.py).
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from herald_pipelines.backup.catalog import Backup
from herald_pipelines.backup.facts import Manifest
from herald_pipelines.backup.files import own_folders_of
from herald_pipelines.backup.files_archive import reading_listing
from herald_pipelines.backup.files_survey import Survey, TreeSurvey
from herald_pipelines.backup.names import read_name, show_name
from herald_pipelines.backup.parts import require_private_key
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.walk import OwnFolders
from herald_pipelines.errors import GuardRefusal, PermanentFailure, UsageError
from herald_pipelines.settings.files import explain
from herald_pipelines.values import format_bytes

SPARE_SHARE = 0.02
"""Of what is needed, for what the file system keeps of it."""


@dataclass(frozen=True)
class TreePlan:
    """One tree of a backup and where it goes."""

    root: str
    """As the file system had it."""
    type: str
    """Of its root: folder, file, symlink."""
    base: str
    """Folder that it is put in, without links; may be missing."""
    name: str
    files: int
    bytes: int
    is_there: bool
    """Whether something has its place now."""

    @property
    def target(self) -> str:
        """Where it goes."""
        return f"{self.base.rstrip('/')}/{self.name}"


@dataclass(frozen=True)
class FilesPlan:
    """What a restore of files will do."""

    manifest: Manifest
    only: tuple[str, ...]
    """Paths or patterns; none: whole trees, which replace what is there."""
    trees: tuple[TreePlan, ...]
    sources: frozenset[str]
    """Files to extract only because a hard link that is wanted leads to them."""
    needed_bytes: int
    free_bytes: int
    """On the fullest of the file systems."""
    warnings: tuple[str, ...]
    _selection: re.Pattern[str] = field(repr=False)

    @property
    def files(self) -> int:
        """All but folders."""
        return sum(tree.files for tree in self.trees)

    @property
    def bytes(self) -> int:
        """Content."""
        return sum(tree.bytes for tree in self.trees)

    def is_wanted(self, path: str) -> bool:
        """Whether a path of the backup is restored."""
        return not self.only or self._selection.fullmatch(path) is not None

    def document(self) -> dict[str, Any]:
        """Return the plan for machines."""
        return {
            "backup": self.manifest.id,
            "kind": self.manifest.kind.value,
            "started_at": self.manifest.started_at.isoformat(),
            "only": list(self.only),
            "trees": [
                {
                    "from": show_name(tree.root),
                    "to": show_name(tree.target),
                    "type": tree.type,
                    "files": tree.files,
                    "bytes": tree.bytes,
                    "replaces": tree.is_there and not self.only,
                }
                for tree in self.trees
            ],
            "files": self.files,
            "bytes": self.bytes,
            "needed_bytes": self.needed_bytes,
            "free_bytes": self.free_bytes,
            "warnings": list(self.warnings),
        }


def plan_restore_files(
    repository: Repository,
    backup: Backup,
    *,
    destination: Path | None = None,
    only: Sequence[str] = (),
    own_folders: Sequence[Path] = (),
) -> FilesPlan:
    """Read the listing of a backup and ask all that a restore of it needs. Changes nothing.

    Args:
        repository: where from.
        backup: of files.
        destination: folder below which each tree goes by its whole path; none: where it was.
        only: absolute paths, or patterns in which * and ? match / too, each standing for all below it; these are put
            into place file by file, and others are left alone. None: whole trees replace what is there.
        own_folders: herald's home and the like, which no restore may replace; store and work folder never are.

    Raises:
        UsageError: it is no backup of files, or `only` names what is not in it.
        GuardRefusal: not enough disk, no right to write, a read-only file system, a mount point in the way.
        Damaged: the listing is not what was written.
        HeraldError: of the kind that fits what the store said.
    """
    manifest = backup.manifest
    if manifest.files is None:
        raise UsageError(f"{manifest.id} is a backup of a {manifest.kind}, not of files")
    if backup.missing:
        raise PermanentFailure(
            f"{manifest.id} is broken: {', '.join(backup.missing)} is not in the store as written"
        )
    for pattern in only:
        if not pattern.startswith("/"):
            raise UsageError(
                f"{pattern!a} is no absolute path", hint=f"the backup has {', '.join(manifest.files.roots)}"
            )
    require_private_key(repository, manifest)
    survey = Survey(tuple(only))
    with reading_listing(repository, manifest) as entries:
        survey.read(entries, frozenset(map(read_name, manifest.files.roots)))
    survey.require_all(manifest)
    trees = tuple(_place(each, destination) for each in survey.trees if each.files or each.folders)
    own = own_folders_of(repository, own_folders)
    for tree in trees:
        _require_writable(tree)
        if not only:
            _require_replaceable(tree, own)
    needed, free = _require_room(trees, {each.root: each for each in survey.trees})
    return FilesPlan(
        manifest=manifest,
        only=tuple(only),
        trees=trees,
        sources=frozenset(survey.sources),
        needed_bytes=needed,
        free_bytes=free,
        warnings=tuple(_warnings(survey, trees, manifest, is_whole=not only)),
        _selection=survey.selection,
    )


def _place(survey: TreeSurvey, destination: Path | None) -> TreePlan:
    above, _, name = survey.root.rpartition("/")
    base = Path(f"{destination or ''}{above}" or "/").resolve()
    return TreePlan(
        root=survey.root,
        type=survey.type,
        base=str(base),
        name=name,
        files=survey.files,
        bytes=survey.bytes,
        is_there=os.path.lexists(base / name),
    )


def _require_writable(tree: TreePlan) -> None:
    """Refuse a place that cannot be written."""
    shown = show_name(tree.target)
    ground = find_ground(tree.base)
    try:
        is_read_only = bool(os.statvfs(ground).f_flag & os.ST_RDONLY)
        may_write = os.access(ground, os.W_OK | os.X_OK, effective_ids=True)
    except OSError as error:
        raise GuardRefusal(f"{shown} cannot be restored: {explain(error)}") from error
    if not ground.is_dir():
        raise GuardRefusal(f"{shown} cannot be restored: {show_name(str(ground))} is no folder")
    if is_read_only:
        raise GuardRefusal(f"{shown} cannot be restored: its file system is read-only")
    if not may_write:
        raise GuardRefusal(
            f"{shown} cannot be restored: this user may not write in {show_name(str(ground))}",
            hint="run this as a user who may, such as root",
        )


def _require_replaceable(tree: TreePlan, own: OwnFolders) -> None:
    """Refuse a tree that cannot be exchanged, or in which herald itself lives: it would be gone with the old tree."""
    target, shown = Path(tree.target), show_name(tree.target)
    hint = "say what of it to restore in place: --only"
    if target.is_mount():
        raise GuardRefusal(f"{shown} is a mount point, which cannot be exchanged", hint=hint)
    for folder in own.paths:
        if target in (folder, *folder.parents):
            raise GuardRefusal(
                f"{shown} holds {show_name(str(folder))}, which belongs to herald itself and is in no backup",
                hint=hint,
            )


def find_ground(path: str) -> Path:
    """Return the nearest folder of a path that exists."""
    place = Path(path)
    while not os.path.lexists(place):
        place = place.parent
    return place


def _require_room(trees: Sequence[TreePlan], surveys: Mapping[str, TreeSurvey]) -> tuple[int, int]:
    """Refuse what does not fit; return the bytes needed, and those free on the fullest file system."""
    needed, nodes, grounds = Counter[int](), Counter[int](), dict[int, Path]()
    for tree in trees:
        ground, survey = find_ground(tree.base), surveys[tree.root]
        device = ground.stat().st_dev
        grounds[device] = ground
        needed[device] += round(survey.disk_bytes * (1 + SPARE_SHARE))
        nodes[device] += survey.files + survey.folders
    least = 0
    for number, (device, ground) in enumerate(grounds.items()):
        facts = os.statvfs(ground)
        free = facts.f_bavail * facts.f_frsize
        least = free if number == 0 else min(least, free)
        if needed[device] > free:
            raise GuardRefusal(
                f"not enough disk for {show_name(str(ground))}: {format_bytes(needed[device])} are needed beside"
                f" what is there, {format_bytes(free)} are free",
                hint="make room, or restore a part with --only",
            )
        if facts.f_files and nodes[device] > facts.f_favail:
            raise GuardRefusal(
                f"not enough inodes for {show_name(str(ground))}: {nodes[device]} are needed, {facts.f_favail} are free"
            )
    return sum(needed.values()), least


def _warnings(
    survey: Survey, trees: Sequence[TreePlan], manifest: Manifest, *, is_whole: bool
) -> Iterator[str]:
    """Yield what a person should know before they say yes."""
    if survey.foreign and os.geteuid() != 0:
        yield f"{survey.foreign} files belong to others than this user, and only root can give them back"
    if survey.strangers:
        yield f"this host has no {', '.join(sorted(survey.strangers))}: their files get the numbers they had"
    if survey.leaving:
        yield f"{survey.leaving} symbolic links lead out of their tree, as they did; what they lead to is not restored"
    if survey.unsettled:
        yield f"{survey.unsettled} files changed each time they were backed up, and may be inconsistent"
    if survey.skipped:
        yield f"{survey.skipped} files were left out of the backup (sockets, devices, what vanished)"
    excludes = manifest.files.excludes if manifest.files else ()
    for tree in trees:
        if is_whole and tree.is_there and tree.type == "folder":
            without = f" with all that the backup excludes ({', '.join(excludes)})" if excludes else ""
            yield f"{show_name(tree.target)} is replaced as a whole; what is there now is kept beside it{without}"
