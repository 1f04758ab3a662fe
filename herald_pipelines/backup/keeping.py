"""The task backup_retention: decides what stays, deletes the rest in `apply` mode, and sweeps what the dead left.

Not here: the rule (retention.py), removing one backup (removal.py).
"""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from herald_pipelines.backup.assets import GROUP, NO_STORE, has_store
from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.drill import DRILL
from herald_pipelines.backup.history import record_deletion
from herald_pipelines.backup.known import know
from herald_pipelines.backup.removal import delete_backup
from herald_pipelines.backup.repository import Repository, repository
from herald_pipelines.backup.retention import Decision, Group, Left, find_left, plan_retention
from herald_pipelines.backup.scratch import FOLDER, remove_dead
from herald_pipelines.backup.sweep import Swept, find_skew, sweep
from herald_pipelines.backup.tables import decision_table
from herald_pipelines.errors import HeraldError
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.own_folder import own_folder
from herald_pipelines.settings import OPS
from herald_pipelines.tasks import AssetInfo, CheckInfo, CheckVerdict, Task, TaskContext, TaskResult
from herald_pipelines.values import DatabaseIdentity, Outcome, Say, format_bytes

TASK = "backup_retention"


def run_backup_retention(context: TaskContext) -> TaskResult:
    """Plan what is kept, delete the rest of the database's in `apply` mode, and sweep what the dead left."""
    problems: list[str] = []
    deleted: list[Decision] = []
    swept: tuple[Swept, ...] = ()
    with repository(context.settings, context.targets.environ) as place:
        known = know(context, place)
        plan = plan_retention(
            known.catalog,
            context.settings.backup.retention,
            context.now,
            known=known.recorded,
            skew=find_skew(place),
        )
        left = (
            find_left(known.catalog, context.settings.names(), place.host) if context.database == OPS else ()
        )
        mine = [each for each in plan.decisions if _group_of(each) in known.groups]
        doomed = [each for each in mine if not each.keep]
        doubts = [(group, reason) for group, reason in plan.doubts if group in known.groups]
        for decision in doomed:
            if not context.may_act:
                _plan_deletion(context, decision)
                continue
            try:
                if context.ledger is not None:
                    delete_recorded(
                        place,
                        decision,
                        context.ledger,
                        context.identity,
                        context.window,
                        now=context.now,
                        say=context.say,
                    )
            except HeraldError as error:
                problems.append(f"{decision.backup.manifest.id}: {error.message}")
            else:
                deleted.append(decision)
        if context.database == OPS and not context.dry_run:
            # What killed drills and proofs left on this disk is in clear.
            with own_folder(place.work_folder, DRILL):
                remove_dead(place.work_folder / FOLDER)
        if context.may_act and context.database == OPS:
            swept = sweep(
                place,
                read_catalog(place),
                now=context.now,
                known=known.recorded_ids,
                say=context.say,
                pause=time.sleep,
            )
    summary: dict[str, int | float | str] = {
        "kept": len(mine) - len(doomed),
        "to_delete": len(doomed),
        "deleted": len(deleted),
        "deleted_bytes": sum(each.backup.manifest.stored_bytes for each in deleted),
        "doubts": len(doubts),
        "swept": sum(each.removed for each in swept),
        "left": len(left),
    }
    document: dict[str, Any] = {
        "summary": summary,
        "backups": describe_decisions(mine),
        "doubts": [{"group": str(group), "reason": reason} for group, reason in doubts],
        "swept": [{"prefix": each.prefix, "removed": each.removed, "reason": each.reason} for each in swept],
    }
    return TaskResult(
        metadata={"backup_retention": {**summary, "backups": decision_table(mine)}},
        checks=() if context.dry_run else (_check_doubts(doubts), _check_left(left)),
        summary=summary,
        document=document,
        problems=tuple(problems),
    )


def describe_decisions(decisions: Sequence[Decision]) -> list[dict[str, Any]]:
    """Return what becomes of backups for machines."""
    return [
        {
            "id": each.backup.manifest.id,
            "fate": "stays" if each.keep else "goes",
            "reason": each.reason,
            "stored_bytes": each.backup.manifest.stored_bytes,
        }
        for each in decisions
    ]


def _group_of(decision: Decision) -> Group:
    manifest = decision.backup.manifest
    return Group(manifest.kind, manifest.name, manifest.host)


def _plan_deletion(context: TaskContext, decision: Decision) -> None:
    if context.ledger is not None:
        context.ledger.record(
            context.identity,
            context.task,
            context.window,
            Outcome.PLANNED,
            object_name=decision.backup.manifest.id,
            reason=f"mode is {context.mode.value}: nothing is deleted ({decision.reason})",
        )


def delete_recorded(
    place: Repository,
    decision: Decision,
    ledger: Ledger,
    identity: DatabaseIdentity,
    window: str,
    *,
    now: datetime,
    say: Say,
) -> None:
    """Delete one backup between two ledger rows; herald.backup is told before anything of it goes.

    Raises:
        HeraldError: it is held, changed or leased, or not all of it could be removed.
    """
    manifest = decision.backup.manifest
    evidence = {"reason": decision.reason, "stored_bytes": manifest.stored_bytes}
    with ledger.action(identity, TASK, window, object_name=manifest.id, evidence=evidence) as action:
        with ledger.ops.writable().session() as session:
            record_deletion(session, manifest.id, decision.reason)
        say(f"deleting {manifest.id}: {decision.reason}")
        action.result["objects"] = delete_backup(place, decision.backup, run_id=ledger.run_id, now=now)


def _check_doubts(doubts: Sequence[tuple[Group, str]]) -> CheckVerdict:
    return CheckVerdict(
        "retention_is_sure",
        passed=not doubts,
        is_error=False,
        summary="; ".join(f"nothing of {group} is deleted: {reason}" for group, reason in doubts)
        or "what is kept and what goes is certain",
        metadata={"doubts": len(doubts)},
    )


def _check_left(left: Sequence[Left]) -> CheckVerdict:
    """Name what no task looks at. Of ops alone: one database more or less is one line of the platform's settings."""
    named = "; ".join(
        f"{each.name} left the settings and has {each.backups} backups of {format_bytes(each.stored_bytes)},"
        f" the newest of {each.newest_at:%Y-%m-%d} (herald backup forget {each.name})"
        for each in left
    )
    return CheckVerdict(
        "backups_are_wanted",
        passed=not left,
        is_error=False,
        summary=named or "every database with backups is in the settings",
        metadata={"left": len(left)},
    )


RETENTION_TASK = Task(
    name=TASK,
    description="Decides which backups stay, deletes the others in mode apply, and sweeps what interrupted ones left.",
    group=GROUP,
    assets=(
        AssetInfo(
            TASK,
            "What stays and what went, with the reason of each; every deletion is in herald.maintenance_log.",
            ("backup_verification",),
        ),
    ),
    checks=(
        CheckInfo("retention_is_sure", TASK, "Nothing keeps retention from deciding."),
        CheckInfo(
            "backups_are_wanted", TASK, "No backups are left of a database that is in the settings no more."
        ),
    ),
    body=run_backup_retention,
    concerns=has_store,
    concern=NO_STORE,
)
