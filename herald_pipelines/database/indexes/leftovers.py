"""What interrupted rebuilds of ours left: copies, which are dropped, and rebuilds that succeeded after all.

REINDEX CONCURRENTLY builds a second index `<name>_ccnew`, swaps the two names in one transaction, and drops
the first as `<name>_ccold`. Wherever it stops, one of the two is valid, and it bears the right name:

    building, validating   the second is `_ccnew` and not valid: it is dropped
    swapped                the first is `_ccold` and not valid: it is dropped, and the rebuild was done
    dropped                nothing is left: the rebuild was done

An invalid index is ours when a ledger row of a rebuild says so: by its oid (`_ccold`), or by a name made
from that of the index which was rebuilt, on the same table, when the row does not list it as there before
(`_ccnew`). Reindexing a leftover would make a valid duplicate; that is never done. Not here: leftovers of
others, which are a verdict (verdicts.py) and stay.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from herald_pipelines.database.indexes.ddl import is_leftover_of
from herald_pipelines.database.indexes.history import list_rebuilds, write_baseline
from herald_pipelines.errors import DatabaseUnavailable, HeraldError
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.postgres import Row, Session
from herald_pipelines.values import DatabaseIdentity, Outcome, quote_identifier


@dataclass(frozen=True)
class Leftover:
    """One invalid index that an interrupted rebuild of ours left."""

    oid: int
    name: str
    """Qualified."""
    size_bytes: int
    dropped: bool
    reason: str | None = None
    """Why it could not be dropped; the next run tries again."""


def clean_leftovers(
    session: Session,
    identity: DatabaseIdentity,
    ledger: Ledger,
    *,
    task: str,
    window: str,
    say: Callable[[str], None],
) -> tuple[Leftover, ...]:
    """Drop what earlier rebuilds of this database left, and record those that the server finished on its own.

    Args:
        session: writable, in autocommit, holding the advisory lock of (database, task).
        identity: of the database the session is in.
        ledger: what was rebuilt when; each drop is an action of its own.
        task: task of the calendar.
        window: window key.
        say: told of each drop.

    Returns:
        Every leftover of ours that was found, dropped or not.

    Raises:
        DatabaseUnavailable: the server went away.
        HeraldError: the catalog or the ledger could not be read.
    """
    suspects = {row["oid"]: row for row in session.fetch("indexes/list_invalid_indexes")}
    with ledger.ops.session() as ops:
        rebuilds = list_rebuilds(ops, identity, task, list(suspects))
    if not rebuilds:
        return ()
    found: list[Leftover] = []
    for oid, suspect in suspects.items():
        owner = next((row for row in rebuilds if _left_by(suspect, row)), None)
        if owner is not None:
            name = f"{suspect['schema']}.{suspect['index']}"
            evidence = {"left_by": owner["id"], "size_bytes": suspect["size_bytes"]}
            leftover = Leftover(oid, name, suspect["size_bytes"], dropped=True)
            try:
                with ledger.action(
                    identity, task, window, object_name=name, object_oid=oid, evidence=evidence
                ) as action:
                    _drop(session, suspect)
                    action.reason = "left by an interrupted rebuild"
                say(f"dropped {name}, which an interrupted rebuild left")
            except DatabaseUnavailable:
                raise
            except HeraldError as error:
                leftover = Leftover(oid, name, suspect["size_bytes"], dropped=False, reason=error.message)
                say(f"could not drop {name}: {error.message}")
            found.append(leftover)
    for row in {row["object_oid"]: row for row in rebuilds if _is_open(row)}.values():
        _record_finished(session, identity, ledger, row, task=task, window=window)
    return tuple(found)


def find_successor(session: Session, oid: int, evidence: Mapping[str, Any]) -> Row | None:
    """Return the valid index that took over the name of a rebuilt one, or None when the swap did not happen.

    Args:
        session: any session in the database.
        oid: of the index before its rebuild.
        evidence: of the ledger row of the rebuild.
    """
    for row in session.fetch(
        "indexes/find_index_by_name",
        schema=evidence["schema"],
        index=evidence["index"],
        table_oid=evidence["table_oid"],
    ):
        states = session.fetch("indexes/read_index_state", oid=row["oid"])
        for state in states:
            if state["oid"] != oid and state["is_valid"] and state["definition"] == evidence["definition"]:
                return state
    return None


def _left_by(suspect: Row, rebuild: Row) -> bool:
    evidence = rebuild["evidence"]
    if suspect["table_oid"] != evidence["table_oid"]:
        return False
    if suspect["oid"] == rebuild["object_oid"]:
        return is_leftover_of(suspect["index"], evidence["index"], "ccold")
    return (
        rebuild["outcome"] != Outcome.DONE
        and suspect["oid"] not in evidence["invalid_oids"]
        and is_leftover_of(suspect["index"], evidence["index"], "ccnew")
    )


def _is_open(rebuild: Row) -> bool:
    return rebuild["outcome"] != Outcome.DONE and not rebuild["is_made_up_for"]


def _drop(session: Session, suspect: Row) -> None:
    """Drop a leftover after a last look at it.

    Raises:
        HeraldError: it is being built, became valid, or the server refused.
    """
    builds = session.fetch("indexes/list_builds")
    if any(build["table_oid"] in (None, suspect["table_oid"]) for build in builds):
        raise HeraldError("an index of its table is being built, or one that this role may not see")
    states = session.fetch("indexes/read_index_state", oid=suspect["oid"])
    if not states:
        return
    if states[0]["is_valid"] or states[0]["index"] != suspect["index"]:
        raise HeraldError("it changed meanwhile: it is valid, or has another name")
    session.execute(f"DROP INDEX CONCURRENTLY {quote_identifier(suspect['schema'], suspect['index'])}")


def _record_finished(
    session: Session, identity: DatabaseIdentity, ledger: Ledger, rebuild: Row, *, task: str, window: str
) -> None:
    """Record as done a rebuild that the server finished although its run died."""
    evidence = rebuild["evidence"]
    successor = find_successor(session, rebuild["object_oid"], evidence)
    if successor is None:
        return
    ledger.record(
        identity,
        task,
        window,
        Outcome.DONE,
        object_name=rebuild["object_name"],
        object_oid=rebuild["object_oid"],
        evidence={**evidence, "finishes": rebuild["id"]},
        reason="the server had finished the rebuild although its run was interrupted",
        result=describe_gain(successor, evidence),
    )
    write_baseline(ledger.ops, identity, successor)


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


def invalid_oids(session: Session, table_oid: int) -> Sequence[int]:
    """Return the indexes of a table that are not valid, for the evidence of a rebuild that begins."""
    return [
        row["oid"] for row in session.fetch("indexes/list_invalid_indexes") if row["table_oid"] == table_oid
    ]
