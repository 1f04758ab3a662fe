"""What the ops database remembers of statements: readings and what was counted between them, texts, findings.

A reading, what was counted since the one before, and the counters that the next one is compared with are written in one
transaction, and no two readings follow the same one: whatever is killed when, nothing is counted twice.

Not here: reading the target (store.py), baselines (baselines.py), judging what is remembered (findings.py).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from herald_pipelines.database.statements.deltas import Delta
from herald_pipelines.database.statements.facts import (
    Activity,
    Counters,
    Entry,
    QueryKey,
    StatementKey,
    StatementReading,
)
from herald_pipelines.records import to_json
from herald_pipelines.resources.postgres import Row, Session
from herald_pipelines.values import DatabaseIdentity

FIRST = 0
"""What the first reading of a database follows."""


@dataclass(frozen=True)
class LastReading:
    """The newest reading that was kept."""

    id: int
    window: str
    reading: StatementReading


def read_last_reading(ops: Session, identity: DatabaseIdentity) -> LastReading | None:
    """Return the newest reading of a database, with all its counters; None where there is none."""
    rows = ops.fetch("statements/find_latest_reading", **identity.parameters)
    if not rows:
        return None
    counters = ops.fetch("statements/list_counters", **identity.parameters)
    return LastReading(
        id=rows[0]["id"],
        window=rows[0]["window_key"],
        reading=StatementReading(
            taken_at=rows[0]["taken_at"],
            stats_reset_at=rows[0]["stats_reset_at"],
            deallocations=rows[0]["deallocations"],
            entries={
                StatementKey(row["user_oid"], row["query_id"], row["toplevel"]): Entry(
                    counters_of(row), row["since"]
                )
                for row in counters
            },
        ),
    )


def record_reading(
    ops: Session,
    identity: DatabaseIdentity,
    window: str,
    last: LastReading | None,
    reading: StatementReading,
    delta: Delta,
    user_names: Mapping[int, str],
    texts: Mapping[int, str],
    *,
    keep_days: int,
) -> None:
    """Write a reading and what was counted since the last, and remove what is older than is kept.

    Args:
        ops: writable session in the ops database; its transaction is the unit.
        identity: whose statements these are.
        window: window key.
        last: what `delta` begins at.
        reading: the new one.
        delta: between the two.
        user_names: by oid.
        texts: what may be kept of the texts that are not known yet, by query id.
        keep_days: how long what was counted is kept.
    """
    reading_id = ops.fetch_one(
        "statements/record_reading",
        **identity.parameters,
        window=window,
        previous_id=FIRST if last is None else last.id,
        since=delta.since,
        taken_at=reading.taken_at,
        stats_reset_at=reading.stats_reset_at,
        deallocations=reading.deallocations,
        statements=len(reading.entries),
        was_reset=delta.was_reset,
        begun_anew=delta.begun_anew,
        gone=delta.gone,
        evictions=delta.deallocations,
    )["id"]
    before: Mapping[StatementKey, Entry] = {} if last is None else last.reading.entries
    counted = list(delta.counters.items())
    ops.fetch(
        "statements/write_deltas",
        reading_id=reading_id,
        user_names=to_json({str(oid): name for oid, name in user_names.items()}),
        **columns(StatementKey._fields, [key for key, _ in counted]),
        **columns(Counters._fields, [counters for _, counters in counted]),
    )
    gone = [key for key in before if key not in reading.entries]
    ops.fetch("statements/delete_counters", **identity.parameters, **columns(StatementKey._fields, gone))
    changed = [(key, entry) for key, entry in reading.entries.items() if before.get(key) != entry]
    ops.fetch(
        "statements/write_counters",
        **identity.parameters,
        counting_since=to_array(entry.since for _, entry in changed),
        **columns(StatementKey._fields, [key for key, _ in changed]),
        **columns(Counters._fields, [entry.counters for _, entry in changed]),
    )
    if texts:
        kept = {str(query_id): text for query_id, text in texts.items()}
        ops.fetch("statements/write_texts", **identity.parameters, texts=to_json(kept))
    old = {**identity.parameters, "before": reading.taken_at - timedelta(days=keep_days)}
    ops.fetch("statements/delete_old_readings", **old, reading_id=reading_id)
    ops.fetch("statements/delete_old_texts", **old)


def read_activity(ops: Session, identity: DatabaseIdentity, window: str) -> Activity | None:
    """Return what was counted in a window so far, by query; None where nothing was read in it."""
    span = ops.fetch_one("statements/read_window", **identity.parameters, window=window)
    if span["since"] is None:
        return None
    rows = ops.fetch("statements/sum_window", **identity.parameters, window=window)
    return Activity(
        span["since"],
        span["until"],
        {query_of(row): counters_of(row) for row in rows},
        is_cut=span["is_cut"],
        is_another_servers=span["is_another_servers"],
    )


def read_users(
    ops: Session, identity: DatabaseIdentity, window: str, queries: Collection[QueryKey]
) -> dict[QueryKey, list[str]]:
    """Return the roles that asked some queries in a window, those first that asked most."""
    users: defaultdict[QueryKey, list[str]] = defaultdict(list)
    ids = [key.query_id for key in queries]
    for row in ops.fetch("statements/list_window_users", **identity.parameters, window=window, query_ids=ids):
        users[query_of(row)].append(row["user_name"])
    return dict(users)


def list_unknown(ops: Session, identity: DatabaseIdentity, query_ids: Iterable[int]) -> list[int]:
    """Return the query ids whose text is not kept yet."""
    rows = ops.fetch("statements/list_unknown_texts", **identity.parameters, query_ids=to_array(query_ids))
    return [row["query_id"] for row in rows]


def list_texts(ops: Session, identity: DatabaseIdentity, query_ids: Collection[int]) -> dict[int, str]:
    """Return the texts that are kept, by query id."""
    rows = ops.fetch("statements/list_texts", **identity.parameters, query_ids=to_array(query_ids))
    return {row["query_id"]: row["query"] for row in rows}


def read_histories(
    ops: Session, identity: DatabaseIdentity, queries: Sequence[QueryKey], windows: int
) -> dict[QueryKey, list[tuple[str, float]]]:
    """Return for some queries (window, execution seconds) of the newest windows, oldest first."""
    found: defaultdict[QueryKey, list[tuple[str, float]]] = defaultdict(list)
    rows = ops.fetch(
        "statements/list_history",
        **identity.parameters,
        windows=windows,
        query_ids=to_array(key.query_id for key in queries),
        toplevels=to_array(key.toplevel for key in queries),
    )
    for row in rows:
        found[query_of(row)].append((row["window_key"], row["exec_seconds"]))
    return dict(found)


def write_findings(
    ops: Session,
    identity: DatabaseIdentity,
    window: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
    keep_days: int,
) -> None:
    """Write what was found in a window, and remove what is older than is kept; a second analysis replaces the first.

    Args:
        ops: writable session in the ops database.
        identity: whose queries these are.
        window: window key.
        rows: the columns of herald.query_finding that follow the window's.
        now: the time of the analysis.
        keep_days: how long findings are kept.
    """
    ops.fetch("statements/delete_findings", **identity.parameters, window=window)
    ops.fetch("statements/write_findings", **identity.parameters, window=window, rows=to_json(rows))
    ops.fetch("statements/delete_old_findings", **identity.parameters, before=now - timedelta(days=keep_days))


def query_of(row: Row) -> QueryKey:
    """Return the query that a row is of."""
    return QueryKey(row["query_id"], row["toplevel"])


def counters_of(row: Row) -> Counters:
    """Return the counters of a row."""
    return Counters(*[row[name] for name in Counters._fields])


def columns(names: Sequence[str], rows: Sequence[Sequence[object]]) -> dict[str, str]:
    """Return rows of numbers and switches as one array a column: of many rows, a few parameters of one statement."""
    if not rows:
        return dict.fromkeys(names, "{}")
    return {
        name: "{" + ",".join(map(str, values)) + "}"
        for name, values in zip(names, zip(*rows, strict=True), strict=True)
    }


def to_array(values: Iterable[object]) -> str:
    """Write numbers, switches and times as PostgreSQL's text of an array.

    >>> to_array([1, None, True, 0.5])
    '{1,NULL,True,0.5}'
    """
    return "{" + ",".join("NULL" if value is None else _element(value) for value in values) + "}"


def _element(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
