"""The databases of a restore: their names, and the mark that each carries as its comment while it is not an ordinary one.

    <name>_restoring_<id>   is being filled; dropped when its maker is dead
    <name>_before_<time>    had the name until a restore took it: the way back
    <name>_undone_<time>    a restore that was taken back

The mark, and not the name, tells what a database is: names are cut at 63 bytes, and anybody may use them. Not here: doing
anything with them (restore_swap.py).
"""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum

from pydantic import ValidationError

from herald_pipelines.backup.facts import Document
from herald_pipelines.errors import UsageError

MOST_NAME_BYTES = 63
"""NAMEDATALEN - 1: PostgreSQL cuts longer names off in silence."""
MARK = "herald restore: "
FIRST_PRINTABLE = " "


class Stage(StrEnum):
    """What a marked database is."""

    RESTORING = "restoring"
    BEFORE = "before"
    UNDONE = "undone"


class Mark(Document):
    """What a database of a restore says of itself, as its comment."""

    restore: str
    """Id of the restore that made it, or put it aside."""
    name: str
    """The name that it is to have, or had."""
    stage: Stage
    backup: str
    """Id of the backup that was restored."""
    host: str
    """Where the restore ran."""
    at: datetime
    """When it was made, or put aside."""
    comment: str | None = None
    """Its own comment, in whose place this stands."""
    allows_connections: bool = True
    """What it is to be given back with the name."""
    fenced: int | None = None
    """Oid of the database that a swap has closed for this one; it is opened again when the swap did not end."""


def write_mark(mark: Mark) -> str:
    """Return a mark as the comment of a database."""
    return MARK + mark.model_dump_json()


def read_mark(comment: str | None) -> Mark | None:
    """Return the mark that a comment is, or None for anybody's comment.

    >>> read_mark("the shop"), read_mark(MARK + "{}"), read_mark(None)
    (None, None, None)
    """
    if comment is None or not comment.startswith(MARK):
        return None
    try:
        return Mark.model_validate_json(comment.removeprefix(MARK))
    except ValidationError:
        return None


def stage_name(name: str, stage: Stage, suffix: str, taken: Collection[str]) -> str:
    """Return a free name for a database of a restore, of 63 bytes at most.

    The name is cut, between two letters, and never the suffix; a number follows where the whole is taken.

    >>> stage_name("shop", Stage.BEFORE, "20261124_003005", ())
    'shop_before_20261124_003005'
    >>> stage_name("shop", Stage.RESTORING, "a1b2c3", {"shop_restoring_a1b2c3"})
    'shop_restoring_a1b2c3_2'
    >>> stage_name("é" * 31, Stage.RESTORING, "a1b2c3", ()) == "é" * 23 + "_restoring_a1b2c3"
    True
    """
    number = 1
    while True:
        tail = f"_{stage}_{suffix}" + (f"_{number}" if number > 1 else "")
        # A letter that is cut in the middle is left out whole.
        head = name.encode()[: MOST_NAME_BYTES - len(tail.encode())].decode(errors="ignore")
        if head + tail not in taken:
            return head + tail
        number += 1


def time_suffix(at: datetime) -> str:
    """Return a time as a part of a name.

    >>> from datetime import UTC
    >>> time_suffix(datetime(2026, 11, 24, 0, 30, 5, tzinfo=UTC))
    '20261124_003005'
    """
    return f"{at:%Y%m%d_%H%M%S}"


def check_database_name(name: str) -> None:
    """Refuse what cannot be the name of a restored database.

    Raises:
        UsageError: it is empty, too long, holds control characters, or is one of the server's templates.
    """
    reason = None
    if not name:
        reason = "is empty"
    elif (size := len(name.encode(errors="replace"))) > MOST_NAME_BYTES:
        reason = f"has {size} bytes, and PostgreSQL takes {MOST_NAME_BYTES}"
    elif any(letter < FIRST_PRINTABLE or letter == "\x7f" for letter in name):
        reason = "holds a control character"
    elif name in ("template0", "template1"):
        reason = "is one of the server's own"
    if reason is not None:
        raise UsageError(
            f"the name {name[:80]!a} of the database {reason}", hint="restore under another name"
        )
