"""The maintenance calendar, read from its YAML file: every mistake at once, with file and key path.

Not here: what a slot and its windows are (slots).
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Any, cast

import yaml

from herald_pipelines.errors import UsageError, unknown_value
from herald_pipelines.slots import WEEKDAYS, Cadence, CatchUpPolicy, Slot

SHIPPED_CALENDAR = Path(__file__).with_name("calendar.yaml")
VERSION = "1"
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


@dataclass(frozen=True)
class Calendar:
    """All slots, in the order of the file; every task stands in exactly one of them."""

    slots: tuple[Slot, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of all tasks, slot by slot."""
        return tuple(task for slot in self.slots for task in slot.tasks)

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
        UsageError: the file is not there, or holds mistakes: all of them, one a line, with file and key path.
    """
    source = path or SHIPPED_CALENDAR
    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"calendar {source} cannot be read: {error}") from error
    reader = _Reader(source, known_tasks)
    calendar = reader.read(text)
    if reader.mistakes or calendar is None:
        raise UsageError(
            "\n".join(reader.mistakes), hint=f"the shipped calendar is an example: {SHIPPED_CALENDAR}"
        )
    return calendar


class _PlainLoader(yaml.SafeLoader):
    """Reads every scalar as the text that stands there: 12:00 is a time, not the sexagesimal number 720."""


_PlainLoader.yaml_implicit_resolvers = {}


class _Reader:
    """Reads one calendar file and collects what is wrong with it."""

    def __init__(self, source: Path, known_tasks: Collection[str]) -> None:
        self.source = source
        self.known_tasks = known_tasks
        self.mistakes: list[str] = []
        self._slot_of: dict[str, str] = {}

    def read(self, text: str) -> Calendar | None:
        loader: Any = _PlainLoader(text)
        try:
            node = loader.get_single_node()
            self._refuse_duplicates(node, "")
            content = loader.construct_document(node) if node else None
        except yaml.YAMLError as error:
            self._mistake("", f"not YAML: {' '.join(str(error).split())}")
            return None
        top = self._mapping(content, "", CALENDAR_KEYS)
        if top is None:
            return None
        if top.get("version") != VERSION:
            self._mistake("version", f"unknown version {top.get('version')!r} (known: {VERSION})")
        start = self._day(top.get("start"), "start")
        slots = self._mapping(top.get("slots"), "slots", None)
        if slots is not None and not slots:
            self._mistake("slots", "no slot")
        read = [self._slot(name, entry, start) for name, entry in (slots or {}).items()]
        return Calendar(tuple(slot for slot in read if slot))

    def _slot(self, name: str, entry: object, start: date) -> Slot | None:
        path = f"slots.{name}"
        if not NAME_PATTERN.fullmatch(name):
            self._mistake(path, f"bad name {name!r} (lower-case letters, digits and _)")
        fields = self._mapping(entry, path, SLOT_KEYS)
        if fields is None:
            return None
        tasks = self._tasks(name, fields.get("tasks"), f"{path}.tasks")
        policy = self._one_of(fields.get("catch_up", "latest"), tuple(CatchUpPolicy), f"{path}.catch_up")
        enabled = self._one_of(fields.get("enabled", "true"), ("true", "false"), f"{path}.enabled")
        cadence = self._one_of(fields.get("cadence"), tuple(Cadence), f"{path}.cadence")
        if cadence is None or policy is None:
            return None
        wanted = CADENCE_KEYS[Cadence(cadence)]
        for key in ("time", "day", "every"):
            if key in fields and key not in wanted:
                self._mistake(f"{path}.{key}", f"not for cadence {cadence} (it takes {', '.join(wanted)})")
        day = self._one_of(fields.get("day"), WEEKDAYS, f"{path}.day") if "day" in wanted else "sunday"
        known_every = tuple(str(each) for each in EVERY_MINUTES)
        every = self._one_of(fields.get("every"), known_every, f"{path}.every") if "every" in wanted else "60"
        return Slot(
            name=name,
            cadence=Cadence(cadence),
            tasks=tasks,
            start=start,
            at=self._time(fields.get("time"), f"{path}.time") if "time" in wanted else time(0, 0),
            weekday=WEEKDAYS.index(day or "sunday"),
            every_minutes=int(every or 60),
            catch_up=CatchUpPolicy(policy),
            enabled=enabled == "true",
        )

    def _tasks(self, slot: str, entry: object, path: str) -> tuple[str, ...]:
        if not isinstance(entry, list) or not entry:
            self._mistake(path, "must be a list of at least one task")
            return ()
        tasks: list[str] = []
        for position, task in enumerate(cast("list[object]", entry)):
            where = f"{path}[{position}]"
            if self._one_of(task, sorted(self.known_tasks), where, what="task") is None:
                continue
            name = cast("str", task)
            if name in self._slot_of:
                self._mistake(where, f"task {name!r} already stands in slot {self._slot_of[name]!r}")
            self._slot_of.setdefault(name, slot)
            tasks.append(name)
        return tuple(tasks)

    def _mapping(
        self, value: object, path: str, known: Collection[str] | None
    ) -> Mapping[str, object] | None:
        if not isinstance(value, dict):
            self._mistake(path, "missing" if value is None else f"must be a mapping, not {str(value)[:60]!r}")
            return None
        mapping = {str(key): each for key, each in cast("dict[object, object]", value).items()}
        for key in mapping if known is not None else ():
            if known is not None and key not in known:
                self._mistake(f"{path}.{key}" if path else key, f"unknown key (known: {', '.join(known)})")
        return mapping

    def _one_of(self, value: object, known: Collection[str], path: str, *, what: str = "value") -> str | None:
        if isinstance(value, str) and value in known:
            return value
        names = ", ".join(known) or "none"
        self._mistake(
            path,
            f"missing (known: {names})" if value is None else f"unknown {what} {value!r} (known: {names})",
        )
        return None

    def _day(self, value: object, path: str) -> date:
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self._mistake(
                path, f"bad day {value!r} (write YYYY-MM-DD)" if value else "missing (write YYYY-MM-DD)"
            )
            return date(1970, 1, 1)

    def _time(self, value: object, path: str) -> time:
        if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
            return time.fromisoformat(value)
        form = "(write HH:MM in UTC, 00:00 to 23:59)"
        self._mistake(path, f"missing {form}" if value is None else f"bad time {value!r} {form}")
        return time(0, 0)

    def _refuse_duplicates(self, node: yaml.Node | None, path: str) -> None:
        """YAML keeps the last of two equal keys without a word, and with it one of two slots."""
        if not isinstance(node, yaml.MappingNode):
            return
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            where = f"{path}.{name}" if path else name
            if name in seen:
                self._mistake(where, "stands here twice")
            seen.add(name)
            self._refuse_duplicates(value, where)

    def _mistake(self, path: str, sentence: str) -> None:
        self.mistakes.append(f"{self.source}: {path}: {sentence}" if path else f"{self.source}: {sentence}")
