"""The maintenance log: one row before each action on each object, closed after it. All domains write to it.

Every call is a connection and a short transaction of its own, committed before it returns: a row is there
before the action it announces, whatever becomes of the process, and a restart of the ops server between two
calls goes unnoticed. A row without an object is the task's own row for a (database, window); it completes
the window when its outcome is done. A dry run writes nothing.

Not here: what a task does, the history of a domain's own measurements (its store writes that).
"""

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import psycopg2.errors

from herald_pipelines.errors import GuardRefusal, HeraldError, PermanentFailure, TransientFailure
from herald_pipelines.records import clean, describe_error, to_json
from herald_pipelines.resources.postgres import Postgres, Row
from herald_pipelines.values import DatabaseIdentity, Outcome

# A restart of a busy server takes longer than a few seconds, a failover up to about a minute.
CLOSE_RETRY_SECONDS = 90.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 5.0


@dataclass(frozen=True)
class OpenEntry:
    """A row that was found open, left by a run that died."""

    id: int
    window: str
    object_name: str | None
    object_oid: int | None
    evidence: Mapping[str, Any]
    run_id: str | None
    started_at: datetime


@dataclass(frozen=True)
class LatestCheck:
    """The newest verdict of a check on a database."""

    database: str
    check_name: str
    window: str
    passed: bool
    severity: str
    metadata: Mapping[str, Any]


@dataclass
class Action:
    """An open row; its block says here how the row is to be closed."""

    entry_id: int
    outcome: Outcome = Outcome.DONE
    reason: str | None = None
    result: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Ledger:
    """Writes and reads the ledger of an ops database, for one run.

    Every method raises HeraldError: DatabaseUnavailable when the ops database is down, PermanentFailure when
    it lacks the schema or the role lacks a right.
    """

    ops: Postgres
    run_id: str | None = None

    def open(
        self,
        target: DatabaseIdentity,
        task: str,
        window: str,
        *,
        object_name: str | None = None,
        object_oid: int | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> int:
        """Write the row that announces an action, and return its id. Committed: the action may begin.

        Args:
            target: the database that is acted on.
            task: task of the calendar.
            window: window key.
            object_name: qualified name of what is acted on; none for the task's own row.
            object_oid: its OID.
            evidence: what was measured before; for the task's own row: mode, late, covered.
        """
        row = self._write_one(
            "ledger/open_entry",
            **_about(target, task, window),
            object_name=object_name,
            object_oid=object_oid,
            evidence=to_json(evidence or {}),
            run_id=self.run_id,
        )
        return int(row["id"])

    def close(
        self,
        entry_id: int,
        outcome: Outcome,
        *,
        reason: str | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        """Close an open row with what became of the action.

        The action has happened, so this is tried for CLOSE_RETRY_SECONDS when the ops database is away.
        When it stays away, the row stays open and the next run of the task closes it as interrupted.

        Raises:
            PermanentFailure: the row is closed already (another run found it open), or there is none.
        """
        give_up_at = time.monotonic() + CLOSE_RETRY_SECONDS
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            try:
                rows = self._write(
                    "ledger/close_entry",
                    id=entry_id,
                    outcome=str(outcome),
                    reason=clean(reason) if reason else None,
                    result=to_json(result or {}),
                )
            except TransientFailure:
                if time.monotonic() + pause_seconds > give_up_at:
                    raise
                time.sleep(pause_seconds)
                pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)
                continue
            if not rows:
                self._explain_closed(entry_id, outcome, retried=pause_seconds > FIRST_PAUSE_SECONDS)
            return

    def record(
        self,
        target: DatabaseIdentity,
        task: str,
        window: str,
        outcome: Outcome,
        *,
        object_name: str | None = None,
        object_oid: int | None = None,
        evidence: Mapping[str, Any] | None = None,
        reason: str | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> int:
        """Write a row that is closed from the start (planned, skipped, refused), and return its id."""
        row = self._write_one(
            "ledger/record_entry",
            **_about(target, task, window),
            object_name=object_name,
            object_oid=object_oid,
            evidence=to_json(evidence or {}),
            outcome=str(outcome),
            reason=clean(reason) if reason else None,
            result=to_json(result or {}),
            run_id=self.run_id,
        )
        return int(row["id"])

    @contextmanager
    def action(
        self,
        target: DatabaseIdentity,
        task: str,
        window: str,
        *,
        object_name: str | None = None,
        object_oid: int | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> Generator[Action]:
        """Open a row around a block and close it by how the block ends.

        Done unless the block sets another outcome; refused on GuardRefusal, failed on any other error,
        interrupted when the process is told to stop. What the block has put into `result` by then is kept.
        The error goes on.
        """
        entry_id = self.open(
            target, task, window, object_name=object_name, object_oid=object_oid, evidence=evidence
        )
        action = Action(entry_id)
        try:
            yield action
        except BaseException as error:
            try:
                self.close(entry_id, _outcome_of(error), reason=describe_error(error), result=action.result)
            except HeraldError as second:
                error.add_note(f"ledger row {entry_id} stays open: {second.message}")
            raise
        self.close(entry_id, action.outcome, reason=action.reason, result=action.result)

    def close_interrupted(self, target: DatabaseIdentity, task: str) -> list[OpenEntry]:
        """Close the rows that dead runs of a task left open; return those that speak of this very database.

        Only for whoever holds the advisory lock of (database, task) on the target: it proves that no other
        run is alive. Rows of a database that the name stood for earlier are closed too, but not returned:
        their OIDs mean nothing here. Oldest first.
        """
        rows = self._write(
            "ledger/close_interrupted",
            database=target.name,
            task=task,
            system_identifier=target.system_identifier,
            database_oid=target.database_oid,
        )
        return [
            OpenEntry(
                id=row["id"],
                window=row["window_key"],
                object_name=row["object_name"],
                object_oid=row["object_oid"],
                evidence=row["evidence"],
                run_id=row["run_id"],
                started_at=row["started_at"],
            )
            for row in rows
        ]

    def completed(self, since: date) -> set[tuple[str, str, str]]:
        """Return every (database, task, window) that is done, of the windows that open on or after a day."""
        rows = self._read("ledger/list_completed", since=since.isoformat())
        return {(row["database"], row["task"], row["window_key"]) for row in rows}

    def see(self, target: DatabaseIdentity) -> None:
        """Note which database a name stands for, and that it was seen now."""
        self._write(
            "ledger/see_database",
            database=target.name,
            system_identifier=target.system_identifier,
            database_oid=target.database_oid,
            datname=target.datname,
            server_version=target.server_version,
        )

    def first_seen(self) -> dict[str, datetime]:
        """Return when each database was seen for the first time, by name."""
        return {row["database"]: row["first_seen"] for row in self._read("ledger/list_first_seen")}

    def check(
        self,
        target: DatabaseIdentity,
        window: str,
        task: str,
        asset: str,
        check_name: str,
        *,
        passed: bool,
        severity: str,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the verdict of an asset check.

        Args:
            target: the database that was judged.
            window: window key.
            task: task of the calendar.
            asset: key of the asset, as the UI shows it: herald/index_analysis.
            check_name: name of the check.
            passed: the verdict.
            severity: WARN or ERROR.
            metadata: the numbers behind it.
        """
        self._write(
            "ledger/record_check",
            **_about(target, task, window),
            asset=asset,
            check_name=check_name,
            passed=passed,
            severity=severity,
            metadata=to_json(metadata or {}),
            run_id=self.run_id,
        )

    def latest_checks(self, task: str, databases: Sequence[str]) -> list[LatestCheck]:
        """Return the newest verdict of each check of a task on each of some databases."""
        rows = self._read("ledger/list_latest_checks", task=task, databases=list(databases))
        return [
            LatestCheck(
                database=row["database"],
                check_name=row["check_name"],
                window=row["window_key"],
                passed=row["passed"],
                severity=row["severity"],
                metadata=row["metadata"],
            )
            for row in rows
        ]

    def _explain_closed(self, entry_id: int, outcome: Outcome, *, retried: bool) -> None:
        rows = self._read("ledger/read_entry", id=entry_id)
        if not rows:
            raise PermanentFailure(f"ledger row {entry_id} does not exist")
        found = rows[0]["outcome"]
        # A first try may have been committed although its answer was lost.
        if not (retried and found == outcome):
            raise PermanentFailure(
                f"ledger row {entry_id} cannot be closed as {outcome}: it is closed as {found}",
                hint="another run took this one for dead",
            )

    def _write(self, query: str, **parameters: object) -> list[Row]:
        return _call(self.ops.writable(), query, parameters)

    def _write_one(self, query: str, **parameters: object) -> Row:
        return self._write(query, **parameters)[0]

    def _read(self, query: str, **parameters: object) -> list[Row]:
        return _call(self.ops, query, parameters)


def _about(target: DatabaseIdentity, task: str, window: str) -> dict[str, object]:
    return {**target.parameters, "task": task, "window": window}


def _outcome_of(error: BaseException) -> Outcome:
    if isinstance(error, GuardRefusal):
        return Outcome.REFUSED
    return Outcome.FAILED if isinstance(error, Exception) else Outcome.INTERRUPTED


def _call(ops: Postgres, query: str, parameters: Mapping[str, object]) -> list[Row]:
    try:
        with ops.session() as session:
            return session.fetch(query, **parameters)
    except PermanentFailure as error:
        if isinstance(error.__cause__, psycopg2.errors.UndefinedTable):
            raise PermanentFailure(
                f"the ops database lacks a table of this version: {error.__cause__.diag.message_primary}",
                hint="run `herald migrate` to create its schema",
            ) from error
        raise
