"""The tasks that make backups, and their assets. Bodies are thin: open the store, act, record, describe.

Not here: Dagster (task_assets.py makes the assets), any rule (retention.py, checks.py), what verifies (proving.py).
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from herald_pipelines.backup.database import Origin, back_up_database, plan_database
from herald_pipelines.backup.facts import Kind, Manifest
from herald_pipelines.backup.files import back_up_files, plan_files
from herald_pipelines.backup.history import record_backup
from herald_pipelines.backup.repository import Repository, repository
from herald_pipelines.backup.tables import part_table
from herald_pipelines.settings import OPS, FilesSettings, Settings, describe
from herald_pipelines.tasks import AssetInfo, Task, TaskContext, TaskResult
from herald_pipelines.values import Capability

GROUP = "backup"
NO_STORE = "name a store and its key at backup in herald.yaml"


def has_store(settings: Settings, database: str) -> bool:
    """Whether a database is backed up: there is a store for it."""
    return settings.backup.store is not None or settings.database(database).url is None


def run_database_backup(context: TaskContext) -> TaskResult:
    """Dump the context's database into the store; in `observe` mode too, since it changes nothing."""
    target = context.targets.postgres(context.database, Capability.BACKUP, context.task)
    programs, streams = context.settings.backup.programs, context.settings.backup.streams
    with repository(context.settings, context.targets.environ) as place:
        place.store.check()
        if context.dry_run:
            return _planned(
                "database_backup", plan_database(place, target, context.identity, programs, streams=streams)
            )
        manifest = back_up_database(
            place,
            target,
            context.identity,
            programs,
            origin=_origin(context, place),
            now=context.now,
            say=context.say,
            streams=streams,
        )
        return _made("database_backup", context, place, manifest)


def run_application_backup(context: TaskContext) -> TaskResult:
    """Put the application tree into the store."""
    return _run_files_backup(context, Kind.APPLICATION, context.settings.backup.application)


def run_configuration_backup(context: TaskContext) -> TaskResult:
    """Put the configuration into the store."""
    return _run_files_backup(context, Kind.CONFIGURATION, context.settings.backup.configuration)


def _run_files_backup(context: TaskContext, kind: Kind, files: FilesSettings) -> TaskResult:
    asset = f"{kind}_backup"
    with repository(context.settings, context.targets.environ) as place:
        place.store.check()
        if context.dry_run:
            return _planned(asset, plan_files(place, kind, files, own_folders=[context.settings.home]))
        manifest = back_up_files(
            place,
            kind,
            files,
            origin=_origin(context, place),
            now=context.now,
            say=context.say,
            own_folders=[context.settings.home],
        )
        return _made(asset, context, place, manifest)


def _origin(context: TaskContext, place: Repository) -> Origin:
    return origin_of(context.settings, place, context.window, context.run_id)


def origin_of(settings: Settings, place: Repository, window: str | None, run_id: str | None) -> Origin:
    """Return who makes a backup, for its manifest."""
    said = json.dumps(describe(settings), sort_keys=True, default=str).encode()
    gpg = place.gpg(place.ring.current.secret)
    return Origin(
        window=window,
        run_id=run_id,
        versions={
            "herald": version("herald-pipelines"),
            "gpg": gpg.version(),
            "zstandard": version("zstandard"),
        },
        settings_sha256=hashlib.sha256(said).hexdigest(),
    )


def describe_backup(place: Repository, manifest: Manifest) -> dict[str, Any]:
    """Return a backup for machines: what --json prints of it."""
    seconds = (manifest.finished_at - manifest.started_at).total_seconds()
    return {
        "id": manifest.id,
        "kind": manifest.kind.value,
        "name": manifest.name,
        "host": manifest.host,
        "store": place.store.url,
        "key": manifest.encryption.key,
        "started_at": manifest.started_at.isoformat(),
        "seconds": round(seconds, 3),
        "clear_bytes": manifest.clear_bytes,
        "stored_bytes": manifest.stored_bytes,
        "parts": [part.model_dump(mode="json") for part in manifest.parts],
    }


def _made(asset: str, context: TaskContext, place: Repository, manifest: Manifest) -> TaskResult:
    if context.ops is not None:
        with context.ops.session() as session:
            record_backup(session, manifest, place.store.url)
    document = describe_backup(place, manifest)
    files = manifest.files
    summary: dict[str, int | float | str] = {
        "backup": manifest.id,
        "clear_bytes": manifest.clear_bytes,
        "stored_bytes": manifest.stored_bytes,
        "seconds": document["seconds"],
        "ratio": round(manifest.stored_bytes / max(manifest.clear_bytes, 1), 4),
    }
    if manifest.database is not None:
        summary["tables"] = len(manifest.database.tables)
    if files is not None:
        summary |= {"files": files.files, "skipped": len(files.skipped), "changed": len(files.changed)}
    return TaskResult(
        metadata={asset: {**summary, "store": place.store.url, "parts": part_table(manifest)}},
        checks=(),
        summary=summary,
        document={"summary": summary, "backup": document},
    )


def _planned(asset: str, plan: Mapping[str, Any]) -> TaskResult:
    summary = {name: value for name, value in plan.items() if isinstance(value, (int, float, str))}
    return TaskResult(
        metadata={asset: summary},
        checks=(),
        summary=summary,
        document={"summary": summary, "backup": dict(plan)},
    )


def _is_platform(settings: Settings, database: str) -> bool:
    return database == OPS and has_store(settings, database)


CAPTURE_TASKS = (
    Task(
        name="database_backup",
        description="Dumps every database into the store: compressed, encrypted, and visible only when it is whole.",
        group=GROUP,
        assets=(
            AssetInfo(
                "database_backup", "A dump in the store, with its sizes and time; all are in herald.backup."
            ),
        ),
        checks=(),
        body=run_database_backup,
        concerns=has_store,
        concern=NO_STORE,
    ),
    Task(
        name="application_backup",
        description="Puts the application tree into the store, once for the platform.",
        group=GROUP,
        assets=(AssetInfo("application_backup", "The application tree in the store."),),
        checks=(),
        body=run_application_backup,
        concerns=lambda settings, database: (
            _is_platform(settings, database) and bool(settings.backup.application.paths)
        ),
        concern="it runs on ops, where backup.application.paths names what to back up",
    ),
    Task(
        name="configuration_backup",
        description="Puts the configuration into the store, once for the platform.",
        group=GROUP,
        assets=(AssetInfo("configuration_backup", "The configuration in the store."),),
        checks=(),
        body=run_configuration_backup,
        concerns=lambda settings, database: (
            _is_platform(settings, database) and bool(settings.backup.configuration.paths)
        ),
        concern="it runs on ops, where backup.configuration.paths names what to back up",
    ),
)
