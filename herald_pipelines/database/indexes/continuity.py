"""Pure: whether the counters of several servers went on counting from one reading to the next.

PostgreSQL forgets its cumulative statistics in a crash, whether of the whole server or of one backend, and in an immediate
stop; a clean restart keeps them, but for a standby of version 14. pg_stat_database.stats_reset tells nothing of it: it is
null afterwards (15+). What always tells (measured on 14, 15 and 18) is the reset time of the statistics that all databases
share, which is then the time of the recovery. In doubt the counting began afresh.

Not here: reading servers (analysis.py), the history of single indexes (history.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class ServerState:
    """How far a server has counted in one database, and since when: a row of indexes/read_server_state."""

    read_at: datetime
    """By the server's own clock, as all times here."""
    started_at: datetime
    stats_reset_at: datetime | None
    """pg_stat_database.stats_reset: when somebody reset counters of this database; null when nobody did."""
    shared_reset_at: datetime
    """The oldest reset of the statistics that all databases share; nobody resets all of them by habit."""
    timeline: int | None
    """Another one after a promotion; null on a standby."""
    totals: Mapping[str, int]
    """Counters of pg_stat_database that only grow."""


def find_start(readings: Sequence[Mapping[str, ServerState]], latest: Mapping[str, ServerState]) -> int:
    """Return the place of the oldest reading since which the same servers have counted on, up to the latest.

    Args:
        readings: the servers by name, oldest reading first.
        latest: the newest reading, not among them.

    Returns:
        The number of the readings when not even the newest of them can be compared with the latest.
    """
    start, after = len(readings), latest
    while start and _count_on(readings[start - 1], after):
        start -= 1
        after = readings[start]
    return start


def _count_on(before: Mapping[str, ServerState], after: Mapping[str, ServerState]) -> bool:
    return before.keys() == after.keys() and all(
        _counts_on(state, after[name]) for name, state in before.items()
    )


def _counts_on(before: ServerState, after: ServerState) -> bool:
    # One that was started before we last asked, and not when we were told then, is another server under its name.
    same_server = before.timeline == after.timeline and (
        before.started_at == after.started_at or before.read_at <= after.started_at
    )
    return (
        same_server
        and before.stats_reset_at == after.stats_reset_at
        and before.shared_reset_at == after.shared_reset_at
        and all(after.totals.get(name, -1) >= total for name, total in before.totals.items())
    )
