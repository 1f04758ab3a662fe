"""What the ledger proves of each partition, by its oid, which renaming and detaching leave as it is. Pure.

    archive  done: it is in the store, was restored, and had these rows
    detach   done: it is no partition any more, is called so, and may be dropped when its grace is over
    attach   done: it was brought back as it was
    drop     done: it is gone
    restore  done: it was brought back from its archive, under a new oid

A step that was begun and whose end is not known is settled by what the catalog says. Not here: reading (history.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from herald_pipelines.partitions.bounds import with_suffix
from herald_pipelines.partitions.facts import Lifecycle
from herald_pipelines.values import Outcome


class Step(StrEnum):
    """What is done to a partition: `step` in the evidence of its ledger rows."""

    CREATE = "create"
    ARCHIVE = "archive"
    DETACH = "detach"
    DROP = "drop"
    ATTACH = "attach"
    RESTORE = "restore"


STALE, GONE, ATTACHED = "stale", "gone", "attached"
"""Keys in the result of a step that was not done: its archive holds other rows; somebody else dropped it; it is attached as
before, so that whoever detaches it later is not us."""


def detached_name(name: str, oid: int) -> str:
    """Return what a partition is called once it is detached.

    >>> detached_name("matches_2024_01", 16412)
    'matches_2024_01_detached_16412'
    """
    return with_suffix(name, f"_detached_{oid}")


def fold_steps(rows: Iterable[Mapping[str, Any]]) -> dict[int, Lifecycle]:
    """Return what rows of the ledger prove, by oid.

    Args:
        rows: of partitions/list_steps, oldest first.
    """
    found: dict[int, Lifecycle] = {}
    for row in rows:
        oid = row["oid"]
        # What was planned is no step, and proves nothing.
        if oid is None or row["outcome"] == Outcome.PLANNED:
            continue
        known = found.get(oid)
        # A server gives an oid again after four thousand million others.
        if known is None or known.is_over:
            known = Lifecycle(oid, row["object_name"])
        found[oid] = _after(known, row)
    return found


def _after(known: Lifecycle, row: Mapping[str, Any]) -> Lifecycle:  # noqa: PLR0911 - one for each step
    evidence, result, outcome = row["evidence"], row["result"], Outcome(row["outcome"])
    known = replace(known, name=row["object_name"])
    is_open = outcome in (Outcome.RUNNING, Outcome.INTERRUPTED, Outcome.FAILED)
    if outcome is Outcome.SKIPPED and result.get(STALE):
        return replace(known, archive=None)
    match Step(evidence["step"]), outcome:
        case Step.ARCHIVE, Outcome.DONE:
            return replace(known, archive=result)
        case Step.DETACH, Outcome.DONE:
            return replace(known, detach=result, attempt=None, returned_at=None)
        case Step.DETACH, _ if result.get(ATTACHED):
            return replace(known, attempt=None)
        case Step.DETACH, _ if is_open:
            return replace(known, attempt=evidence)
        case Step.ATTACH, Outcome.DONE:
            return replace(
                known,
                detach=None,
                attempt=None,
                is_drop_open=False,
                returned_at=row["finished_at"].isoformat(),
            )
        case Step.DROP, _ if outcome is Outcome.DONE or result.get(GONE):
            return replace(known, is_over=True)
        case Step.DROP, _ if is_open:
            return replace(known, is_drop_open=True)
        case (Step.RESTORE, Outcome.DONE) | (
            Step.ATTACH,
            Outcome.RUNNING | Outcome.INTERRUPTED | Outcome.FAILED,
        ):
            # Whether an open one was attached, the catalog says: then since its start.
            return replace(known, returned_at=row["started_at"].isoformat())
        case _:
            return known
