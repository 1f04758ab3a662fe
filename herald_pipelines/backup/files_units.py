"""What a restore of files will move, name by name, once all is extracted: whole trees, or each file that was asked for.

Not here: moving it (files_swap.py).
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence

from herald_pipelines.backup.files_journal import Base, Unit
from herald_pipelines.backup.files_plan import FilesPlan, TreePlan
from herald_pipelines.backup.names import compile_excludes, read_name, show_name, split_path
from herald_pipelines.backup.walk import STAGING, Found, OwnFolders, walk_trees
from herald_pipelines.errors import PermanentFailure
from herald_pipelines.resources.descent import open_below

LONGEST_NAME = 255
"""Bytes that a file system takes."""
NO_FOLDER = (errno.ENOTDIR, errno.ELOOP)


def make_bases(plan: FilesPlan, at: str) -> tuple[Base, ...]:
    """Return the folders that trees are put in, each once.

    Args:
        plan: of the restore.
        at: when it begins, as in names.
    """
    return tuple(
        Base(
            path=show_name(path),
            staging=f"{STAGING}{at}",
            kept=f".herald-before-{at}",
            undone=f".herald-undone-{at}",
        )
        for path in dict.fromkeys(tree.base for tree in plan.trees)
    )


def kept_name(name: str, word: str, at: str) -> str:
    """Return the name under which a tree is kept beside its place.

    >>> kept_name("app", "before", "20261124T003005Z"), len(kept_name("a" * 255, "before", "20261124T003005Z"))
    ('app.before-20261124T003005Z', 255)
    """
    suffix = f".{word}-{at}"
    return os.fsdecode(os.fsencode(name)[: LONGEST_NAME - len(suffix)]) + suffix


def list_units(plan: FilesPlan, bases: Sequence[Base], handles: Sequence[int], at: str) -> Iterator[Unit]:
    """Yield what is to be moved, folders before what is in them.

    Raises:
        PermanentFailure: something on the way is no folder, or lies on another file system.
        OSError: something cannot be looked at.
    """
    numbers = {read_name(base.path): number for number, base in enumerate(bases)}
    for place, tree in enumerate(plan.trees):
        number = numbers[tree.base]
        base, handle = bases[number], handles[number]
        if plan.only:
            yield from _list_files(plan, tree, place, base, number, handle)
        else:
            yield _whole_tree(tree, place, base, number, handle, at)


def _whole_tree(tree: TreePlan, place: int, base: Base, number: int, handle: int, at: str) -> Unit:
    with open_below(handle, [base.staging]) as staging:
        new = os.lstat(str(place), dir_fd=staging)
    old = _look(handle, tree.name)
    # A file is replaced by a rename; where a folder comes or goes, both are exchanged.
    is_tree = stat.S_ISDIR(new.st_mode) or (old is not None and stat.S_ISDIR(old.st_mode))
    name = show_name(tree.name)
    kept = (show_name(kept_name(tree.name, "before", at)),) if is_tree else (base.kept, name)
    undone = (show_name(kept_name(tree.name, "undone", at)),) if is_tree else (base.undone, name)
    return Unit(
        kind="tree" if is_tree else "file",
        base=number,
        target=(name,),
        staged=(base.staging, str(place)),
        kept=kept,
        undone=undone,
        existed=old is not None,
        device=new.st_dev,
        inode=new.st_ino,
    )


def _list_files(
    plan: FilesPlan, tree: TreePlan, place: int, base: Base, number: int, handle: int
) -> Iterator[Unit]:
    """Yield a unit for each file that is wanted, and for each folder of it that is missing."""
    root = f"{read_name(base.path).rstrip('/')}/{base.staging}/{place}"
    for each in walk_trees([root], compile_excludes([]), OwnFolders(frozenset(), ())):
        if not isinstance(each, Found):
            raise PermanentFailure(f"{show_name(each.path)} {each.reason}")
        inner = split_path(each.path[len(root) :]) if each.path != root else ()
        is_wanted = plan.is_wanted("/".join((tree.root, *inner)))
        if not each.is_folder and not is_wanted:
            continue  # the other name of a hard link
        old = _find_target(tree, inner, handle)
        if each.is_folder and old is not None:
            if not stat.S_ISDIR(old.st_mode):
                raise _in_the_way(tree, inner, "is no folder there")
            continue
        if old is not None and stat.S_ISDIR(old.st_mode):
            raise _in_the_way(tree, inner, "is a folder there")
        parts = tuple(map(show_name, inner))
        name = show_name(tree.name)
        yield Unit(
            kind="folder" if each.is_folder else "file",
            base=number,
            target=(name, *parts),
            staged=(base.staging, str(place), *parts),
            kept=(base.kept, name, *parts),
            undone=(base.undone, name, *parts),
            existed=old is not None,
            device=each.status.st_dev,
            inode=each.status.st_ino,
        )


def _find_target(tree: TreePlan, inner: tuple[str, ...], handle: int) -> os.stat_result | None:
    """Return what has the place of a file now."""
    *above, name = (tree.name, *inner)
    try:
        with open_below(handle, above) as folder:
            if os.fstat(folder).st_dev != os.fstat(handle).st_dev:
                raise _in_the_way(tree, inner, "lies on another file system than its tree's folder")
            return _look(folder, name)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in NO_FOLDER:
            raise _in_the_way(tree, inner, "lies below what is no folder there") from error
        raise


def _look(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return None


def _in_the_way(tree: TreePlan, inner: tuple[str, ...], reason: str) -> PermanentFailure:
    return PermanentFailure(
        f"{show_name('/'.join((tree.target, *inner)))} {reason}",
        hint="nothing was put into place; restore the whole tree, or name a destination",
    )
