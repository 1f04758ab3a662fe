"""Puts reading, comparing and judging together: all that is known of the statements of a database at one moment.

The asset, its dry run and `herald queries` use this one function, so they never disagree. Not here: how counters are read
(store.py), compared (deltas.py) and judged (findings.py); what is kept of them (history.py).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from herald_pipelines.database.statements.baselines import read_baseline, sum_up
from herald_pipelines.database.statements.deltas import Delta, diff_readings, join_activity
from herald_pipelines.database.statements.details import QueryDetails, read_details
from herald_pipelines.database.statements.facts import Activity, Baseline, QueryKey, StatementReading
from herald_pipelines.database.statements.findings import Finding, count_of, judge_queries
from herald_pipelines.database.statements.history import (
    LastReading,
    list_unknown,
    read_activity,
    read_last_reading,
    record_reading,
)
from herald_pipelines.database.statements.store import COUNTS_NOTHING, read_statements, read_texts
from herald_pipelines.database.statements.texts import tidy_text
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.settings import PerformanceSettings
from herald_pipelines.values import DatabaseIdentity, Say, format_seconds

TOP = 50
"""Queries that are told of, those first that took most time; the ops database holds all."""


@dataclass(frozen=True)
class StatementAnalysis:
    """The statements of one database in a window, compared with what is usual."""

    window: str
    hindrance: str | None
    """Why nothing could be read, and what to do about it; everything else is then empty."""
    reading: StatementReading | None = None
    delta: Delta | None = None
    """What was counted since the reading before."""
    activity: Activity | None = None
    """What was counted in the window so far."""
    baseline: Baseline | None = None
    findings: tuple[Finding, ...] = ()
    top: tuple[QueryKey, ...] = ()
    details: QueryDetails = field(default_factory=QueryDetails)
    """Of what is in `top` and `findings`."""
    notes: tuple[str, ...] = ()
    counts_nothing: bool = False
    """The server is told to count no statement, and does not."""


def analyze_statements(
    observe: Postgres,
    ops: Postgres | None,
    identity: DatabaseIdentity,
    settings: PerformanceSettings,
    *,
    window: str | None,
    record: bool,
    is_ours: bool,
    budget_seconds: float,
    now: datetime,
    say: Say,
    top: int = TOP,
) -> StatementAnalysis:
    """Read the statements of a database, compare them with the reading before, and judge the window.

    Args:
        observe: the database; a role with pg_monitor is enough.
        ops: where readings and baselines are; None: no history, so what was counted since the statistics began is judged.
        identity: of the database.
        settings: thresholds.
        window: window key; None: the window of the newest reading, with what was counted since.
        record: whether the reading is kept.
        is_ours: whether the database is the embedded one.
        budget_seconds: no plan is asked for after that time.
        now: the time of the analysis.
        say: told of progress.
        top: how many queries are told of.

    Raises:
        HeraldError: the database or the ops database could not be read or written.
    """
    deadline = time.monotonic() + budget_seconds
    with observe.session(autocommit=True) as session:
        statements = read_statements(session)
        reading = statements.reading
        if reading is None:
            say(f"no statements: {statements.hindrance}")
            return StatementAnalysis(window or "", statements.hindrance, notes=statements.notes)
        say(f"{len(reading.entries)} statements")
        last = _read_last(ops, identity)
        delta = diff_readings(None if last is None else last.reading, reading)
        key = window or (last.window if last else "")
        if record and ops is not None:
            _record(
                session,
                ops,
                identity,
                key,
                last,
                reading,
                delta,
                statements.user_names,
                keep_days=settings.keep_days,
            )
        activity, baseline = _read_remembered(ops, identity, settings, key, None if record else delta, now)
        # Somebody else may make the ids: then statements are counted all the same.
        is_still = not any(counters.calls for counters in delta.counters.values())
        counts_nothing = statements.counts_nothing or (statements.makes_no_ids and is_still)
        findings = (
            judge_queries(activity, baseline, settings, is_counted=not counts_nothing) if activity else ()
        )
        shown = _find_top(activity, top)
        details = read_details(
            session,
            ops,
            identity,
            key,
            delta,
            statements.user_names,
            shown,
            findings,
            settings=settings,
            is_ours=is_ours,
            deadline=deadline,
        )
    say(f"{len(findings)} findings, {sum(each.text is not None for each in details.plans.values())} plans")
    return StatementAnalysis(
        window=key,
        hindrance=None,
        reading=reading,
        delta=delta,
        activity=activity,
        baseline=baseline,
        findings=findings,
        top=shown,
        details=details,
        notes=(
            *([COUNTS_NOTHING] if counts_nothing else []),
            *statements.notes,
            *details.notes,
            *_notes(delta, baseline, last),
        ),
        counts_nothing=counts_nothing,
    )


def say_evicted(times: int) -> str:
    """Say that entries were evicted, and what to do about it."""
    return (
        f"entries were evicted {count_of(times, 'time')}: what they counted is lost;"
        " a higher pg_stat_statements.max keeps more"
    )


def _read_last(ops: Postgres | None, identity: DatabaseIdentity) -> LastReading | None:
    if ops is None:
        return None
    with ops.session() as remembered:
        return read_last_reading(remembered, identity)


def _record(
    session: Session,
    ops: Postgres,
    identity: DatabaseIdentity,
    window: str,
    last: LastReading | None,
    reading: StatementReading,
    delta: Delta,
    user_names: Mapping[int, str],
    *,
    keep_days: int,
) -> None:
    """Keep the reading, with the texts that are not known yet. The target is asked outside of the transaction."""
    with ops.session() as remembered:
        unknown = list_unknown(remembered, identity, {key.query_id for key in delta.counters})
    raw, _ = read_texts(session, unknown)
    texts = {query_id: tidy_text(text) for query_id, text in raw.items()}
    with ops.session() as remembered:
        record_reading(
            remembered,
            identity,
            window,
            last,
            reading,
            delta,
            user_names,
            texts,
            keep_days=keep_days,
        )


def _read_remembered(
    ops: Postgres | None,
    identity: DatabaseIdentity,
    settings: PerformanceSettings,
    window: str,
    fresh: Delta | None,
    now: datetime,
) -> tuple[Activity | None, Baseline | None]:
    """Return what happened in the window, with what is not kept of it, and what is usual."""
    if ops is None:
        return join_activity(None, fresh), None
    with ops.session() as remembered:
        kept = read_activity(remembered, identity, window)
        baseline = read_baseline(remembered, identity)
        if baseline is None:
            baseline = sum_up(remembered, identity, settings, now, without_window=window)
    return join_activity(kept, fresh), baseline


def _find_top(activity: Activity | None, count: int) -> tuple[QueryKey, ...]:
    if activity is None:
        return ()
    ordered = sorted(activity.queries.items(), key=lambda each: (-each[1].exec_seconds, each[0]))
    return tuple(key for key, _ in ordered[:count])


def _notes(delta: Delta, baseline: Baseline | None, last: LastReading | None) -> list[str]:
    notes: list[str] = []
    seconds = (delta.until - delta.since).total_seconds()
    if last is None:
        notes.append(
            f"the first reading: what was counted since the statistics began, {format_seconds(seconds)} ago"
        )
    if delta.is_another_servers:
        notes.append(
            "the counters are another server's since the reading before: only what it says it counted since then is told"
        )
    elif delta.was_reset:
        notes.append(f"the statistics began anew at {delta.since.isoformat(timespec='seconds')}: what was counted"
                     " between the reading before and then is lost")  # fmt: skip
    if delta.deallocations:
        notes.append(say_evicted(delta.deallocations))
    if baseline is None:
        notes.append("no baseline yet: a later window is compared with this one")
    elif baseline.window is None:
        notes.append(f"no baseline was made yet: compared with {count_of(baseline.windows, 'window')} before"
                     " (herald run performance_baseline_update makes one)")  # fmt: skip
    return notes
