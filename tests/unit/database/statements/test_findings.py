"""Which queries are told of, by thresholds at their edges."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from herald_pipelines.database.statements.facts import (
    NOTHING,
    Activity,
    Baseline,
    Counters,
    QueryKey,
    Usual,
)
from herald_pipelines.database.statements.findings import Finding, FindingKind, count_once, judge_queries
from herald_pipelines.settings import PerformanceSettings

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)
DAY = timedelta(days=1)
QUERY, OTHER = QueryKey(1, toplevel=True), QueryKey(2, toplevel=True)
BULK = {OTHER: NOTHING._replace(calls=1000, exec_seconds=100.0)}
DEFAULTS = PerformanceSettings()


def did(calls: int, mean: float) -> Counters:
    return NOTHING._replace(calls=calls, exec_seconds=calls * mean, blocks_hit=3, blocks_read=1)


def window(queries: dict[QueryKey, Counters], *, hours: float = 24) -> Activity:
    return Activity(NOW - timedelta(hours=hours), NOW, BULK | queries)


def usual(
    queries: dict[QueryKey, Counters],
    *,
    highest: float | None = None,
    seen: int = 28,
    windows: int = 28,
    days: float = 28,
) -> Baseline:
    entries = {key: Usual(counters, highest, seen) for key, counters in (BULK | queries).items()}
    return Baseline(NOW - (days + 1) * DAY, NOW - DAY, windows, entries, "2026-11-01")


def found(
    activity: Activity, baseline: Baseline | None, settings: PerformanceSettings = DEFAULTS
) -> list[FindingKind]:
    return [each.kind for each in judge_queries(activity, baseline, settings)]


def test_a_regression_says_what_it_costs() -> None:
    [finding] = judge_queries(window({QUERY: did(100, 0.3)}), usual({QUERY: did(2000, 0.1)}), DEFAULTS)
    assert finding == Finding(
        FindingKind.REGRESSION,
        QUERY,
        "0.3 s a call, 3.0 times the 0.1 s of the baseline, in 100 calls: 20.0 s more, 15% of all execution time",
        100,
        pytest.approx(0.3),
        pytest.approx(0.1),
        pytest.approx(20.0),
        pytest.approx(20 / 130),
    )


@pytest.mark.parametrize(
    ("now", "before", "highest"),
    [
        (did(9, 0.9), did(2000, 0.1), None),  # too few calls now
        (did(100, 0.9), did(9, 0.1), None),  # too few calls then
        (did(100, 0.2), did(2000, 0.1), None),  # not above the ratio
        (did(100_000, 0.004), did(2000, 0.0001), None),  # a call takes no longer that anybody would notice
        (did(10, 0.05), did(2000, 0.005), None),  # nothing of all execution time
        (did(100, 0.3), did(2000, 0.1), 0.31),  # it was as slow on some other day
    ],
)
def test_what_is_no_regression(now: Counters, before: Counters, highest: float | None) -> None:
    assert found(window({QUERY: now}), usual({QUERY: before}, highest=highest)) == []


def test_thresholds_are_settings() -> None:
    activity, baseline = window({QUERY: did(5, 0.15)}), usual({QUERY: did(5, 0.1)})
    assert found(activity, baseline) == []
    eager = PerformanceSettings(min_calls=5, regression_ratio=1.4, regression_share=0.0)
    assert found(activity, baseline, eager) == [FindingKind.REGRESSION]


def test_a_mean_of_the_limit_is_not_slow() -> None:
    assert found(window({QUERY: did(1, 1.0)}), None) == []
    [finding] = judge_queries(window({QUERY: did(1, 1.5)}), None, DEFAULTS)
    assert (finding.kind, finding.calls) == (FindingKind.SLOW, 1)
    assert (
        finding.reason
        == "1.5 s a call on average, above 1.0 s, in 1 call, 75 % of its blocks in shared_buffers"
    )


def test_new_is_told_of_a_baseline_of_a_week_and_for_heavy_queries() -> None:
    heavy, light = window({QUERY: did(100, 0.1)}), window({QUERY: did(100, 0.01)})
    assert found(heavy, usual({}, days=7)) == [FindingKind.NEW]
    assert found(heavy, usual({}, days=6.9)) == []
    assert found(light, usual({})) == []
    assert found(heavy, None) == []


def test_vanished_is_told_of_steady_heavy_queries_in_a_long_window() -> None:
    heavy = {QUERY: did(1000, 0.1)}
    assert found(window({}), usual(heavy)) == [FindingKind.VANISHED]
    assert found(window({}), usual(heavy, seen=23)) == [FindingKind.VANISHED]
    assert found(window({}), usual(heavy, seen=22)) == []  # a weekly report
    assert found(window({}, hours=11), usual(heavy)) == []
    assert found(window({}), usual(heavy, windows=2, seen=2)) == []
    assert found(window({}), usual({QUERY: did(10, 0.1)})) == []


def test_nothing_is_called_vanished_where_counters_were_lost() -> None:
    heavy, empty = usual({QUERY: did(1000, 0.1)}), window({})
    assert found(empty, heavy) == [FindingKind.VANISHED]
    assert found(replace(empty, is_cut=True), heavy) == []
    assert judge_queries(empty, heavy, DEFAULTS, is_counted=False) == ()


def test_a_nested_statement_and_its_caller_are_counted_once() -> None:
    nested = QueryKey(3, toplevel=False)
    both = judge_queries(
        window({QUERY: did(100, 0.3), nested: did(100, 0.3)}),
        usual({QUERY: did(2000, 0.1), nested: did(2000, 0.1)}),
        DEFAULTS,
    )
    assert [each.query for each in count_once(both)] == [QUERY]
    assert count_once(each for each in both if each.query == nested) == [
        each for each in both if each.query == nested
    ]


def test_regressions_come_first_and_then_what_costs_most() -> None:
    activity = window(
        {
            QUERY: did(100, 3.0),
            QueryKey(3, toplevel=True): did(50, 2.0),
            QueryKey(4, toplevel=False): did(90, 2.0),
        }
    )
    order = [
        (each.kind, each.query.query_id)
        for each in judge_queries(activity, usual({QUERY: did(100, 0.1)}), DEFAULTS)
    ]
    assert order == [
        (FindingKind.REGRESSION, 1),
        (FindingKind.SLOW, 1),
        (FindingKind.SLOW, 4),
        (FindingKind.SLOW, 3),
        (FindingKind.NEW, 4),
        (FindingKind.NEW, 3),
    ]


def test_an_idle_window_is_judged_too() -> None:
    idle = Activity(NOW - DAY, NOW, {})
    assert found(idle, usual({})) == [FindingKind.VANISHED]
    assert found(idle, None) == []
