"""Pure: what happened between two readings of pg_stat_statements. Not here: reading, keeping, judging.

Counters only ever grow, until somebody or something begins them anew: pg_stat_statements_reset(), of all or of one entry; a
crash; an entry that was evicted for want of room and came back; another server under the same name after a failover. What was
counted between the reading before and such a beginning is lost, and is not guessed: a delta is what is proven.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import add, sub

from herald_pipelines.database.statements.facts import (
    Activity,
    Counters,
    Entry,
    QueryKey,
    StatementKey,
    StatementReading,
)


@dataclass(frozen=True, slots=True)
class Delta:
    """What was counted between two readings."""

    since: datetime
    until: datetime
    counters: Mapping[StatementKey, Counters]
    """Of the statements that did anything."""
    was_reset: bool
    """All counters began anew since the reading before; `since` is when they did."""
    is_another_servers: bool
    """They are another server's: of what it counted when, nothing is known but what its entries say; `since` is then when
    the reading before was taken."""
    begun_anew: int
    """Entries that began anew by themselves: evicted and come back, or reset one by one."""
    gone: int
    """Entries of the reading before that are not there any more."""
    deallocations: int
    """How often entries were evicted in the meantime; 0 where that is not known."""


def diff_readings(previous: StatementReading | None, current: StatementReading) -> Delta:
    """Return what was counted since the previous reading.

    Without one, all that was counted since the statistics began: their first reading is an interval like others, only longer.
    Where the statistics began before the previous reading and are not those that it read, they are another server's: nothing
    is known of when it counted what, except for entries that say so themselves (PostgreSQL 17).
    """
    if previous is None or current.stats_reset_at > previous.taken_at:
        return Delta(
            since=current.stats_reset_at,
            until=current.taken_at,
            counters={key: entry.counters for key, entry in current.entries.items()},
            was_reset=previous is not None,
            is_another_servers=False,
            begun_anew=0,
            gone=0,
            deallocations=current.deallocations,
        )
    if current.stats_reset_at != previous.stats_reset_at:
        return Delta(
            since=previous.taken_at,
            until=current.taken_at,
            counters={
                key: entry.counters
                for key, entry in current.entries.items()
                if entry.since is not None and entry.since > previous.taken_at
            },
            was_reset=True,
            is_another_servers=True,
            begun_anew=0,
            gone=0,
            deallocations=0,
        )
    found: dict[StatementKey, Counters] = {}
    before = previous.entries
    begun_anew, known = 0, 0
    for key, entry in current.entries.items():
        old = before.get(key)
        if old is None:
            found[key] = entry.counters
            continue
        known += 1
        if entry == old:
            continue
        if _goes_on(old, entry, previous.taken_at):
            if entry.counters != old.counters:
                found[key] = Counters._make(map(sub, entry.counters, old.counters))
        else:
            begun_anew += 1
            found[key] = entry.counters
    return Delta(
        since=previous.taken_at,
        until=current.taken_at,
        counters=found,
        was_reset=False,
        is_another_servers=False,
        begun_anew=begun_anew,
        gone=len(before) - known,
        deallocations=max(current.deallocations - previous.deallocations, 0),
    )


def _goes_on(old: Entry, new: Entry, read_at: datetime) -> bool:
    """Whether an entry is still the one of the reading before.

    An update of the extension makes known when an entry began, and counts on.
    """
    if new.since is not None and new.since != old.since and (old.since is not None or new.since > read_at):
        return False
    before, now = old.counters, new.counters
    if any(map(_is_less, now, before)):
        return False
    # Time and rows are counted with the calls: the same number of calls with more of them is another entry's.
    return now.calls > before.calls or (now.exec_seconds, now.rows) == (before.exec_seconds, before.rows)


def _is_less(new: float, old: float) -> bool:
    return new < old


def add_up(
    parts: Iterable[tuple[StatementKey | QueryKey, Counters]],
) -> dict[QueryKey, Counters]:
    """Sum counters by query, whoever asked it."""
    summed: dict[QueryKey, Counters] = {}
    for key, counters in parts:
        query = QueryKey(key.query_id, key.toplevel)
        old = summed.get(query)
        summed[query] = counters if old is None else Counters._make(map(add, old, counters))
    return summed


def join_activity(kept: Activity | None, delta: Delta | None) -> Activity | None:
    """Add what was counted since to what is kept of a window; None when there is neither."""
    if delta is None:
        return kept
    queries = add_up(delta.counters.items())
    if kept is None:
        return Activity(
            delta.since,
            delta.until,
            queries,
            is_cut=delta.was_reset or delta.deallocations > 0,
            is_another_servers=delta.is_another_servers,
        )
    return Activity(
        min(kept.since, delta.since),
        max(kept.until, delta.until),
        add_up([*kept.queries.items(), *queries.items()]),
        is_cut=kept.is_cut or delta.was_reset or delta.deallocations > 0,
        is_another_servers=kept.is_another_servers or delta.is_another_servers,
    )
