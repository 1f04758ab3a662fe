"""The slots of the calendar and the arithmetic of their windows.

    slot    one time of the calendar with its tasks in order; one job
    window  one opening of a slot, named by its key: the date at which it opens, with the time for slots
            finer than a day

Everything is UTC, so a day always has 24 hours. Window arithmetic asks no clock: `now` is an argument.
Not here: the calendar as a whole and its YAML file (calendar), what missed windows
need (catchup), Dagster (scheduling).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from herald_pipelines.errors import UsageError

# Days that settings and calendar may name: all arithmetic on windows stays well within what dates can hold.
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2099, 12, 31)
DAY_FORMAT, MINUTE_FORMAT = "%Y-%m-%d", "%Y-%m-%dT%H:%M"
# In the order of date.weekday().
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Cadence(StrEnum):
    """How often the windows of a slot open."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    """On the first such weekday of the month."""
    MINUTES = "minutes"


class CatchUpPolicy(StrEnum):
    """What happens to the missed windows of a slot."""

    LATEST = "latest"
    """One run covers them all and is recorded as late."""
    EACH = "each"
    """One run for every window, oldest first."""
    NONE = "none"
    """They are shown, and stay missed."""


@dataclass(frozen=True)
class Slot:
    """One time of the calendar with its tasks in order. Its name is also the name of its job."""

    name: str
    cadence: Cadence
    tasks: tuple[str, ...]
    start: date
    """No window opens before this day."""
    at: time = time(0, 0)
    """When a window opens; daily, weekly and monthly slots."""
    weekday: int = 6
    """Monday is 0; weekly and monthly slots."""
    every_minutes: int = 60
    """Minutes from one window to the next; slots of cadence `minutes`."""
    catch_up: CatchUpPolicy = CatchUpPolicy.LATEST
    enabled: bool = True

    @property
    def schedule_name(self) -> str:
        """The name of the schedule that launches the slot: maintenance_daily."""
        return f"{self.name}_{self.cadence}"

    @property
    def key_format(self) -> str:
        """The strftime format of the window keys."""
        return MINUTE_FORMAT if self.cadence is Cadence.MINUTES else DAY_FORMAT

    @property
    def cron(self) -> str:
        """The cron string of the openings; `0#1` is the first Sunday of the month."""
        if self.cadence is Cadence.MINUTES:
            return "0 * * * *" if self.every_minutes == 60 else f"*/{self.every_minutes} * * * *"  # noqa: PLR2004
        weekday = (self.weekday + 1) % 7  # cron counts from Sunday
        days = {Cadence.DAILY: "*", Cadence.WEEKLY: f"{weekday}", Cadence.MONTHLY: f"{weekday}#1"}[
            self.cadence
        ]
        return f"{self.at.minute} {self.at.hour} * * {days}"

    @property
    def partition_cron(self) -> str:
        """The cron string of the time that a window stands for: whole days, whatever the time of its opening.

        So a week reads exactly the seven days before it, and not also one that began before and ended in it.
        """
        return self.cron if self.cadence is Cadence.MINUTES else f"0 0 {self.cron.split(maxsplit=2)[2]}"

    @property
    def rhythm(self) -> str:
        """When windows open, in words: "sunday at 01:00 UTC"."""
        at = f"at {self.at:%H:%M} UTC"
        return {
            Cadence.DAILY: f"every day {at}",
            Cadence.WEEKLY: f"every {WEEKDAYS[self.weekday]} {at}",
            Cadence.MONTHLY: f"the first {WEEKDAYS[self.weekday]} of the month {at}",
            Cadence.MINUTES: f"every {self.every_minutes} minutes",
        }[self.cadence]


def window_key(slot: Slot, opening: datetime) -> str:
    """Return the key of the window that opens at a moment."""
    return opening.strftime(slot.key_format)


def last_opening(slot: Slot, at: datetime) -> datetime:
    """Return the newest moment at or before `at` on which the rhythm opens a window, whatever the start.

    >>> slot = Slot("deep", Cadence.MONTHLY, (), date(2026, 1, 1), time(1, 0), weekday=6)
    >>> last_opening(slot, datetime(2026, 3, 1, 0, 59, tzinfo=UTC)).isoformat()
    '2026-02-01T01:00:00+00:00'
    """
    if slot.cadence is Cadence.MINUTES:
        whole = at.replace(second=0, microsecond=0)
        return whole - timedelta(minutes=whole.minute % slot.every_minutes)
    opening = _opening_around(slot, at.date())
    return opening if opening <= at else _opening_around(slot, opening.date() - timedelta(days=1))


def next_opening(slot: Slot, after: datetime) -> datetime:
    """Return the first moment after `after` on which the rhythm opens a window, whatever the start."""
    opening = last_opening(slot, after)
    if slot.cadence is Cadence.MINUTES:
        return opening + timedelta(minutes=slot.every_minutes)
    if slot.cadence is Cadence.MONTHLY:
        following = (opening.date().replace(day=1) + timedelta(days=32)).replace(day=1)
        return _at(slot, _first_weekday(following, slot.weekday))
    return opening + timedelta(days=7 if slot.cadence is Cadence.WEEKLY else 1)


def openings(slot: Slot, since: datetime, until: datetime) -> tuple[datetime, ...]:
    """Return the moments with since <= opening <= until, oldest first; none before the slot's start."""
    first_day = datetime.combine(slot.start, time(0, 0), tzinfo=UTC)
    opening = next_opening(slot, max(since, first_day) - timedelta(microseconds=1))
    found: list[datetime] = []
    while opening <= until:
        found.append(opening)
        opening = next_opening(slot, opening)
    return tuple(found)


def windows_opened(slot: Slot, since: datetime, until: datetime) -> tuple[str, ...]:
    """Return the keys of the windows with since <= opening <= until, oldest first; none before the start."""
    return tuple(window_key(slot, opening) for opening in openings(slot, since, until))


def opens_at(slot: Slot, key: str) -> datetime:
    """Return the moment at which a window opens.

    Raises:
        UsageError: the key is not one of the slot's windows.
    """
    hint = f"windows of {slot.name} open {slot.rhythm}, from {slot.start:%Y-%m-%d} on"
    try:
        moment = datetime.strptime(key, slot.key_format).replace(tzinfo=UTC)
    except ValueError:
        form = "YYYY-MM-DDTHH:MM" if slot.cadence is Cadence.MINUTES else "YYYY-MM-DD"
        raise UsageError(f"window {key!r} is not of the form {form}", hint=hint) from None
    opening = moment if slot.cadence is Cadence.MINUTES else _at(slot, moment.date())
    if (
        last_opening(slot, opening) != opening
        or moment.date() < slot.start
        or window_key(slot, opening) != key
    ):
        raise UsageError(f"slot {slot.name!r} has no window {key!r}", hint=hint)
    return opening


def _at(slot: Slot, day: date) -> datetime:
    return datetime.combine(day, slot.at, tzinfo=UTC)


def _first_weekday(first_of_month: date, weekday: int) -> date:
    return first_of_month + timedelta(days=(weekday - first_of_month.weekday()) % 7)


def _opening_around(slot: Slot, day: date) -> datetime:
    """Return the newest opening on or before a day (so perhaps later on that day)."""
    if slot.cadence is Cadence.DAILY:
        return _at(slot, day)
    if slot.cadence is Cadence.WEEKLY:
        return _at(slot, day - timedelta(days=(day.weekday() - slot.weekday) % 7))
    first = _first_weekday(day.replace(day=1), slot.weekday)
    if first > day:
        first = _first_weekday((day.replace(day=1) - timedelta(days=1)).replace(day=1), slot.weekday)
    return _at(slot, first)
