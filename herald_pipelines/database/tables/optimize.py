"""Carries a plan out: one table at a time, each between two ledger rows, with proof of the effect.

Tables that others have locked are passed over and tried again while the budget lasts. What a killed run had not done is
planned again by the next. Not here: deciding what to do (plan.py), waiting for a quiet database (guards.py).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from herald_pipelines.database.tables.plan import VacuumPlan, VacuumStep
from herald_pipelines.database.tables.report import Handled, VacuumReport
from herald_pipelines.database.tables.store import find_forbidden
from herald_pipelines.database.tables.work import SHORTEST_SECONDS, Worksite, maintain_table, read_state
from herald_pipelines.errors import GuardRefusal, UsageError
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.postgres import Postgres, Row, read_identity
from herald_pipelines.values import DatabaseIdentity, Outcome

LOCK_WAIT_SECONDS = 300.0
"""How long locked tables are waited for when nothing else is left to do."""
POLL_SECONDS = 1.0
GONE = "it was dropped meanwhile"


def carry_out(
    plan: VacuumPlan,
    *,
    target: Postgres,
    identity: DatabaseIdentity,
    ledger: Ledger,
    task: str,
    window: str,
    budget_seconds: float,
    say: Callable[[str], None],
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> VacuumReport:
    """Vacuum and analyze the tables of a plan, in its order, as far as the budget and the database allow.

    The session that works holds the advisory lock of (database, task): when this process is killed, the lock stays until
    the server has stopped.

    Args:
        plan: what to do.
        target: writable, with a role that may maintain the tables.
        identity: the database that the plan was made for.
        ledger: gets a row before and after each table.
        task: task of the calendar.
        window: window key.
        budget_seconds: for everything together; also bounds each statement.
        say: told what happens.
        lock_wait_seconds: how long to wait for locked tables at the end.
        clock: seconds that only grow.

    Raises:
        GuardRefusal: the target is read-only, or a run of this task is still at work on it.
        UsageError: the target is another database than the plan is for.
        DatabaseUnavailable: the server went away.
        HeraldError: the ledger could not be written; then nothing further is done.
    """
    if target.read_only:
        raise GuardRefusal(
            f"sessions on {target.database} are read-only", hint="set mode: apply in herald.yaml"
        )
    with target.session(autocommit=True) as session:
        found = read_identity(session)
        if replace(found, server_version=identity.server_version) != identity:
            raise UsageError(
                f"the maintain url of {target.database} leads to another database than its observe url",
                hint="both must lead to the primary",
            )
        if not session.try_lock(task):
            raise GuardRefusal(
                f"{task} is already at work on {target.database}",
                hint="a server process of a killed run stops by itself within seconds",
            )
        site = Worksite(
            session=session,
            target=target,
            identity=identity,
            ledger=ledger,
            task=task,
            window=window,
            say=say,
            clock=clock,
            deadline=clock() + budget_seconds,
        )
        forbidden = find_forbidden(session, [step.oid for step in plan.steps])
        return _Queue(site, forbidden, lock_wait_seconds, len(plan.steps)).work_off(plan)


@dataclass
class _Queue:
    site: Worksite
    forbidden: Mapping[int, str]
    lock_wait_seconds: float
    length: int
    handled: list[Handled] = field(default_factory=list[Handled])
    lockers: dict[int, str] = field(default_factory=dict[int, str])

    def work_off(self, plan: VacuumPlan) -> VacuumReport:
        clock, pending = self.site.clock, list(plan.steps)
        give_up_at = float("inf")
        while pending:
            may_wait = clock() < give_up_at
            waiting = [step for step in pending if not self._handle(step, may_wait=may_wait)]
            if len(waiting) < len(pending):
                give_up_at = float("inf")
            else:
                # Nothing but locked tables is left.
                give_up_at = min(give_up_at, clock() + self.lock_wait_seconds)
                time.sleep(max(min(POLL_SECONDS, give_up_at - clock(), self.site.left_seconds()), 0))
            pending = waiting
        return VacuumReport(tuple(self.handled))

    def _handle(self, step: VacuumStep, *, may_wait: bool) -> bool:
        """Maintain a table, or say why not; false when it is locked and comes again."""
        left_seconds, locker = self.site.left_seconds(), self.lockers.get(step.oid)
        if left_seconds < SHORTEST_SECONDS or (left_seconds < step.estimated_seconds and not step.is_urgent):
            if locker is None:
                return self._leave(Outcome.SKIPPED, step, "the time budget is used up")
            return self._leave(Outcome.FAILED, step, f"it was locked until the budget ended: {locker}")
        if step.oid in self.forbidden:
            # Before PostgreSQL 17 no grant but that of the whole database lets a role maintain the catalogs. Autovacuum does.
            outcome = Outcome.SKIPPED if step.is_system and not step.is_urgent else Outcome.FAILED
            return self._leave(outcome, step, self.forbidden[step.oid])
        before = read_state(self.site.session, step.oid)
        change = _find_change(step, before)
        if before is None or change is not None:
            return self._leave(Outcome.SKIPPED, step, change or GONE)
        return self._maintain(step, before, may_wait=may_wait)

    def _maintain(self, step: VacuumStep, before: Row, *, may_wait: bool) -> bool:
        lockers = self.site.session.fetch("tables/list_lockers", oid=step.oid)
        locker = "; ".join(row["locker"] for row in lockers)
        if not lockers:
            place = len(self.handled) + 1
            self.site.say(f"{place} of {self.length}: {step.statement} ({step.reason})")
            handled = maintain_table(self.site, step, before)
            if handled is not None:
                self.handled.append(handled)
                return True
            locker = "somebody who let go of it again"
        if not may_wait:
            return self._leave(Outcome.FAILED, step, f"it is locked: {locker}")
        if step.oid not in self.lockers:
            self.site.say(f"{step.name} waits for {locker}")
        self.lockers[step.oid] = locker
        return False

    def _leave(self, outcome: Outcome, step: VacuumStep, reason: str) -> bool:
        self.handled.append(self.site.record(outcome, step, reason))
        return True


def _find_change(step: VacuumStep, now: Row | None) -> str | None:
    """Return why a table is not what was planned for any more, or None."""
    if now is None:
        return GONE
    if (now["schema"], now["table"]) != (step.schema, step.table):
        return f"it was renamed meanwhile: {now['schema']}.{now['table']}"
    vacuumed = not step.vacuum or now["vacuumed_at"] != step.vacuumed_at
    analyzed = not step.analyze or now["analyzed_at"] != step.analyzed_at
    if vacuumed and analyzed and not step.freezes:
        return "autovacuum, or somebody else, did it meanwhile"
    return None
