"""What the ops database remembers of health: every result, how each check stands, hours and days. Not here: asking."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from herald_pipelines.errors import TransientFailure
from herald_pipelines.health.results import (
    STANDS_FOR,
    Executed,
    HealthCheck,
    Key,
    Previous,
    State,
    Status,
    advance,
    key_of,
    stands,
)
from herald_pipelines.records import to_json
from herald_pipelines.resources.postgres import Postgres, Session

RIPE_AFTER = timedelta(minutes=5)
"""How long after its end an hour or a day is counted: by then all its results are written."""


@dataclass(frozen=True)
class Standing:
    """How a check stands, as the ops database has it."""

    subject: str
    check: str
    critical: bool
    message: str
    state: State
    duration_seconds: float

    @property
    def key(self) -> Key:
        """What the check is known by."""
        return self.subject, self.check

    def is_stale(self, now: datetime) -> bool:
        """Whether its newest result says nothing any more."""
        return now - self.state.at > stands(self.state.frequency_seconds)


@dataclass(frozen=True)
class Recorded:
    """What became of results."""

    changed: tuple[Executed, ...]
    """Those whose status is another one than before."""
    standings: Mapping[Key, Standing]
    """How all checks stand now."""


def read_standings(session: Session) -> dict[Key, Standing]:
    """Return how every check stands."""
    return {
        (row["subject"], row["check_name"]): Standing(
            subject=row["subject"],
            check=row["check_name"],
            critical=row["critical"],
            message=row["message"],
            state=State(
                status=Status(row["status"]),
                at=row["at"],
                since=row["since"],
                down_since=row["down_since"],
                frequency_seconds=row["frequency_seconds"],
                metrics=row["metrics"],
            ),
            duration_seconds=row["duration_seconds"],
        )
        for row in session.fetch("health/list_states")
    }


def previous_of(standings: Mapping[Key, Standing]) -> dict[Key, Previous]:
    """Return what checks said before, for those that judge what changed since."""
    return {key: Previous(each.state.at, each.state.metrics) for key, each in standings.items()}


def advance_standings(standings: Mapping[Key, Standing], executed: Sequence[Executed]) -> dict[Key, Standing]:
    """Return how checks stand after results that are not written yet."""
    found = dict(standings)
    for each in executed:
        check, result, key = each.check, each.result, key_of(each.check)
        before = found[key].state if key in found else None
        found[key] = Standing(
            subject=check.subject,
            check=check.name,
            critical=check.critical,
            message=result.message,
            state=advance(before, result, check.frequency_seconds).state,
            duration_seconds=result.duration_seconds,
        )
    return found


def record(ops: Postgres, executed: Sequence[Executed], *, run_id: str | None) -> Recorded:
    """Write results and how their checks stand now, in one transaction. The same again changes nothing.

    A result that is older than what is known is a row, and changes nothing of how things stand.

    Args:
        ops: writable address of the ops database.
        executed: results; several of one check where they could not be written before.
        run_id: of the run that asked; None: the sensor.

    Raises:
        HeraldError: nothing of it is written, or it is not known whether it is.
    """
    with ops.session() as session:
        if not executed:
            return Recorded((), read_standings(session))
        # First, so that nobody makes the same partition at the same time.
        session.fetch("health/lock_states")
        states = {key: each.state for key, each in read_standings(session).items()}
        rows: dict[Key, dict[str, Any]] = {}
        older: list[dict[str, Any]] = []
        changed: list[Executed] = []
        for each in sorted(executed, key=lambda each: each.result.timestamp):
            key = key_of(each.check)
            step = advance(states.get(key), each.result, each.check.frequency_seconds)
            states[key] = step.state
            if key in rows:
                older.append(rows[key] | {"is_newest": False})
            rows[key] = _row(each, step.state, step.recovered_after_seconds)
            if step.changed:
                changed.append(each)
        written = to_json([*older, *rows.values()])
        session.fetch("health/add_partitions", rows=written)
        session.fetch("health/record_results", rows=written, run_id=run_id)
        return Recorded(tuple(changed), read_standings(session))


def forget_gone(ops: Postgres, checks: Sequence[HealthCheck]) -> None:
    """Remove how checks stand that the settings do not have any more."""
    known = [{"subject": each.subject, "check_name": each.name} for each in checks]
    with ops.session() as session:
        session.fetch("health/delete_gone_states", known=to_json(known))


def drop_old(ops: Postgres, keep_months: int) -> int:
    """Drop the single results of months that are older than so many; return how many months that were.

    Raises:
        LockTimeout: somebody reads them.
    """
    with ops.session() as session:
        return int(session.fetch_one("health/drop_partitions", keep_months=keep_months)["dropped"])


def roll_up(ops: Postgres, now: datetime, *, left_seconds: Callable[[], float] = lambda: math.inf) -> int:
    """Count the hours and days that are over, the oldest first; return how many came to be counted, or became others.

    Each is one statement: a killed one leaves nothing of its period, two at once write the same, and the next one goes on
    where this one stopped.

    Args:
        ops: writable address of the ops database.
        now: the time, UTC.
        left_seconds: how much time is left.

    Raises:
        TransientFailure: there was not time enough for all.
    """
    done = 0
    with ops.session(autocommit=True) as session:
        for period in ("hour", "day"):
            for row in session.fetch("health/list_open_periods", period=period, until=now - RIPE_AFTER):
                if left_seconds() <= 0:
                    raise TransientFailure(f"not all hours and days could be counted in time: {done} were")
                done += bool(
                    session.fetch(
                        "health/write_rollup",
                        period=period,
                        starts_at=row["starts_at"],
                        stands_for=STANDS_FOR,
                    )
                )
    return done


def _row(executed: Executed, state: State, recovered_after_seconds: float | None) -> dict[str, Any]:
    result, check = executed.result, executed.check
    return {
        "at": result.timestamp,
        "subject": check.subject,
        "check_name": check.name,
        "status": result.status.value,
        "critical": check.critical,
        "message": result.message,
        "metrics": result.metrics,
        "duration_seconds": result.duration_seconds,
        "frequency_seconds": check.frequency_seconds,
        "recovered_after_seconds": recovered_after_seconds,
        "since": state.since,
        "down_since": state.down_since,
        "state_metrics": state.metrics,
        "is_newest": True,
    }
