"""What a recovery will do, asked whole before anything is stopped. Not here: doing it (recovery.py)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.facts import Kind, Scope
from herald_pipelines.backup.files_journal import find_journal
from herald_pipelines.backup.files_plan import FilesPlan, plan_restore_files
from herald_pipelines.backup.files_restore import describe
from herald_pipelines.backup.inventory import Backup, Catalog
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_database import list_before, plan_restore
from herald_pipelines.backup.restore_plan import RestorePlan
from herald_pipelines.backup.restore_refusals import Selection
from herald_pipelines.backup.selection import select_backup
from herald_pipelines.errors import GuardRefusal, UsageError
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.resources.targets import Targets
from herald_pipelines.settings import BackupSettings, Settings
from herald_pipelines.settings.backup import ServiceSettings
from herald_pipelines.values import Capability


class Mode(StrEnum):
    """What is recovered."""

    DATABASE = "database"
    APPLICATION = "application"
    CONFIGURATION = "configuration"
    FULL = "full"
    """Databases, then the application, then the configuration."""


@dataclass(frozen=True)
class Wish:
    """What somebody asks for."""

    wanted: str
    """An id, `latest`, `latest-proven` or a moment; see `select_backup`."""
    mode: Mode
    databases: tuple[str, ...] = ()
    """Names in the settings; none: of a full recovery all that have backups, else the only one that has."""
    as_name: str | None = None
    """Another database to restore into."""
    selection: Selection = field(default_factory=Selection)
    only: tuple[str, ...] = ()
    """Paths or patterns of files."""


@dataclass(frozen=True)
class Reach:
    """How the databases are reached, and what they are called on their servers."""

    target: Callable[[str], Postgres]
    """By the name in the settings: address of the capability `restore`."""
    datname: Callable[[str], str]
    programs: Mapping[int, Path]
    home: Path
    """Herald's own folder, which no restore may replace."""


def reach_of(settings: Settings, targets: Targets) -> Reach:
    """Return how the databases of the settings are reached for restores."""

    def target(name: str) -> Postgres:
        return targets.postgres(name, Capability.RESTORE, "restore")

    return Reach(target, lambda name: target(name).dbname, settings.backup.programs, settings.home)


@dataclass(frozen=True)
class PartPlan:
    """What will become of one part."""

    kind: Kind
    name: str
    backup: Backup
    plan: RestorePlan | FilesPlan
    datname: str | None = None
    is_beside: bool = False
    """Whether it gets a name that nobody uses: no service need be stopped for it."""

    def document(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "kind": self.kind.value,
            "name": self.name,
            "backup": self.backup.manifest.id,
            "plan": self.plan.document(),
        }


@dataclass(frozen=True)
class RecoveryPlan:
    """What a recovery will do, part by part."""

    wish: Wish
    parts: tuple[PartPlan, ...]
    services: tuple[str, ...]
    """In the order in which they are stopped."""
    notes: tuple[str, ...]

    @property
    def refusals(self) -> tuple[str, ...]:
        """What stands against it."""
        return tuple(
            f"{part.name}: {each.reason}"
            for part in self.parts
            if isinstance(part.plan, RestorePlan)
            for each in part.plan.refusals
        )

    def require(self) -> None:
        """Refuse what any part refuses.

        Raises:
            GuardRefusal: with all reasons.
        """
        if self.refusals:
            raise GuardRefusal(
                "; ".join(self.refusals), hint="the plan says what helps: without --yes it is only printed"
            )

    def document(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "mode": self.wish.mode.value,
            "parts": [part.document() for part in self.parts],
            "services": list(self.services),
            "notes": list(self.notes),
        }


def plan_recovery(
    repository: Repository, wish: Wish, reach: Reach, settings: BackupSettings, *, now: datetime
) -> RecoveryPlan:
    """Say what a recovery would do and what stands against it. Changes nothing.

    Raises:
        UsageError: a part that is asked for has no backup, or something is asked for that does not go together.
        GuardRefusal: files cannot be put where they were.
        HeraldError: the store or a server could not be asked.
    """
    _check_wish(wish)
    catalog = read_catalog(repository)
    parts: list[PartPlan] = []
    notes: list[str] = []
    if wish.mode in (Mode.DATABASE, Mode.FULL):
        for name in _databases(catalog, wish, repository.host):
            backup = select_backup(catalog, wish.wanted, Kind.DATABASE, name, host=repository.host)
            parts.append(_plan_database(repository, backup, wish, reach, now))
    for kind in (Kind.APPLICATION, Kind.CONFIGURATION):
        if wish.mode.value == kind.value or (
            wish.mode is Mode.FULL and _is_expected(catalog, kind, settings, repository.host)
        ):
            backup = select_backup(catalog, wish.wanted, kind, None, host=repository.host)
            plan = plan_restore_files(repository, backup, only=wish.only, own_folders=[reach.home])
            parts.append(PartPlan(kind, kind.value, backup, plan))
        elif wish.mode is Mode.FULL:
            notes.append(f"there is no {kind} to recover: none is configured, and none was backed up")
    services = services_of(settings, {part.kind for part in parts if not part.is_beside})
    return RecoveryPlan(wish, tuple(parts), tuple(each.name for each in services), tuple(notes))


def plan_undo(repository: Repository, reach: Reach, mode: Mode, database: str | None) -> dict[str, Any]:
    """Say what undoing the last restore of a database, or of a tree of files, would give back. Changes nothing.

    Raises:
        UsageError: there is nothing to give back, or it is not said of what.
        HeraldError: the server could not be asked.
    """
    if mode is Mode.FULL:
        raise UsageError("a full recovery is undone part by part", hint="--mode database --database NAME")
    if mode is not Mode.DATABASE:
        if database is not None:
            raise UsageError(f"--database does not go with the mode {mode}")
        return describe(find_journal(repository.work_folder, None, Kind(mode.value)).read())
    if database is None:
        raise UsageError("which database is meant?", hint="--database NAME")
    kept = list_before(reach.target(database), reach.datname(database))
    if not kept:
        raise UsageError(
            f"there is no database from before a restore of {database}", hint="nothing was restored over it"
        )
    return kept[0].document()


def services_of(settings: BackupSettings, kinds: Collection[Kind]) -> tuple[ServiceSettings, ...]:
    """Return the services that use something of some kinds, in the order in which they are stopped."""
    return tuple(each for each in settings.services if {kind.value for kind in kinds} & set(each.modes))


def _check_wish(wish: Wish) -> None:
    files = wish.mode in (Mode.APPLICATION, Mode.CONFIGURATION)
    if wish.only and not files:
        raise UsageError("--only names files: it goes with the modes application and configuration")
    if (wish.selection or wish.as_name) and wish.mode is not Mode.DATABASE:
        raise UsageError("--schema, --table and --as go with the mode database alone")
    if wish.databases and files:
        raise UsageError(f"--database does not go with the mode {wish.mode}")


def _databases(catalog: Catalog, wish: Wish, host: str) -> Sequence[str | None]:
    if wish.databases or wish.mode is Mode.DATABASE:
        return wish.databases or (None,)
    return sorted(
        {each.manifest.name for each in catalog.of_host(host) if each.manifest.kind is Kind.DATABASE}
    )


def _is_expected(catalog: Catalog, kind: Kind, settings: BackupSettings, host: str) -> bool:
    files = settings.application if kind is Kind.APPLICATION else settings.configuration
    return bool(files.paths or any(each.manifest.kind is kind for each in catalog.of_host(host)))


def _plan_database(
    repository: Repository, backup: Backup, wish: Wish, reach: Reach, now: datetime
) -> PartPlan:
    name = backup.manifest.name
    datname = wish.as_name or reach.datname(name)
    proof = backup.proof(Scope.RESTORED)
    plan = plan_restore(
        repository,
        backup,
        reach.target(name),
        name=datname,
        programs=reach.programs,
        now=now,
        selection=wish.selection,
        expected_seconds=None if proof is None else proof.seconds,
    )
    is_beside = datname != reach.datname(name) and plan.kept_as is None
    return PartPlan(Kind.DATABASE, name, backup, plan, datname, is_beside)
