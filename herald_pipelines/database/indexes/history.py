"""What the ops database remembers of indexes: snapshots of counters, sizes when new, verdicts, rebuilds.

Not here: reading the target (store.py), judging what is remembered (verdicts.py, bloat.py).
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from herald_pipelines.database.indexes.bloat import BTREE, Baseline, BloatEstimate
from herald_pipelines.database.indexes.facts import IndexFacts, IndexUsage
from herald_pipelines.database.indexes.verdicts import IndexVerdicts, UsageWindow
from herald_pipelines.records import to_json
from herald_pipelines.resources.postgres import Postgres, Row, Session
from herald_pipelines.values import DatabaseIdentity

LOOK_BACK_DAYS = 100
SECONDS_PER_DAY = 86400
DENSE_WITHIN = 0.10
"""Share of a b-tree that may be waste at most, error included, where it is taken to be as a build makes it."""

ServerUsage = Mapping[str, Mapping[int, IndexUsage]]
"""Counters by server and oid, where there are replicas: {"primary": {...}, "replica_1": {...}}."""


def record_snapshot(
    ops: Session,
    identity: DatabaseIdentity,
    window: str,
    facts: Sequence[IndexFacts],
    taken_at: datetime,
    *,
    stats_reset_at: datetime | None = None,
    servers: ServerUsage | None = None,
) -> int:
    """Write the counters of every index at a window; a second snapshot of a window replaces the first.

    Args:
        ops: writable session in the ops database.
        identity: whose indexes these are.
        window: window key.
        facts: with counters summed over all servers.
        taken_at: the time of the facts.
        stats_reset_at: pg_stat_database.stats_reset of the primary.
        servers: the same counters apart, so that a reset on one of several servers is noticed.

    Returns:
        The number of indexes.
    """
    rows = [
        {
            "index_oid": index.oid,
            "schema_name": index.schema,
            "table_name": index.table,
            "index_name": index.name,
            "relfilenode": index.relfilenode,
            "size_bytes": index.size_bytes,
            "tuples": index.tuples,
            "scans": index.usage.scans,
            "tuples_read": index.usage.tuples_read,
            "tuples_fetched": index.usage.tuples_fetched,
            "blocks_hit": index.usage.blocks_hit,
            "blocks_read": index.usage.blocks_read,
            "last_scan_at": index.usage.last_scan_at,
            "table_writes": index.table_writes,
            "table_scans": index.table_scans,
            "servers": _apart(index.oid, servers),
        }
        for index in facts
    ]
    ops.fetch(
        "history/record_snapshot",
        **_about(identity),
        window=window,
        taken_at=taken_at,
        stats_reset_at=stats_reset_at,
        rows=to_json(rows),
    )
    return len(rows)


def usage_windows(
    ops: Session,
    identity: DatabaseIdentity,
    facts: Sequence[IndexFacts],
    now: datetime,
    *,
    stats_reset_at: datetime | None = None,
    servers: ServerUsage | None = None,
    look_back_days: float = LOOK_BACK_DAYS,
) -> dict[int, UsageWindow]:
    """Return what happened to each index since the oldest snapshot that its counters can be compared with.

    A counter that went down, another stats_reset or another set of servers starts the window afresh. A
    rebuilt index has another oid and the same counters: its history goes on, for the ledger tells which it
    was. An index made anew under an old name is another index.

    Args:
        ops: session in the ops database.
        identity: whose indexes these are.
        facts: with counters summed over all servers.
        now: the time of the facts.
        stats_reset_at: as in `record_snapshot`.
        servers: as in `record_snapshot`.
        look_back_days: older snapshots are not looked at.

    Returns:
        By oid; an index without any snapshot has no entry.
    """
    remembered = ops.fetch(
        "history/list_usage",
        **_about(identity),
        index_oids=[index.oid for index in facts],
        since=now - timedelta(days=look_back_days),
    )
    current = {index.oid: index for index in facts}
    return {
        row["index_oid"]: _window(current[row["index_oid"]], row, now, stats_reset_at, servers)
        for row in remembered
    }


def write_baseline(ops: Postgres, identity: DatabaseIdentity, state: Row) -> None:
    """Remember how dense an index is right after its build; without a count of its tuples, nothing.

    Args:
        ops: the ops database; the write is a transaction of its own.
        identity: whose index it is.
        state: a row of indexes/read_index_state.
    """
    if not state["tuples"]:
        return
    with ops.writable().session() as session:
        session.fetch(
            "history/write_baseline",
            **_about(identity),
            index_oid=state["oid"],
            relfilenode=state["relfilenode"],
            size_bytes=state["size_bytes"],
            tuples=state["tuples"],
        )


def write_new_baselines(
    ops: Session, identity: DatabaseIdentity, facts: Sequence[IndexFacts], bloat: Mapping[int, BloatEstimate]
) -> None:
    """Remember how dense the indexes are that were built since the last snapshot, by others than us.

    A b-tree may also have been filled row by row since, and counts only where its estimate calls it dense. Of the
    others nothing is known but this. Without an earlier snapshot nothing is proved to be new.

    Args:
        ops: writable session in the ops database, before the snapshot of these facts.
        identity: whose indexes these are.
        facts: all indexes.
        bloat: by oid.
    """
    rows = [
        {
            "index_oid": index.oid,
            "relfilenode": index.relfilenode,
            "size_bytes": index.size_bytes,
            # As in indexes/read_index_state.
            "tuples": min(index.tuples, index.table_tuples or index.tuples)
            if index.access_method == "gin"
            else index.tuples,
        }
        for index in facts
        if index.is_valid
        and not index.is_partitioned
        and index.size_bytes
        and index.tuples
        and (index.access_method != BTREE or _is_dense(bloat.get(index.oid)))
    ]
    ops.fetch("history/write_new_baselines", **_about(identity), rows=to_json(rows))


def _is_dense(estimate: BloatEstimate | None) -> bool:
    return estimate is not None and estimate.ratio + estimate.error_bound <= DENSE_WITHIN


def read_baselines(ops: Session, identity: DatabaseIdentity) -> dict[int, Baseline]:
    """Return how dense each index was right after its build, by oid."""
    return {
        row["index_oid"]: Baseline(row["relfilenode"], row["size_bytes"], row["tuples"])
        for row in ops.fetch("history/list_baselines", **_about(identity))
    }


def write_analysis(
    ops: Session,
    identity: DatabaseIdentity,
    window: str,
    facts: Sequence[IndexFacts],
    bloat: Mapping[int, BloatEstimate],
    usage: Mapping[int, UsageWindow],
    judged: Sequence[IndexVerdicts],
    planned: AbstractSet[int],
) -> None:
    """Write the conclusions about every index at a window; a second analysis of a window replaces it.

    Args:
        ops: writable session in the ops database.
        identity: whose indexes these are.
        window: window key.
        facts: all indexes.
        bloat: by oid.
        usage: by oid.
        judged: one for each index.
        planned: oids of the indexes that would be rebuilt.
    """
    verdicts = {each.oid: [asdict(verdict) for verdict in each.verdicts] for each in judged}
    rows: list[dict[str, Any]] = []
    for index in facts:
        estimate, seen = bloat.get(index.oid), usage.get(index.oid)
        rows.append(
            {
                "index_oid": index.oid,
                "schema_name": index.schema,
                "table_name": index.table,
                "index_name": index.name,
                "access_method": index.access_method,
                "size_bytes": index.size_bytes,
                "bloat_ratio": estimate.ratio if estimate else None,
                "bloat_bytes": estimate.bloat_bytes if estimate else None,
                "bloat_method": estimate.method if estimate else None,
                "scans": seen.scans if seen else None,
                "scans_window_days": seen.days if seen else None,
                "verdicts": verdicts.get(index.oid, []),
                "rebuild_planned": index.oid in planned,
            }
        )
    ops.fetch("history/write_analysis", **_about(identity), window=window, rows=to_json(rows))


def list_rebuilds(
    ops: Session, identity: DatabaseIdentity, task: str, index_oids: Sequence[int]
) -> list[Row]:
    """Return the ledger's rebuilds that did not end well, and those of the given indexes, oldest first."""
    return ops.fetch("history/list_rebuilds", **_about(identity), task=task, index_oids=list(index_oids))


def _window(
    index: IndexFacts,
    row: Row,
    now: datetime,
    stats_reset_at: datetime | None,
    servers: ServerUsage | None,
) -> UsageWindow:
    usage = index.usage
    counters = (
        ("scans", usage.scans),
        ("tuples_read", usage.tuples_read),
        ("blocks_hit", usage.blocks_hit),
        ("blocks_read", usage.blocks_read),
        ("table_scans", index.table_scans),
        ("table_writes", index.table_writes),
    )
    if (
        any(value < row[name] for name, value in counters)
        or stats_reset_at != row["stats_reset_at"]
        or _went_down(row["servers"], _apart(index.oid, servers))
    ):
        return UsageWindow(0, 0.0, 0, 0, 0, 0, reset_noticed=True)
    return UsageWindow(
        scans=usage.scans - row["first_scans"],
        days=max((now - row["first_taken_at"]).total_seconds(), 0) / SECONDS_PER_DAY,
        blocks_hit=usage.blocks_hit - row["first_blocks_hit"],
        blocks_read=usage.blocks_read - row["first_blocks_read"],
        tuples_read=usage.tuples_read - row["first_tuples_read"],
        table_scans=index.table_scans - row["first_table_scans"],
        reset_noticed=row["was_reset"],
    )


def _apart(oid: int, servers: ServerUsage | None) -> dict[str, dict[str, int]]:
    return {
        name: {
            "scans": usage[oid].scans,
            "tuples_read": usage[oid].tuples_read,
            "blocks_hit": usage[oid].blocks_hit,
        }
        for name, usage in (servers or {}).items()
        if oid in usage
    }


def _went_down(before: Mapping[str, Mapping[str, int]], after: Mapping[str, Mapping[str, int]]) -> bool:
    """Whether a server joined, left or counts less: then the sums say nothing about the time between."""
    return before.keys() != after.keys() or any(
        after[name][counter] < value
        for name, counters in before.items()
        for counter, value in counters.items()
    )


def _about(identity: DatabaseIdentity) -> dict[str, object]:
    return {
        "database": identity.name,
        "system_identifier": identity.system_identifier,
        "database_oid": identity.database_oid,
    }
