"""What keeps an index from being rebuilt now: what has changed since the plan, disk and WAL, and who holds what.

REINDEX CONCURRENTLY waits for old snapshots and for transactions on its table, and what makes it give up leaves a
leftover. So before each rebuild nobody may hold either, and its table's lock is asked for shortly. Not here: what
follows from an obstacle (rebuild.py).
"""

from collections.abc import Mapping, Sequence

from herald_pipelines.database.indexes.context import RebuildContext
from herald_pipelines.database.indexes.disk import find_wal_problem, read_free_disk
from herald_pipelines.database.indexes.plan import RebuildStep
from herald_pipelines.database.rights import explain_missing_right
from herald_pipelines.errors import LockTimeout, PermanentFailure
from herald_pipelines.resources.postgres import Session
from herald_pipelines.values import format_bytes, quote_identifier

GONE = "it was dropped or rebuilt meanwhile"
LOCKED = "a lock on its table that another session holds"


def find_forbidden(session: Session, oids: Sequence[int]) -> Mapping[int, str]:
    """Return, for those of some indexes that the session's role may not rebuild, why and what would allow it.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    rows = session.fetch("indexes/find_forbidden", oids=list(oids))
    return {row["oid"]: explain_missing_right(row, "rebuild it") for row in rows}


def find_obstacle(context: RebuildContext, step: RebuildStep) -> str | None:
    """Return why an index cannot be rebuilt in this window at all, or None. Waits for nobody.

    Raises:
        PermanentFailure: the role may not rebuild it.
        HeraldError: of the kind that fits what the server said.
    """
    session = context.session
    rows = session.fetch("indexes/find_index", oid=step.oid)
    if not rows:
        return GONE
    (now,) = rows
    if (now["schema"], now["index"]) != (step.schema, step.index):
        return f"it was renamed meanwhile: {now['schema']}.{now['index']}"
    if now["relfilenode"] != step.relfilenode:
        return "it was rebuilt meanwhile"
    if not now["is_valid"]:
        return "it is not valid any more"
    forbidden = find_forbidden(session, [step.oid])
    if forbidden:
        raise PermanentFailure(forbidden[step.oid])
    free = read_free_disk(session, step.oid)
    room = context.assumed_free_disk_bytes if free is None else free
    if room < step.disk_bytes:
        return f"it needs {format_bytes(step.disk_bytes)} of disk, {format_bytes(room)} are free"
    return find_wal_problem(session, step.size_bytes)


def find_holder(context: RebuildContext, step: RebuildStep) -> str | None:
    """Return who would make the rebuild wait now, or None when nobody would for long.

    Raises:
        HeraldError: the role may not lock the table, or of the kind that fits what the server said.
    """
    session, patience = context.session, context.patience
    holders = session.fetch(
        "indexes/find_horizon_holders", table_oid=step.table_oid, min_age_seconds=patience.holder_age
    )
    if holders:
        return "; ".join(row["holder"] for row in holders)
    rows = session.fetch("indexes/find_index", oid=step.oid)
    if not rows or rows[0]["table_kind"] == "m":
        return None  # gone, which is seen next; LOCK TABLE takes no materialized view
    table = quote_identifier(rows[0]["table_schema"], rows[0]["table"])
    with context.timeouts(lock_seconds=patience.probe, statement_seconds=patience.probe * 2):
        session.execute("begin")
        try:
            session.execute(f"lock table only {table} in share update exclusive mode")
        except LockTimeout:
            return LOCKED
        finally:
            session.execute("rollback")
    return None
