"""Carries a rebuild plan out: one index at a time, each between two ledger rows, with proof of the gain.

Indexes that must wait for somebody are passed over and tried again while the budget lasts. Whatever fails or
dies is cleaned up (leftovers.py). Not here: deciding what to rebuild (plan.py), waiting for a quiet database
(guards.py).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from herald_pipelines.database.guards import require_sight
from herald_pipelines.database.indexes.context import (
    NORMAL_PATIENCE,
    SHORTEST_SECONDS,
    Patience,
    RebuildContext,
)
from herald_pipelines.database.indexes.leftovers import clean_leftovers
from herald_pipelines.database.indexes.obstacles import GONE, LOCKED, find_holder, find_obstacle
from herald_pipelines.database.indexes.plan import RebuildPlan, RebuildStep
from herald_pipelines.database.indexes.reindex import gather_evidence, rebuild_index
from herald_pipelines.database.indexes.report import Leftover, NotRebuilt, RebuildReport, Rebuilt
from herald_pipelines.errors import DatabaseUnavailable, GuardRefusal, HeraldError, LockTimeout, UsageError
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.postgres import Postgres, read_identity
from herald_pipelines.values import DatabaseIdentity, Outcome, format_bytes, format_seconds


def carry_out(
    plan: RebuildPlan,
    *,
    target: Postgres,
    identity: DatabaseIdentity,
    ledger: Ledger,
    task: str,
    window: str,
    budget_seconds: float,
    assumed_free_disk_bytes: int,
    say: Callable[[str], None],
    patience: Patience = NORMAL_PATIENCE,
    clock: Callable[[], float] = time.monotonic,
) -> RebuildReport:
    """Rebuild the indexes of a plan, in its order, as far as the budget and the database allow.

    Leftovers of earlier runs are dropped first, whether or not the plan has steps. The session that
    rebuilds holds the advisory lock of (database, task): when this process is killed, the lock stays until
    the server has stopped.

    Args:
        plan: what to rebuild.
        target: writable, with a role that owns the tables.
        identity: the database that the plan was made for.
        ledger: gets a row before and after each index.
        task: task of the calendar.
        window: window key.
        budget_seconds: for everything together; also bounds each statement.
        assumed_free_disk_bytes: counts as free where it cannot be measured.
        say: told what happens.
        patience: how long to wait for whom.
        clock: seconds that only grow.

    Raises:
        GuardRefusal: the target is read-only, its role does not see who is in the way, or a rebuild of this task is
            still running on it.
        UsageError: the target is another database than the plan is for.
        DatabaseUnavailable: the server went away; the next run cleans up.
        HeraldError: the ledger could not be written; then nothing further is rebuilt.
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
        require_sight(session)
        if not session.try_lock(task):
            raise GuardRefusal(
                f"{task} is already at work on {target.database}",
                hint="a server process of a killed run stops by itself within seconds",
            )
        context = RebuildContext(
            session=session,
            target=target,
            identity=identity,
            ledger=ledger,
            task=task,
            window=window,
            say=say,
            patience=patience,
            clock=clock,
            deadline=clock() + budget_seconds,
            assumed_free_disk_bytes=assumed_free_disk_bytes,
        )
        return _Queue(context, len(plan.steps)).work_off(plan)


@dataclass
class _Queue:
    context: RebuildContext
    length: int
    done: list[Rebuilt] = field(default_factory=list[Rebuilt])
    skipped: list[NotRebuilt] = field(default_factory=list[NotRebuilt])
    failed: list[NotRebuilt] = field(default_factory=list[NotRebuilt])
    leftovers: dict[int, Leftover] = field(default_factory=dict[int, Leftover])

    def work_off(self, plan: RebuildPlan) -> RebuildReport:
        context, patience = self.context, self.context.patience
        self._clean(patience.probe)
        pending = list(plan.steps)
        in_the_way: dict[int, str] = {}
        while pending:
            waiting = [step for step in pending if self._must_wait(step, in_the_way)]
            if len(waiting) == len(pending):
                time.sleep(max(min(patience.poll, context.left_seconds()), 0))
            pending = waiting
        if any(each.outcome in (Outcome.SKIPPED, Outcome.FAILED) for each in self.leftovers.values()):
            # Now there is nothing else to do, and others may hold it up as they may a rebuild.
            self._clean(patience.lock)
        return RebuildReport(
            tuple(self.done), tuple(self.skipped), tuple(self.failed), tuple(self.leftovers.values())
        )

    def _must_wait(self, step: RebuildStep, in_the_way: dict[int, str]) -> bool:
        """Rebuild an index, or say why not; return whether it is only held up and comes again."""
        if self.context.left_seconds() < max(step.estimated_seconds, SHORTEST_SECONDS):
            holder = in_the_way.get(step.oid)
            self._skip(step, f"it had to wait for {holder}" if holder else "the time budget is used up")
            return False
        holder: str | None = None
        evidence: Mapping[str, Any] | None = None
        try:
            obstacle = find_obstacle(self.context, step)
            if obstacle is None:
                holder = find_holder(self.context, step)
            if obstacle is None and holder is None:
                evidence = gather_evidence(self.context, step)
        except DatabaseUnavailable:
            raise
        except LockTimeout:
            obstacle, holder = None, LOCKED
        except HeraldError as error:
            # One table that this role may not lock must not keep the others waiting for ever.
            self._fail(step, error)
            return False
        if holder is not None:
            if step.oid not in in_the_way:
                self.context.say(f"{step.name} waits for {holder}")
            in_the_way[step.oid] = holder
        elif evidence is not None:
            self._rebuild(step, evidence)
        else:
            self._skip(step, obstacle or GONE)
        return holder is not None

    def _rebuild(self, step: RebuildStep, evidence: Mapping[str, Any]) -> None:
        size = format_bytes(evidence["size_bytes"])
        place = len(self.done) + len(self.skipped) + len(self.failed) + 1
        self.context.say(f"rebuilding {step.name} ({size}, {step.ratio:.0%} waste): {place} of {self.length}")
        rebuilt, problem = rebuild_index(self.context, step, evidence)
        if rebuilt is not None:
            self.done.append(rebuilt)
            gain, seconds = format_bytes(rebuilt.achieved_bytes), format_seconds(rebuilt.seconds)
            self.context.say(f"rebuilt {step.name}: {gain} reclaimed in {seconds}")
        elif problem is not None:
            self.failed.append(NotRebuilt(step.name, step.oid, problem.message))
            self.context.say(f"failed to rebuild {step.name}: {problem.message}")
        if problem is not None:
            self._clean(self.context.patience.probe)

    def _skip(self, step: RebuildStep, reason: str) -> None:
        self.context.record(Outcome.SKIPPED, step.name, step.oid, step.evidence(), reason=reason)
        self.skipped.append(NotRebuilt(step.name, step.oid, reason))
        self.context.say(f"skipped {step.name}: {reason}")

    def _fail(self, step: RebuildStep, error: HeraldError) -> None:
        self.context.record(Outcome.FAILED, step.name, step.oid, step.evidence(), reason=error.message)
        self.failed.append(NotRebuilt(step.name, step.oid, error.message))
        self.context.say(f"failed to rebuild {step.name}: {error.message}")

    def _clean(self, lock_seconds: float) -> None:
        dropped = {oid: each for oid, each in self.leftovers.items() if not each.is_kept}
        self.leftovers = dropped | {each.oid: each for each in clean_leftovers(self.context, lock_seconds)}
