"""The weekly task that looks after everything in a database: all tables, whatever their need, and the soundness of indexes.

Not here: how tables are maintained (tables/) and indexes looked through (integrity/).
"""

import time
from collections.abc import Mapping

from herald_pipelines.database.integrity.amcheck import (
    check_btrees,
    find_hindrance,
    read_btrees,
    read_losses,
    read_verdicts,
)
from herald_pipelines.database.integrity.checks import check_soundness
from herald_pipelines.database.integrity.plan import Loss, Verdict, describe_checks, plan_checks
from herald_pipelines.database.tables.assets import FREE, GROUP, PROVEN, describe_maintenance, maintain_tables
from herald_pipelines.database.tables.display import work_table
from herald_pipelines.database.tables.need import Scope
from herald_pipelines.errors import HeraldError
from herald_pipelines.tasks import AssetInfo, CheckInfo, Task, TaskContext, TaskResult
from herald_pipelines.values import Capability, Outcome


def run_full_maintenance(context: TaskContext) -> TaskResult:
    """Vacuum and analyze all that changed, freeze what is half way to its limit, then look through b-trees.

    Looking through indexes changes nothing, so it is done in `observe` mode, too. It has half of the budget for certain.
    """
    deadline = time.monotonic() + context.budget_seconds
    work = maintain_tables(context, Scope.FULL, budget_seconds=context.budget_seconds / 2)
    observe = context.targets.postgres(context.database, Capability.OBSERVE, context.task)
    with observe.session(autocommit=True) as session:
        hindrance = find_hindrance(session)
        btrees = read_btrees(session)
    left_seconds = max(deadline - time.monotonic(), 0.0)
    verdicts, losses = _history(context)
    plan = plan_checks(btrees, verdicts, losses, budget_seconds=left_seconds, hindrance=hindrance)
    context.say(hindrance or f"{len(plan.steps)} of {len(btrees)} b-trees to look through")
    checked = None
    if context.ledger is not None:
        checked = check_btrees(
            plan,
            target=observe,
            identity=context.identity,
            ledger=context.ledger,
            task=context.task,
            window=context.window,
            budget_seconds=left_seconds,
            say=context.say,
        )
    rows = describe_checks(plan, checked)
    looked_at = [each for each in checked or () if each.outcome is not Outcome.SKIPPED]
    unsound = [each for each in looked_at if each.outcome is Outcome.FAILED]
    soundness: dict[str, int | float | str] = {
        "btrees": len(btrees),
        "btrees_checked": len(looked_at),
        "btrees_unsound": len(unsound),
        "btrees_deferred": len(btrees) - len(plan.steps) if checked is None else len(btrees) - len(looked_at),
        "check_seconds": round(sum(each.seconds for each in looked_at), 3),
    }
    summary = {**work.summary, **soundness}
    return TaskResult(
        metadata={
            "full_database_maintenance": {**work.summary, "tables": work_table(work.rows)},
            "index_soundness": soundness,
        },
        checks=(*work.checks, *(() if checked is None else (check_soundness(plan, checked),))),
        summary=summary,
        document={**describe_maintenance(work), "summary": summary, "btrees": rows, "hindrance": hindrance},
        problems=(*work.problems, *(f"{each.step.btree.name} is corrupt: {each.reason}" for each in unsound)),
    )


def _history(context: TaskContext) -> tuple[Mapping[int, Verdict], Mapping[tuple[int, int], Loss]]:
    """Return what earlier runs came to; a dry run goes without where the ops database is not there."""
    if context.ops is None:
        return {}, {}
    of = context.ops, context.identity, context.task, context.window
    try:
        return read_verdicts(*of), read_losses(*of)
    except HeraldError as error:
        if not context.dry_run:
            raise
        context.say(f"when each index was looked through is not known: {error.message}")
        return {}, {}


MAINTENANCE_TASKS = (
    Task(
        name="full_database_maintenance",
        description="Vacuums and analyzes all that changed, freezes ahead of time, and looks through b-trees with amcheck.",
        group=GROUP,
        assets=(
            AssetInfo(
                "full_database_maintenance",
                "Every table that changed vacuumed and analyzed; history in herald.vacuum_effects.",
                ("vacuum_plan",),
            ),
            AssetInfo(
                "index_soundness",
                "B-trees looked through by amcheck, the longest unchecked first; newest verdicts in herald.index_soundness.",
                ("index_stats",),
            ),
        ),
        checks=(
            CheckInfo("nobody_holds_the_horizon", "full_database_maintenance", FREE),
            CheckInfo("effect_is_proven", "full_database_maintenance", PROVEN),
            CheckInfo(
                "indexes_are_sound", "index_soundness", "No b-tree is corrupt, as far as amcheck has looked."
            ),
        ),
        body=run_full_maintenance,
        acts=True,
    ),
)
