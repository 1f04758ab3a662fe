"""The task disaster_recovery_test: restores the newest backup of everything, compares it, and measures the time.

Not here: restoring and judging (drill.py).
"""

from collections.abc import Sequence

from herald_pipelines.backup.assets import GROUP, NO_STORE, has_store
from herald_pipelines.backup.drill import Drilled, drill_backup, summarize, write_report
from herald_pipelines.backup.facts import Scope
from herald_pipelines.backup.history import record_proof
from herald_pipelines.backup.known import know
from herald_pipelines.backup.repository import repository
from herald_pipelines.backup.tables import drill_table
from herald_pipelines.backup.verify import widest_scope
from herald_pipelines.tasks import AssetInfo, CheckInfo, CheckVerdict, Task, TaskContext, TaskResult


def run_disaster_recovery_test(context: TaskContext) -> TaskResult:
    """Restore the newest backup of everything of the database, compare, and measure."""
    settings = context.settings.backup
    drilled: list[Drilled] = []
    missing: list[str] = []
    elsewhere: list[str] = []
    report = ""
    with repository(context.settings, context.targets.environ) as place:
        known = know(context, place, for_others=True)
        newest = {
            group: [each for each in known.backups(group) if not each.missing][-1:] for group in known.groups
        }
        for group, found in newest.items():
            if not found:
                missing.append(f"there is no backup of {group} to drill with")
            elif widest_scope(found[0].manifest, settings, place.host) is Scope.STORED:
                if settings.full_verification_host is None:
                    missing.append(f"no host drills with {group}: name the one that has the private key")
                else:
                    elsewhere.append(f"{settings.full_verification_host} drills with {group}")
            elif not context.dry_run:
                drilled.append(drill_backup(place, found[0], settings, now=context.now, say=context.say))
        if drilled:
            report = write_report(
                place,
                drilled,
                settings.objectives,
                window=context.window,
                name=context.database,
                now=context.now,
            )
            if context.ops is not None:
                with context.ops.session() as session:
                    for each in drilled:
                        record_proof(session, each.proof)
    failed = [each for each in drilled if not each.proof.passed]
    summary: dict[str, int | float | str] = {
        "drilled": len(drilled),
        "failed": len(failed),
        "rto_seconds": max((each.rto_seconds for each in drilled), default=0.0),
        "rpo_seconds": max((each.rpo_seconds for each in drilled), default=0.0),
        "report": report,
    }
    planned = [found[0].manifest.id for found in newest.values() if found]
    return TaskResult(
        metadata={"disaster_recovery_test": {**summary, "backups": drill_table(drilled)}},
        checks=()
        if context.dry_run
        else (_check_drill(drilled, missing, elsewhere), _check_objectives(drilled, elsewhere, context)),
        summary=summary,
        document={"summary": summary, "planned": planned, "backups": [each.document() for each in drilled]},
        problems=(*missing, *(f"{each.backup.manifest.id}: {each.proof.reason}" for each in failed)),
    )


def _check_drill(
    drilled: Sequence[Drilled], missing: Sequence[str], elsewhere: Sequence[str]
) -> CheckVerdict:
    """Judge this host's drills. That those of another one are overdue is said by backup_is_proven."""
    passed = bool(drilled or elsewhere) and not missing and all(each.proof.passed for each in drilled)
    return CheckVerdict(
        "drill_passed",
        passed=passed,
        is_error=True,
        summary="; ".join([*missing, *elsewhere, *map(summarize, drilled)])
        or "there is nothing to drill with",
    )


def _check_objectives(
    drilled: Sequence[Drilled], elsewhere: Sequence[str], context: TaskContext
) -> CheckVerdict:
    objectives = context.settings.backup.objectives
    return CheckVerdict(
        "objectives_met",
        passed=bool(drilled or elsewhere) and all(each.meets(objectives) for each in drilled),
        is_error=False,
        summary="; ".join([*elsewhere, *map(summarize, drilled)]) or "there is nothing to measure",
        metadata={
            "rto_seconds": max((each.rto_seconds for each in drilled), default=0.0),
            "rpo_seconds": max((each.rpo_seconds for each in drilled), default=0.0),
            "rto_objective_seconds": objectives.rto_seconds,
            "rpo_objective_seconds": objectives.rpo_seconds,
        },
    )


DRILL_TASK = Task(
    name="disaster_recovery_test",
    description="Restores the newest backup of everything as if all were lost, compares it, and measures the time.",
    group=GROUP,
    assets=(
        AssetInfo(
            "disaster_recovery_test",
            "Time to recover and age of what is lost, against the objectives; the report is in the store.",
            ("backup_verification",),
        ),
    ),
    checks=(
        CheckInfo(
            "drill_passed", "disaster_recovery_test", "The newest backups can be restored, to the last row."
        ),
        CheckInfo("objectives_met", "disaster_recovery_test", "Recovery is fast and recent enough."),
    ),
    body=run_disaster_recovery_test,
    concerns=has_store,
    concern=NO_STORE,
)
