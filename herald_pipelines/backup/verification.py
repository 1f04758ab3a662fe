"""The task backup_verification: reads what was not looked at yet, to its end, and judges all backups of the database.

Not here: verifying one backup (verify.py), the rules of the checks (checks.py).
"""

import time
from collections.abc import Sequence
from dataclasses import replace

from herald_pipelines.backup.assets import GROUP, NO_STORE, has_store
from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.checks import check_age, check_proof, check_size, check_store
from herald_pipelines.backup.facts import Proof, Scope, group_of
from herald_pipelines.backup.history import record_proof
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.known import Known, know
from herald_pipelines.backup.put_aside import check_put_aside, list_put_aside
from herald_pipelines.backup.repository import repository
from herald_pipelines.backup.retention import Group
from herald_pipelines.backup.tables import proof_table
from herald_pipelines.backup.verify import verify_backup, widest_scope
from herald_pipelines.tasks import AssetInfo, CheckInfo, CheckVerdict, Task, TaskContext, TaskResult
from herald_pipelines.values import Capability


def run_backup_verification(context: TaskContext) -> TaskResult:
    """Verify what was not yet, the newest first, within the budget; and judge all backups of the database."""
    settings = context.settings.backup
    deadline = time.monotonic() + context.budget_seconds
    proofs: list[Proof] = []
    with repository(context.settings, context.targets.environ) as place:
        known = know(context, place, for_others=True)
        waiting = _unverified(known, context)
        for backup in () if context.dry_run else waiting:
            if proofs and time.monotonic() > deadline:
                context.say(
                    f"the budget is used up: {len(waiting) - len(proofs)} backups are left to the next window"
                )
                break
            scope = widest_scope(backup.manifest, settings, place.host)
            proof = verify_backup(place, backup, scope, settings.programs, now=context.now, say=context.say)
            proofs.append(proof)
            if context.ops is not None:
                with context.ops.session() as session:
                    record_proof(session, proof)
        if proofs:
            known = replace(known, catalog=read_catalog(place))
    failed = [proof for proof in proofs if not proof.passed]
    summary: dict[str, int | float | str] = {
        "backups": sum(len(known.backups(group)) for group in known.groups),
        "waiting": len(waiting),
        "verified": len(proofs) - len(failed),
        "failed": len(failed),
        "verify_seconds": round(sum(proof.seconds for proof in proofs), 3),
        "stored_bytes": sum(
            each.manifest.stored_bytes for group in known.groups for each in known.backups(group)
        ),
    }
    return TaskResult(
        metadata={"backup_verification": {**summary, "proofs": proof_table(proofs)}},
        checks=() if context.dry_run else (*_judge(known, context), _judge_put_aside(context)),
        summary=summary,
        document={
            "summary": summary,
            "waiting": [each.manifest.id for each in waiting],
            "proofs": [proof.model_dump(mode="json") for proof in proofs],
        },
        problems=tuple(f"{proof.backup}: {proof.reason}" for proof in failed),
    )


def _unverified(known: Known, context: TaskContext) -> list[Backup]:
    """Return the backups that were not looked at as far as this host can, the newest first."""
    settings = context.settings.backup
    order = list(Scope)
    found = [
        backup
        for group in known.groups
        for backup in known.backups(group)
        if not backup.missing
        and not any(
            order.index(proof.scope) >= order.index(widest_scope(backup.manifest, settings, known.place.host))
            for proof in backup.proofs
        )
    ]
    return sorted(found, key=lambda each: each.manifest.started_at, reverse=True)


def _judge(known: Known, context: TaskContext) -> tuple[CheckVerdict, ...]:
    """Judge all groups; each check stands for all of them."""
    settings, now = context.settings.backup, context.now
    verdicts: list[list[CheckVerdict]] = []
    for group in known.groups:
        backups = known.backups(group)
        mine = [
            each
            for each in known.catalog.problems
            if group_of(each.key) == (group.kind, group.name, group.host)
        ]
        verdicts.append(
            [
                check_age(backups, settings.limits, now),
                check_proof(backups, settings.limits, now),
                check_proof(
                    backups,
                    settings.limits,
                    now,
                    scope=Scope.FULL,
                    full_verification_host=settings.full_verification_host,
                ),
                check_size(backups, settings.limits),
                check_store(backups, mine, known.lost if group is known.groups[0] else ()),
            ]
        )
    return tuple(_combine(known.groups, same) for same in zip(*verdicts, strict=True))


def _judge_put_aside(context: TaskContext) -> CheckVerdict:
    with context.targets.postgres(context.database, Capability.OBSERVE, context.task).session() as session:
        return check_put_aside(list_put_aside(session, context.identity.datname), context.now)


def _combine(groups: Sequence[Group], verdicts: Sequence[CheckVerdict]) -> CheckVerdict:
    """Make one verdict of those of several groups."""
    if len(verdicts) == 1:
        return verdicts[0]
    failed = [(group, each) for group, each in zip(groups, verdicts, strict=True) if not each.passed]
    shown = failed or list(zip(groups, verdicts, strict=True))
    return replace(
        verdicts[0],
        passed=not failed,
        is_error=any(each.is_error for _, each in failed) if failed else verdicts[0].is_error,
        summary="; ".join(f"{group}: {each.summary}" for group, each in shown),
    )


VERIFICATION_TASK = Task(
    name="backup_verification",
    description="Fetches new backups from the store, opens them to the end, and judges all there are.",
    group=GROUP,
    assets=(
        AssetInfo(
            "backup_verification",
            "Proofs beside the backups and in herald.backup_proof; herald.backup_health has the newest ones.",
            ("database_backup", "application_backup", "configuration_backup"),
        ),
    ),
    checks=(
        CheckInfo("backup_is_recent", "backup_verification", "The newest backup is not too old."),
        CheckInfo("backup_is_proven", "backup_verification", "A backup was restored not too long ago."),
        CheckInfo(
            "backup_is_verified", "backup_verification", "A backup was verified in full not too long ago."
        ),
        CheckInfo(
            "backup_size_is_usual", "backup_verification", "The newest backup is about as large as before."
        ),
        CheckInfo("store_is_sound", "backup_verification", "All backups are there, whole, and ours."),
        CheckInfo(
            "nothing_is_put_aside",
            "backup_verification",
            "No database of before a restore takes room for longer than a week.",
        ),
    ),
    body=run_backup_verification,
    concerns=has_store,
    concern=NO_STORE,
)
