"""What is counted between two readings, whatever began anew in between."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from herald_pipelines.database.statements.deltas import add_up, diff_readings, join_activity
from herald_pipelines.database.statements.facts import (
    NOTHING,
    Counters,
    Entry,
    QueryKey,
    StatementKey,
    StatementReading,
)

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KEY = StatementKey(10, 1, toplevel=True)


def counted(calls: int, seconds: float | None = None) -> Counters:
    return NOTHING._replace(calls=calls, rows=calls, exec_seconds=calls / 10 if seconds is None else seconds)


def read(
    day: int,
    entries: dict[StatementKey, Counters],
    *,
    reset_at: datetime = BEGAN,
    since: datetime | None = None,
    deallocations: int = 0,
) -> StatementReading:
    found = {key: Entry(counters, since) for key, counters in entries.items()}
    return StatementReading(BEGAN + day * DAY, reset_at, deallocations, found)


def test_the_first_reading_is_an_interval_since_the_statistics_began() -> None:
    delta = diff_readings(None, read(5, {KEY: counted(40)}, deallocations=3))
    assert (delta.since, delta.until) == (BEGAN, BEGAN + 5 * DAY)
    assert delta.counters == {KEY: counted(40)}
    assert (delta.was_reset, delta.deallocations) == (False, 3)


def test_what_did_nothing_is_left_out_and_what_is_new_counts_whole() -> None:
    other, new = KEY._replace(user_oid=11), KEY._replace(toplevel=False)
    delta = diff_readings(
        read(1, {KEY: counted(40), other: counted(7)}, deallocations=2),
        read(2, {KEY: counted(100), other: counted(7), new: counted(3)}, deallocations=5),
    )
    assert {key: found.calls for key, found in delta.counters.items()} == {KEY: 60, new: 3}
    assert delta.counters[KEY].exec_seconds == 6.0
    assert (delta.since, delta.until, delta.gone, delta.begun_anew) == (BEGAN + DAY, BEGAN + 2 * DAY, 0, 0)
    assert delta.deallocations == 3


def test_a_reset_of_all_counts_what_came_after_it() -> None:
    reset_at = BEGAN + 1.5 * DAY
    delta = diff_readings(read(1, {KEY: counted(40)}), read(2, {KEY: counted(70)}, reset_at=reset_at))
    assert (delta.since, delta.was_reset, delta.is_another_servers) == (reset_at, True, False)
    assert delta.counters == {KEY: counted(70)}


def test_another_server_proves_nothing_but_what_says_when_it_began() -> None:
    """A promoted standby has counters of its own, from long before the failover."""
    before = read(10, {KEY: counted(40)})
    young = StatementKey(10, 2, toplevel=True)
    promoted = StatementReading(
        BEGAN + 11 * DAY,
        BEGAN + 3 * DAY,
        0,
        {
            KEY: Entry(counted(90), BEGAN + 4 * DAY),
            young: Entry(counted(5), BEGAN + 10.5 * DAY),
        },
    )
    delta = diff_readings(before, promoted)
    assert delta.was_reset
    assert delta.is_another_servers
    assert delta.counters == {young: counted(5)}
    activity = join_activity(join_activity(None, diff_readings(None, before)), delta)
    assert activity is not None
    assert (activity.is_cut, activity.is_another_servers) == (True, True)


def test_an_entry_that_fell_began_anew() -> None:
    delta = diff_readings(read(1, {KEY: counted(40)}), read(2, {KEY: counted(3)}))
    assert (delta.counters, delta.begun_anew) == ({KEY: counted(3)}, 1)


def test_the_same_number_of_calls_with_more_time_is_another_entry() -> None:
    delta = diff_readings(read(1, {KEY: counted(1, 0.1)}), read(2, {KEY: counted(1, 9.0)}))
    assert (delta.counters, delta.begun_anew) == ({KEY: counted(1, 9.0)}, 1)


def test_an_entry_that_says_it_began_later_began_anew_whatever_its_counters() -> None:
    delta = diff_readings(
        read(1, {KEY: counted(40)}, since=BEGAN), read(2, {KEY: counted(90)}, since=BEGAN + 1.2 * DAY)
    )
    assert (delta.counters, delta.begun_anew) == ({KEY: counted(90)}, 1)


def test_an_update_of_the_extension_begins_nothing_anew() -> None:
    """Since version 1.11 entries tell when they began: they were there before, all the same."""
    other, gone = KEY._replace(user_oid=11), KEY._replace(user_oid=12)
    before = read(2, {KEY: counted(40), other: counted(7), gone: counted(9)})
    after = read(3, {KEY: counted(90), other: counted(7)}, since=BEGAN + DAY)
    back = read(3, {gone: counted(10)}, since=BEGAN + 2.5 * DAY)
    delta = diff_readings(before, replace(after, entries={**after.entries, **back.entries}))
    assert delta.counters == {KEY: counted(50, 5.0), gone: counted(10)}
    assert delta.begun_anew == 1


def test_an_entry_born_while_the_reading_before_was_taken_is_not_counted_twice() -> None:
    born = BEGAN + DAY + timedelta(seconds=1)
    delta = diff_readings(read(1, {KEY: counted(2)}, since=born), read(2, {KEY: counted(5)}, since=born))
    assert delta.counters[KEY].calls == 3


def test_entries_that_are_gone_are_told_of() -> None:
    delta = diff_readings(read(1, {KEY: counted(40)}), read(2, {}))
    assert (delta.counters, delta.gone) == ({}, 1)


def test_planning_alone_begins_nothing_anew() -> None:
    before = counted(4)
    delta = diff_readings(read(1, {KEY: before}), read(2, {KEY: before._replace(plan_seconds=1.5)}))
    assert (delta.counters, delta.begun_anew) == ({KEY: NOTHING._replace(plan_seconds=1.5)}, 0)


def test_roles_are_summed_and_levels_are_not() -> None:
    summed = add_up(
        [
            (KEY, counted(1)),
            (KEY._replace(user_oid=11), counted(2)),
            (KEY._replace(toplevel=False), counted(4)),
        ]
    )
    assert {key: found.calls for key, found in summed.items()} == {
        QueryKey(1, toplevel=True): 3,
        QueryKey(1, toplevel=False): 4,
    }


def test_a_window_is_what_is_kept_of_it_and_what_came_since() -> None:
    first = diff_readings(None, read(1, {KEY: counted(40)}))
    second = diff_readings(read(1, {KEY: counted(40)}), read(2, {KEY: counted(100)}))
    kept = join_activity(None, first)
    assert kept is not None
    both = join_activity(kept, second)
    assert both is not None
    assert (both.since, both.until) == (BEGAN, BEGAN + 2 * DAY)
    assert both.queries[QueryKey(1, toplevel=True)].calls == 100
    assert join_activity(None, None) is None


histories = st.lists(st.integers(0, 50), min_size=1, max_size=8)


@given(histories)
def test_deltas_of_any_readings_add_up_to_the_last(steps: list[int]) -> None:
    total, previous, seen = 0, None, 0
    for day, step in enumerate(steps, start=1):
        total += step
        current = read(day, {KEY: counted(total, float(total))} if total else {})
        delta = diff_readings(previous, current)
        seen += sum(found.calls for found in delta.counters.values())
        previous = current
    assert seen == total


@given(st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=1, max_size=8))
def test_a_delta_is_never_more_than_what_happened(steps: list[tuple[int, bool]]) -> None:
    """Entries may be evicted and come back at any time, without a word before version 17."""
    counter, happened, seen, previous = 0, 0, 0, None
    for day, (calls, evicted) in enumerate(steps, start=1):
        counter = calls if evicted else counter + calls
        happened += calls
        current = read(day, {KEY: counted(counter, float(counter))})
        seen += sum(found.calls for found in diff_readings(previous, current).counters.values())
        previous = current
    assert seen <= happened
