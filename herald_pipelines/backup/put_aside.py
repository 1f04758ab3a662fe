"""Databases that restores have put aside: they take room until somebody drops them, which nothing of ours does.

Not here: putting them aside (restore_swap.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from herald_pipelines.backup.restore_names import Stage
from herald_pipelines.backup.restore_swap import list_marked
from herald_pipelines.errors import PermanentFailure
from herald_pipelines.resources.postgres import Session
from herald_pipelines.tasks import CheckVerdict
from herald_pipelines.values import SECONDS_PER_DAY, format_bytes, quote_identifier

MOST_AGE = timedelta(days=7)
"""Within a week one knows whether a restore was right, and may still want the other one back."""


@dataclass(frozen=True)
class PutAside:
    """A database that had the name before a restore, or before one was undone."""

    name: str
    at: datetime
    size_bytes: int | None
    """None: the role may not know."""


def list_put_aside(session: Session, datname: str) -> tuple[PutAside, ...]:
    """Return what restores of a database have put aside, the oldest first.

    Args:
        session: in any database of the server.
        datname: the name that they had.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    found = [
        PutAside(each.name, each.mark.at, _read_size(session, each.oid))
        for each in list_marked(session)
        if each.mark.name == datname and each.mark.stage in (Stage.BEFORE, Stage.UNDONE)
    ]
    return tuple(sorted(found, key=lambda each: each.at))


def _read_size(session: Session, oid: int) -> int | None:
    try:
        return session.fetch_one("backup/read_database_size", oid=oid)["size_bytes"]
    except PermanentFailure:
        return None


def check_put_aside(found: Sequence[PutAside], now: datetime) -> CheckVerdict:
    """Judge that nothing was put aside so long ago that it is forgotten; each with the statement that drops it."""
    named = "; ".join(
        f"{each.name} was put aside {(now - each.at).total_seconds() / SECONDS_PER_DAY:.1f} days ago and takes"
        f" {'what only others may see' if each.size_bytes is None else format_bytes(each.size_bytes)}:"
        f" drop database {quote_identifier(each.name)}"
        for each in found
    )
    return CheckVerdict(
        "nothing_is_put_aside",
        passed=all(now - each.at <= MOST_AGE for each in found),
        is_error=False,
        summary=named or "no database of before a restore is left",
        metadata={"put_aside": len(found), "put_aside_bytes": sum(each.size_bytes or 0 for each in found)},
    )
