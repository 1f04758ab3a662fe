"""Detaches one partition and renames it out of the way; a run that dies in it is gone on with by the next.

    attached -> CONCURRENTLY -> detached -> renamed      where there is no default partition
    attached -> detached and renamed in one transaction  where there is one, which forbids CONCURRENTLY

A concurrent detaching that does not get its locks leaves the partition detach-pending, with its rows invisible: it is
finalized at once. Not here: whether to (plan.py), the ledger's rows (cleanup.py).
"""

import time
from typing import Any

from herald_pipelines.errors import (
    DatabaseUnavailable,
    HeraldError,
    LockTimeout,
    PermanentFailure,
    TransientFailure,
)
from herald_pipelines.partitions.facts import Parent
from herald_pipelines.partitions.lifecycle import detached_name
from herald_pipelines.partitions.work import BRIEF_SECONDS, Work
from herald_pipelines.resources.postgres import Row
from herald_pipelines.values import quote_identifier, utc_now

PENDING_SECONDS = 60.0
"""Of a statement: the wait for a lock apart, detaching takes milliseconds."""


def detach(work: Work, parent: Parent, oid: int, name: str) -> dict[str, Any]:
    """Detach a partition, whatever state it is in, and return what the ledger keeps of it.

    Args:
        work: the session and its patience.
        parent: of the partition, as it was planned.
        oid: of the partition.
        name: of the partition before it was detached, without its schema.

    Raises:
        LockTimeout: others hold it; the next run goes on where it was left.
        PermanentFailure: rows of another table refer to it, or the role is not its owner.
        HeraldError: of the kind that fits.
    """
    state = read_attachment(work, oid)
    method = "settled"
    if state["is_detach_pending"]:
        _finalize(work, parent, oid, state)
    elif state["is_partition"]:
        method = "plain" if parent.default_oid else "concurrently"
        if parent.default_oid:
            _detach_plainly(work, parent, oid, state, name)
        else:
            _detach_concurrently(work, parent, oid, state)
    new = detached_name(name, oid)
    state = read_attachment(work, oid)
    if state["name"] != new:
        table = quote_identifier(state["schema"], state["name"])
        work.attempt(
            lambda: _run(work, f"alter table {table} rename to {quote_identifier(new)}"),
            f"renaming {state['name']}",
        )
    return {
        "parent": parent.label,
        "parent_oid": parent.oid,
        "name": f"{state['schema']}.{new}",
        "attached_name": f"{state['schema']}.{name}",
        "method": method,
        "detached_at": utc_now().isoformat(),
    }


def read_attachment(work: Work, oid: int) -> Row:
    """Return what a table is now.

    Raises:
        PermanentFailure: it is gone.
    """
    rows = work.session.fetch("partitions/read_attachment", oid=oid)
    if not rows:
        raise PermanentFailure(f"the table with oid {oid} is gone")
    return rows[0]


def _detach_plainly(work: Work, parent: Parent, oid: int, state: Row, name: str) -> None:
    table = quote_identifier(state["schema"], state["name"])

    def change() -> None:
        _run(work, f"alter table {parent.sql} detach partition {table}")
        _run(work, f"alter table {table} rename to {quote_identifier(detached_name(name, oid))}")

    # Rows that refer to it are looked for meanwhile.
    seconds = min(work.target.statement_timeout_seconds, BRIEF_SECONDS)
    with work.timeouts(lock_seconds=work.target.lock_timeout_seconds, statement_seconds=seconds):
        work.attempt(change, f"detaching {state['name']}")


def _detach_concurrently(work: Work, parent: Parent, oid: int, state: Row) -> None:
    _wait_for_holders(work, parent, oid, state["name"])
    table = quote_identifier(state["schema"], state["name"])
    try:
        with work.timeouts(lock_seconds=work.target.lock_timeout_seconds, statement_seconds=PENDING_SECONDS):
            _run(work, f"alter table {parent.sql} detach partition {table} concurrently")
    except DatabaseUnavailable:
        raise
    except HeraldError:
        now = read_attachment(work, oid)
        if now["is_detach_pending"]:
            work.say(f"{state['name']} is detach-pending, its rows are invisible: finalizing")
            _finalize(work, parent, oid, now)
        elif now["is_partition"]:
            raise


def _wait_for_holders(work: Work, parent: Parent, oid: int, name: str) -> None:
    """Wait for those who hold the table or an older snapshot now, not for who comes later: as the server does.

    Half-way through, its rows would be invisible for as long as any of them lasts.
    """
    give_up_at = time.monotonic() + min(work.patience.holder, max(work.left_seconds(), 0))
    waited_for = now = work.list_holders([parent.oid, oid])
    if waited_for:
        work.say(f"detaching {name} waits for {next(iter(waited_for.values()))}")
    while left := [holder for key, holder in now.items() if key in waited_for]:
        if time.monotonic() >= give_up_at:
            raise LockTimeout(
                f"{name} is held by {left[0]}",
                hint="a transaction or an older snapshot: end it, or wait for its end",
            )
        time.sleep(work.patience.poll)
        now = work.list_holders([parent.oid, oid])


def _finalize(work: Work, parent: Parent, oid: int, state: Row) -> None:
    table = quote_identifier(state["schema"], state["name"])
    give_up_at = time.monotonic() + work.patience.finalize
    while True:
        try:
            with work.timeouts(
                lock_seconds=work.target.lock_timeout_seconds, statement_seconds=PENDING_SECONDS
            ):
                _run(work, f"alter table {parent.sql} detach partition {table} finalize")
        except DatabaseUnavailable:
            raise
        except TransientFailure as error:
            if time.monotonic() >= give_up_at:
                holder = next(iter(work.list_holders([parent.oid, oid]).values()), None)
                raise LockTimeout(
                    f"{state['name']} stays detach-pending, its rows are invisible: it is held by {holder or 'others'}",
                    hint="end that transaction; the next run finalizes",
                ) from error
            time.sleep(work.patience.poll)
        except HeraldError:
            # The server may have ended it although nobody heard.
            if read_attachment(work, oid)["is_partition"]:
                raise
            return
        else:
            return


def _run(work: Work, statement: str) -> None:
    work.session.execute(statement)
