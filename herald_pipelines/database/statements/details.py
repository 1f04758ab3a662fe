"""What is told of single queries: their texts, who asked them, how they are planned, their last windows. Not here: which."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from herald_pipelines.database.statements.deltas import Delta
from herald_pipelines.database.statements.facts import QueryKey
from herald_pipelines.database.statements.findings import Finding, FindingKind
from herald_pipelines.database.statements.history import list_texts, read_histories, read_users
from herald_pipelines.database.statements.plans import Plan, explain_queries
from herald_pipelines.database.statements.store import read_texts
from herald_pipelines.database.statements.texts import tidy_text
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.settings import PerformanceSettings
from herald_pipelines.values import DatabaseIdentity

PLANS = 10
"""Findings whose plans are asked for in one window."""
HISTORY_WINDOWS = 14


@dataclass(frozen=True)
class QueryDetails:
    """What is known of some queries beside their counters."""

    texts: Mapping[int, str] = field(default_factory=dict[int, str])
    """Without literals, by query id; those that the server has lost are not in it."""
    users: Mapping[QueryKey, Sequence[str]] = field(default_factory=dict[QueryKey, Sequence[str]])
    """The roles that asked them, those first that asked most."""
    plans: Mapping[int, Plan] = field(default_factory=dict[int, Plan])
    """Of every finding, by query id."""
    histories: Mapping[QueryKey, Sequence[tuple[str, float]]] = field(
        default_factory=dict[QueryKey, Sequence[tuple[str, float]]]
    )
    """(window, execution seconds), oldest first."""
    notes: tuple[str, ...] = ()
    """What is missing."""


def read_details(
    session: Session,
    ops: Postgres | None,
    identity: DatabaseIdentity,
    window: str,
    delta: Delta,
    user_names: Mapping[int, str],
    shown: Sequence[QueryKey],
    findings: Sequence[Finding],
    *,
    settings: PerformanceSettings,
    is_ours: bool,
    deadline: float,
) -> QueryDetails:
    """Read what is told of queries.

    Args:
        session: in the target database, after `read_statements`, in autocommit.
        ops: the ops database; None: no history.
        identity: of the database.
        window: window key.
        delta: what was counted since the last reading.
        user_names: by oid, of its roles.
        shown: queries whose windows are told.
        findings: queries whose plans are told.
        settings: `explain` says whether plans are asked for.
        is_ours: whether the database is the embedded one.
        deadline: by time.monotonic(), after which no plan is asked for.

    Raises:
        HeraldError: a database could not be read.
    """
    queries = tuple(dict.fromkeys([*shown, *(each.query for each in findings)]))
    users = _merge_users(ops, identity, window, queries, delta, user_names)
    texts, planned, trouble = _read_texts(session, ops, identity, queries, findings)
    plans = _explain(session, findings, planned, users, settings, deadline, is_ours=is_ours)
    histories = {}
    if ops is not None and shown:
        with ops.session() as remembered:
            histories = read_histories(remembered, identity, shown, HISTORY_WINDOWS)
    return QueryDetails(texts, users, plans, histories, () if trouble is None else (trouble,))


def _merge_users(
    ops: Postgres | None,
    identity: DatabaseIdentity,
    window: str,
    queries: Collection[QueryKey],
    delta: Delta,
    names: Mapping[int, str],
) -> dict[QueryKey, list[str]]:
    users: dict[QueryKey, list[str]] = {}
    if ops is not None and queries:
        with ops.session() as remembered:
            users = read_users(remembered, identity, window, queries)
    wanted = set(queries)
    for key in delta.counters:
        query = QueryKey(key.query_id, key.toplevel)
        if query in wanted and names[key.user_oid] not in users.setdefault(query, []):
            users[query].append(names[key.user_oid])
    return users


def _read_texts(
    session: Session,
    ops: Postgres | None,
    identity: DatabaseIdentity,
    queries: Sequence[QueryKey],
    findings: Sequence[Finding],
) -> tuple[dict[int, str], dict[int, str], str | None]:
    """Return the texts that may be shown, as the server has them those that may have to be planned, and what hindered."""
    ids = list(dict.fromkeys(key.query_id for key in queries))
    texts: dict[int, str] = {}
    if ops is not None and ids:
        with ops.session() as remembered:
            texts = list_texts(remembered, identity, ids)
    planned = {each.query.query_id for each in findings if each.kind is not FindingKind.VANISHED}
    raw, trouble = read_texts(session, planned | (set(ids) - texts.keys()))
    return texts | {query_id: tidy_text(text) for query_id, text in raw.items()}, raw, trouble


def _explain(
    session: Session,
    findings: Sequence[Finding],
    texts: Mapping[int, str],
    users: Mapping[QueryKey, Sequence[str]],
    settings: PerformanceSettings,
    deadline: float,
    *,
    is_ours: bool,
) -> dict[int, Plan]:
    ordered = list(dict.fromkeys(each.query for each in findings if each.kind is not FindingKind.VANISHED))
    plans = {each.query.query_id: Plan(None, "it was not called") for each in findings}
    plans |= {key.query_id: Plan(None, f"only the first {PLANS} are planned") for key in ordered}
    wanted = [(key.query_id, users[key][0] if users.get(key) else None) for key in ordered[:PLANS]]
    if not settings.explain:
        return plans | {query_id: Plan(None, "performance.explain is off") for query_id, _ in wanted}
    return plans | explain_queries(session, texts, wanted, is_ours=is_ours, deadline=deadline)
