"""Vacuums and analyzes one table between the opening and the closing of its ledger row, and measures the effect.

Not here: in which order, what must wait (optimize.py), what the effect means (report.py).
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from herald_pipelines.database.long_statements import run_stoppable, timeouts
from herald_pipelines.database.tables.plan import VacuumStep
from herald_pipelines.database.tables.report import Effect, Handled, judge_effect
from herald_pipelines.database.tables.store import read_holders
from herald_pipelines.errors import DatabaseUnavailable, HeraldError, LockTimeout, StatementTimeout
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.postgres import Postgres, Row, Session
from herald_pipelines.values import DatabaseIdentity, Outcome, format_seconds

SHORTEST_SECONDS = 1.0
"""Less time than this is not worth beginning with."""
PROOF_SECONDS = 10.0
"""How long counters may take to arrive before PostgreSQL 15, whose server processes mail them to a collector."""
FIRST_WITH_SHARED_COUNTERS = 15
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Worksite:
    """One run of a task at work on the tables of a database."""

    session: Session
    """Writable, in autocommit, holding the advisory lock of (database, task)."""
    target: Postgres
    identity: DatabaseIdentity
    ledger: Ledger
    task: str
    window: str
    say: Callable[[str], None]
    clock: Callable[[], float]
    """Seconds that only grow."""
    deadline: float
    """By that clock."""

    def left_seconds(self) -> float:
        """Return what is left of the time budget; negative when it is overdrawn."""
        return self.deadline - self.clock()

    def record(self, outcome: Outcome, step: VacuumStep, reason: str) -> Handled:
        """Write a row about a table that is closed from the start."""
        self.ledger.record(
            self.identity,
            self.task,
            self.window,
            outcome,
            object_name=step.name,
            object_oid=step.oid,
            evidence=step.evidence(),
            reason=reason,
        )
        self.say(f"{'skipped' if outcome is Outcome.SKIPPED else 'failed on'} {step.name}: {reason}")
        return Handled(step.name, step.oid, outcome, reason)


def read_state(session: Session, oid: int) -> Row | None:
    """Return a table as it is now, or None when it is gone.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    rows = session.fetch("tables/read_state", oid=oid)
    return rows[0] if rows else None


def maintain_table(site: Worksite, step: VacuumStep, before: Row) -> Handled | None:
    """Run a step's statement and prove its effect.

    Args:
        site: where.
        step: what.
        before: of `read_state`.

    Returns:
        What became of it; None when PostgreSQL left the table out, for somebody had locked it: its turn comes again.

    Raises:
        DatabaseUnavailable: the server went away; the next run does the table again.
        HeraldError: the ledger could not be written.
    """
    evidence = {**step.evidence(), "dead_rows": before["dead_rows"] + before["toast_dead_rows"],
                "xid_age": max(before["xid_age"], before["toast_xid_age"])}  # fmt: skip
    with site.ledger.action(
        site.identity, site.task, site.window, object_name=step.name, object_oid=step.oid, evidence=evidence
    ) as action:
        started = site.clock()
        problem = _run(site, step)
        seconds = site.clock() - started
        effect: Effect | None = None
        if problem is None:
            effect = _measure(site, step, before)
            if effect is not None:
                action.result.update(effect.result, seconds=round(seconds, 3))
        handled = _conclude(step, problem, effect, site.session.take_notices(), seconds)
        action.outcome, action.reason = handled.outcome, handled.reason
    _tell(site, step, handled)
    return None if handled.outcome is Outcome.SKIPPED else handled


def _tell(site: Worksite, step: VacuumStep, handled: Handled) -> None:
    took = format_seconds(handled.seconds or 0.0)
    if handled.outcome is Outcome.DONE:
        gone = f", {handled.result['removed_rows']} dead rows gone" if step.vacuum else ""
        site.say(f"did {step.name} in {took}{gone}")
    else:
        verb = "held" if handled.is_held else "left out" if handled.outcome is Outcome.SKIPPED else "failed"
        site.say(f"{verb}: {step.name} after {took}: {handled.reason}")


def _conclude(
    step: VacuumStep,
    problem: HeraldError | None,
    effect: Effect | None,
    notices: list[str],
    seconds: float,
) -> Handled:
    outcome, reason, held = Outcome.DONE, None, False
    result: Mapping[str, Any] = effect.result if effect else {}
    if problem is not None:
        outcome, reason = Outcome.FAILED, problem.message
    elif effect is None:
        outcome, reason = Outcome.FAILED, "it was dropped meanwhile"
    elif not effect.is_proven:
        outcome = Outcome.SKIPPED
        reason = "; ".join(notices) or "PostgreSQL left it out and did not say why"
    elif effect.held is not None:
        outcome, reason, held = Outcome.FAILED, effect.held, True
    return Handled(step.name, step.oid, outcome, reason, held, seconds, result)


def _run(site: Worksite, step: VacuumStep) -> HeraldError | None:
    """Run the statement, and return what the server objected to.

    Raises:
        DatabaseUnavailable: the server went away.
    """
    left_seconds = max(site.left_seconds(), SHORTEST_SECONDS)
    pid = site.session.connection.info.backend_pid
    site.session.take_notices()
    try:
        with timeouts(
            site.session,
            site.target,
            lock_seconds=min(site.target.lock_timeout_seconds, left_seconds),
            statement_seconds=left_seconds,
        ):
            run_stoppable(
                site.session, step.statement, every_few_seconds=lambda: _say_progress(site, step, pid)
            )
    except DatabaseUnavailable:
        raise
    except LockTimeout as error:
        return error
    except StatementTimeout as error:
        return StatementTimeout(
            f"the time budget ended after {format_seconds(left_seconds)} of it: {error.message}"
        )
    except HeraldError as error:
        return error
    return None


def _measure(site: Worksite, step: VacuumStep, before: Row) -> Effect | None:
    """Return the effect by the server's counters, waiting for them where they come late; None when the table is gone."""
    patience = PROOF_SECONDS if site.identity.major < FIRST_WITH_SHARED_COUNTERS else 0.0
    give_up_at = time.monotonic() + patience
    while True:
        after = read_state(site.session, step.oid)
        if after is None:
            return None
        effect = judge_effect(step, before, after, read_holders(site.session))
        if effect.is_proven or time.monotonic() >= give_up_at:
            return effect
        time.sleep(POLL_SECONDS)


def _say_progress(site: Worksite, step: VacuumStep, pid: int) -> None:
    # Nobody's VACUUM may end because its progress could not be looked up.
    with suppress(HeraldError), replace(site.target, read_only=True).session() as session:
        for row in session.fetch("tables/read_progress", pid=pid):
            share = f", {row['done'] / row['total']:.0%}" if row["total"] else ""
            passes = f", {row['passes']} passes over its indexes" if row["passes"] else ""
            site.say(f"{step.name}: {row['phase']}{share}{passes}")
