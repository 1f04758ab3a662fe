"""Moves restored files into place, and back: each step can be done again after a kill, and says by itself what is left.

A tree is exchanged with the one that is there, a file replaced by a rename after its old content got a second name. So a
path is at every moment what it was or what it becomes. All is reached from the base by real folders alone. Not here: what
is to be moved (files_units.py), what was moved already (files_journal.py).
"""

import os
import stat
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager, suppress

from herald_pipelines.backup.files_journal import Base, Unit
from herald_pipelines.backup.names import read_name, show_name
from herald_pipelines.errors import PermanentFailure
from herald_pipelines.resources.descent import open_below
from herald_pipelines.resources.renaming import exchange

Place = tuple[int, str]
"""Handle of a folder, and a name in it."""


@contextmanager
def open_bases(bases: Sequence[Base]) -> Generator[list[int]]:
    """Give handles of bases, in their order.

    Raises:
        OSError: one is missing.
    """
    with ExitStack() as stack:
        handles = list[int]()
        for base in bases:
            handles.append(os.open(read_name(base.path), os.O_RDONLY | os.O_DIRECTORY))
            stack.callback(os.close, handles[-1])
        yield handles


def swap_in(units: Iterable[Unit], bases: Sequence[int]) -> None:
    """Put all in place that is not yet.

    Args:
        units: of the journal, folders before what is in them.
        bases: of `open_bases`.

    Raises:
        OSError: a name cannot be moved.
        PermanentFailure: something is neither as it was nor as it becomes.
    """
    made = list[Unit]()
    for unit in units:
        if unit.kind == "folder":
            _make_folder(unit, bases)
            made.append(unit)
        elif unit.kind == "file":
            _swap_file(unit, bases)
        else:
            _swap_tree(unit, bases)
    # Now that all is in them: a folder may be one that its owner does not write in.
    for unit in reversed(made):
        _finish_folder(unit, bases)


def swap_back(units: Iterable[Unit], bases: Sequence[int]) -> None:
    """Put all back that is not yet, whether it was put in place or not. What was restored is kept under another name.

    Raises:
        OSError: a name cannot be moved.
    """
    made = list[Unit]()
    for unit in units:
        if unit.kind == "folder":
            made.append(unit)
        elif unit.kind == "file":
            _return_file(unit, bases)
        else:
            _return_tree(unit, bases)
    for unit in reversed(made):
        with suppress(OSError), _at(unit.target, unit, bases) as (folder, name):
            os.rmdir(name, dir_fd=folder)  # stays when something is in it


def find_obstacle(units: Iterable[Unit], bases: Sequence[int]) -> str | None:
    """Return why what a restore did cannot be undone, or None: what it kept is gone, or its tree was replaced since."""
    for unit in units:
        if unit.kind == "folder":
            continue
        if unit.existed and not _is_there(unit.kept, unit, bases):
            return f"{'/'.join(unit.kept)} is not there any more"
        if unit.kind == "tree":
            with _at(unit.target, unit, bases) as (base, name):
                if not _is_new(_look(base, name), unit):
                    return f"{'/'.join(unit.target)} is not the tree any more that was restored"
    return None


def _swap_tree(unit: Unit, bases: Sequence[int]) -> None:
    with (
        _at(unit.target, unit, bases) as (base, name),
        _at(unit.staged, unit, bases) as (staging, staged),
        _at(unit.kept, unit, bases) as (keeping, kept),
    ):
        status = _look(base, name)
        if not _is_new(status, unit):
            if status is None:
                os.rename(staged, name, src_dir_fd=staging, dst_dir_fd=base)
            elif not exchange(staging, staged, base, name):
                _require_free(keeping, kept)
                os.rename(name, kept, src_dir_fd=base, dst_dir_fd=keeping)
                os.rename(staged, name, src_dir_fd=staging, dst_dir_fd=base)
        if _look(staging, staged) is not None:
            _require_free(keeping, kept)
            os.rename(staged, kept, src_dir_fd=staging, dst_dir_fd=keeping)


def _return_tree(unit: Unit, bases: Sequence[int]) -> None:
    with (
        _at(unit.target, unit, bases) as (base, name),
        _at(unit.kept, unit, bases) as (keeping, kept),
        _at(unit.undone, unit, bases) as (undoing, undone),
    ):
        if _is_new(_look(base, name), unit):
            old = _find_old(unit, bases)
            if old is None or not _exchange_from(old, unit, bases):
                os.rename(name, undone, src_dir_fd=base, dst_dir_fd=undoing)
        if _look(base, name) is None:
            # Between two renames, now or when it was put in place.
            old = _find_old(unit, bases)
            if old is not None:
                with _at(old, unit, bases) as (folder, old_name):
                    os.rename(old_name, name, src_dir_fd=folder, dst_dir_fd=base)
        if _is_new(_look(keeping, kept), unit):
            os.rename(kept, undone, src_dir_fd=keeping, dst_dir_fd=undoing)


def _find_old(unit: Unit, bases: Sequence[int]) -> tuple[str, ...] | None:
    """Return where the tree is that was there before, while it has not its place: nowhere if there was none."""
    for parts in (unit.kept, unit.staged):
        with suppress(FileNotFoundError), _at(parts, unit, bases) as (folder, name):
            status = _look(folder, name)
            if status is not None and not _is_new(status, unit):
                return parts
    return None


def _exchange_from(old: tuple[str, ...], unit: Unit, bases: Sequence[int]) -> bool:
    with _at(old, unit, bases) as (folder, old_name), _at(unit.target, unit, bases) as (base, name):
        return exchange(folder, old_name, base, name)


def _swap_file(unit: Unit, bases: Sequence[int]) -> None:
    with ExitStack() as stack:
        staging, staged = stack.enter_context(_at(unit.staged, unit, bases))
        if _look(staging, staged) is None:
            return
        base, name = stack.enter_context(_at(unit.target, unit, bases))
        if _look(base, name) is not None:
            keep = stack.enter_context(_at(unit.kept, unit, bases, make=True))
            _second_name((base, name), keep)
        os.rename(staged, name, src_dir_fd=staging, dst_dir_fd=base)


def _return_file(unit: Unit, bases: Sequence[int]) -> None:
    is_kept = _is_there(unit.kept, unit, bases)
    with ExitStack() as stack:
        try:
            base, name = stack.enter_context(_at(unit.target, unit, bases))
        except FileNotFoundError:
            return
        if not _is_there(unit.staged, unit, bases):
            # It came into place, and maybe went again already.
            if unit.existed and not is_kept:
                return
            if _look(base, name) is not None:
                undoing, undone = stack.enter_context(_at(unit.undone, unit, bases, make=True))
                if is_kept:
                    _second_name((base, name), (undoing, undone))
                else:
                    os.rename(name, undone, src_dir_fd=base, dst_dir_fd=undoing)
        if is_kept:
            keeping, kept = stack.enter_context(_at(unit.kept, unit, bases))
            _move_over(keeping, kept, base, name)


def _second_name(old: Place, second: Place) -> None:
    """Give a file a second name; where the file system has only one for each, move it."""
    (folder, name), (other, other_name) = old, second
    try:
        os.link(name, other_name, src_dir_fd=folder, dst_dir_fd=other, follow_symlinks=False)
    except FileExistsError:
        ours, there = _look(folder, name), _look(other, other_name)
        if ours is None or there is None or not _are_same(ours, there):
            raise
    except OSError:
        os.rename(name, other_name, src_dir_fd=folder, dst_dir_fd=other)


def _move_over(folder: int, name: str, other: int, other_name: str) -> None:
    ours, there = _look(folder, name), _look(other, other_name)
    if ours is not None and there is not None and _are_same(ours, there):
        # Renaming one name of a file to another does nothing.
        os.unlink(name, dir_fd=folder)
    else:
        os.rename(name, other_name, src_dir_fd=folder, dst_dir_fd=other)


def _make_folder(unit: Unit, bases: Sequence[int]) -> None:
    with _at(unit.target, unit, bases) as (folder, name), suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=folder)


def _finish_folder(unit: Unit, bases: Sequence[int]) -> None:
    """Give a folder that was made what the backup says of it, which its staged twin has."""
    base = bases[unit.base]
    with (
        suppress(FileNotFoundError),
        open_below(base, list(map(read_name, unit.staged))) as staged,
        open_below(base, list(map(read_name, unit.target))) as made,
    ):
        facts = os.fstat(staged)
        if os.geteuid() == 0:
            os.fchown(made, facts.st_uid, facts.st_gid)
        os.fchmod(made, stat.S_IMODE(facts.st_mode))


@contextmanager
def _at(parts: Sequence[str], unit: Unit, bases: Sequence[int], *, make: bool = False) -> Generator[Place]:
    """Give the folder and the last name of a path below the base of a unit; with `make`, the folders are made."""
    *above, name = map(read_name, parts)
    base = bases[unit.base]
    if make:
        for count in range(1, len(above) + 1):
            with open_below(base, above[: count - 1]) as folder, suppress(FileExistsError):
                os.mkdir(above[count - 1], 0o700, dir_fd=folder)
    with open_below(base, above) as folder:
        yield folder, name


def _is_there(parts: Sequence[str], unit: Unit, bases: Sequence[int]) -> bool:
    try:
        with _at(parts, unit, bases) as (folder, name):
            return _look(folder, name) is not None
    except FileNotFoundError:
        return False


def _look(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return None


def _is_new(status: os.stat_result | None, unit: Unit) -> bool:
    return status is not None and (status.st_dev, status.st_ino) == (unit.device, unit.inode)


def _are_same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def _require_free(folder: int, name: str) -> None:
    if _look(folder, name) is not None:
        raise PermanentFailure(
            f"{show_name(name)} is there already, where what was there before is to be kept"
        )
