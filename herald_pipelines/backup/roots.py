"""The trees that paths of the settings stand for: patterns expanded, what is missing refused. Not here: what is in them."""

import fnmatch
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from herald_pipelines.backup.names import is_plain, show_name, split_path
from herald_pipelines.errors import PermanentFailure, UsageError
from herald_pipelines.settings.files import explain

KEPT = re.compile(r".*\.(?:before|undone)-\d{8}T\d{6}Z", re.DOTALL)
"""What a restore keeps beside a tree: `herald*` means the tree, not what was there before."""
_SPECIAL = re.compile(r"[*?]")


@dataclass(frozen=True)
class Roots:
    """Trees and single files to be backed up."""

    paths: tuple[str, ...]
    """Absolute, as the file system has them, in order; none lies below another."""
    remarks: tuple[tuple[str, str], ...]
    """(path or pattern, what is to be known of it)."""


def find_roots(paths: Sequence[str], excludes: re.Pattern[str]) -> Roots:
    """Return what paths stand for. In a part of a path * and ? match as in a shell; [ is a letter.

    Raises:
        UsageError: a path is none, is excluded, or is a symbolic link to a folder.
        PermanentFailure: a path without a pattern is missing, or a folder cannot be searched.
    """
    found = set[str]()
    remarks = list[tuple[str, str]]()
    for path in paths:
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if not is_plain("/" + "/".join(parts)):
            raise UsageError(f"{path!a} cannot be backed up", hint="name absolute folders and files below /")
        matches = [_check(each, path) for each in _expand(parts) if not excludes.fullmatch(each)]
        if not matches and _SPECIAL.search(path):
            remarks.append((show_name(path), "matches nothing"))
        elif not matches:
            raise UsageError(
                f"{path!a} is excluded itself", hint="a pattern of excludes matches the whole of it"
            )
        found.update(matches)
    above = [each for each in found if not _lies_below(each, found)]
    for each in above:
        if stat.S_ISLNK(os.lstat(each).st_mode):
            remarks.append((show_name(each), "is a symbolic link: what it leads to is not in the backup"))
    return Roots(tuple(sorted(above, key=split_path)), tuple(remarks))


def _expand(parts: Sequence[str]) -> list[str]:
    """Return the paths that parts stand for: the one of parts without a pattern, whether it exists or not."""
    found, is_pattern = [""], False
    for number, part in enumerate(parts):
        is_pattern = is_pattern or _SPECIAL.search(part) is not None
        if _SPECIAL.search(part):
            found = [f"{folder}/{name}" for folder in found for name in _match(folder or "/", part)]
        else:
            found = [f"{folder}/{part}" for folder in found]
        if is_pattern:
            # Below a pattern no link is followed: it is no operator who put it there.
            is_last = number == len(parts) - 1
            found = [each for each in found if _is_there(each, is_folder=not is_last)]
    return found


def _match(folder: str, part: str) -> list[str]:
    pattern = re.compile(fnmatch.translate(part.replace("[", "[[]")))
    try:
        names = [each.name for each in Path(folder).iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unsearchable(folder, error) from error
    hidden = part.startswith(".")
    return [
        name
        for name in names
        if pattern.match(name) and (hidden or not name.startswith(".")) and not KEPT.fullmatch(name)
    ]


def _is_there(path: str, *, is_folder: bool) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unsearchable(path, error) from error
    return stat.S_ISDIR(mode) or not is_folder


def _check(path: str, given: str) -> str:
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise PermanentFailure(
            f"{show_name(path)} is missing",
            hint="a path without * and ? must be there, or the backup would not be whole",
        ) from None
    except OSError as error:
        raise _unsearchable(path, error) from error
    if not _SPECIAL.search(given):
        if stat.S_ISLNK(mode) and os.path.isdir(path):  # noqa: PTH112 - may be no UTF-8
            raise UsageError(
                f"{show_name(path)} is a symbolic link to a folder",
                hint=f"name the folder itself: {show_name(os.path.realpath(path))}",
            )
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise UsageError(f"{show_name(path)} is neither a folder nor a file")
    return path


def _lies_below(path: str, others: set[str]) -> bool:
    parts = path.split("/")
    return any("/".join(parts[:count]) in others for count in range(2, len(parts)))


def _unsearchable(path: str, error: OSError) -> PermanentFailure:
    return PermanentFailure(
        f"{show_name(path)} cannot be searched: {explain(error)}",
        hint="herald must run as a user that may read what it backs up",
    )
