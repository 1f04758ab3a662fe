"""Rebuilds one index between the opening and the closing of its ledger row, and measures the gain.

Not here: whether it may begin (obstacles.py), in which order (rebuild.py), dropping what is left of a failure
(leftovers.py).
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from herald_pipelines.database.indexes.context import SHORTEST_SECONDS, RebuildContext
from herald_pipelines.database.indexes.history import write_baseline
from herald_pipelines.database.indexes.leftovers import describe_gain, find_left, find_successor
from herald_pipelines.database.indexes.plan import RebuildStep
from herald_pipelines.database.indexes.report import Rebuilt
from herald_pipelines.errors import (
    DatabaseUnavailable,
    HeraldError,
    LockTimeout,
    PermanentFailure,
    StatementTimeout,
)
from herald_pipelines.resources.postgres import Row
from herald_pipelines.values import Outcome, format_seconds


def gather_evidence(context: RebuildContext, step: RebuildStep) -> dict[str, Any] | None:
    """Return what recovery needs when this process dies, and what the gain is measured against.

    Returns:
        None when the index is gone.

    Raises:
        LockTimeout: its table is locked.
        HeraldError: of the kind that fits what the server said.
    """
    session = context.session
    others = session.fetch("indexes/list_indexes_of_table", table_oid=step.table_oid)
    for state in session.fetch("indexes/read_index_state", oid=step.oid):
        return step.evidence() | {
            "schema": step.schema,
            "index": step.index,
            "table": state["table"],
            "table_oid": step.table_oid,
            "relfilenode": step.relfilenode,
            "structure": state["structure"],
            "index_oids": [row["oid"] for row in others],
            # The index may have grown while others were rebuilt or it had to wait.
            "size_bytes": state["size_bytes"],
        }
    return None


def rebuild_index(
    context: RebuildContext, step: RebuildStep, evidence: Mapping[str, Any]
) -> tuple[Rebuilt | None, HeraldError | None]:
    """Rebuild an index.

    Args:
        context: where.
        step: what.
        evidence: of `gather_evidence`, for the ledger.

    Returns:
        What was gained, or None; and what went wrong, if anything did. Both when it failed only after the new
        index was in place, which then counts.

    Raises:
        DatabaseUnavailable: the server went away; the next run finds out what became of the rebuild.
        HeraldError: the ledger could not be written.
    """
    after: Row | None = None
    with context.action(step.name, step.oid, evidence) as action:
        started = context.clock()
        try:
            problem = _reindex(context, step)
            after = find_successor(context.session, step.oid, evidence)
            if after is None and problem is None:
                said = "; ".join(context.session.take_notices())
                problem = PermanentFailure(said or "the server left the index as it was")
            if problem is not None:
                action.outcome, action.reason = Outcome.FAILED, problem.message
                action.result["left_oids"] = find_left(context.session, step.oid, evidence)
        except HeraldError as error:
            # Nobody has seen what became of it, so this row is settled like that of a run that died.
            problem = error
            after = None
            action.outcome, action.reason = Outcome.INTERRUPTED, error.message
        seconds = context.clock() - started
        if after is not None:
            action.outcome = Outcome.DONE
            action.result.update(describe_gain(after, evidence), seconds=round(seconds, 3))
    if isinstance(problem, DatabaseUnavailable):
        raise problem
    if after is None:
        return None, problem
    write_baseline(context.ledger.ops, context.identity, after)
    rebuilt = Rebuilt(
        name=step.name,
        oid=step.oid,
        index_oid=after["oid"],
        size_before_bytes=evidence["size_bytes"],
        size_after_bytes=after["size_bytes"],
        promised_bytes=step.promised_bytes,
        achieved_bytes=evidence["size_bytes"] - after["size_bytes"],
        seconds=seconds,
    )
    return rebuilt, problem


def _reindex(context: RebuildContext, step: RebuildStep) -> HeraldError | None:
    """Run the statement, and return what the server objected to.

    Raises:
        DatabaseUnavailable: the server went away.
    """
    left_seconds = max(context.left_seconds(), SHORTEST_SECONDS)
    lock_seconds = min(context.patience.lock, left_seconds)
    context.session.take_notices()
    try:
        with context.timeouts(lock_seconds=lock_seconds, statement_seconds=left_seconds):
            context.run(step.statement, every_few_seconds=lambda: _say_progress(context, step))
    except DatabaseUnavailable:
        raise
    except LockTimeout as error:
        return LockTimeout(f"others held it up for {format_seconds(lock_seconds)}: {error.message}")
    except StatementTimeout as error:
        return StatementTimeout(f"the time budget ended before the rebuild did: {error.message}")
    except HeraldError as error:
        return error
    return None


def _say_progress(context: RebuildContext, step: RebuildStep) -> None:
    # Nobody's rebuild may end because its progress could not be looked up.
    with suppress(HeraldError), replace(context.target, read_only=True).session() as session:
        for row in session.fetch("indexes/list_builds"):
            if row["table_oid"] == step.table_oid:
                share = f", {row['blocks_done'] / row['blocks_total']:.0%}" if row["blocks_total"] else ""
                context.say(f"{step.name}: {row['phase']}{share}")
