"""Pure: which queries became slower, came, went or are slow, by thresholds and with the reason. Not here: their plans."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from herald_pipelines.database.statements.facts import Activity, Baseline, Counters, QueryKey, Usual
from herald_pipelines.settings import PerformanceSettings
from herald_pipelines.values import format_seconds

WHOLE_WEEK = timedelta(days=7)
"""What a baseline must span before a query that is not in it is new: many reports are weekly."""
STEADY_SHARE = 0.8
"""Share of the baseline's windows in which a query was seen, from which on its absence says something."""
LEAST_WINDOWS = 3
"""Windows of a baseline from which on that share says something."""
HALF_A_DAY = timedelta(hours=12)
"""What a window must span before the absence of a query says something."""
SHORTEST_SECONDS = 0.1
"""Below it, people read milliseconds."""


class FindingKind(StrEnum):
    """What was found about a query."""

    REGRESSION = "regression"
    SLOW = "slow"
    NEW = "new"
    VANISHED = "vanished"


@dataclass(frozen=True, slots=True)
class Finding:
    """One query of which there is something to say."""

    kind: FindingKind
    query: QueryKey
    reason: str
    calls: int
    mean_seconds: float | None
    """Of a call in the window; None when it was not called."""
    baseline_mean_seconds: float | None
    extra_seconds: float
    """What it took beyond the baseline's mean (regression), or all that it took (new, slow) or used to take in such a
    time (vanished)."""
    share: float
    """`extra_seconds` as a share of the execution time of all queries in the window; of the baseline where it vanished."""


def judge_queries(
    activity: Activity, baseline: Baseline | None, thresholds: PerformanceSettings, *, is_counted: bool = True
) -> tuple[Finding, ...]:
    """Judge every query of a window, those first that cost most; regressions first of all.

    A regression has calls enough on both sides (`min_calls`), a mean above `regression_ratio` times the baseline's, above
    that of the baseline's slowest window, and by `regression_seconds` at least, and what it costs is `regression_share` of
    all execution time or more: each alone would call noise a regression.

    Args:
        activity: the window.
        baseline: what is usual; None: only slow queries can be told.
        thresholds: of the database.
        is_counted: whether the server counts at all; else no query has vanished.
    """
    found = [
        *_find_regressions(activity, baseline, thresholds),
        *_find_slow(activity, thresholds),
        *_find_new(activity, baseline, thresholds),
        *(_find_vanished(activity, baseline, thresholds) if is_counted and not activity.is_cut else ()),
    ]
    order = list(FindingKind)
    return tuple(sorted(found, key=lambda each: (order.index(each.kind), -each.extra_seconds, each.query)))


def is_slower(now: Counters, usual: Usual, thresholds: PerformanceSettings) -> bool:
    """Whether a query became slower than it usually is, whatever its share of the whole."""
    mean, before = now.mean_seconds, usual.counters.mean_seconds
    return (
        mean is not None
        and before is not None
        and min(now.calls, usual.counters.calls) >= thresholds.min_calls
        and mean > before * thresholds.regression_ratio
        and mean - before >= thresholds.regression_seconds
        and mean > (usual.highest_mean_seconds or 0.0)
    )


def count_once(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings whose time may be summed: that of a nested statement is within its caller's, if that is one."""
    found = list(findings)
    return [each for each in found if each.query.toplevel] or found


def format_duration(seconds: float) -> str:
    """Write the time of a call for people.

    >>> format_duration(0.00042), format_duration(0.042), format_duration(4.2)
    ('0.42 ms', '42 ms', '4.2 s')
    """
    if seconds >= SHORTEST_SECONDS:
        return format_seconds(seconds)
    milliseconds = seconds * 1000
    return f"{milliseconds:.2f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"  # noqa: PLR2004


def count_of(number: int, what: str) -> str:
    """Write a number of things for people.

    >>> count_of(1, "call"), count_of(2, "call")
    ('1 call', '2 calls')
    """
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _find_regressions(
    activity: Activity, baseline: Baseline | None, thresholds: PerformanceSettings
) -> Iterator[Finding]:
    total = activity.exec_seconds
    for key, now in activity.queries.items():
        usual = baseline.queries.get(key) if baseline else None
        if usual is None or not is_slower(now, usual, thresholds):
            continue
        mean, before = now.mean_seconds or 0.0, usual.counters.mean_seconds or 0.0
        extra = (mean - before) * now.calls
        share = _share(extra, total)
        if share < thresholds.regression_share:
            continue
        times = f"{mean / before:.1f} times the" if before else "in place of"
        yield Finding(
            FindingKind.REGRESSION,
            key,
            f"{format_duration(mean)} a call, {times} {format_duration(before)} of the baseline,"
            f" in {count_of(now.calls, 'call')}: {format_seconds(extra)} more, {share:.0%} of all execution time",
            now.calls,
            mean,
            before,
            extra,
            share,
        )


def _find_slow(activity: Activity, thresholds: PerformanceSettings) -> Iterator[Finding]:
    total = activity.exec_seconds
    for key, now in activity.queries.items():
        mean = now.mean_seconds
        if mean is None or mean <= thresholds.slow_seconds:
            continue
        hit = "" if now.hit_percent is None else f", {now.hit_percent:.0f} % of its blocks in shared_buffers"
        yield Finding(
            FindingKind.SLOW,
            key,
            f"{format_duration(mean)} a call on average, above {format_duration(thresholds.slow_seconds)},"
            f" in {count_of(now.calls, 'call')}{hit}",
            now.calls,
            mean,
            None,
            now.exec_seconds,
            _share(now.exec_seconds, total),
        )


def _find_new(
    activity: Activity, baseline: Baseline | None, thresholds: PerformanceSettings
) -> Iterator[Finding]:
    if baseline is None or baseline.until - baseline.since < WHOLE_WEEK:
        return
    total = activity.exec_seconds
    for key, now in activity.queries.items():
        share = _share(now.exec_seconds, total)
        if key not in baseline.queries and share >= thresholds.heavy_share:
            yield Finding(
                FindingKind.NEW,
                key,
                f"not in the baseline, and takes {share:.0%} of all execution time:"
                f" {format_seconds(now.exec_seconds)} in {count_of(now.calls, 'call')}",
                now.calls,
                now.mean_seconds,
                None,
                now.exec_seconds,
                share,
            )


def _find_vanished(
    activity: Activity, baseline: Baseline | None, thresholds: PerformanceSettings
) -> Iterator[Finding]:
    if baseline is None or baseline.windows < LEAST_WINDOWS or activity.until - activity.since < HALF_A_DAY:
        return
    total = baseline.exec_seconds
    span = (activity.until - activity.since) / max(baseline.until - baseline.since, HALF_A_DAY)
    for key, usual in baseline.queries.items():
        share = _share(usual.counters.exec_seconds, total)
        is_steady = usual.windows >= STEADY_SHARE * baseline.windows
        if key not in activity.queries and is_steady and share >= thresholds.heavy_share:
            yield Finding(
                FindingKind.VANISHED,
                key,
                f"took {share:.0%} of all execution time in the baseline, in {usual.windows} of {baseline.windows}"
                " windows, and was not called",
                0,
                None,
                usual.counters.mean_seconds,
                usual.counters.exec_seconds * span,
                share,
            )


def _share(part: float, whole: float) -> float:
    # Nested statements are not in the whole, and only they may be more than all of it.
    return min(part / whole, 1.0) if whole > 0 else 0.0
