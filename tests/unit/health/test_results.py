"""How a check stands after a result, when it is due, and what is judged of its numbers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from herald_pipelines.catchup import State as Window
from herald_pipelines.catchup import WindowState
from herald_pipelines.health import rules
from herald_pipelines.health.report import judge
from herald_pipelines.health.results import (
    HealthResult,
    Previous,
    Probe,
    State,
    Status,
    Verdict,
    advance,
    is_due,
)
from herald_pipelines.health_sensor import judge_windows

NOW = datetime(2026, 8, 13, 12, tzinfo=UTC)
H, D, U, X = Status.HEALTHY, Status.DEGRADED, Status.UNHEALTHY, Status.UNKNOWN


def walk(*steps: tuple[int, Status]) -> tuple[State | None, list[float | None]]:
    """Go through results, each some seconds after the first, of a check that is asked every 30 s."""
    state, recoveries = None, []
    for seconds, status in steps:
        result = HealthResult(status, "", {}, NOW + timedelta(seconds=seconds), 0.0)
        step = advance(state, result, 30.0)
        state = step.state
        recoveries.append(step.recovered_after_seconds)
    return state, recoveries


def test_a_recovery_tells_how_long_it_was_unhealthy():
    state, recoveries = walk((0, H), (30, U), (60, U), (90, X), (120, D), (150, H))
    assert recoveries == [None, None, None, None, 90.0, None]
    assert state is not None
    assert (state.status, state.since, state.down_since) == (H, NOW + timedelta(seconds=150), None)


def test_after_a_gap_nobody_knows_how_long_it_was_unhealthy():
    _, recoveries = walk((0, U), (91, H))
    assert recoveries == [None, None]
    _, recoveries = walk((0, U), (90, H))
    assert recoveries == [None, 90.0]
    state, _ = walk((0, H), (500, H))
    assert state is not None
    assert state.since == NOW + timedelta(seconds=500)


def test_an_unknown_result_ends_nothing_and_is_a_change():
    state, recoveries = walk((0, U), (30, X))
    assert state is not None
    assert (state.status, state.down_since, recoveries) == (X, NOW, [None, None])


def test_after_the_clock_was_put_back_everything_begins_anew():
    state, recoveries = walk((3600, U), (0, H), (30, H))
    assert recoveries == [None, None, None]
    assert state is not None
    assert (state.since, state.down_since) == (NOW, None)


def test_a_check_is_due_by_its_own_frequency_and_after_the_clock_was_put_back():
    check = Probe("shop", "cache", 300.0, lambda _now, _previous: Verdict(H, ""), lambda: 0.0)
    state, _ = walk((0, H))
    assert is_due(check, None, NOW)
    assert not is_due(check, state, NOW + timedelta(seconds=299))
    assert is_due(check, state, NOW + timedelta(seconds=300))
    assert is_due(check, state, NOW - timedelta(seconds=1))


def activity(**changes: Any) -> dict[str, Any]:
    return {
        "is_standby": False,
        "hidden": 0,
        "max_connections": 103,
        "reserved_connections": 3,
        "connections": 10,
        "active": 1,
        "idle": 9,
        "idle_in_transaction": 0,
        "own_connections": 1,
        "long_running": 0,
        "longest_seconds": 0.0,
    } | changes


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, H),
        ({"connections": 79}, H),
        ({"connections": 80}, D),
        ({"connections": 95}, U),
        ({"long_running": 5}, H),
        ({"long_running": 6}, D),
        ({"is_standby": True}, U),
        ({"hidden": 3}, X),
        ({"hidden": 3, "connections": 80}, D),
    ],
)
def test_connections_and_long_running_transactions(changes: dict[str, Any], status: Status):
    assert rules.judge_activity(activity(**changes), rules.Limits(), ping_ms=1.0, query=None).status is status


def test_a_failed_test_query_degrades():
    failed = Verdict(D, "the test query failed: no such table")
    verdict = rules.judge_activity(activity(), rules.Limits(), ping_ms=1.0, query=failed)
    assert (verdict.status, verdict.message) == (D, failed.message)


@pytest.mark.parametrize(
    ("xid", "multixact", "status"),
    [
        (299_999_999, 599_999_999, H),
        (300_000_000, 0, D),
        (0, 600_000_000, D),
        (1_600_000_000, 0, U),
        (0, 1_600_000_000, U),
    ],
)
def test_wraparound_by_both_ages(xid: int, multixact: int, status: Status):
    row = {
        "xid_age": xid,
        "multixact_age": multixact,
        "freeze_max_age": 200_000_000,
        "multixact_freeze_max_age": 400_000_000,
    }
    assert rules.judge_ages(row).status is status


def test_counters_are_judged_by_what_they_grew_since():
    def cache(hit: int, read: int, before: Verdict | None, reset: float = 5.0) -> Verdict:
        row = {"blocks_hit": hit, "blocks_read": read, "reset_at_seconds": reset}
        return rules.judge_cache(row, None if before is None else Previous(NOW, before.metrics))

    first = cache(1_000_000, 0, None)
    assert "hit_ratio" not in first.metrics
    second = cache(1_005_000, 5_000, first)
    assert (second.status, second.metrics["hit_ratio"]) == (D, 0.5)
    assert cache(1_000_100, 100, first).status is H  # too few blocks
    assert "hit_ratio" not in cache(20_000, 20_000, first).metrics  # counted from 0 again
    assert "hit_ratio" not in cache(2_000_000, 2_000_000, first, reset=6.0).metrics


def test_who_holds_up_others_is_named_and_a_prepared_transaction_too():
    row = {
        "pid": 7,
        "waiting": 2,
        "waiting_seconds": 31.0,
        "application": "shop",
        "role": "web",
        "state": None,
    }
    verdict = rules.judge_blockers([row])
    assert (verdict.status, verdict.message) == (D, "pid 7 (shop as web, not visible) holds up 2 for 31.0 s")
    prepared = rules.judge_blockers([row | {"pid": 0, "waiting_seconds": 300.0}])
    assert prepared.status is U
    assert prepared.message.startswith("a prepared transaction holds up 2")


def test_standbys_that_may_not_be_seen_are_not_known():
    row = {"standbys": 1, "hidden": 1, "not_streaming": 0, "lag_seconds": 0.0, "lag_bytes": 0}
    assert rules.judge_standbys(row, rules.Limits()).status is X
    assert rules.judge_standbys(row | {"hidden": 0}, rules.Limits()).status is H
    assert rules.judge_standbys(row | {"hidden": 0, "lag_seconds": 61.0}, rules.Limits()).status is D
    assert rules.judge_standbys(row | {"hidden": 0, "lag_seconds": 601.0}, rules.Limits()).status is U


def test_deadlocks_and_forced_checkpoints():
    before = Previous(NOW, {"deadlocks": 2.0, "timed": 4.0, "requested": 1.0, "reset_at_seconds": 0.0})
    row = {"deadlocks": 3, "timed": 5, "requested": 4, "reset_at_seconds": 0.0}
    assert rules.judge_deadlocks(row, before).status is D
    assert rules.judge_deadlocks(row | {"deadlocks": 2}, before).status is H
    assert rules.judge_checkpoints(row, before).status is D
    assert rules.judge_checkpoints(row | {"requested": 3}, before).status is H


def test_slots_backups_and_room():
    slot = {
        "slot": "cdc",
        "active": False,
        "wal_status": "reserved",
        "safe_bytes": None,
        "retained_bytes": 0,
        "invalidation_reason": None,
    }
    assert rules.judge_slots([slot]).status is H
    assert rules.judge_slots([slot | {"retained_bytes": 11 * 1024**3}]).status is D
    assert rules.judge_slots([slot | {"wal_status": "lost"}]).status is U

    def backups(age: float | None, proof: float | None, known: float | None = 1e6) -> Status:
        row = {"backup_age_seconds": age, "proof_age_seconds": proof, "known_seconds": known}
        return rules.judge_backups(row, max_age_seconds=90_000.0, proof_seconds=3_000_000.0).status

    assert [backups(None, None), backups(None, None, 10.0), backups(90_001.0, 1.0)] == [U, D, U]
    assert [backups(1.0, None), backups(1.0, 3_000_001.0), backups(1.0, 1.0)] == [D, D, H]
    sizes = [rules.judge_room("x", free, 100, degraded=0.15, unhealthy=0.05).status for free in (15, 14, 4)]
    assert sizes == [H, D, U]


def test_dagster():
    assert rules.judge_daemons([]).status is X
    daemons = [
        {"daemon_type": "SENSOR", "age_seconds": 20.0},
        {"daemon_type": "SCHEDULER", "age_seconds": 301.0},
    ]
    assert rules.judge_daemons(daemons[:1]).status is H
    assert "SCHEDULER" in rules.judge_daemons(daemons).message
    removed = {"daemon_type": "ASSET", "age_seconds": 86_401.0}
    assert rules.judge_daemons([daemons[0], removed]).status is H
    assert rules.judge_daemons([removed]).status is U
    many = rules.judge_ticks([{"name": f"s{n:04}", "status": "FAILURE"} for n in range(5000)])
    assert many.message == "the newest tick failed: s0000, s0001, s0002, s0003, s0004 and 4995 more"
    assert rules.judge_ticks([{"name": "a", "status": "SUCCESS"}]).status is H
    assert rules.judge_ticks([{"name": "a", "status": "FAILURE"}]).status is D
    runs = {"queued": 1, "queued_seconds": 10.0, "running": 1, "running_seconds": 10.0, "stuck_starting": 0}
    assert rules.judge_runs(runs).status is H
    assert rules.judge_runs(runs | {"queued_seconds": 901.0}).status is D
    assert rules.judge_runs(runs | {"stuck_starting": 1}).status is D


def test_the_verdict_on_all_is_an_error_where_something_critical_is_unhealthy():
    critical, ill = judge([("a/x", True, U, "gone"), ("a/y", False, D, "slow"), ("a/z", False, X, "")])
    assert (critical.passed, critical.is_error, critical.summary) == (False, True, "a/x unhealthy: gone")
    assert not ill.passed
    critical, ill = judge([("a/x", True, D, "busy"), ("a/y", False, U, "gone")])
    assert (critical.passed, ill.passed) == (True, False)
    assert all(each.passed for each in judge([("a/x", True, X, ""), ("a/y", False, H, "")]))


def test_windows_that_nobody_tries_any_more_are_worse_than_missed_ones():
    def windows(*states: Window) -> Status:
        return judge_windows(
            [
                WindowState("shop", "backup", "2026-08-12", NOW, state, ("database_backup",), 0, None)
                for state in states
            ]
        ).status

    assert windows() is H
    assert windows(Window.COMPLETE, Window.IN_FLIGHT, Window.NOT_DUE) is H
    assert windows(Window.COMPLETE, Window.MISSING) is D
    assert windows(Window.FAILED) is D
    assert windows(Window.FAILED, Window.GIVEN_UP) is U
