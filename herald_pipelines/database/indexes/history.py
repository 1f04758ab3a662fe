"""What the ops database remembers of indexes: snapshots of counters, sizes when new, verdicts, rebuilds.

Not here: reading the target (store.py), judging what is remembered (verdicts.py, bloat.py).
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from herald_pipelines.database.indexes.bloat import BTREE, Baseline, BloatEstimate
from herald_pipelines.database.indexes.continuity import ServerState, find_start
from herald_pipelines.database.indexes.facts import IndexFacts, IndexUsage
from herald_pipelines.database.indexes.verdicts import IndexVerdicts, UsageWindow
from herald_pipelines.records import to_json
from herald_pipelines.resources.postgres import Postgres, Row, Session
from herald_pipelines.values import SECONDS_PER_DAY, DatabaseIdentity

LOOK_BACK_DAYS = 100
"""Older snapshots are not looked at."""
DENSE_WITHIN = 0.10
"""Share of a b-tree that may be waste at most, error included, where it is taken to be as a build makes it."""


@dataclass(frozen=True)
class ServerCounters:
    """What one server told at a reading."""

    state: ServerState
    """Read before the counters, so that a reset in between is noticed by the next reading."""
    usage: Mapping[int, IndexUsage]
    """By oid."""


Servers = Mapping[str, ServerCounters]
"""By name: the primary and its replicas."""


def record_snapshot(
    ops: Session,
    identity: DatabaseIdentity,
    window: str,
    facts: Sequence[IndexFacts],
    taken_at: datetime,
    servers: Servers,
) -> None:
    """Write a reading of the counters of every index; the snapshot of a window is what its first reading found.

    Args:
        ops: writable session in the ops database.
        identity: whose indexes these are.
        window: window key.
        facts: with counters summed over all servers.
        taken_at: the time of the facts.
        servers: the same counters apart, and what proves that they go on counting.
    """
    ops.fetch(
        "history/record_snapshot",
        **identity.parameters,
        window=window,
        taken_at=taken_at,
        servers=to_json({name: asdict(each.state) for name, each in servers.items()}),
        rows=_rows(facts, servers),
    )


def usage_windows(
    ops: Session,
    identity: DatabaseIdentity,
    facts: Sequence[IndexFacts],
    now: datetime,
    servers: Servers,
) -> dict[int, UsageWindow]:
    """Return what happened to each index since the oldest snapshot that its counters can be compared with.

    A rebuilt index has another oid and the same counters: its history goes on, for the ledger tells which it
    was. An index made anew under an old name is another index.

    Args:
        ops: session in the ops database.
        identity: whose indexes these are.
        facts: with counters summed over all servers.
        now: the time of the facts.
        servers: as in `record_snapshot`.

    Returns:
        By oid; an index without a snapshot that can be compared has no entry.
    """
    readings = ops.fetch(
        "history/list_readings", **identity.parameters, since=now - timedelta(days=LOOK_BACK_DAYS)
    )
    states = {name: each.state for name, each in servers.items()}
    start = find_start([_states(row["servers"]) for row in readings], states)
    if start == len(readings):
        return {}
    found = ops.fetch(
        "history/list_usage",
        **identity.parameters,
        first_reading=readings[start]["id"],
        now=now,
        has_replicas=len(servers) > 1,
        rows=_rows(facts, servers),
    )
    return {
        row["index_oid"]: UsageWindow(
            scans=row["scans"],
            days=max((now - row["first_taken_at"]).total_seconds(), 0) / SECONDS_PER_DAY,
            blocks_hit=row["blocks_hit"],
            blocks_read=row["blocks_read"],
            tuples_read=row["tuples_read"],
            table_scans=row["table_scans"],
            was_reset=row["was_reset"],
        )
        for row in found
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
            **identity.parameters,
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
    ops.fetch("history/write_new_baselines", **identity.parameters, rows=to_json(rows))


def _is_dense(estimate: BloatEstimate | None) -> bool:
    return estimate is not None and estimate.ratio + estimate.error_bound <= DENSE_WITHIN


def read_baselines(ops: Session, identity: DatabaseIdentity) -> dict[int, Baseline]:
    """Return how dense each index was right after its build, by oid."""
    return {
        row["index_oid"]: Baseline(row["relfilenode"], row["size_bytes"], row["tuples"])
        for row in ops.fetch("history/list_baselines", **identity.parameters)
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
    ops.fetch("history/write_analysis", **identity.parameters, window=window, rows=to_json(rows))


def _rows(facts: Sequence[IndexFacts], servers: Servers) -> str:
    """Write counters as jsonb, an object an index; apart by server only where there are several."""
    return to_json(
        [
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
                "servers": _apart(index.oid, servers) if len(servers) > 1 else {},
            }
            for index in facts
        ]
    )


def _apart(oid: int, servers: Servers) -> dict[str, dict[str, int]]:
    return {
        name: {
            "scans": server.usage[oid].scans,
            "tuples_read": server.usage[oid].tuples_read,
            "blocks_hit": server.usage[oid].blocks_hit,
        }
        for name, server in servers.items()
        if oid in server.usage
    }


def _states(written: Mapping[str, Mapping[str, Any]]) -> dict[str, ServerState]:
    """Read what `record_snapshot` wrote of the servers."""
    moment = datetime.fromisoformat
    return {
        name: ServerState(
            read_at=moment(state["read_at"]),
            started_at=moment(state["started_at"]),
            stats_reset_at=None if state["stats_reset_at"] is None else moment(state["stats_reset_at"]),
            shared_reset_at=moment(state["shared_reset_at"]),
            timeline=state["timeline"],
            totals=state["totals"],
        )
        for name, state in written.items()
    }
