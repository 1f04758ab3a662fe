"""What interrupted rebuilds of ours left: copies, which are dropped, and rebuilds that succeeded after all.

REINDEX CONCURRENTLY builds a second index `<name>_ccnew`, swaps the two names in one transaction, and drops
the first as `<name>_ccold`. Wherever it stops, one of the two is valid, and it bears the right name:

    building, validating   the second is `_ccnew` and not valid: it is dropped
    swapped                the first is `_ccold` and not valid: it is dropped, and the rebuild was done
    dropped                nothing is left: the rebuild was done

An invalid index is ours when a ledger row lists its oid as left behind (`result.left_oids`), and only then. A run that
lives writes the list with the end of the rebuild. For one that died, or did not see that end, the next run does, once,
in a row that settles the other: it was `<name>_ccold` if it has the oid of the index that was rebuilt, and `<name>_ccnew`
if it is on that table with that structure and was not there when the rebuild began. (What somebody else's REINDEX of the
same index left in between looks the same, and is of as little use.) Reindexing a leftover would make a valid duplicate;
that is never done. Not here: leftovers of others, which are a verdict (verdicts.py) and stay.
"""

from collections.abc import Mapping
from typing import Any

from herald_pipelines.database.indexes.context import SHORTEST_SECONDS, RebuildContext
from herald_pipelines.database.indexes.ddl import is_leftover_of
from herald_pipelines.database.indexes.report import Leftover
from herald_pipelines.errors import DatabaseUnavailable, HeraldError, LockTimeout, StatementTimeout
from herald_pipelines.resources.postgres import Row, Session
from herald_pipelines.values import Outcome, quote_identifier


def clean_leftovers(context: RebuildContext, lock_seconds: float) -> tuple[Leftover, ...]:
    """Settle the rebuilds whose runs died, and drop what rebuilds of this database are known to have left.

    Each drop is an action of its own.

    Args:
        context: where.
        lock_seconds: how long others may hold up each drop, while the budget lasts.

    Returns:
        Every leftover of ours that was found, dropped or not.

    Raises:
        DatabaseUnavailable: the server went away.
        HeraldError: the catalog or the ledger could not be read.
    """
    unsettled: list[Leftover] = []
    for rebuild in _read_ledger(context, "history/list_interrupted_rebuilds"):
        name, oid = rebuild["object_name"], rebuild["object_oid"]
        try:
            _settle(context, rebuild)
        except DatabaseUnavailable:
            raise
        except HeraldError as error:
            reason = f"what its interrupted rebuild left is not known yet: {error.message}"
            context.say(f"{name}: {reason}")
            unsettled.append(Leftover(oid, name, Outcome.SKIPPED, reason))
    ours = {row["oid"]: row for row in _read_ledger(context, "history/list_left_indexes")}
    suspects = context.session.fetch("indexes/list_invalid_indexes") if ours else []
    dropped = [
        _drop(context, suspect, ours[suspect["oid"]]["left_by"], lock_seconds)
        for suspect in suspects
        if suspect["oid"] in ours and _is_left(suspect, ours[suspect["oid"]], "ccnew", "ccold")
    ]
    return (*unsettled, *dropped)


def find_successor(session: Session, oid: int, evidence: Mapping[str, Any]) -> Row | None:
    """Return the valid index that took over the name of a rebuilt one, or None when the swap did not happen.

    Args:
        session: any session in the database.
        oid: of the index before its rebuild.
        evidence: of the ledger row of the rebuild.

    Raises:
        LockTimeout: its table is locked.
        HeraldError: of the kind that fits what the server said.
    """
    for row in session.fetch(
        "indexes/find_index_by_name",
        schema=evidence["schema"],
        index=evidence["index"],
        table_oid=evidence["table_oid"],
    ):
        for state in session.fetch("indexes/read_index_state", oid=row["oid"]):
            if state["oid"] != oid and state["is_valid"] and state["structure"] == evidence["structure"]:
                return state
    return None


def find_left(session: Session, oid: int, evidence: Mapping[str, Any]) -> list[int]:
    """Return the oids of what the rebuild of an index left, on the proof that the module's docstring names.

    Args:
        session: any session in the database.
        oid: of the index before its rebuild.
        evidence: of the ledger row of the rebuild.

    Raises:
        LockTimeout: its table is locked.
        HeraldError: of the kind that fits what the server said.
    """
    left: list[int] = []
    for suspect in session.fetch("indexes/list_invalid_indexes"):
        if suspect["oid"] == oid and _is_left(suspect, evidence, "ccold"):
            left.append(oid)
        elif suspect["oid"] not in evidence["index_oids"] and _is_left(suspect, evidence, "ccnew"):
            states = session.fetch("indexes/read_index_state", oid=suspect["oid"])
            left += [state["oid"] for state in states if state["structure"] == evidence["structure"]]
    return left


def describe_gain(after: Row, evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of a rebuild for the ledger: the index's new oid and file, the gain that was got."""
    return {
        "index_oid": after["oid"],
        "relfilenode": after["relfilenode"],
        "size_bytes": after["size_bytes"],
        "tuples": after["tuples"],
        "promised_bytes": evidence["promised_bytes"],
        "achieved_bytes": evidence["size_bytes"] - after["size_bytes"],
    }


def _is_left(suspect: Row, rebuilt: Mapping[str, Any], *kinds: str) -> bool:
    """Whether an invalid index is on the table of a rebuilt one, and named as its rebuild leaves one."""
    return suspect["table_oid"] == rebuilt["table_oid"] and any(
        is_leftover_of(suspect["index"], rebuilt["index"], kind) for kind in kinds
    )


def _read_ledger(context: RebuildContext, query: str) -> list[Row]:
    with context.ledger.ops.session() as ops:
        return ops.fetch(
            query,
            database=context.identity.name,
            system_identifier=context.identity.system_identifier,
            database_oid=context.identity.database_oid,
            task=context.task,
        )


def _settle(context: RebuildContext, rebuild: Row) -> None:
    """Write the row that a dead run could not write: how its rebuild ended and what it left.

    Raises:
        HeraldError: that cannot be known now; nothing was written.
    """
    name, oid, evidence = rebuild["object_name"], rebuild["object_oid"], rebuild["evidence"]
    successor = None if rebuild["was_repeated"] else find_successor(context.session, oid, evidence)
    result: dict[str, Any] = {"left_oids": find_left(context.session, oid, evidence)}
    outcome, reason = (
        Outcome.FAILED,
        "its run was interrupted, and no new index took the place of the old one",
    )
    if successor is not None:
        # No baseline: much may have been written to it since its build.
        result |= describe_gain(successor, evidence)
        outcome, reason = Outcome.DONE, "the server had finished the rebuild although its run was interrupted"
    context.record(outcome, name, oid, {**evidence, "settles": rebuild["id"]}, reason=reason, result=result)


def _drop(context: RebuildContext, suspect: Row, left_by: int, lock_seconds: float) -> Leftover:
    """Drop a leftover, or say why not.

    Raises:
        DatabaseUnavailable: the server went away.
        HeraldError: the ledger could not be written.
    """
    oid, name = suspect["oid"], f"{suspect['schema']}.{suspect['index']}"
    statement = f"DROP INDEX CONCURRENTLY {quote_identifier(suspect['schema'], suspect['index'])}"
    evidence = {"left_by": left_by, "statement": statement}
    if not suspect["may_drop"]:
        reason = f"role {suspect['role']} does not own it; its owner must run: {statement}"
        context.record(Outcome.REFUSED, name, oid, evidence, reason=reason)
        context.say(f"could not drop {name}: {reason}")
        return Leftover(oid, name, Outcome.REFUSED, reason)
    context.say(f"dropping {name}, which an interrupted rebuild left")
    with context.action(name, oid, evidence) as action:
        action.outcome, action.reason = outcome, reason = _try_to_drop(
            context, suspect, statement, lock_seconds
        )
    if outcome is not Outcome.DONE:
        context.say(f"could not drop {name}: {reason}")
    return Leftover(oid, name, outcome, reason)


def _try_to_drop(
    context: RebuildContext, suspect: Row, statement: str, lock_seconds: float
) -> tuple[Outcome, str]:
    try:
        rows = context.session.fetch("indexes/find_index", oid=suspect["oid"])
        if not rows:
            # It is dropped by its name, which may be another index's by now.
            return Outcome.DONE, "somebody else dropped it meanwhile"
        objection = _find_objection(context.session, suspect, rows[0])
        if objection is not None:
            return Outcome.SKIPPED, objection
        left_seconds = max(context.left_seconds(), SHORTEST_SECONDS)
        with context.timeouts(lock_seconds=min(lock_seconds, left_seconds), statement_seconds=left_seconds):
            context.run(statement)
    except DatabaseUnavailable:
        raise
    except (LockTimeout, StatementTimeout) as error:
        return Outcome.SKIPPED, error.message
    except HeraldError as error:
        return Outcome.FAILED, error.message
    return Outcome.DONE, "left by an interrupted rebuild, and dropped"


def _find_objection(session: Session, suspect: Row, now: Row) -> str | None:
    """Return why a leftover must not be dropped as it is now."""
    builds = session.fetch("indexes/list_builds")
    if any(build["table_oid"] in (None, suspect["table_oid"]) for build in builds):
        return "an index of its table is being built, or one that this role may not see"
    if now["is_valid"] or (now["schema"], now["index"]) != (suspect["schema"], suspect["index"]):
        return "it changed meanwhile: it is valid, or has another name"
    return None
