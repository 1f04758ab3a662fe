"""Carries a rebuild plan out: one index at a time, each between two ledger rows, with proof of the gain.

REINDEX CONCURRENTLY waits for old snapshots and for transactions on its table, and what makes it give up
leaves a leftover. So before each index nobody may hold either, and its table's lock is asked for shortly;
indexes that must wait are passed over and tried again while the budget lasts. Whatever fails or dies is
cleaned up (leftovers.py). Not here: deciding what to rebuild (plan.py), waiting for a quiet database
(guards.py).
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from herald_pipelines.database.guards import require_sight
from herald_pipelines.database.indexes.disk import find_wal_problem, read_free_disk
from herald_pipelines.database.indexes.history import write_baseline
from herald_pipelines.database.indexes.leftovers import (
    Leftover,
    clean_leftovers,
    describe_gain,
    find_successor,
    invalid_oids,
)
from herald_pipelines.database.indexes.plan import RebuildPlan, RebuildStep
from herald_pipelines.database.indexes.report import NotRebuilt, RebuildReport, Rebuilt
from herald_pipelines.errors import (
    DatabaseUnavailable,
    GuardRefusal,
    HeraldError,
    LockTimeout,
    PermanentFailure,
    UsageError,
)
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.postgres import Postgres, Row, Session, read_identity
from herald_pipelines.values import DatabaseIdentity, Outcome, format_bytes, format_seconds, quote_identifier

# Less time than this is not worth beginning with.
SHORTEST_SECONDS = 1.0
PROGRESS_SECONDS = 5.0


@dataclass(frozen=True)
class Patience:
    """How long a rebuild waits for whom, in seconds."""

    probe: float = 2.0
    """For the lock on the table, before a rebuild; longer than deadlock_timeout, so that autovacuum gives
    way.
    """
    lock: float = 300.0
    """For others within a rebuild, which keeps DDL and vacuum off the table while it waits."""
    holder_age: float = 5.0
    """Transactions younger than this are taken to end by themselves."""
    poll: float = 2.0
    """Between two looks at who is in the way."""


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
    patience: Patience = Patience(),
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
        rebuilder = _Rebuilder(
            session=session,
            target=target,
            identity=identity,
            ledger=ledger,
            task=task,
            window=window,
            say=say,
            patience=patience,
            assumed_free_disk_bytes=assumed_free_disk_bytes,
            clock=clock,
            deadline=clock() + budget_seconds,
        )
        return rebuilder.run(plan)


@dataclass
class _Rebuilder:
    session: Session
    target: Postgres
    identity: DatabaseIdentity
    ledger: Ledger
    task: str
    window: str
    say: Callable[[str], None]
    patience: Patience
    assumed_free_disk_bytes: int
    clock: Callable[[], float]
    deadline: float
    done: list[Rebuilt] = field(default_factory=list[Rebuilt])
    skipped: list[NotRebuilt] = field(default_factory=list[NotRebuilt])
    failed: list[NotRebuilt] = field(default_factory=list[NotRebuilt])
    leftovers: dict[int, Leftover] = field(default_factory=dict[int, Leftover])

    def run(self, plan: RebuildPlan) -> RebuildReport:
        self._clean()
        pending = list(plan.steps)
        in_the_way: dict[int, str] = {}
        while pending:
            waiting = [step for step in pending if self._must_wait(step, in_the_way)]
            if len(waiting) == len(pending):
                time.sleep(max(min(self.patience.poll, self._left_seconds()), 0))
            pending = waiting
        if any(not leftover.dropped for leftover in self.leftovers.values()):
            self._clean()
        return RebuildReport(
            tuple(self.done), tuple(self.skipped), tuple(self.failed), tuple(self.leftovers.values())
        )

    def _must_wait(self, step: RebuildStep, in_the_way: dict[int, str]) -> bool:
        """Rebuild an index, or say why not; return whether it is only held up and comes again."""
        if self._left_seconds() < max(step.estimated_seconds, SHORTEST_SECONDS):
            holder = in_the_way.get(step.oid)
            self._skip(step, f"it had to wait for {holder}" if holder else "the time budget is used up")
            return False
        try:
            obstacle = self._find_obstacle(step)
            holder = None if obstacle else self._find_holder(step)
            evidence: Mapping[str, Any] = {} if obstacle or holder else self._evidence(step)
        except DatabaseUnavailable:
            raise
        except HeraldError as error:
            # One table that this role may not lock must not keep the others waiting for ever.
            self._fail(step, error)
            return False
        if obstacle:
            self._skip(step, obstacle)
        elif holder:
            if step.oid not in in_the_way:
                self.say(f"{step.name} waits for {holder}")
            in_the_way[step.oid] = holder
        else:
            self._rebuild(step, evidence)
        return holder is not None

    def _left_seconds(self) -> float:
        return self.deadline - self.clock()

    def _skip(self, step: RebuildStep, reason: str) -> None:
        self.ledger.record(
            self.identity,
            self.task,
            self.window,
            Outcome.SKIPPED,
            object_name=step.name,
            object_oid=step.oid,
            reason=reason,
            evidence={"size_bytes": step.size_bytes, "bloat_ratio": step.ratio},
        )
        self.skipped.append(NotRebuilt(step.name, step.oid, reason))
        self.say(f"skipped {step.name}: {reason}")

    def _fail(self, step: RebuildStep, error: HeraldError) -> None:
        self.ledger.record(
            self.identity,
            self.task,
            self.window,
            Outcome.FAILED,
            object_name=step.name,
            object_oid=step.oid,
            reason=error.message,
            evidence={"size_bytes": step.size_bytes, "bloat_ratio": step.ratio},
        )
        self.failed.append(NotRebuilt(step.name, step.oid, error.message))
        self.say(f"failed to rebuild {step.name}: {error.message}")

    def _clean(self) -> None:
        for leftover in clean_leftovers(
            self.session, self.identity, self.ledger, task=self.task, window=self.window, say=self.say
        ):
            self.leftovers[leftover.oid] = leftover

    def _find_obstacle(self, step: RebuildStep) -> str | None:
        """Return why an index cannot be rebuilt in this window at all."""
        state = self._state(step.oid)
        if state is None:
            return "it was dropped or rebuilt meanwhile"
        if (state["schema"], state["index"]) != (step.schema, step.index):
            return f"it was renamed meanwhile: {state['schema']}.{state['index']}"
        if state["relfilenode"] != step.relfilenode:
            return "it was rebuilt meanwhile"
        if not state["is_valid"]:
            return "it is not valid any more"
        free = read_free_disk(self.session, step.oid)
        room = self.assumed_free_disk_bytes if free is None else free
        if room < step.disk_bytes:
            return f"it needs {format_bytes(step.disk_bytes)} of disk, {format_bytes(room)} are free"
        return find_wal_problem(self.session, state["size_bytes"])

    def _find_holder(self, step: RebuildStep) -> str | None:
        """Return who would make the rebuild wait now, or None when nobody would for long."""
        holders = self.session.fetch(
            "indexes/find_horizon_holders", table_oid=step.table_oid, min_age_seconds=self.patience.holder_age
        )
        if holders:
            return "; ".join(row["holder"] for row in holders)
        state = self._state(step.oid)
        if state is None or state["table_kind"] == "m":
            return None  # gone, which the rebuild will say; LOCK TABLE takes no materialized view
        table = quote_identifier(step.schema, step.table)
        self._set_timeouts(lock_seconds=self.patience.probe, statement_seconds=self.patience.probe * 2)
        self.session.execute("begin")
        try:
            self.session.execute(f"lock table only {table} in share update exclusive mode")
        except LockTimeout:
            return "a lock on its table that another session holds"
        finally:
            self.session.execute("rollback")
            self._reset_timeouts()
        return None

    def _rebuild(self, step: RebuildStep, evidence: Mapping[str, Any]) -> None:
        size_bytes = evidence["size_bytes"]
        self.say(f"rebuilding {step.name} ({format_bytes(size_bytes)}, {step.ratio:.0%} waste)")
        try:
            with self.ledger.action(
                self.identity,
                self.task,
                self.window,
                object_name=step.name,
                object_oid=step.oid,
                evidence=evidence,
            ) as action:
                started = self.clock()
                problem = self._reindex(step)
                seconds = self.clock() - started
                after = find_successor(self.session, step.oid, evidence)
                if after is None:
                    raise problem or PermanentFailure(
                        "; ".join(self.session.take_notices()) or "the server left the index as it was"
                    )
                # It failed only after the new index was in place, which then counts.
                action.reason = problem.message if problem else None
                action.result.update(describe_gain(after, evidence), seconds=round(seconds, 3))
        except DatabaseUnavailable:
            raise
        except HeraldError as error:
            self.failed.append(NotRebuilt(step.name, step.oid, error.message))
            self.say(f"failed to rebuild {step.name}: {error.message}")
            self._clean()
            return
        write_baseline(self.ledger.ops, self.identity, after)
        achieved = size_bytes - after["size_bytes"]
        self.done.append(
            Rebuilt(
                name=step.name,
                oid=step.oid,
                index_oid=after["oid"],
                size_before_bytes=size_bytes,
                size_after_bytes=after["size_bytes"],
                promised_bytes=step.promised_bytes,
                achieved_bytes=achieved,
                seconds=seconds,
            )
        )
        self.say(f"rebuilt {step.name}: {format_bytes(achieved)} reclaimed in {format_seconds(seconds)}")
        if problem is not None:
            self._clean()

    def _evidence(self, step: RebuildStep) -> Mapping[str, Any]:
        """Return what recovery needs when this process dies, and what the gain is measured against.

        Raises:
            PermanentFailure: the index is gone.
        """
        state = self._state(step.oid)
        if state is None:
            raise PermanentFailure("it was dropped or rebuilt meanwhile")
        return {
            "schema": step.schema,
            "index": step.index,
            "table": step.table,
            "table_oid": step.table_oid,
            "relfilenode": step.relfilenode,
            "definition": state["definition"],
            "invalid_oids": list(invalid_oids(self.session, step.table_oid)),
            # The index may have grown while others were rebuilt or it had to wait.
            "size_bytes": state["size_bytes"],
            "promised_bytes": step.promised_bytes,
            "bloat_ratio": step.ratio,
            "bloat_method": step.method,
            "estimated_seconds": step.estimated_seconds,
            "statement": step.statement,
        }

    def _state(self, oid: int) -> Row | None:
        rows = self.session.fetch("indexes/read_index_state", oid=oid)
        return rows[0] if rows else None

    def _reindex(self, step: RebuildStep) -> HeraldError | None:
        """Rebuild, and return what the server objected to; stopping this process stops the server too.

        Raises:
            DatabaseUnavailable: the server went away.
        """
        left_seconds = max(self._left_seconds(), SHORTEST_SECONDS)
        self.session.take_notices()
        self._set_timeouts(lock_seconds=min(self.patience.lock, left_seconds), statement_seconds=left_seconds)
        # In a thread, because the driver lets no signal in while it waits for an answer.
        with ThreadPoolExecutor(max_workers=1) as pool:
            answer = pool.submit(self.session.execute, step.statement)
            try:
                while not wait([answer], timeout=PROGRESS_SECONDS).done:
                    self._say_progress(step)
            except BaseException:
                self.session.connection.cancel()
                raise
        problem = answer.exception()
        if isinstance(problem, DatabaseUnavailable) or not isinstance(problem, HeraldError | None):
            raise problem
        self._reset_timeouts()
        return problem

    def _say_progress(self, step: RebuildStep) -> None:
        # Nobody's rebuild may end because its progress could not be looked up.
        with suppress(HeraldError), replace(self.target, read_only=True).session() as session:
            for row in session.fetch("indexes/list_builds"):
                if row["table_oid"] == step.table_oid:
                    share = f", {row['blocks_done'] / row['blocks_total']:.0%}" if row["blocks_total"] else ""
                    self.say(f"{step.name}: {row['phase']}{share}")

    def _set_timeouts(self, *, lock_seconds: float, statement_seconds: float) -> None:
        self.session.execute(f"set lock_timeout = {round(lock_seconds * 1000)}")
        self.session.execute(f"set statement_timeout = {round(statement_seconds * 1000)}")

    def _reset_timeouts(self) -> None:
        self._set_timeouts(
            lock_seconds=self.target.lock_timeout_seconds,
            statement_seconds=self.target.statement_timeout_seconds,
        )
