"""Pure: verdicts on the backups of one database, or of one tree of files, for asset checks.

Not here: verdicts on one backup (verify.py, deep.py).
"""

from collections.abc import Sequence
from datetime import datetime
from statistics import median

from herald_pipelines.backup.facts import Scope
from herald_pipelines.backup.inventory import Backup, Problem
from herald_pipelines.backup.retention import CLOCK_TOLERANCE
from herald_pipelines.settings.backup import BackupLimits
from herald_pipelines.tasks import CheckVerdict
from herald_pipelines.values import SECONDS_PER_DAY, format_bytes

COMPARED = 7
"""Backups before the newest whose median its size is compared with: a week of daily ones."""
LEAST_COMPARED = 3
"""A median of fewer says nothing."""
MOST_NAMED = 10
SECONDS_PER_HOUR = 3600


def check_age(backups: Sequence[Backup], limits: BackupLimits, now: datetime) -> CheckVerdict:
    """Judge that the newest backup is not too old; a broken one is none.

    Args:
        backups: of one kind and name, oldest first.
        limits: of the settings.
        now: the time.
    """
    whole = [each for each in backups if not each.missing]
    if not whole:
        return CheckVerdict("backup_is_recent", passed=False, is_error=True, summary="there is no backup")
    newest = whole[-1].manifest
    if newest.started_at > now + CLOCK_TOLERANCE:
        # It would pass for recent until that time comes, whatever fails meanwhile.
        return CheckVerdict(
            "backup_is_recent",
            passed=False,
            is_error=True,
            summary=f"the newest backup, {newest.id}, is of {newest.started_at:%Y-%m-%d %H:%M} UTC, after now:"
            " a clock is wrong",
        )
    hours = (now - newest.started_at).total_seconds() / SECONDS_PER_HOUR
    return CheckVerdict(
        "backup_is_recent",
        passed=hours <= limits.max_age_hours,
        is_error=True,
        summary=f"the newest backup, {newest.id}, is {hours:.1f} h old ({limits.max_age_hours:g} at most)",
        metadata={"age_hours": round(hours, 2), "limit_hours": limits.max_age_hours},
    )


def check_proof(
    backups: Sequence[Backup],
    limits: BackupLimits,
    now: datetime,
    *,
    scope: Scope = Scope.RESTORED,
    full_verification_host: str | None = None,
) -> CheckVerdict:
    """Judge that the newest proof is not too old.

    Args:
        backups: of one kind and name, oldest first.
        limits: of the settings.
        now: the time.
        scope: what counts as a proof: RESTORED; FULL is what another host owes where it alone has the private key.
        full_verification_host: of the settings, named where a proof is overdue.
    """
    name = "backup_is_proven" if scope is Scope.RESTORED else "backup_is_verified"
    verb = "restored" if scope is Scope.RESTORED else "verified in full"
    found = [proof.at for each in backups if not each.missing and (proof := each.proof(scope)) is not None]
    by_public_key = any(each.manifest.encryption.recipients for each in backups)
    whose = (
        f"; {full_verification_host or 'a host that has the private key (backup.full_verification_host)'} does that"
        if by_public_key
        else ""
    )
    if not found:
        return CheckVerdict(
            name, passed=False, is_error=False, summary=f"no backup was {verb} and is still good{whose}"
        )
    days = (now - max(found)).total_seconds() / SECONDS_PER_DAY
    passed = days <= limits.max_proof_age_days
    return CheckVerdict(
        name,
        passed=passed,
        is_error=False,
        summary=f"a backup was last {verb} {days:.1f} days ago ({limits.max_proof_age_days:g} at most)"
        + ("" if passed else whose),
        metadata={"age_days": round(days, 2), "limit_days": limits.max_proof_age_days},
    )


def check_size(backups: Sequence[Backup], limits: BackupLimits) -> CheckVerdict:
    """Judge that the newest backup is about as large as those before it: what is lost in a database makes it smaller.

    The clear bytes are compared, since compression differs by what is in them.

    Args:
        backups: of one kind and name, oldest first.
        limits: of the settings.
    """
    *before, newest = [each.manifest for each in backups if not each.missing] or [None]
    sizes = [each.clear_bytes for each in before[-COMPARED:] if each is not None]
    if newest is None or len(sizes) < LEAST_COMPARED:
        return CheckVerdict(
            "backup_size_is_usual",
            passed=True,
            is_error=False,
            summary=f"{len(sizes)} backups before the newest are too few to compare its size with",
        )
    usual = median(sizes)
    change = (newest.clear_bytes - usual) / max(usual, 1)
    return CheckVerdict(
        "backup_size_is_usual",
        passed=abs(change) <= limits.max_size_change,
        is_error=False,
        summary=f"the newest backup has {format_bytes(newest.clear_bytes)}, {change:+.0%} against the usual"
        f" {format_bytes(usual)} ({limits.max_size_change:.0%} at most)",
        metadata={"clear_bytes": newest.clear_bytes, "usual_bytes": usual, "change": round(change, 4)},
    )


def check_store(backups: Sequence[Backup], problems: Sequence[Problem], lost: Sequence[str]) -> CheckVerdict:
    """Judge that what the store holds is whole, ours, and all that was made.

    Args:
        backups: of one kind and name.
        problems: of the same, or of the whole platform.
        lost: ids of recorded backups that are not in the store (history.find_lost).
    """
    broken = [f"{each.manifest.id} lacks {', '.join(each.missing)}" for each in backups if each.missing]
    failed = [
        f"{each.manifest.id} failed: {each.proofs[-1].reason}"
        for each in backups
        if each.proofs and not each.proofs[-1].passed
    ]
    strange = [f"{each.key} {each.reason}" for each in problems]
    gone = [f"{each} is not in the store any more, and nobody deleted it" for each in lost]
    wrong = [*broken, *failed, *gone, *strange]
    more = f" and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
    return CheckVerdict(
        "store_is_sound",
        passed=not wrong,
        is_error=True,
        summary=f"{'; '.join(wrong[:MOST_NAMED])}{more}" if wrong else "all backups are there and whole",
        metadata={
            "broken": len(broken),
            "failed": len(failed),
            "lost": len(lost),
            "problems": len(problems),
        },
    )
