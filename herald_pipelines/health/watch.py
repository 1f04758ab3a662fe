"""One look at everything that is due, and the description of it for machines and for the UI. Not here: Dagster."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from herald_pipelines.health.history import (
    Standing,
    forget_gone,
    previous_of,
    read_standings,
    record,
    roll_up,
)
from herald_pipelines.health.results import BADNESS, Executed, HealthCheck, Key, State, Status, is_due, key_of
from herald_pipelines.health.runner import Runner
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.tasks import CheckVerdict, Markdown

MOST_NAMED = 10
RIPE_AFTER = timedelta(minutes=5)
"""How long after its end an hour is counted, as list_open_periods has it."""
LOOK_SECONDS = 35.0
"""How long a look of the sensor may take: Dagster gives it 60 s."""


@dataclass(frozen=True)
class Look:
    """What one look found."""

    asked: int
    changed: tuple[Key, ...]
    """Checks whose status is another one than before."""
    standings: Mapping[Key, Standing]
    """How all stand now."""
    rolled_up: int
    """Hours and days that were counted."""


def look(
    ops: Postgres, checks: Sequence[HealthCheck], runner: Runner, now: datetime, *, keep_months: int
) -> Look:
    """Ask what is due, keep the results, and count the hours and days that are over.

    Raises:
        HeraldError: the ops database could not be read or written; what was found is then not known.
    """
    with ops.session() as session:
        known = read_standings(session)
    due = [each for each in checks if is_due(each, _state(known, each), now)]
    executed = runner.run(due, previous_of(known), now, within_seconds=LOOK_SECONDS)
    recorded = record(ops, executed, run_id=None, keep_months=keep_months)
    keys = {key_of(each) for each in checks}
    if known.keys() - keys:
        forget_gone(ops, checks)
    return Look(
        asked=len(executed),
        changed=tuple(key_of(each.check) for each in recorded.changed),
        standings={key: each for key, each in recorded.standings.items() if key in keys},
        rolled_up=roll_up(ops, now) if _is_hour_over(known, now) else 0,
    )


def _is_hour_over(known: Mapping[Key, Standing], now: datetime) -> bool:
    """Whether an hour became ripe for counting since the look before; the next hour makes up for one that failed."""
    last = max((each.state.at for each in known.values()), default=None)
    return last is None or _hour(last - RIPE_AFTER) != _hour(now - RIPE_AFTER)


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _state(known: Mapping[Key, Standing], check: HealthCheck) -> State | None:
    standing = known.get(key_of(check))
    return None if standing is None else standing.state


def fingerprint(standings: Mapping[Key, Standing]) -> str:
    """Return what is the same as long as no check has another status: what was told last, in a few bytes."""
    rows = sorted((*key, each.state.status.value) for key, each in standings.items())
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def count(statuses: Iterable[Status]) -> dict[str, int]:
    """Count statuses, by name, those that are not there too."""
    counts = Counter(statuses)
    return {status.value: counts[status] for status in Status}


def judge(rows: Sequence[tuple[str, bool, Status, str]]) -> tuple[CheckVerdict, CheckVerdict]:
    """Return the verdicts on all: that nothing critical is unhealthy, and that everything is well.

    Args:
        rows: name, whether critical, status and message of each check.
    """
    down = [row for row in rows if row[1] and row[2] is Status.UNHEALTHY]
    ill = [row for row in rows if row[2] in (Status.UNHEALTHY, Status.DEGRADED)]
    unknown = sum(row[2] is Status.UNKNOWN for row in rows)
    note = f"; {unknown} not known" if unknown else ""
    return (
        CheckVerdict(
            "critical_checks_healthy",
            passed=not down,
            is_error=True,
            summary=_name(down) or f"nothing critical is unhealthy{note}",
            metadata={"unhealthy": len(down)},
        ),
        CheckVerdict(
            "no_unhealthy_checks",
            passed=not ill,
            is_error=False,
            summary=_name(ill) or f"nothing is degraded or unhealthy{note}",
            metadata={"degraded_or_unhealthy": len(ill), "unknown": unknown},
        ),
    )


def verdict_rows(standings: Mapping[Key, Standing], now: datetime) -> list[tuple[str, bool, Status, str]]:
    """Return what `judge` takes; a result that stands no more is unknown."""
    return [
        (
            f"{each.subject}/{each.check}",
            each.critical,
            Status.UNKNOWN if each.is_stale(now) else each.state.status,
            each.message,
        )
        for each in standings.values()
    ]


def executed_rows(executed: Sequence[Executed]) -> list[tuple[str, bool, Status, str]]:
    """Return the same of results."""
    return [
        (
            f"{each.check.subject}/{each.check.name}",
            each.check.critical,
            each.result.status,
            each.result.message,
        )
        for each in executed
    ]


def table(rows: Iterable[tuple[str, bool, Status, str]]) -> Markdown:
    """Return a table for the UI, the worst first."""
    lines = ["| check | status | |", "|---|---|---|"]
    for name, critical, status, message in sorted(rows, key=lambda row: (-BADNESS.index(row[2]), row[0])):
        shown = message.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {name}{' (critical)' if critical else ''} | {status.value} | {shown} |")
    return Markdown("\n".join(lines))


def describe(executed: Sequence[Executed], known: Mapping[Key, Standing]) -> list[dict[str, Any]]:
    """Return results as a document has them, by subject and name, with since when the status has been so."""
    rows: list[dict[str, Any]] = []
    for each in sorted(executed, key=lambda each: key_of(each.check)):
        before = known.get(key_of(each.check))
        same = before is not None and before.state.status is each.result.status
        rows.append(
            {
                "subject": each.check.subject,
                "check": each.check.name,
                "critical": each.check.critical,
                "status": each.result.status.value,
                "message": each.result.message,
                "metrics": dict(each.result.metrics),
                "at": each.result.timestamp.isoformat(),
                "duration_seconds": each.result.duration_seconds,
                "frequency_seconds": each.check.frequency_seconds,
                "since": before.state.since.isoformat() if same and before is not None else None,
            }
        )
    return rows


def _name(rows: Sequence[tuple[str, bool, Status, str]]) -> str:
    named = [f"{name} {status.value}: {message}" for name, _, status, message in rows[:MOST_NAMED]]
    more = f" and {len(rows) - MOST_NAMED} more" if len(rows) > MOST_NAMED else ""
    return f"{'; '.join(named)}{more}"
