"""What is requested for missed windows: invariants over any history, and the policies one by one."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herald_pipelines.catchup import (
    CatchUpRequest,
    Failures,
    SlotHistory,
    State,
    judge_windows,
    plan_catch_up,
)
from herald_pipelines.settings import CatchUpSettings
from herald_pipelines.slots import Cadence, CatchUpPolicy, Slot, opens_at, windows_opened

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
DAILY = Slot("maintenance", Cadence.DAILY, ("analysis", "cleanup"), date(2026, 1, 1), time(2, 0))
WEEKLY = Slot("deep", Cadence.WEEKLY, ("rebuild",), date(2026, 1, 1), time(1, 0))
PULSE = Slot("pulse", Cadence.MINUTES, ("snapshot",), date(2026, 11, 22), every_minutes=60)
LIMITS = CatchUpSettings(look_back_days=10)


def history(slot: Slot = DAILY, database: str = "alpha", **changes: object) -> SlotHistory:
    """A slot of which nothing has ever run."""
    nothing = SlotHistory(
        slot=slot,
        database=database,
        since=LONG_AGO,
        tasks=slot.tasks,
        done={},
        in_flight=frozenset(),
        failures={},
        late_runs=0,
    )
    return replace(nothing, **changes)


def expected(slot: Slot, limits: CatchUpSettings = LIMITS) -> tuple[str, ...]:
    return windows_opened(slot, NOW - timedelta(days=limits.look_back_days), NOW)


def complete(slot: Slot, *windows: str) -> dict[str, frozenset[str]]:
    return {window: frozenset(slot.tasks) for window in windows}


def any_history(slot: Slot, policy: CatchUpPolicy, database: str, seed: int) -> SlotHistory:
    """Any mix of complete, half-complete, running and failed windows, drawn by a seed."""
    random = Random(seed)
    windows = expected(slot)
    shares = [random.random() for _ in range(3)]
    return history(
        replace(slot, catch_up=policy),
        database,
        since=random.choice([None, LONG_AGO, NOW - timedelta(days=random.uniform(0, 10))]),
        done={
            window: frozenset(task for task in slot.tasks if random.random() < 0.7)
            for window in windows
            if random.random() < shares[0]
        },
        in_flight=frozenset(window for window in windows if random.random() < shares[1] ** 5),
        failures={
            window: Failures(random.randint(1, 5), NOW - timedelta(days=random.uniform(0, 2)))
            for window in windows
            if random.random() < shares[2] ** 5
        },
        late_runs=random.randint(0, 4),
    )


histories = st.lists(
    st.tuples(st.sampled_from([DAILY, WEEKLY, PULSE]), st.sampled_from(["alpha", "beta", "gamma"])),
    unique=True,
    min_size=1,
).flatmap(
    lambda pairs: st.tuples(
        *(
            st.builds(
                any_history,
                st.just(slot),
                st.sampled_from(list(CatchUpPolicy)),
                st.just(database),
                st.integers(0, 2**32),
            )
            for slot, database in pairs
        )
    )
)
limits = st.builds(
    CatchUpSettings,
    look_back_days=st.integers(1, 10),
    grace_seconds=st.floats(1, 7200),
    max_requests_per_tick=st.integers(1, 12),
    max_attempts=st.integers(1, 4),
    backoff_seconds=st.floats(0, 3600),
)


@settings(deadline=None)
@given(made=histories, limits=limits)
def test_what_never_happens(made: Sequence[SlotHistory], limits: CatchUpSettings) -> None:
    plan = plan_catch_up(made, NOW, limits)
    by_name = {(each.slot.name, each.database): each for each in made}
    assert len(plan.requests) <= limits.max_requests_per_tick
    asked = [(each.slot, each.database, window) for each in plan.requests for window in each.windows]
    assert len(asked) == len(set(asked)), "a window is requested twice"
    for request in plan.requests:
        known = by_name[request.slot, request.database]
        slot = known.slot
        opened = [opens_at(slot, window) for window in request.windows]
        assert slot.catch_up is not CatchUpPolicy.NONE
        assert windows_opened(slot, opened[0], opened[-1]) == request.windows, "the range has a gap"
        assert slot.catch_up is CatchUpPolicy.LATEST or len(request.windows) == 1
        assert opened[-1] < NOW - timedelta(seconds=limits.grace_seconds), "the schedule may still start it"
        assert opened[0] >= NOW - timedelta(days=limits.look_back_days)
        for window in request.windows:
            open_tasks = tuple(task for task in known.tasks if task not in known.done.get(window, ()))
            assert request.tasks == open_tasks, "a task is done twice"
            assert request.tasks
            assert window not in known.in_flight
            failures = known.failures.get(window, Failures(0, LONG_AGO))
            assert failures.count < limits.max_attempts
            assert failures.count < request.attempt
            assert known.since is None or opens_at(slot, window) >= known.since or failures.count
        assert request.attempt <= limits.max_attempts
        assert not (slot.catch_up is CatchUpPolicy.LATEST and known.in_flight)


@settings(deadline=None)
@given(made=histories, limits=limits)
def test_what_is_due_is_requested_or_waits_for_a_reason(
    made: Sequence[SlotHistory], limits: CatchUpSettings
) -> None:
    plan = plan_catch_up(made, NOW, limits)
    spoken_of = {(each.slot, each.database) for each in (*plan.requests, *plan.waiting)}
    due = {
        (each.slot, each.database)
        for known in made
        for each in judge_windows(known, NOW, limits)
        if each.state in (State.MISSING, State.FAILED)
    }
    assert spoken_of == due


@settings(deadline=None)
@given(made=histories, limits=limits)
def test_everything_is_complete_in_the_end(made: Sequence[SlotHistory], limits: CatchUpSettings) -> None:
    """Carry out what is requested, tick by tick: each (window, task) is done once, and nothing stays open."""
    made = [replace(each, in_flight=frozenset(), late_runs=0) for each in made]
    done: list[tuple[str, str, str, str]] = []
    for _ in range(1000):
        # Backoffs are over by tomorrow; windows do not age meanwhile.
        made = [
            replace(
                each, failures={key: replace(value, last=LONG_AGO) for key, value in each.failures.items()}
            )
            for each in made
        ]
        plan = plan_catch_up(made, NOW, limits)
        if not plan.requests:
            break
        made = [_carry_out(each, plan.requests, done) for each in made]
    assert len(done) == len(set(done))
    judged = [
        judge_windows(each, NOW, limits) for each in made if each.slot.catch_up is not CatchUpPolicy.NONE
    ]
    left = [
        state
        for states in judged
        # A window that failed within its grace holds up its slot until that is over.
        if not any(state.retry_at and state.retry_at > NOW for state in states)
        for state in states
        if state.state in (State.MISSING, State.FAILED)
    ]
    assert left == []


def _carry_out(
    known: SlotHistory, requests: tuple[CatchUpRequest, ...], done: list[tuple[str, str, str, str]]
) -> SlotHistory:
    after = dict(known.done)
    for request in requests:
        if (request.slot, request.database) == (known.slot.name, known.database):
            for window in request.windows:
                after[window] = after.get(window, frozenset()) | set(request.tasks)
                done.extend((request.slot, request.database, window, task) for task in request.tasks)
    return replace(known, done=after)


class TestPolicies:
    def test_latest_covers_the_range_in_one_run(self) -> None:
        known = history(done=complete(DAILY, *expected(DAILY)[:-3]))
        plan = plan_catch_up([known], NOW, LIMITS)
        assert plan.requests == (
            CatchUpRequest(
                "maintenance", "alpha", ("2026-11-22", "2026-11-23", "2026-11-24"), DAILY.tasks, 1
            ),
        )

    def test_latest_takes_the_newest_range_first_and_never_over_a_gap(self) -> None:
        known = history(
            since=datetime(2026, 11, 18, tzinfo=UTC), done=complete(DAILY, "2026-11-20", "2026-11-23")
        )
        ranges: list[tuple[str, ...]] = []
        while requests := plan_catch_up([known], NOW, LIMITS).requests:
            ranges.append(requests[0].windows)
            known = replace(known, done={**known.done, **complete(DAILY, *requests[0].windows)})
        assert ranges == [
            ("2026-11-24",),
            ("2026-11-21", "2026-11-22"),
            ("2026-11-18", "2026-11-19"),
        ]

    def test_latest_waits_for_a_run_of_the_slot(self) -> None:
        known = history(in_flight=frozenset({"2026-11-24"}))
        plan = plan_catch_up([known], NOW, LIMITS)
        assert plan.requests == ()
        assert plan.waiting[0].reason == "a run of the slot is in flight"

    def test_only_what_a_task_has_not_done(self) -> None:
        known = history(
            since=datetime(2026, 11, 22, tzinfo=UTC),
            done={"2026-11-23": frozenset({"cleanup"}), "2026-11-24": frozenset({"cleanup"})},
        )
        (request,) = plan_catch_up([known], NOW, LIMITS).requests
        assert (request.windows, request.tasks) == (("2026-11-23", "2026-11-24"), ("analysis",))

    def test_each_starts_with_the_oldest_up_to_the_limit(self) -> None:
        known = history(replace(DAILY, catch_up=CatchUpPolicy.EACH), late_runs=1)
        limits = LIMITS.model_copy(update={"max_requests_per_tick": 4})
        requests = plan_catch_up([known], NOW, limits).requests
        assert [each.windows for each in requests] == [(window,) for window in expected(DAILY)[:3]]

    def test_none_requests_nothing(self) -> None:
        known = history(replace(DAILY, catch_up=CatchUpPolicy.NONE))
        plan = plan_catch_up([known], NOW, LIMITS)
        assert plan.requests == ()
        assert (plan.waiting[0].windows, plan.waiting[0].reason) == (10, "the slot's catch_up is none")


class TestFairness:
    def test_databases_take_turns(self) -> None:
        slot = replace(DAILY, catch_up=CatchUpPolicy.EACH)
        made = [history(slot, name) for name in ("alpha", "beta", "gamma")]
        limits = LIMITS.model_copy(update={"max_requests_per_tick": 7})
        plan = plan_catch_up(made, NOW, limits)
        assert [each.database for each in plan.requests] == ["alpha", "beta", "gamma"] * 2 + ["alpha"]
        assert sum(each.windows for each in plan.waiting) == 3 * 7 - 7

    def test_who_has_waited_longest_comes_first(self) -> None:
        slot = replace(DAILY, catch_up=CatchUpPolicy.EACH)
        made = [
            history(slot, "alpha", done=complete(slot, *expected(slot)[:2])),
            history(slot, "beta"),
        ]
        limits = LIMITS.model_copy(update={"max_requests_per_tick": 1})
        assert plan_catch_up(made, NOW, limits).requests[0].database == "beta"


class TestFailures:
    @pytest.mark.parametrize(("count", "wait_seconds"), [(1, 300), (2, 600)])
    def test_the_pause_doubles(self, count: int, wait_seconds: int) -> None:
        failed = {"2026-11-24": Failures(count, NOW - timedelta(seconds=wait_seconds))}
        known = history(since=datetime(2026, 11, 24, tzinfo=UTC), failures=failed)
        assert plan_catch_up([known], NOW, LIMITS).requests[0].attempt == count + 1
        waiting = plan_catch_up([known], NOW - timedelta(seconds=1), LIMITS)
        assert waiting.requests == ()
        assert waiting.waiting[0].reason == "tried again from 2026-11-24 08:00:00 UTC on"

    def test_a_failure_pauses_the_other_windows_of_the_slot_on_that_database_alone(self) -> None:
        failed = {"2026-11-24": Failures(1, NOW)}
        made = [history(failures=failed), history(database="beta"), history(WEEKLY)]
        requests = plan_catch_up(made, NOW, LIMITS).requests
        assert {(each.slot, each.database) for each in requests} == {
            ("maintenance", "beta"),
            ("deep", "alpha"),
        }

    def test_given_up_splits_the_range(self) -> None:
        failed = {"2026-11-23": Failures(3, NOW - timedelta(days=1))}
        known = history(since=datetime(2026, 11, 21, tzinfo=UTC), failures=failed)
        assert plan_catch_up([known], NOW, LIMITS).requests[0].windows == ("2026-11-24",)
        states = {each.window: each.state for each in judge_windows(known, NOW, LIMITS)}
        assert states["2026-11-23"] is State.GIVEN_UP

    def test_a_window_that_failed_within_the_grace_is_tried_again_after_it(self) -> None:
        now = datetime(2026, 11, 24, 2, 1, tzinfo=UTC)
        limits = LIMITS.model_copy(update={"backoff_seconds": 0.0})
        failed = {"2026-11-24": Failures(1, now)}
        known = history(since=datetime(2026, 11, 24, tzinfo=UTC), failures=failed)
        (state,) = judge_windows(known, now, limits)
        assert (state.state, state.retry_at) == (
            State.FAILED,
            datetime(2026, 11, 24, 2, 10, tzinfo=UTC),
        )
        assert plan_catch_up([known], now, limits).requests == ()


class TestSince:
    def test_nothing_is_missed_of_a_database_that_was_never_seen(self) -> None:
        assert judge_windows(history(since=None), NOW, LIMITS) == ()

    def test_nothing_before_since(self) -> None:
        since = datetime(2026, 11, 22, 2, 0, 1, tzinfo=UTC)
        windows = [each.window for each in judge_windows(history(since=since), NOW, LIMITS)]
        assert windows == ["2026-11-23", "2026-11-24"]

    def test_what_happened_before_since_is_shown(self) -> None:
        known = history(
            since=None, done=complete(DAILY, "2026-11-20"), failures={"2026-11-21": Failures(1, NOW)}
        )
        states = [(each.window, each.state) for each in judge_windows(known, NOW, LIMITS)]
        assert states == [("2026-11-20", State.COMPLETE), ("2026-11-21", State.FAILED)]

    def test_a_window_within_the_grace_is_not_due(self) -> None:
        opening = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
        for seconds, state in [(0, State.NOT_DUE), (600, State.NOT_DUE), (601, State.MISSING)]:
            judged = judge_windows(history(), opening + timedelta(seconds=seconds), LIMITS)
            assert judged[-1].state is state
