"""What the tasks of partitions do on one database for a window: read, plan, act, describe. Thin.

Not here: the tasks themselves (assets.py), any rule (plan.py, upcoming.py, checks.py).
"""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from herald_pipelines.backup.assets import NO_STORE, has_store, origin_of
from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.facts import Kind, Manifest, Proof
from herald_pipelines.backup.history import list_recorded, record_backup, record_proof
from herald_pipelines.backup.inventory import Catalog
from herald_pipelines.backup.repository import Repository, repository
from herald_pipelines.errors import UsageError
from herald_pipelines.partitions.analysis import PartitionAnalysis, analyze_partitions
from herald_pipelines.partitions.archiving import Archivist
from herald_pipelines.partitions.checks import (
    check_ahead,
    check_archives,
    check_blocked,
    check_defaults,
    check_kept,
    check_visible,
)
from herald_pipelines.partitions.cleanup import STEPS, attached_label, clean_up
from herald_pipelines.partitions.creating import find_default_rows
from herald_pipelines.partitions.lifecycle import Step
from herald_pipelines.partitions.making import evidence_of, make_upcoming
from herald_pipelines.partitions.plan import CHANGES, UNFINISHED, Action, Item
from herald_pipelines.partitions.report import Done, describe_done, describe_items, describe_tables, summarize
from herald_pipelines.partitions.rules import moment_of
from herald_pipelines.partitions.tables import done_table, item_table, parent_table
from herald_pipelines.partitions.upcoming import Upcoming
from herald_pipelines.partitions.work import Work, at_work
from herald_pipelines.tasks import CheckVerdict, TaskContext, TaskResult
from herald_pipelines.values import Capability, Mode, Outcome


def analyze(context: TaskContext) -> PartitionAnalysis:
    """Read and plan the partitions of the context's database, for the moment of its window."""
    return analyze_partitions(
        context.targets.postgres(context.database, Capability.OBSERVE, context.task),
        context.ops,
        context.identity,
        context.settings.database(context.database).partitions,
        at=moment_of(context.window),
    )


def run_partition_inventory(context: TaskContext) -> TaskResult:
    """Read every partition and say what is to be done."""
    analysis = analyze(context)
    summary = summarize(analysis)
    return TaskResult(
        metadata={
            "partition_inventory": {
                **summary,
                "by_table": parent_table(analysis),
                "to_do": item_table(analysis.items),
            }
        },
        checks=(check_defaults(analysis), check_visible(analysis)),
        summary=summary,
        document={
            "summary": summary,
            "tables": describe_tables(analysis),
            "partitions": describe_items(analysis.items),
        },
    )


def run_upcoming_partitions(context: TaskContext) -> TaskResult:
    """Make the partitions that are missing ahead; in `observe` mode and dry runs the plan is all."""
    analysis = analyze(context)
    done: list[Done] = []
    if context.may_act and context.ledger is not None:
        if any(each.new for each in analysis.upcoming):
            with _at_work(context) as work:
                done = make_upcoming(work, analysis.upcoming)
    else:
        done = _foresee(context, analysis.upcoming)
    summary = {**_count(done, Step.CREATE), "missing": sum(len(each.new) for each in analysis.upcoming)}
    return TaskResult(
        metadata={"upcoming_partitions": {**summary, "partitions": done_table(done)}},
        checks=(check_ahead(analysis.upcoming, done),),
        summary=summary,
        document={"summary": summary, "tables": describe_tables(analysis), "steps": describe_done(done)},
        problems=_problems(done),
    )


def run_partition_archive(context: TaskContext) -> TaskResult:
    """Put every partition that is to go into the store, and prove it; in `observe` mode and dry runs the plan is all."""
    deadline = time.monotonic() + context.budget_seconds
    analysis = analyze(context)
    items = analysis.to_do(Action.ARCHIVE)
    if items and not has_store(context.settings, context.database):
        raise UsageError(f"there is no store for the archives of {context.database}", hint=NO_STORE)
    done: list[Done] = []
    checks: tuple[CheckVerdict, ...] = ()
    if not (context.may_act and context.ledger is not None):
        done = _plan(context, items, Step.ARCHIVE)
    elif has_store(context.settings, context.database):
        done, checks = _archive(context, analysis, items, deadline)
    results = [each.details or {} for each in done if each.outcome is Outcome.DONE]
    summary = {
        **_count(done, Step.ARCHIVE),
        "rows": sum(each["rows"] for each in results),
        "clear_bytes": sum(each["clear_bytes"] for each in results),
        "stored_bytes": sum(each["stored_bytes"] for each in results),
    }
    return TaskResult(
        metadata={"partition_archive": {**summary, "partitions": done_table(done)}},
        checks=checks,
        summary=summary,
        document={"summary": summary, "steps": describe_done(done)},
        problems=_problems(done),
    )


def _archive(
    context: TaskContext, analysis: PartitionAnalysis, items: Sequence[Item], deadline: float
) -> tuple[list[Done], tuple[CheckVerdict, ...]]:
    assert context.ledger is not None  # noqa: S101 - asked for by the caller
    with repository(context.settings, context.targets.environ) as place:
        place.store.check()

        def remember(manifest: Manifest, proof: Proof) -> None:
            if context.ops is not None:
                with context.ops.session() as session:
                    record_backup(session, manifest, place.store.url)
                    record_proof(session, proof)

        catalog = read_catalog(place)
        archivist = Archivist(
            place=place,
            catalog=catalog,
            target=context.targets.postgres(context.database, Capability.BACKUP, context.task),
            identity=context.identity,
            programs=context.settings.backup.programs,
            ledger=context.ledger,
            task=context.task,
            window=context.window,
            origin=origin_of(context.settings, place, context.window, context.run_id),
            parents=analysis.known.inventory.by_oid,
            remember=remember,
            left_seconds=lambda: deadline - time.monotonic(),
            say=context.say,
        )
        done = archivist.archive(items)
        return done, (check_archives(done), check_kept(_find_lost(context, place, catalog)))


def _find_lost(context: TaskContext, place: Repository, catalog: Catalog) -> list[str]:
    """Return the archives of the database that were made earlier and are not in the store, or not whole."""
    if context.ops is None:
        return []
    with context.ops.session() as session:
        recorded = list_recorded(session, place.platform, place.store.url)
    held = {each.manifest.id for each in catalog.of(Kind.PARTITION) if not each.missing}
    return [
        each.id
        for each in recorded
        if (each.kind, each.name) == (Kind.PARTITION, context.database)
        and each.started_at < context.now
        and each.id not in held
    ]


def run_partition_cleanup(context: TaskContext) -> TaskResult:
    """Detach what is archived, and drop what was detached long enough; in `observe` mode and dry runs the plan is all."""
    analysis = analyze(context)
    items = analysis.to_do(*CHANGES)
    if not (context.may_act and context.ledger is not None):
        done = _plan(context, items, None)
    else:
        done = _clean(context, analysis, items) if items else []
    summary = {
        **_count(done, Step.DETACH),
        **_count(done, Step.DROP),
        "freed_bytes": sum((each.details or {}).get("freed_bytes") or 0 for each in done),
        "waiting": len(analysis.to_do(Action.WAIT)),
        "to_archive": len(analysis.to_do(Action.ARCHIVE)),
        "blocked": len(analysis.to_do(Action.BLOCKED)),
    }
    return TaskResult(
        metadata={
            "partition_cleanup": {
                **summary,
                "steps": done_table(done),
                "partitions": item_table(analysis.items),
            }
        },
        checks=(check_blocked(analysis.items, done),) if context.may_act else (),
        summary=summary,
        document={
            "summary": summary,
            "steps": describe_done(done),
            "partitions": describe_items(each for each in analysis.items if each.action is not Action.KEEP),
        },
        problems=_problems(done),
    )


def _clean(context: TaskContext, analysis: PartitionAnalysis, items: Sequence[Item]) -> list[Done]:
    parents = analysis.known.inventory.by_oid
    with _at_work(context) as work:
        # What was interrupted may be invisible: it waits for no store.
        done = clean_up(work, (each for each in items if each.action in UNFINISHED), parents, None)
        rest = [each for each in items if each.action not in UNFINISHED]
        if not any(item.rule is not None and item.rule.settings.archive for item in rest):
            return done + clean_up(work, rest, parents, None)
        with repository(context.settings, context.targets.environ) as place:
            place.store.check()
            return done + clean_up(work, rest, parents, read_catalog(place))


def _at_work(context: TaskContext) -> AbstractContextManager[Work]:
    assert context.ledger is not None  # noqa: S101 - asked for by the callers
    return at_work(
        context.targets.postgres(context.database, Capability.MAINTAIN, context.task),
        context.identity,
        context.ledger,
        task=context.task,
        window=context.window,
        now=context.now,
        budget_seconds=context.budget_seconds,
        say=context.say,
    )


def _foresee(context: TaskContext, upcoming: Sequence[Upcoming]) -> list[Done]:
    """Return what would be made, with what only the role that makes it can tell."""
    done: list[Done] = []
    maintain = None
    if context.mode is Mode.APPLY:
        # It may have more rights than the role that observes.
        target = context.targets.postgres(context.database, Capability.MAINTAIN, context.task)
        maintain = replace(target, read_only=True)
    for new in (each for table in upcoming for each in table.new):
        outcome, reason = Outcome.PLANNED, None
        if maintain is not None and new.rule.parent.default is not None:
            with maintain.session() as session:
                reason = find_default_rows(session, new).hindrance
            outcome = Outcome.PLANNED if reason is None else Outcome.REFUSED
        done.append(Done(new.label, Step.CREATE, outcome, reason))
        if not context.dry_run and context.ledger is not None:
            context.ledger.record(
                context.identity,
                context.task,
                context.window,
                Outcome.PLANNED,
                object_name=new.label,
                evidence=evidence_of(new),
                reason=_unchanged(context),
            )
    return done


def _plan(context: TaskContext, items: Sequence[Item], step: Step | None) -> list[Done]:
    done: list[Done] = []
    for item in items:
        done.append(Done(item.name, step or STEPS[item.action], Outcome.PLANNED, item.reason))
        if not context.dry_run and context.ledger is not None:
            context.ledger.record(
                context.identity,
                context.task,
                context.window,
                Outcome.PLANNED,
                object_name=attached_label(item),
                object_oid=item.oid,
                evidence={"step": done[-1].step, "reason": item.reason, "size_bytes": item.size_bytes},
                reason=_unchanged(context),
            )
    return done


def _unchanged(context: TaskContext) -> str:
    return f"mode is {context.mode.value}: nothing is changed"


def _count(done: Sequence[Done], step: Step) -> dict[str, Any]:
    own = [each for each in done if each.step == step]
    return {
        f"{step.value}_done": sum(each.outcome is Outcome.DONE for each in own),
        f"{step.value}_planned": sum(each.outcome is Outcome.PLANNED for each in own),
        f"{step.value}_failed": sum(each.outcome is Outcome.FAILED for each in own),
        f"{step.value}_skipped": sum(each.outcome in (Outcome.SKIPPED, Outcome.REFUSED) for each in own),
    }


def _problems(done: Sequence[Done]) -> tuple[str, ...]:
    return tuple(f"{each.name}: {each.reason}" for each in done if each.outcome is Outcome.FAILED)
