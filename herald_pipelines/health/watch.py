"""The watch: looks at what is due, again and again, in one process. Not here: Dagster (health_sensor.py)."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock

from herald_pipelines.errors import HeraldError
from herald_pipelines.health.history import (
    RIPE_AFTER,
    Standing,
    advance_standings,
    drop_old,
    forget_gone,
    previous_of,
    read_standings,
    record,
    roll_up,
)
from herald_pipelines.health.results import Executed, HealthCheck, Key, State, is_due, key_of
from herald_pipelines.health.runner import Runner
from herald_pipelines.records import describe_error
from herald_pipelines.resources.postgres import Postgres

CHECKS_SECONDS, LOOK_SECONDS = 25.0, 45.0
"""How long the checks of a look are waited for, and how long it may go on to count hours: Dagster gives a sensor 60 s."""
STATEMENT_SECONDS = 5.0
"""For a statement on the ops database, which in the worst case takes ten to connect to, twice."""
AT_ONCE = 1_000
"""Results that are written in one transaction."""
MOST_KEPT = 20_000
"""Results that are kept while the ops database cannot be written, in some 20 MB; 16 hours of 20 checks a minute."""


@dataclass(frozen=True)
class Look:
    """What one look found."""

    asked: int
    changed: tuple[Key, ...]
    """Checks whose status is another one than before, as far as they could be written."""
    standings: Mapping[Key, Standing]
    """How all stand now."""
    rolled_up: int = 0
    """Hours and days that were counted."""
    problems: tuple[str, ...] = ()
    """What the ops database refused; the next look tries again."""
    unwritten: int = 0
    """Results that wait for it."""


@dataclass
class Watch:
    """What one process keeps from a look to the next.

    While the ops database is away the checks are asked as before, by what was known last, and their results wait here: what
    is lost with the process is a gap. Two processes may watch at once, and each asks.
    """

    runner: Runner = field(default_factory=Runner)
    _known: dict[Key, Standing] = field(default_factory=dict[Key, Standing])
    _unwritten: list[Executed] = field(default_factory=list[Executed])
    _counted_at: datetime | None = None
    """When the hours and days were counted last, by this process: none was lost with one that was killed."""
    _busy: Lock = field(default_factory=Lock)

    def look(
        self, ops: Postgres, checks: Sequence[HealthCheck], now: datetime, *, keep_months: int
    ) -> Look | None:
        """Ask what is due, keep the results, and count the hours and days that are over.

        Args:
            ops: writable address of the ops database.
            checks: all that there are.
            now: the time, UTC.
            keep_months: how long single results are kept.

        Returns:
            What was found; None where the look before has not ended yet.
        """
        if not self._busy.acquire(blocking=False):
            return None
        try:
            ops = replace(ops, statement_timeout_seconds=STATEMENT_SECONDS)
            return self._look(ops, checks, now, keep_months)
        finally:
            self._busy.release()

    def _look(self, ops: Postgres, checks: Sequence[HealthCheck], now: datetime, keep_months: int) -> Look:
        ends_at = time.monotonic() + LOOK_SECONDS
        problems: list[str] = []
        keys = {key_of(each) for each in checks}
        if not self._unwritten:
            self._read(ops, problems)
        due = [each for each in checks if is_due(each, self._state(each), now)]
        # Who was not reached in the last look comes first in this one.
        due.sort(
            key=lambda each: state.at if (state := self._state(each)) else datetime.min.replace(tzinfo=UTC)
        )
        executed = self.runner.run(due, previous_of(self._known), now, within_seconds=CHECKS_SECONDS)
        changed: tuple[Key, ...] = ()
        self._unwritten = [*self._unwritten, *executed][-MOST_KEPT:]
        if not problems:
            changed = self._write(ops, checks, ends_at, problems)
        if self._unwritten:
            self._known = advance_standings(self._known, executed)
        rolled_up = 0
        if not problems and self._is_hour_over(now):
            rolled_up = self._count(ops, now, ends_at, keep_months, problems)
        return Look(
            asked=len(executed),
            changed=changed,
            standings={key: each for key, each in self._known.items() if key in keys},
            rolled_up=rolled_up,
            problems=tuple(problems),
            unwritten=len(self._unwritten),
        )

    def _state(self, check: HealthCheck) -> State | None:
        standing = self._known.get(key_of(check))
        return None if standing is None else standing.state

    def _read(self, ops: Postgres, problems: list[str]) -> None:
        try:
            with ops.session() as session:
                self._known = read_standings(session)
        except HeraldError as error:
            problems.append(describe_error(error))

    def _write(
        self, ops: Postgres, checks: Sequence[HealthCheck], ends_at: float, problems: list[str]
    ) -> tuple[Key, ...]:
        changed: list[Key] = []
        try:
            while self._unwritten and time.monotonic() < ends_at:
                recorded = record(ops, self._unwritten[:AT_ONCE], run_id=None)
                self._unwritten, self._known = self._unwritten[AT_ONCE:], dict(recorded.standings)
                changed += [key_of(each.check) for each in recorded.changed]
            if self._known.keys() - {key_of(each) for each in checks}:
                forget_gone(ops, checks)
        except HeraldError as error:
            problems.append(describe_error(error))
        return tuple(changed)

    def _is_hour_over(self, now: datetime) -> bool:
        """Whether an hour became ripe for counting since it was done last, or nobody knows."""
        last = self._counted_at
        return last is None or _hour(last - RIPE_AFTER) != _hour(now - RIPE_AFTER)

    def _count(
        self, ops: Postgres, now: datetime, ends_at: float, keep_months: int, problems: list[str]
    ) -> int:
        rolled_up = 0

        def left_seconds() -> float:
            return ends_at - time.monotonic()

        try:
            patient = replace(ops, statement_timeout_seconds=max(left_seconds(), STATEMENT_SECONDS))
            rolled_up = roll_up(patient, now, left_seconds=left_seconds)
            self._counted_at = now
            drop_old(ops, keep_months)
        except HeraldError as error:
            problems.append(describe_error(error))
        return rolled_up


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
