"""The calendar's file: what it says, and every mistake in it at once."""

from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest

from herald_pipelines.calendar import SHIPPED_CALENDAR, load_calendar
from herald_pipelines.errors import UsageError
from herald_pipelines.registry import TASKS
from herald_pipelines.slots import WEEKDAYS, Cadence, CatchUpPolicy, last_opening, opens_at, window_key

KNOWN = ("index_analysis", "index_rebuild", "log_rotation")


def write(folder: Path, slots: str, head: str = "version: 1\nstart: 2026-01-01\n") -> Path:
    path = folder / "calendar.yaml"
    path.write_text(f"{head}{slots}", encoding="utf-8")
    return path


def mistakes(path: Path) -> list[str]:
    with pytest.raises(UsageError) as caught:
        load_calendar(path, KNOWN)
    assert caught.value.exit_code == 2
    lines = caught.value.message.splitlines()
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]


def test_the_shipped_calendar() -> None:
    calendar = load_calendar(None, TASKS)
    backup, maintenance, inspection, deep, review = calendar.slots
    assert (inspection.name, inspection.cron) == ("inspection", "0 4 * * *")
    assert (backup.name, backup.cron, review.name, review.cron) == (
        "backup",
        "30 0 * * *",
        "monthly_review",
        "0 0 * * 0#1",
    )
    assert set(calendar.tasks) == set(TASKS)
    assert (inspection.name, inspection.cron) == ("inspection", "0 4 * * *")
    assert (maintenance.name, maintenance.cadence, maintenance.at) == (
        "maintenance",
        Cadence.DAILY,
        time(2, 0),
    )
    assert (deep.name, deep.cadence, deep.at, deep.weekday) == (
        "deep_maintenance",
        Cadence.WEEKLY,
        time(1, 0),
        6,
    )
    assert (deep.schedule_name, deep.cron) == ("deep_maintenance_weekly", "0 1 * * 0")
    assert maintenance.start == deep.start == date(2026, 1, 1)
    assert maintenance.catch_up is CatchUpPolicy.LATEST
    assert calendar.slot_of("index_rebuild") is deep
    assert calendar.slot("maintenance") is maintenance


def test_every_key(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
slots:
  night: {cadence: daily, time: 00:30, tasks: [log_rotation], catch_up: each, enabled: false}
  pulse: {cadence: minutes, every: 5, tasks: [index_analysis], catch_up: none}
  audit: {cadence: monthly, day: saturday, time: 12:00, tasks: [index_rebuild]}
""",
    )
    night, pulse, audit = load_calendar(path, KNOWN).slots
    assert (night.at, night.catch_up, night.enabled) == (time(0, 30), CatchUpPolicy.EACH, False)
    assert (pulse.every_minutes, pulse.cron, pulse.schedule_name) == (5, "*/5 * * * *", "pulse_minutes")
    assert (audit.at, audit.cron, audit.enabled) == (time(12, 0), "0 12 * * 6#1", True)


def test_unquoted_times_are_times(tmp_path: Path) -> None:
    # YAML 1.1 reads 12:30 as the number 750.
    path = write(tmp_path, "slots:\n  noon: {cadence: daily, time: 12:30, tasks: [log_rotation]}\n")
    assert load_calendar(path, KNOWN).slots[0].at == time(12, 30)


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
zone: Europe/Paris
slots:
  early: {cadence: daily, time: "25:00", tasks: [log_rotation, defrag]}
  Late-1: {cadence: daily, time: "03:00", tasks: [log_rotation]}
  weekly: {cadence: weekly, time: "03:00", tasks: [index_rebuild], colour: blue}
  pulse: {cadence: minutes, every: 7, time: "03:00", tasks: [], enabled: "yes"}
  other: {cadence: hourly, tasks: index_analysis, catch_up: some}
  empty:
""",
        head="version: 2\nstart: yesterday\n",
    )
    assert mistakes(path) == [
        "1: version: unknown version 2 (known: 1)",
        "2: start: bad day 'yesterday' (write YYYY-MM-DD, 2000-01-01 to 2099-12-31)",
        "4: zone: unknown key (known: version, start, slots)",
        "6: slots.early.tasks.1: unknown task 'defrag' (known: index_analysis, index_rebuild, log_rotation)",
        "6: slots.early.time: bad time '25:00' (write HH:MM in UTC, 00:00 to 23:59)",
        "7: slots.Late-1: bad name 'Late-1' (lower-case letters, digits and _)",
        "7: slots.Late-1.tasks.0: task 'log_rotation' already stands in slot 'early'",
        "8: slots.weekly.colour: unknown key (known: cadence, time, day, every, catch_up, enabled, tasks)",
        f"8: slots.weekly.day: missing (known: {', '.join(WEEKDAYS)})",
        "9: slots.pulse.enabled: unknown value 'yes' (known: true, false)",
        "9: slots.pulse.every: unknown value 7 (known: 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)",
        "9: slots.pulse.tasks: must be a list of at least one task",
        "9: slots.pulse.time: not for cadence minutes (it takes every)",
        "10: slots.other.cadence: unknown value 'hourly' (known: daily, weekly, monthly, minutes)",
        "10: slots.other.catch_up: unknown value 'some' (known: latest, each, none)",
        "10: slots.other.tasks: must be a list of at least one task",
        "11: slots.empty: missing",
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "is empty"),
        ("- a\n", "must be a mapping"),
        ("version: 1\nstart: 2026-01-01\nslots: {}\n", "slots: no slot"),
        ("version: 1\nstart: 2026-01-01\n", "slots: missing"),
        ("version: true\nstart: 20260101\nslots: {}\n", "version: unknown version True"),
        ("version: 1\nstart: 20260101\nslots: {}\n", "start: bad day 20260101"),
        ("version: 1\nstart: 0001-01-01\nslots: {}\n", "start: bad day '0001-01-01'"),
        ("version: 1\nstart: 9999-12-31\nslots: {}\n", "start: bad day '9999-12-31'"),
        ("version: [1\n", "not valid YAML"),
        ("version: 1\nversion: 1\nstart: 2026-01-01\nslots: {}\n", "version: stands here twice"),
        ("slots: &a\n  b: *a\n", "holds an alias (*name) of itself"),
        ("version: !!python/object:os.system x\n", "not valid YAML"),
    ],
)
def test_files_that_are_no_calendar(tmp_path: Path, text: str, mistake: str) -> None:
    path = tmp_path / "calendar.yaml"
    path.write_text(text, encoding="utf-8")
    assert any(mistake in line for line in mistakes(path)), mistakes(path)


def test_a_slot_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
slots:
  night: {cadence: daily, time: "02:00", tasks: [log_rotation]}
  night: {cadence: daily, time: "03:00", tasks: [index_analysis]}
""",
    )
    assert mistakes(path) == ["6: slots.night: stands here twice"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read") as caught:
        load_calendar(tmp_path / "none.yaml", KNOWN)
    assert caught.value.exit_code == 2


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    calendar = load_calendar(None, TASKS)
    known = "backup, deep_maintenance, inspection, maintenance, monthly_review"
    with pytest.raises(UsageError, match=rf"unknown slot 'x' \(known: {known}\)"):
        calendar.slot("x")
    with pytest.raises(
        UsageError, match=r"unknown task 'x' \(known: application_backup, .*index_rebuild.*\)"
    ):
        calendar.slot_of("x")


def test_the_shipped_file_explains_every_key() -> None:
    text = SHIPPED_CALENDAR.read_text(encoding="utf-8")
    assert all(f"{key}:" in text for key in ("cadence", "time", "day", "catch_up", "enabled", "tasks"))


def test_a_calendar_begins_with_the_window_that_is_open_when_a_day_begins():
    calendar = load_calendar(None, TASKS).beginning(date(2026, 11, 24))
    assert calendar.slot("maintenance").start == date(2026, 11, 23)
    assert calendar.slot("deep_maintenance").start == date(2026, 11, 22)
    for hour in range(24):
        for slot in calendar.slots:
            newest = last_opening(slot, datetime(2026, 11, 24, hour, tzinfo=UTC))
            assert opens_at(slot, window_key(slot, newest)) == newest
    assert calendar.beginning(date(2020, 1, 1)) == calendar
