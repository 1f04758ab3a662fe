"""Window arithmetic, against counting days one by one."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herald_pipelines.errors import UsageError
from herald_pipelines.slots import (
    Cadence,
    Slot,
    last_opening,
    next_opening,
    openings,
    opens_at,
    window_key,
    windows_opened,
)

START = date(2024, 1, 1)
moments = st.integers(0, 5 * 366 * 86400).map(
    lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
times = st.times().map(lambda at: at.replace(second=0, microsecond=0))
slots = st.builds(
    Slot,
    name=st.just("slot"),
    cadence=st.sampled_from(list(Cadence)),
    tasks=st.just(("task",)),
    start=st.just(START),
    at=times,
    weekday=st.integers(0, 6),
    every_minutes=st.sampled_from([1, 5, 15, 60]),
)


def opens_on(slot: Slot, day: date) -> bool:
    """Whether a window opens on a day, by definition instead of arithmetic."""
    return {
        Cadence.DAILY: True,
        Cadence.WEEKLY: day.weekday() == slot.weekday,
        Cadence.MONTHLY: day.weekday() == slot.weekday and day.day <= 7,
    }[slot.cadence]


def by_counting(slot: Slot, since: datetime, until: datetime) -> list[datetime]:
    if slot.cadence is Cadence.MINUTES:
        first = since.replace(second=0, microsecond=0)
        minutes = (
            first + timedelta(minutes=n) for n in range(int((until - first).total_seconds()) // 60 + 1)
        )
        return [each for each in minutes if each >= since and each.minute % slot.every_minutes == 0]
    days = (since.date() + timedelta(days=n) for n in range((until.date() - since.date()).days + 1))
    found = [datetime.combine(day, slot.at, UTC) for day in days if opens_on(slot, day)]
    return [each for each in found if since <= each <= until]


@settings(deadline=None)
@given(slot=slots, since=moments, days=st.integers(0, 70))
def test_openings_are_those_that_counting_finds(slot: Slot, since: datetime, days: int) -> None:
    until = since + timedelta(days=min(days, 2) if slot.cadence is Cadence.MINUTES else days)
    assert list(openings(slot, since, until)) == by_counting(slot, since, until)


@settings(deadline=None)
@given(slot=slots, at=moments)
def test_last_and_next_enclose_a_moment(slot: Slot, at: datetime) -> None:
    last, following = last_opening(slot, at), next_opening(slot, at)
    assert last <= at < following
    assert next_opening(slot, last) == following
    assert last_opening(slot, following - timedelta(microseconds=1)) == last


@settings(deadline=None)
@given(slot=slots, at=moments)
def test_a_key_names_one_opening(slot: Slot, at: datetime) -> None:
    opening = next_opening(slot, at)
    assert opens_at(slot, window_key(slot, opening)) == opening


def test_first_sundays() -> None:
    slot = Slot("audit", Cadence.MONTHLY, ("x",), date(2026, 1, 1))
    year = windows_opened(slot, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC))
    assert year == (
        *("2026-01-04", "2026-02-01", "2026-03-01", "2026-04-05", "2026-05-03", "2026-06-07"),
        *("2026-07-05", "2026-08-02", "2026-09-06", "2026-10-04", "2026-11-01", "2026-12-06"),
    )


def test_a_leap_day_has_a_window() -> None:
    slot = Slot("daily", Cadence.DAILY, ("x",), START, time(2, 0))
    window = datetime(2028, 2, 28, tzinfo=UTC), datetime(2028, 3, 1, 2, 0, tzinfo=UTC)
    assert windows_opened(slot, *window) == ("2028-02-28", "2028-02-29", "2028-03-01")


def test_summer_time_changes_nothing() -> None:
    # Berlin and New York change their clocks between these; UTC does not.
    slot = Slot("pulse", Cadence.MINUTES, ("x",), START, every_minutes=30)
    for day in (date(2026, 3, 29), date(2026, 10, 25), date(2026, 3, 8), date(2026, 11, 1)):
        midnight = datetime.combine(day, time(0, 0), UTC)
        assert len(windows_opened(slot, midnight, midnight + timedelta(hours=23, minutes=59))) == 48


def test_no_window_opens_before_the_start() -> None:
    slot = Slot("daily", Cadence.DAILY, ("x",), date(2026, 11, 20), time(2, 0))
    long_ago, now = datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
    assert windows_opened(slot, long_ago, now) == ("2026-11-20", "2026-11-21")


def test_both_ends_count() -> None:
    slot = Slot("daily", Cadence.DAILY, ("x",), START, time(2, 0))
    opening = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
    assert windows_opened(slot, opening, opening) == ("2026-11-24",)
    assert windows_opened(slot, opening, opening - timedelta(seconds=1)) == ()


@pytest.mark.parametrize(
    ("cadence", "key", "sentence"),
    [
        (Cadence.DAILY, "2026-11-31", "window '2026-11-31' is not of the form YYYY-MM-DD"),
        (Cadence.DAILY, "2026-11-24T02:00", "is not of the form YYYY-MM-DD"),
        (Cadence.DAILY, "2026-1-2", "slot 'slot' has no window '2026-1-2'"),
        (Cadence.DAILY, "2023-12-31", "slot 'slot' has no window '2023-12-31'"),
        (Cadence.WEEKLY, "2026-11-24", "slot 'slot' has no window '2026-11-24'"),
        (Cadence.MONTHLY, "2026-11-08", "slot 'slot' has no window '2026-11-08'"),
        (Cadence.MINUTES, "2026-11-24", "is not of the form YYYY-MM-DDTHH:MM"),
        (Cadence.MINUTES, "2026-11-24T02:01", "slot 'slot' has no window '2026-11-24T02:01'"),
    ],
)
def test_keys_that_name_no_window(cadence: Cadence, key: str, sentence: str) -> None:
    slot = Slot("slot", cadence, ("x",), START, every_minutes=5)
    with pytest.raises(UsageError) as caught:
        opens_at(slot, key)
    assert sentence in caught.value.message
    assert caught.value.hint
    assert slot.rhythm in caught.value.hint


@pytest.mark.parametrize(
    ("slot", "cron", "partition_cron", "schedule", "rhythm"),
    [
        (
            Slot("a", Cadence.DAILY, (), START, time(4, 5)),
            "5 4 * * *",
            "0 0 * * *",
            "a_daily",
            "every day at 04:05 UTC",
        ),
        (
            Slot("a", Cadence.WEEKLY, (), START, time(1, 0), weekday=0),
            "0 1 * * 1",
            "0 0 * * 1",
            "a_weekly",
            "every monday at 01:00 UTC",
        ),
        (
            Slot("a", Cadence.MONTHLY, (), START, time(0, 0)),
            "0 0 * * 0#1",
            "0 0 * * 0#1",
            "a_monthly",
            "the first sunday of the month at 00:00 UTC",
        ),
        (
            Slot("a", Cadence.MINUTES, (), START),
            "0 * * * *",
            "0 * * * *",
            "a_minutes",
            "every 60 minutes",
        ),
    ],
)
def test_names_and_crons(slot: Slot, cron: str, partition_cron: str, schedule: str, rhythm: str) -> None:
    assert (slot.cron, slot.partition_cron, slot.schedule_name, slot.rhythm) == (
        cron,
        partition_cron,
        schedule,
        rhythm,
    )
