"""What carrying out a rebuild plan works with: the session, the ledger, the time that is left, whom to wait for how long.

Not here: any decision (obstacles.py, rebuild.py), any work on an index (reindex.py, leftovers.py).
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from herald_pipelines.database.long_statements import run_stoppable, timeouts
from herald_pipelines.ledger import Action, Ledger
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.values import DatabaseIdentity, Outcome

# Less time than this is not worth beginning with.
SHORTEST_SECONDS = 1.0


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


NORMAL_PATIENCE = Patience()


@dataclass(frozen=True)
class RebuildContext:
    """One run of the task at work on a database."""

    session: Session
    """Writable, in autocommit, holding the advisory lock of (database, task)."""
    target: Postgres
    identity: DatabaseIdentity
    ledger: Ledger
    task: str
    window: str
    say: Callable[[str], None]
    patience: Patience
    clock: Callable[[], float]
    """Seconds that only grow."""
    deadline: float
    """By that clock."""
    assumed_free_disk_bytes: int

    def left_seconds(self) -> float:
        """Return what is left of the time budget; negative when it is overdrawn."""
        return self.deadline - self.clock()

    def action(self, name: str, oid: int, evidence: Mapping[str, Any]) -> AbstractContextManager[Action]:
        """Return `Ledger.action` on an index."""
        return self.ledger.action(
            self.identity, self.task, self.window, object_name=name, object_oid=oid, evidence=evidence
        )

    def record(
        self,
        outcome: Outcome,
        name: str,
        oid: int,
        evidence: Mapping[str, Any],
        *,
        reason: str,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a row about an index that is closed from the start."""
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

    def run(self, statement: str, *, every_few_seconds: Callable[[], None] = lambda: None) -> None:
        """Run a statement that may take long; stopping this process stops the server too.

        Raises:
            HeraldError: of the kind that fits what the server said.
        """
        run_stoppable(self.session, statement, every_few_seconds=every_few_seconds)

    def timeouts(self, *, lock_seconds: float, statement_seconds: float) -> AbstractContextManager[None]:
        """Give the statements of a block other timeouts than the session's, which hold again after it.

        Raises:
            HeraldError: of the kind that fits what the server said.
        """
        return timeouts(
            self.session, self.target, lock_seconds=lock_seconds, statement_seconds=statement_seconds
        )
