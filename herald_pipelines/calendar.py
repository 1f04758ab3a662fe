"""The maintenance calendar, read from its YAML file: every mistake at once, with file and key path.

Not here: what a slot and its windows are (slots).
"""

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TypeVar, cast

from herald_pipelines.errors import UsageError, unknown_value
from herald_pipelines.settings.document import KeyPath, parse_document
from herald_pipelines.settings.files import MOST_YAML_BYTES, explain, read_text_file
from herald_pipelines.slots import (
    FIRST_DAY,
    LAST_DAY,
    WEEKDAYS,
    Cadence,
    CatchUpPolicy,
    Slot,
    last_opening,
)

SHIPPED_CALENDAR = Path(__file__).with_name("calendar.yaml")
VERSIONS = (1,)
# The divisors of 60: cron's */N is regular for no other.
EVERY_MINUTES = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)
NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]*")
CALENDAR_KEYS = ("version", "start", "slots")
SLOT_KEYS = ("cadence", "time", "day", "every", "catch_up", "enabled", "tasks")
CADENCE_KEYS = {
    Cadence.DAILY: ("time",),
    Cadence.WEEKLY: ("time", "day"),
    Cadence.MONTHLY: ("time", "day"),
    Cadence.MINUTES: ("every",),
}

_Value = TypeVar("_Value", str, int)


@dataclass(frozen=True)
class Calendar:
    """All slots, in the order of the file; every task stands in exactly one of them."""

    slots: tuple[Slot, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of all tasks, slot by slot."""
        return tuple(task for slot in self.slots for task in slot.tasks)

    def beginning(self, day: date) -> "Calendar":
        """Return the same calendar without the windows before the one of each slot that is open when a day begins.

        It is the newest until that day's opens, so a task can run at any hour of the day.
        """
        begin = datetime.combine(day, time(0, 0), tzinfo=UTC)
        return Calendar(
            tuple(
                replace(slot, start=max(slot.start, last_opening(slot, begin).date())) for slot in self.slots
            )
        )

    def slot(self, name: str) -> Slot:
        """Return the slot of a name.

        Raises:
            UsageError: there is none.
        """
        for slot in self.slots:
            if slot.name == name:
                return slot
        raise unknown_value("slot", name, (slot.name for slot in self.slots))

    def slot_of(self, task: str) -> Slot:
        """Return the slot in which a task stands.

        Raises:
            UsageError: it stands in none.
        """
        for slot in self.slots:
            if task in slot.tasks:
                return slot
        raise unknown_value("task", task, self.tasks, hint="the calendar lists the tasks of every slot")


def load_calendar(path: Path | None, known_tasks: Collection[str]) -> Calendar:
    """Read and check a calendar.

    Args:
        path: the YAML file; None for the one that is shipped.
        known_tasks: the tasks that exist.

    Raises:
        UsageError: the file is not there, or holds mistakes: all of them, each with file, line and key.
    """
    source = path or SHIPPED_CALENDAR
    try:
        text = read_text_file(source, MOST_YAML_BYTES).text
    except OSError as error:
        raise UsageError(f"calendar {source} cannot be read: {explain(error)}") from None
    document = parse_document(text, str(source))
    reader = _Reader(known_tasks)
    calendar = reader.read(document.data)
    reader.mistakes.extend((path, "stands here twice") for path in document.duplicates)
    if reader.mistakes:
        found = sorted((document.line_of(where), ".".join(where), text) for where, text in reader.mistakes)
        raise UsageError(
            "\n".join(f"{source}:{line}: {key}: {text}" for line, key, text in found),
            hint=f"the shipped calendar is an example: {SHIPPED_CALENDAR}",
        )
    return calendar


class _Reader:
    """Reads one calendar file and collects what is wrong with it."""

    def __init__(self, known_tasks: Collection[str]) -> None:
        self.known_tasks = known_tasks
        self.mistakes: list[tuple[KeyPath, str]] = []
        self._slot_of: dict[str, str] = {}

    def read(self, data: Mapping[str, object]) -> Calendar:
        top = self._mapping(data, (), CALENDAR_KEYS)
        self._one_of(top.get("version"), VERSIONS, ("version",), what="version")
        start = self._day(top.get("start"), ("start",))
        slots = self._mapping(top.get("slots"), ("slots",), None)
        if top.get("slots") == {}:
            self._mistake(("slots",), "no slot")
        read = [self._slot(name, entry, start) for name, entry in slots.items()]
        return Calendar(tuple(slot for slot in read if slot))

    def _slot(self, name: str, entry: object, start: date) -> Slot | None:
        path = ("slots", name)
        if not NAME_PATTERN.fullmatch(name):
            self._mistake(path, f"bad name {name!r} (lower-case letters, digits and _)")
        fields = self._mapping(entry, path, SLOT_KEYS)
        if not fields:
            return None
        tasks = self._tasks(name, fields.get("tasks"), (*path, "tasks"))
        policy = self._one_of(fields.get("catch_up", "latest"), tuple(CatchUpPolicy), (*path, "catch_up"))
        enabled = self._one_of(fields.get("enabled", True), (True, False), (*path, "enabled"))
        cadence = self._one_of(fields.get("cadence"), tuple(Cadence), (*path, "cadence"))
        if cadence is None or policy is None:
            return None
        wanted = CADENCE_KEYS[Cadence(cadence)]
        for key in ("time", "day", "every"):
            if key in fields and key not in wanted:
                self._mistake((*path, key), f"not for cadence {cadence} (it takes {', '.join(wanted)})")
        day = self._one_of(fields.get("day"), WEEKDAYS, (*path, "day")) if "day" in wanted else None
        every = (
            self._one_of(fields.get("every"), EVERY_MINUTES, (*path, "every")) if "every" in wanted else None
        )
        return Slot(
            name=name,
            cadence=Cadence(cadence),
            tasks=tasks,
            start=start,
            at=self._time(fields.get("time"), (*path, "time")) if "time" in wanted else time(0, 0),
            weekday=WEEKDAYS.index(day or "sunday"),
            every_minutes=every or 60,
            catch_up=CatchUpPolicy(policy),
            enabled=enabled is True,
        )

    def _tasks(self, slot: str, entry: object, path: KeyPath) -> tuple[str, ...]:
        if not isinstance(entry, list) or not entry:
            self._mistake(path, "must be a list of at least one task")
            return ()
        tasks: list[str] = []
        for position, task in enumerate(cast("list[object]", entry)):
            where = (*path, str(position))
            name = self._one_of(task, sorted(self.known_tasks), where, what="task")
            if name is None:
                continue
            if name in self._slot_of:
                self._mistake(where, f"task {name!r} already stands in slot {self._slot_of[name]!r}")
            self._slot_of.setdefault(name, slot)
            tasks.append(name)
        return tuple(tasks)

    def _mapping(self, value: object, path: KeyPath, known: Collection[str] | None) -> Mapping[str, object]:
        """Return a mapping whose keys are known, or an empty one and a mistake."""
        if not isinstance(value, dict):
            self._mistake(path, "missing" if value is None else f"must be a mapping, not {str(value)[:60]!r}")
            return {}
        mapping = {str(key): each for key, each in cast("dict[object, object]", value).items()}
        if known is not None:
            for key in mapping.keys() - set(known):
                self._mistake((*path, key), f"unknown key (known: {', '.join(known)})")
        return mapping

    def _one_of(
        self, value: object, known: Sequence[_Value], path: KeyPath, *, what: str = "value"
    ) -> _Value | None:
        for each in known:
            # 1 == True in Python, and not in a calendar.
            if value == each and isinstance(value, bool) == isinstance(each, bool):
                return each
        names = ", ".join(str(each).lower() for each in known) or "none"
        self._mistake(
            path,
            f"missing (known: {names})" if value is None else f"unknown {what} {value!r} (known: {names})",
        )
        return None

    def _day(self, value: object, path: KeyPath) -> date:
        form = f"(write YYYY-MM-DD, {FIRST_DAY} to {LAST_DAY})"
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            with suppress(ValueError):
                day = date.fromisoformat(value)
                if FIRST_DAY <= day <= LAST_DAY:
                    return day
        self._mistake(path, f"missing {form}" if value is None else f"bad day {value!r} {form}")
        return FIRST_DAY

    def _time(self, value: object, path: KeyPath) -> time:
        if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
            return time.fromisoformat(value)
        form = "(write HH:MM in UTC, 00:00 to 23:59)"
        self._mistake(path, f"missing {form}" if value is None else f"bad time {value!r} {form}")
        return time(0, 0)

    def _mistake(self, path: KeyPath, sentence: str) -> None:
        self.mistakes.append((path, sentence))
