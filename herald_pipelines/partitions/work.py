"""What changing partitions works with: the session, the ledger, the time that is left, and locks that are asked for briefly.

Not here: any decision (plan.py), any change (creating.py, detaching.py, dropping.py, returning.py).
"""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from herald_pipelines.database.guards import require_sight
from herald_pipelines.errors import DatabaseUnavailable, GuardRefusal, HeraldError, LockTimeout, UsageError
from herald_pipelines.ledger import Action, Ledger
from herald_pipelines.resources.postgres import Postgres, Session, read_identity
from herald_pipelines.values import DatabaseIdentity, Outcome, Say

LEAST_LOCK_SECONDS = 0.5
BRIEF_SECONDS = 15.0
"""Of a statement that keeps everybody from the default partition, or the whole table, while it looks through something."""
FOREIGN_KEY_VIOLATION = "23503"


@dataclass(frozen=True)
class Patience:
    """How long a change waits for whom, in seconds."""

    tries: int = 6
    """For its locks: each try waits for lock_timeout_seconds of the database at most, and others wait behind it."""
    pause: float = 2.0
    """After the first try; doubles with each."""
    holder: float = 60.0
    """For transactions that hold the table or an older snapshot, before a concurrent detaching begins."""
    finalize: float = 600.0
    """For finalizing: until then the rows are invisible, so it is worth waiting."""
    poll: float = 1.0


NORMAL_PATIENCE = Patience()


@dataclass(frozen=True)
class Work:
    """One run at work on the partitions of a database."""

    session: Session
    """Writable, in autocommit, holding the advisory lock of (database, task)."""
    target: Postgres
    identity: DatabaseIdentity
    ledger: Ledger
    task: str
    window: str
    now: datetime
    say: Say
    deadline: float
    """By the monotonic clock."""
    patience: Patience = NORMAL_PATIENCE

    def left_seconds(self) -> float:
        """Return what is left of the time budget; negative when it is overdrawn."""
        return self.deadline - time.monotonic()

    def action(
        self, name: str, oid: int | None, evidence: Mapping[str, Any]
    ) -> AbstractContextManager[Action]:
        """Return `Ledger.action` on a partition."""
        return self.ledger.action(
            self.identity, self.task, self.window, object_name=name, object_oid=oid, evidence=evidence
        )

    def record(
        self,
        outcome: Outcome,
        name: str,
        oid: int | None,
        evidence: Mapping[str, Any],
        *,
        reason: str | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a row about a partition that is closed from the start."""
        self.ledger.record(
            self.identity,
            self.task,
            self.window,
            outcome,
            object_name=name,
            object_oid=oid,
            evidence=evidence,
            reason=reason,
            result=result,
        )

    def attempt(self, change: Callable[[], None], doing: str) -> None:
        """Make a change in a transaction, and again where it did not get its locks.

        Args:
            change: runs statements of the session; it has no effect unless all of it succeeds.
            doing: for people: "detaching public.m_2024".

        Raises:
            LockTimeout: it never got them.
            HeraldError: of the kind that fits what the server said.
        """
        pause = self.patience.pause
        for left in range(self.patience.tries - 1, -1, -1):
            try:
                with self.transaction():
                    change()
            except LockTimeout:
                if not left:
                    raise
                self.say(f"{doing} waits for a lock")
                time.sleep(pause)
                pause *= 2
            else:
                return

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Give a transaction for a block; it is rolled back where the block fails."""
        self.session.execute("begin")
        try:
            yield
        except BaseException:
            # A session that is gone has rolled back, too.
            with suppress(HeraldError):
                self.session.execute("rollback")
            raise
        self.session.execute("commit")

    @contextmanager
    def timeouts(self, *, lock_seconds: float, statement_seconds: float) -> Generator[None]:
        """Give the statements of a block other timeouts than the session's, which hold again after it."""
        self._set_timeouts(lock_seconds, statement_seconds)
        try:
            yield
        finally:
            with suppress(DatabaseUnavailable):
                self._set_timeouts(self.target.lock_timeout_seconds, self.target.statement_timeout_seconds)

    def _set_timeouts(self, lock_seconds: float, statement_seconds: float) -> None:
        self.session.execute(f"set lock_timeout = {round(max(lock_seconds, LEAST_LOCK_SECONDS) * 1000)}")
        self.session.execute(f"set statement_timeout = {round(statement_seconds * 1000)}")

    def list_holders(self, oids: Sequence[int]) -> dict[str, str]:
        """Return whom detaching some tables would wait for, the oldest first: for people, by a key that lasts as long."""
        rows = self.session.fetch("partitions/list_holders", oids=list(oids))
        return {row["key"]: row["holder"] for row in rows}


@contextmanager
def at_work(
    target: Postgres,
    identity: DatabaseIdentity,
    ledger: Ledger,
    *,
    task: str,
    window: str,
    now: datetime,
    budget_seconds: float,
    say: Say,
    patience: Patience = NORMAL_PATIENCE,
) -> Generator[Work]:
    """Give a block the session that changes partitions; it holds the advisory lock of (database, task).

    Raises:
        GuardRefusal: the target is read-only, its role does not see who is in the way, or the task is at work on it.
        UsageError: the target is another database than the plan is for.
        HeraldError: of the kind that fits.
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
        yield Work(
            session=session,
            target=target,
            identity=identity,
            ledger=ledger,
            task=task,
            window=window,
            now=now,
            say=say,
            deadline=time.monotonic() + budget_seconds,
            patience=patience,
        )


def is_foreign_key_violation(error: HeraldError) -> bool:
    """Whether the server refused a change because rows of another table refer to rows of this one."""
    return getattr(error.__cause__, "pgcode", None) == FOREIGN_KEY_VIOLATION
