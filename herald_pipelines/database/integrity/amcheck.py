"""Looks through b-trees with amcheck, one at a time, each between two ledger rows. It reads only.

bt_index_check takes no stronger lock than a query does; while it looks at an index it holds a snapshot, as a query does.
Not here: which ones (plan.py).
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from herald_pipelines.database.integrity.plan import Btree, Checked, CheckPlan, CheckStep, Loss, Verdict
from herald_pipelines.database.long_statements import run_stoppable, timeouts
from herald_pipelines.errors import (
    DatabaseUnavailable,
    GuardRefusal,
    HeraldError,
    LockTimeout,
    StatementTimeout,
)
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.values import DatabaseIdentity, Outcome, format_bytes, quote_identifier

CORRUPT_STATES = ("XX001", "XX002", "58P01")
"""SQLSTATEs: data_corrupted, index_corrupted, undefined_file."""
SHORTEST_SECONDS = 1.0


def read_btrees(session: Session) -> tuple[Btree, ...]:
    """Return every b-tree of a database.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    return tuple(Btree(**row) for row in session.fetch("integrity/list_btrees"))


def find_hindrance(session: Session) -> str | None:
    """Return why amcheck cannot be used, with what mends it, or None.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    rows = session.fetch("integrity/find_amcheck")
    if not rows:
        return "amcheck is not installed here, so nobody knows whether indexes are sound: create extension amcheck"
    (row,) = rows
    if row["may_use"]:
        return None
    schema, role = quote_identifier(row["schema"]), quote_identifier(row["role"])
    return (
        f"role {role} may not use amcheck: grant usage on schema {schema} to {role};"
        f" grant execute on function {schema}.bt_index_check(regclass, boolean) to {role}"
    )


def read_verdicts(ops: Postgres, identity: DatabaseIdentity, task: str, window: str) -> Mapping[int, Verdict]:
    """Return the newest verdict on each index, by oid, as the ledger has it.

    Raises:
        HeraldError: the ops database could not be read.
    """
    with ops.session() as session:
        rows = session.fetch(
            "integrity/list_verdicts",
            database=identity.name,
            system_identifier=identity.system_identifier,
            database_oid=identity.database_oid,
            task=task,
            window=window,
        )
    return {row["oid"]: Verdict(**row) for row in rows}


def read_losses(
    ops: Postgres, identity: DatabaseIdentity, task: str, window: str
) -> Mapping[tuple[int, int], Loss]:
    """Return the indexes that server processes did not survive, by oid and file on disk, as the ledger has it.

    Raises:
        HeraldError: the ops database could not be read.
    """
    with ops.session() as session:
        rows = session.fetch(
            "integrity/list_losses",
            database=identity.name,
            system_identifier=identity.system_identifier,
            database_oid=identity.database_oid,
            task=task,
            window=window,
        )
    return {(row["oid"], row["filenode"]): Loss(**row) for row in rows}


def check_btrees(
    plan: CheckPlan,
    *,
    target: Postgres,
    identity: DatabaseIdentity,
    ledger: Ledger,
    task: str,
    window: str,
    budget_seconds: float,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Checked, ...]:
    """Look through the b-trees of a plan, in its order, as far as the budget allows.

    Args:
        plan: what to look through.
        target: with a role that may use amcheck; read-only sessions do.
        identity: of the database.
        ledger: gets a row before and after each index.
        task: task of the calendar.
        window: window key.
        budget_seconds: for everything together; also bounds each statement.
        say: told what happens.
        clock: seconds that only grow.

    Raises:
        GuardRefusal: a run of this task is still at work on the database.
        DatabaseUnavailable: the server went away.
        HeraldError: the ledger could not be written.
    """
    if not plan.steps:
        return ()
    deadline = clock() + budget_seconds
    checked: list[Checked] = []
    with target.session(autocommit=True) as session:
        if not session.try_lock(task):
            raise GuardRefusal(
                f"{task} is already at work on {target.database}",
                hint="a server process of a killed run stops by itself within seconds",
            )
        (found,) = session.fetch("integrity/find_amcheck")
        function = f"{quote_identifier(found['schema'])}.bt_index_check"
        for step in plan.steps:
            left_seconds = deadline - clock()
            if left_seconds < max(step.estimated_seconds, SHORTEST_SECONDS):
                checked.append(Checked(step, Outcome.SKIPPED, "the time budget is used up", 0.0))
                continue
            statement = f"select {function}({step.btree.oid}::oid::regclass, {str(step.with_table).lower()})"
            evidence = {
                "statement": statement,
                "size_bytes": step.btree.size_bytes,
                "filenode": step.btree.filenode,
            }
            with ledger.action(
                identity,
                task,
                window,
                object_name=step.btree.name,
                object_oid=step.btree.oid,
                evidence=evidence,
            ) as action:
                try:
                    each = _check(session, target, step, statement, left_seconds, clock)
                except DatabaseUnavailable as error:
                    # A server that is stopped says so; a process that falls does not.
                    if getattr(error.__cause__, "pgcode", None) is None:
                        action.result["connection_lost"] = True
                    raise
                action.outcome, action.reason = each.outcome, each.reason
                action.result.update(_result(each))
            checked.append(each)
            if each.outcome is not Outcome.DONE:
                say(f"{step.btree.name} ({format_bytes(step.btree.size_bytes)}): {each.reason}")
    return tuple(checked)


def _result(each: Checked) -> dict[str, Any]:
    result: dict[str, Any] = {"seconds": round(each.seconds, 3), "with_table": each.step.with_table}
    return result if each.outcome is Outcome.SKIPPED else {**result, "sound": each.outcome is Outcome.DONE}


def _check(
    session: Session,
    target: Postgres,
    step: CheckStep,
    statement: str,
    left_seconds: float,
    clock: Callable[[], float],
) -> Checked:
    """Look through one index.

    Raises:
        DatabaseUnavailable: the server went away.
    """
    started = clock()
    outcome, reason = Outcome.DONE, None
    try:
        with timeouts(
            session, target, lock_seconds=target.lock_timeout_seconds, statement_seconds=left_seconds
        ):
            run_stoppable(session, statement)
    except DatabaseUnavailable:
        raise
    except (LockTimeout, StatementTimeout) as error:
        outcome, reason = Outcome.SKIPPED, error.message
    except HeraldError as error:
        is_corrupt = getattr(error.__cause__, "pgcode", None) in CORRUPT_STATES
        is_there = bool(session.fetch("integrity/find_relation", oid=step.btree.oid))
        outcome = Outcome.FAILED if is_corrupt and is_there else Outcome.SKIPPED
        reason = error.message if is_there else "it was dropped meanwhile"
    return Checked(step, outcome, reason, clock() - started)
