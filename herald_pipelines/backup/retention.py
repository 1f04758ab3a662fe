"""Pure: which backups are kept and which go, with the reason of each. Not here: removing them (removal.py).

What holds, whatever the catalog says: of each (kind, name, host) the newest restored one stays, else the newest that was
verified in full; nothing goes that is held, or where something is in doubt; and what nobody proved goes only where enough
proven ones stay.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from herald_pipelines.backup.facts import Kind, Scope, group_of
from herald_pipelines.backup.inventory import Backup, Catalog
from herald_pipelines.errors import GuardRefusal, unknown_value
from herald_pipelines.settings.backup import RetentionSettings
from herald_pipelines.values import format_seconds

CLOCK_TOLERANCE = timedelta(minutes=10)
"""By which a backup may seem to come from the future: clocks of hosts differ by seconds where they are kept right."""
ONLY_COPY = "an archived partition: its rows may be nowhere else"


@dataclass(frozen=True, order=True)
class Group:
    """Backups that stand for each other."""

    kind: Kind
    name: str
    host: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} of {self.host}"


@dataclass(frozen=True)
class Decision:
    """What becomes of one backup, and why."""

    backup: Backup = field(repr=False)
    keep: bool
    reason: str


@dataclass(frozen=True)
class RetentionPlan:
    """What becomes of every backup."""

    decisions: tuple[Decision, ...]
    """Oldest first."""
    doubts: tuple[tuple[Group, str], ...]
    """Groups of which nothing is deleted, and why."""

    @property
    def doomed(self) -> tuple[Decision, ...]:
        """What is to be deleted, oldest first."""
        return tuple(each for each in self.decisions if not each.keep)

    def document(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "backups": [
                {
                    "id": each.backup.manifest.id,
                    "kind": each.backup.manifest.kind.value,
                    "name": each.backup.manifest.name,
                    "host": each.backup.manifest.host,
                    "started_at": each.backup.manifest.started_at.isoformat(),
                    "stored_bytes": each.backup.manifest.stored_bytes,
                    "keep": each.keep,
                    "reason": each.reason,
                }
                for each in self.decisions
            ],
            "doubts": [{"of": str(group), "reason": reason} for group, reason in self.doubts],
            "keep": len(self.decisions) - len(self.doomed),
            "delete": len(self.doomed),
            "delete_bytes": sum(each.backup.manifest.stored_bytes for each in self.doomed),
        }


@dataclass(frozen=True)
class Left:
    """A database that has backups and is in the settings no more."""

    name: str
    backups: int
    newest_at: datetime
    stored_bytes: int


def plan_retention(
    catalog: Catalog,
    settings: RetentionSettings,
    now: datetime,
    *,
    known: Iterable[Group] = (),
    skew: timedelta | None = None,
) -> RetentionPlan:
    """Decide on every backup of a catalog.

    Args:
        catalog: all of a platform.
        settings: how long they are kept.
        now: the time.
        known: groups of which the ops database has backups that were not deleted.
        skew: by how much the store's clock is ahead of ours; None: it is not known.
    """
    groups: defaultdict[Group, list[Backup]] = defaultdict(list)
    for backup in catalog.backups:
        groups[_group(backup)].append(backup)
    for group in known:
        groups.setdefault(group, [])
    in_question = {Group(*found) for each in catalog.problems if (found := group_of(each.key)) is not None}
    decisions: list[Decision] = []
    doubts: list[tuple[Group, str]] = []
    for group, backups in sorted(groups.items()):
        if group.kind is Kind.PARTITION:
            decisions += [Decision(each, keep=True, reason=ONLY_COPY) for each in backups]
            continue
        doubt = _find_doubt(backups, settings, now, skew, has_problem=group in in_question)
        if doubt is not None:
            doubts.append((group, doubt))
            decisions += [
                Decision(each, keep=True, reason=f"nothing is deleted: {doubt}") for each in backups
            ]
        else:
            decisions += _decide(backups, settings, now)
    decisions.sort(key=lambda each: (each.backup.manifest.started_at, each.backup.manifest.id))
    return RetentionPlan(tuple(decisions), tuple(doubts))


def find_left(catalog: Catalog, names: Collection[str], host: str) -> tuple[Left, ...]:
    """Return the databases of a host that have backups and are not in its settings: no task looks at them any more."""
    found = [each for each in catalog.of(Kind.DATABASE, host=host) if each.manifest.name not in names]
    return tuple(
        Left(
            name,
            len(mine := [each.manifest for each in found if each.manifest.name == name]),
            max(each.started_at for each in mine),
            sum(each.stored_bytes for each in mine),
        )
        for name in sorted({each.manifest.name for each in found})
    )


def plan_forgetting(catalog: Catalog, name: str, names: Collection[str], host: str) -> tuple[Decision, ...]:
    """Decide on all backups of a database that left the settings: what is held stays, the rest goes.

    Raises:
        GuardRefusal: it is in the settings.
        UsageError: it has no backup.
    """
    if name in names:
        raise GuardRefusal(
            f"{name} is in the settings: its backups go by retention alone",
            hint="take it out of herald.yaml first",
        )
    found = catalog.of(Kind.DATABASE, name, host)
    if not found:
        known = [each.name for each in find_left(catalog, names, host)]
        raise unknown_value("database that left the settings and has backups", name, known)
    return tuple(
        Decision(each, keep=each.is_held, reason="held" if each.is_held else f"{name} left the settings")
        for each in found
    )


def _group(backup: Backup) -> Group:
    return Group(backup.manifest.kind, backup.manifest.name, backup.manifest.host)


def _find_doubt(
    backups: Sequence[Backup],
    settings: RetentionSettings,
    now: datetime,
    skew: timedelta | None,
    *,
    has_problem: bool,
) -> str | None:
    """Return why nothing of a group may be deleted."""
    if not backups:
        return "the store lists none of the backups that were made"
    if has_problem:
        return "the store holds manifests or proofs that cannot be trusted"
    if skew is not None and abs(skew) > CLOCK_TOLERANCE:
        return (
            f"the store's clock and ours differ by {format_seconds(abs(skew).total_seconds())}: one is wrong"
        )
    newest = max(each.manifest.started_at for each in backups)
    if newest > now + CLOCK_TOLERANCE:
        return f"the newest backup is of {newest:%Y-%m-%d %H:%M} UTC, after now: a clock is wrong"
    if now - newest > timedelta(days=settings.keep_days):
        return f"the newest backup is older than {settings.keep_days} days: backups fail, or a clock is wrong"
    return None


def _decide(backups: Sequence[Backup], settings: RetentionSettings, now: datetime) -> Iterable[Decision]:
    newest_first = sorted(
        backups, key=lambda each: (each.manifest.started_at, each.manifest.id), reverse=True
    )
    proven = [each for each in newest_first if is_proven(each, Scope.FULL)]
    restored = [each for each in proven if is_proven(each, Scope.RESTORED)]
    counted = {each.manifest.id for each in proven[: settings.keep_count]}
    last = {each.manifest.id for each in (restored or proven)[:1]}
    oldest_kept = now - timedelta(days=settings.keep_days)
    for each in backups:
        reason = _reason_to_keep(each, settings, oldest_kept, last=last, counted=counted)
        if reason is not None:
            yield Decision(each, keep=True, reason=reason)
        elif len(counted) < settings.keep_count:
            yield Decision(
                each,
                keep=True,
                reason=f"only {len(counted)} of the {settings.keep_count} backups to keep are proven",
            )
        else:
            state = "proven" if is_proven(each, Scope.FULL) else "not proven"
            yield Decision(each, keep=False, reason=f"{state}, and older than {settings.keep_days} days")


def _reason_to_keep(
    backup: Backup,
    settings: RetentionSettings,
    oldest_kept: datetime,
    *,
    last: Collection[str],
    counted: Collection[str],
) -> str | None:
    if backup.is_held:
        return "held"
    if backup.manifest.id in last:
        restored = is_proven(backup, Scope.RESTORED)
        return f"the newest that was {'restored' if restored else 'verified in full'}"
    if backup.manifest.started_at >= oldest_kept:
        return f"not older than {settings.keep_days} days"
    if backup.manifest.id in counted:
        return f"one of the {settings.keep_count} newest that are proven"
    return None


def is_proven(backup: Backup, scope: Scope) -> bool:
    """Whether a backup is whole and passed its last verification of at least so far."""
    return not backup.missing and backup.proof(scope) is not None
