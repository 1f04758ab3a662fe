"""Puts reading, measuring and judging together: all that is known about the indexes of a database at one moment.

The assets, `herald indexes` and the rebuild use this one function, so they never disagree. Not here: how facts are read
(store.py), judged (verdicts.py) and planned for (plan.py); what is kept of them (history.py).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from herald_pipelines.database.indexes.bloat import (
    BTREE,
    Baseline,
    BloatEstimate,
    bloat_from_baseline,
    can_be_confirmed,
    estimate_bloat,
    needs_confirmation,
)
from herald_pipelines.database.indexes.continuity import ServerState
from herald_pipelines.database.indexes.disk import read_free_disk
from herald_pipelines.database.indexes.facts import IndexFacts, IndexUsage
from herald_pipelines.database.indexes.history import (
    ServerCounters,
    Servers,
    read_baselines,
    usage_windows,
)
from herald_pipelines.database.indexes.plan import (
    READ_BYTES_PER_SECOND,
    RebuildLimits,
    RebuildPlan,
    plan_rebuilds,
)
from herald_pipelines.database.indexes.store import confirm_indexes, read_index_facts, use_pgstattuple
from herald_pipelines.database.indexes.verdicts import IndexVerdicts, UsageWindow, judge
from herald_pipelines.errors import UsageError
from herald_pipelines.resources.postgres import Postgres, Row, Session, read_identity
from herald_pipelines.settings import IndexSettings
from herald_pipelines.values import SECONDS_PER_DAY, DatabaseIdentity, format_bytes

PRIMARY = "primary"
PROGRESS_SECONDS = 2.0


@dataclass(frozen=True)
class IndexAnalysis:
    """The indexes of one database, measured and judged. The mappings are by oid."""

    facts: tuple[IndexFacts, ...]
    """Counters are summed over the primary and its replicas."""
    bloat: Mapping[int, BloatEstimate]
    usage: Mapping[int, UsageWindow]
    judged: tuple[IndexVerdicts, ...]
    plan: RebuildPlan
    servers: Servers
    """The same counters by server."""
    unconfirmed: Mapping[int, str]
    """Why an index that should have been confirmed was not."""

    @property
    def planned(self) -> frozenset[int]:
        """Indexes that the plan rebuilds."""
        return frozenset(step.oid for step in self.plan.steps)


def analyze_indexes(
    observe: Postgres,
    replicas: Mapping[str, Postgres],
    ops: Postgres | None,
    identity: DatabaseIdentity,
    settings: IndexSettings,
    *,
    budget_seconds: float,
    now: datetime,
    say: Callable[[str], None],
) -> IndexAnalysis:
    """Read every index of a database, confirm the bloat of those that may have some, judge all and plan the rebuilds.

    Reads only, and holds no transaction open between its statements.

    Args:
        observe: the database; a role with pg_monitor is enough.
        replicas: its standbys by name, whose use of an index counts too.
        ops: where snapshots and baselines are; None: no history, so every index above the least size is confirmed.
        identity: of the database.
        settings: thresholds.
        budget_seconds: bounds the reading of pages, by bytes and by the clock, and what the plan may take.
        now: the time of the analysis.
        say: told of progress.

    Raises:
        UsageError: a replica is not one of this database.
        HeraldError: the database, a replica or the ops database could not be read; what was not read is not guessed.
    """
    deadline = time.monotonic() + budget_seconds
    with observe.session(autocommit=True) as session:
        state = _read_state(session)
        # Before and after, because a build may begin or end while its index is read.
        builds = session.fetch("indexes/list_builds")
        own = read_index_facts(session)
        builds += session.fetch("indexes/list_builds")
        say(f"{len(own)} indexes, {format_bytes(sum(index.size_bytes for index in own))}")
        building = _find_building(own, builds)
        facts, servers = _add_replicas(own, state, replicas, identity)
        baselines: Mapping[int, Baseline] = {}
        usage: dict[int, UsageWindow] = {}
        if ops is not None:
            with ops.session() as remembered:
                baselines = read_baselines(remembered, identity)
                usage = usage_windows(remembered, identity, facts, now, servers)
        wanted = [
            index
            for index in facts
            if (
                index.size_bytes >= settings.min_size_bytes and can_be_confirmed(index)
                if ops is None
                else needs_confirmation(
                    index, baselines.get(index.oid), settings.bloat_threshold, settings.min_size_bytes
                )
            )
        ]
        free_disk_bytes = read_free_disk(session)
        confirmed, unconfirmed = _confirm(
            session, wanted, budget_seconds, deadline, observe.statement_timeout_seconds, say
        )
    bloat: dict[int, BloatEstimate] = {}
    for index in facts:
        estimate = (
            confirmed.get(index.oid)
            or bloat_from_baseline(index, baselines.get(index.oid))
            or estimate_bloat(index)
        )
        if estimate is not None:
            bloat[index.oid] = estimate
    limits = RebuildLimits(settings, budget_seconds=budget_seconds, free_disk_bytes=free_disk_bytes)
    return IndexAnalysis(
        facts=facts,
        bloat=bloat,
        usage=usage,
        judged=judge(facts, usage, bloat, settings, now, building=building),
        plan=plan_rebuilds(facts, bloat, limits, building=building),
        servers=servers,
        unconfirmed=unconfirmed,
    )


def describe_indexes(analysis: IndexAnalysis, now: datetime) -> list[dict[str, Any]]:
    """Return one JSON-able row an index: the contract of `herald indexes --json`.

    `scans` are those of the usage window; without history those since the counters' last reset, whose days are then
    the window, or null when that time is not known.
    """
    judged = {each.oid: each for each in analysis.judged}
    planned = analysis.planned
    stats_reset_at = analysis.servers[PRIMARY].state.stats_reset_at
    since_reset = None if stats_reset_at is None else (now - stats_reset_at).total_seconds() / SECONDS_PER_DAY
    rows: list[dict[str, Any]] = []
    for index in analysis.facts:
        estimate, window = analysis.bloat.get(index.oid), analysis.usage.get(index.oid)
        verdicts, notes = judged[index.oid].verdicts, list(judged[index.oid].notes)
        if index.oid in analysis.unconfirmed:
            notes.append(f"bloat not confirmed: {analysis.unconfirmed[index.oid]}")
        elif estimate is None and index.size_bytes and index.tuples != 0:
            notes.append(f"bloat not known: {_why_unknown(index)}")
        rows.append(
            {
                "schema": index.schema,
                "table": index.table,
                "index": index.name,
                "access_method": index.access_method,
                "size_bytes": index.size_bytes,
                "bloat_ratio": None if estimate is None else round(estimate.ratio, 4),
                "bloat_bytes": None if estimate is None else estimate.bloat_bytes,
                "bloat_method": None if estimate is None else estimate.method,
                "bloat_error_bound": None if estimate is None else round(estimate.error_bound, 4),
                "scans": index.usage.scans if window is None else window.scans,
                "scans_window_days": since_reset if window is None else window.days,
                "verdicts": [
                    {
                        "kind": verdict.kind.value,
                        "reason": verdict.reason,
                        "covered_by": verdict.covered_by,
                        "ddl": verdict.ddl,
                        "inverse_ddl": verdict.inverse_ddl,
                    }
                    for verdict in verdicts
                ],
                "notes": notes,
                "rebuild_planned": index.oid in planned,
            }
        )
    return rows


def _why_unknown(index: IndexFacts) -> str:
    if index.tuples is None or index.table_tuples is None:
        return "nobody has counted its rows yet (ANALYZE does)"
    if index.access_method != BTREE:
        return f"of {index.access_method} it is told by a baseline, and there is none of it yet"
    return "there is no baseline of it, and no statistics of its columns that this role may see"


def _find_building(facts: Sequence[IndexFacts], builds: Sequence[Row]) -> frozenset[int]:
    """Return the indexes that are being built, or may be: REINDEX TABLE CONCURRENTLY makes several, one after the other.

    Args:
        facts: all indexes.
        builds: rows of indexes/list_builds; without pg_read_all_stats they do not say of which table.
    """
    tables = {row["table_oid"] for row in builds}
    unfinished = {
        index.oid for index in facts if not index.is_valid and (None in tables or index.table_oid in tables)
    }
    return frozenset(unfinished | {row["index_oid"] for row in builds if row["index_oid"] is not None})


def _confirm(
    session: Session,
    wanted: Sequence[IndexFacts],
    budget_seconds: float,
    deadline: float,
    least_timeout_seconds: float,
    say: Callable[[str], None],
) -> tuple[dict[int, BloatEstimate], dict[int, str]]:
    """Read the pages of the indexes that may be bloated, the largest first; return estimates, and reasons for none.

    A large index takes longer than other statements may: each may take all that is left before the deadline, or as
    long as any statement.
    """

    def allow() -> float:
        left_seconds = deadline - time.monotonic()
        timeout = round(max(left_seconds, least_timeout_seconds) * 1000)
        session.execute(f"set statement_timeout = {timeout}")
        return left_seconds

    hindrance = use_pgstattuple(session) if wanted else None
    if not wanted or hindrance is not None:
        return {}, {index.oid: hindrance for index in wanted if hindrance is not None}
    say(f"reading {len(wanted)} indexes, {format_bytes(sum(index.size_bytes for index in wanted))}")
    ordered = sorted(wanted, key=lambda index: (-index.size_bytes, index.oid))
    confirmed: dict[int, BloatEstimate] = {}
    unconfirmed = {index.oid: "the time for reading pages is used up" for index in ordered}
    allow()
    said_at = time.monotonic()
    confirmations = confirm_indexes(session, ordered, budget_bytes=budget_seconds * READ_BYTES_PER_SECOND)
    for count, confirmation in enumerate(confirmations, start=1):
        unconfirmed.pop(confirmation.oid)
        if confirmation.estimate is not None:
            confirmed[confirmation.oid] = confirmation.estimate
        elif confirmation.reason is not None:
            unconfirmed[confirmation.oid] = confirmation.reason
        if allow() <= 0:
            break
        if count < len(ordered) and time.monotonic() - said_at > PROGRESS_SECONDS:
            following = ordered[count]
            say(f"reading {count + 1} of {len(ordered)}: {following.schema}.{following.name}")
            said_at = time.monotonic()
    return confirmed, unconfirmed


def _add_replicas(
    facts: tuple[IndexFacts, ...],
    state: ServerState,
    replicas: Mapping[str, Postgres],
    identity: DatabaseIdentity,
) -> tuple[tuple[IndexFacts, ...], Servers]:
    """Add the counters of the replicas to the primary's; return them apart as well."""
    servers = {PRIMARY: ServerCounters(state, {index.oid: index.usage for index in facts})}
    table_scans: dict[int, int] = {index.oid: index.table_scans for index in facts}
    for name, replica in replicas.items():
        with replica.session(autocommit=True) as session:
            found = read_identity(session, standby=True)
            if (found.system_identifier, found.database_oid) != (
                identity.system_identifier,
                identity.database_oid,
            ):
                raise UsageError(
                    f"replica {name!r} of {identity.name} is not a physical copy of it",
                    hint=f"mend databases.{identity.name}.replicas.{name}",
                )
            replica_state = _read_state(session)
            if replica_state.timeline is not None:
                raise UsageError(
                    f"replica {name!r} of {identity.name} is no standby: it leads to a primary",
                    hint=f"mend databases.{identity.name}.replicas.{name}",
                )
            seen = read_index_facts(session)
        servers[f"replica {name}"] = ServerCounters(replica_state, {index.oid: index.usage for index in seen})
        for index in seen:
            table_scans[index.oid] = table_scans.get(index.oid, 0) + index.table_scans
    summed = tuple(
        replace(
            index,
            table_scans=table_scans[index.oid],
            usage=_sum([server.usage[index.oid] for server in servers.values() if index.oid in server.usage]),
        )
        for index in facts
    )
    return summed, servers


def _read_state(session: Session) -> ServerState:
    return ServerState(**session.fetch_one("indexes/read_server_state"))


def _sum(usages: Sequence[IndexUsage]) -> IndexUsage:
    return IndexUsage(
        scans=sum(usage.scans for usage in usages),
        tuples_read=sum(usage.tuples_read for usage in usages),
        tuples_fetched=sum(usage.tuples_fetched for usage in usages),
        blocks_hit=sum(usage.blocks_hit for usage in usages),
        blocks_read=sum(usage.blocks_read for usage in usages),
        last_scan_at=max((usage.last_scan_at for usage in usages if usage.last_scan_at), default=None),
    )
