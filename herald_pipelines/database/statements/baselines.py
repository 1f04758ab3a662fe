"""What queries usually do, kept as baselines in the ops database. Not here: comparing with one (findings.py)."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from herald_pipelines.database.statements.facts import Baseline, Counters, QueryKey, Usual
from herald_pipelines.database.statements.history import columns, counters_of, query_of, to_array
from herald_pipelines.resources.postgres import Row, Session
from herald_pipelines.settings import PerformanceSettings
from herald_pipelines.values import DatabaseIdentity

NO_WINDOW = ""


def sum_up(
    ops: Session,
    identity: DatabaseIdentity,
    thresholds: PerformanceSettings,
    now: datetime,
    *,
    without_window: str = NO_WINDOW,
    window: str | None = None,
) -> Baseline | None:
    """Make a baseline of what was counted in the last days; None where nothing was.

    Args:
        ops: session in the ops database.
        identity: whose queries these are.
        thresholds: `baseline_days` says how far back, `min_calls` which windows have a mean.
        now: its end.
        without_window: a window that is left out, because it is what will be compared.
        window: what it is made for; None: provisional.
    """
    given = {
        **identity.parameters,
        "from_time": now - timedelta(days=thresholds.baseline_days),
        "without_window": without_window,
    }
    span = ops.fetch_one("statements/read_span", **given)
    if span["since"] is None:
        return None
    rows = ops.fetch("statements/sum_windows", **given, min_calls=thresholds.min_calls)
    return Baseline(span["since"], span["until"], span["windows"], _usual(rows), window)


def read_baseline(
    ops: Session, identity: DatabaseIdentity, *, without_window: str = NO_WINDOW
) -> Baseline | None:
    """Return the newest baseline that was kept, that of a window left out; None where there is none."""
    rows = ops.fetch("statements/find_baseline", **identity.parameters, without_window=without_window)
    if not rows:
        return None
    found = rows[0]
    queries = ops.fetch("statements/list_baseline_queries", baseline_id=found["id"])
    return Baseline(found["since"], found["until"], found["windows"], _usual(queries), found["window_key"])


def write_baseline(
    ops: Session, identity: DatabaseIdentity, baseline: Baseline, now: datetime, *, keep_days: int
) -> None:
    """Keep a baseline in place of an earlier one of its window, and remove those older than is kept, never this one."""
    ops.fetch("statements/delete_baseline", **identity.parameters, window=baseline.window)
    baseline_id = ops.fetch_one(
        "statements/write_baseline",
        **identity.parameters,
        window=baseline.window,
        since=baseline.since,
        until=baseline.until,
        windows=baseline.windows,
    )["id"]
    usual = list(baseline.queries.values())
    ops.fetch(
        "statements/write_baseline_queries",
        baseline_id=baseline_id,
        highest_mean_seconds=to_array(each.highest_mean_seconds for each in usual),
        windows=to_array(each.windows for each in usual),
        **columns(QueryKey._fields, list(baseline.queries)),
        **columns(Counters._fields, [each.counters for each in usual]),
    )
    ops.fetch(
        "statements/delete_old_baselines",
        **identity.parameters,
        before=now - timedelta(days=keep_days),
        baseline_id=baseline_id,
    )


def _usual(rows: Sequence[Row]) -> dict[QueryKey, Usual]:
    return {
        query_of(row): Usual(counters_of(row), row["highest_mean_seconds"], row["windows"]) for row in rows
    }
