"""What the ops database remembers of health: every result, how each check stands, hours and days. Not here: asking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from herald_pipelines.health.results import (
    Executed,
    HealthCheck,
    Key,
    Previous,
    State,
    Status,
    advance,
    key_of,
)
from herald_pipelines.records import to_json
from herald_pipelines.resources.postgres import Postgres, Session

PERIODS_AT_ONCE = 48
"""Hours or days that are counted in one go: after a long rest the next goes on with the others."""


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
        return (now - self.state.at).total_seconds() > 3 * self.state.frequency_seconds


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


def record(ops: Postgres, executed: Sequence[Executed], *, run_id: str | None, keep_months: int) -> Recorded:
    """Write results and how their checks stand now, in one transaction.

    A result that is older than what is known is a row, and changes nothing of how things stand.

    Args:
        ops: writable address of the ops database.
        executed: results, each of another check.
        run_id: of the run that asked; None: the sensor.
        keep_months: how long single results are kept.
    """
    with ops.session() as session:
        if not executed:
            return Recorded((), read_standings(session))
        session.fetch("health/keep_partitions", keep_months=keep_months)
        session.fetch("health/lock_states")
        known = read_standings(session)
        rows: list[dict[str, Any]] = []
        changed: list[Executed] = []
        for each in executed:
            before = known.get(key_of(each.check))
            step = advance(
                before.state if before is not None else None, each.result, each.check.frequency_seconds
            )
            rows.append(_row(each, step.state, step.recovered_after_seconds))
            if step.changed:
                changed.append(each)
        session.fetch("health/record_results", rows=to_json(rows), run_id=run_id)
        return Recorded(tuple(changed), read_standings(session))


def forget_gone(ops: Postgres, checks: Sequence[HealthCheck]) -> None:
    """Remove how checks stand that the settings do not have any more."""
    known = [{"subject": each.subject, "check_name": each.name} for each in checks]
    with ops.session() as session:
        session.fetch("health/delete_gone_states", known=to_json(known))


def roll_up(ops: Postgres, now: datetime) -> int:
    """Count the hours and days that are over; return how many there were.

    Each is written once and whole: a killed one leaves nothing of it, two at once write the same.
    """
    done = 0
    with ops.session() as session:
        for period in ("hour", "day"):
            periods = session.fetch("health/list_open_periods", period=period, now=now, limit=PERIODS_AT_ONCE)
            for row in periods:
                session.fetch("health/write_rollup", period=period, starts_at=row["starts_at"])
                done += 1
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
    }
