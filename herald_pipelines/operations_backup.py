"""One function for each command on backups: takes the environment and what was asked, gives a JSON-able document.

They work where the ops database is gone too: the store and the key are enough. Not here: parsing (cli_backup.py).
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from herald_pipelines import console
from herald_pipelines.backup.assets import describe_backup, has_store, origin_of
from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.database import back_up_database, describe_encryption, plan_database
from herald_pipelines.backup.deep import prove_backup
from herald_pipelines.backup.facts import Kind, Manifest, Proof, Scope
from herald_pipelines.backup.files import back_up_files, plan_files
from herald_pipelines.backup.history import record_backup, record_proof
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.rekey import rekey_backup
from herald_pipelines.backup.removal import lift_hold, place_hold
from herald_pipelines.backup.repository import Repository, repository
from herald_pipelines.backup.selection import find_backup, select_backup
from herald_pipelines.backup.verify import verify_backup, widest_scope
from herald_pipelines.bootstrap import running
from herald_pipelines.environment import Environment
from herald_pipelines.errors import HeraldError, UsageError
from herald_pipelines.partitions.proving import prove_archive
from herald_pipelines.resources.object_store.base import StoreUnavailable
from herald_pipelines.values import Capability, Say, utc_now

Environ = Mapping[str, str]
Document = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """What every command works with."""

    environment: Environment
    place: Repository
    say: Say

    def record(self, manifest: Manifest, proof: Proof | None = None) -> None:
        """Tell the ops database of a backup, where it can be reached: what is in the store counts without it."""
        try:
            with self.environment.targets.ops("backup").session() as session:
                record_backup(session, manifest, self.place.store.url)
                if proof is not None:
                    record_proof(session, proof)
        except HeraldError as error:
            # What is missing there is copied from the store by the next verification.
            hint = f" ({error.hint})" if error.hint else ""
            self.say(f"the ops database was not told: {error.message}{hint}")


@contextmanager
def opened(environ: Environ, cwd: Path, *, server: bool = False, check: bool = True) -> Generator[Bench]:
    """Open the store.

    Args:
        environ: of the process.
        cwd: the current folder.
        server: whether databases of the embedded server are needed.
        check: whether the place must be a store; without, what needs no store goes on where it is not reached.

    Raises:
        UsageError: no store is configured, or its keys cannot be used.
        StoreRefused: it is no store.
    """
    environment = Environment.load(environ, cwd)
    settings = environment.settings
    if settings.backup.store is None and not settings.embedded:
        raise UsageError(
            f"no store for backups is named in {settings.source}", hint="name one and its key at backup"
        )
    with (
        console.progress() as say,
        _server(environment, say, wanted=server),
        repository(settings, environ) as place,
    ):
        if check:
            place.store.check()
        yield Bench(environment, place, say)


@contextmanager
def _server(environment: Environment, say: Say, *, wanted: bool) -> Generator[None]:
    if wanted and environment.uses_embedded and environment.is_set_up:
        with running(environment, say):
            yield
    else:
        yield


def prepare_store(environ: Environ, cwd: Path) -> Document:
    """Make the place of the settings a store, once."""
    environment = Environment.load(environ, cwd)
    with repository(environment.settings, environ) as place:
        identity = place.store.prepare()
        return {"store": place.store.url, "id": identity, "key": place.ring.current.fingerprint}


def create(environ: Environ, cwd: Path, *, kind: Kind, database: str | None, dry_run: bool) -> Document:
    """Make backups now, of one database or all, or of files; a dry run asks all that would refuse them.

    Raises:
        HeraldError: one of them failed; those made before it are there.
    """
    with opened(environ, cwd, server=True) as bench:
        settings = bench.environment.settings
        if kind is Kind.PARTITION:
            raise UsageError(
                "partitions are archived by their own task, as their rules say",
                hint="herald run partition_archive",
            )
        if kind is not Kind.DATABASE:
            if database is not None:
                raise UsageError(f"--database goes with databases, not with a backup of kind {kind}")
            return {"dry_run": dry_run, "backups": [_create_files(bench, kind, dry_run=dry_run)]}
        names = [database] if database else [name for name in settings.names() if has_store(settings, name)]
        return {
            "dry_run": dry_run,
            "backups": [_create_database(bench, name, dry_run=dry_run) for name in names],
        }


def list_backups(environ: Environ, cwd: Path, *, database: str | None) -> Document:
    """Return what is in the store, oldest first, with what was never finished and what is not as we write it."""
    with opened(environ, cwd) as bench:
        catalog = read_catalog(bench.place)
        return {
            "store": bench.place.store.url,
            "backups": [
                _describe(bench.place, each)
                for each in catalog.backups
                if database is None
                or (each.manifest.kind in (Kind.DATABASE, Kind.PARTITION) and each.manifest.name == database)
            ],
            "unfinished": [
                {
                    "prefix": each.prefix,
                    "modified_at": each.modified_at.isoformat(),
                    "being_made": each.has_lease,
                }
                for each in catalog.unfinished
            ],
            "problems": [{"key": each.key, "reason": each.reason} for each in catalog.problems],
        }


def verify(
    environ: Environ, cwd: Path, *, wanted: str, kind: Kind, database: str | None, deep: bool
) -> tuple[Document, bool]:
    """Verify a backup; `deep` restores it into a server of its own and compares. Returns the proof, and whether it passed."""
    with opened(environ, cwd, server=True) as bench:
        settings, place = bench.environment.settings.backup, bench.place
        backup = select_backup(read_catalog(place), wanted, kind, database, host=place.host)
        if deep:
            queries = settings.queries.get(backup.manifest.name, ())
            proof = (
                prove_archive(place, backup, settings.programs, now=utc_now(), say=bench.say)
                if kind is Kind.PARTITION
                else prove_backup(place, backup, settings.programs, queries, now=utc_now(), say=bench.say)
            )
        else:
            scope = widest_scope(backup.manifest, settings, place.host)
            proof = verify_backup(place, backup, scope, settings.programs, now=utc_now(), say=bench.say)
        bench.record(backup.manifest, proof)
        return {"backup": _describe(place, backup), "proof": _describe_proof(proof)}, proof.passed


def rekey(environ: Environ, cwd: Path, *, wanted: str | None, dry_run: bool) -> Document:
    """Encrypt one backup, or all that are not, with the current key; of all, those that cannot be are named.

    A dry run says which ones it would be.

    Raises:
        HeraldError: the one that was named cannot be, or the store is not reached.
    """
    with opened(environ, cwd) as bench:
        catalog, place = read_catalog(bench.place), bench.place
        chosen = catalog.backups if wanted is None else (find_backup(catalog, wanted),)
        # With public keys the fingerprint is that of the signing secret: the recipients may be others all the same.
        current = describe_encryption(place.ring.current)
        old = [each for each in chosen if each.manifest.encryption != current]
        done: list[str] = [each.manifest.id for each in old] if dry_run else []
        failed: list[Document] = []
        for each in () if dry_run else old:
            try:
                done.append(rekey_backup(place, each, run_id=None, now=utc_now(), say=bench.say).id)
            except HeraldError as error:
                if wanted is not None or isinstance(error, StoreUnavailable):
                    raise
                # One that is broken keeps none of the others at the old key.
                failed.append({"id": each.manifest.id, "reason": error.message})
        return {
            "done": not dry_run,
            "key": current.key,
            "rekeyed": done,
            "already": len(chosen) - len(old),
            "failed": failed,
        }


def hold(environ: Environ, cwd: Path, *, wanted: str, reason: str | None) -> Document:
    """Keep a backup whatever its age, with a reason; without one, lift its hold."""
    with opened(environ, cwd) as bench:
        backup = find_backup(read_catalog(bench.place), wanted)
        if reason is None:
            lift_hold(bench.place, backup)
        else:
            place_hold(bench.place, backup, reason, now=utc_now())
        return {"backup": backup.manifest.id, "held": reason is not None, "reason": reason}


def _create_database(bench: Bench, name: str, *, dry_run: bool) -> Document:
    settings, place = bench.environment.settings, bench.place
    targets = bench.environment.targets
    target = targets.postgres(name, Capability.BACKUP, "backup")
    identity = targets.postgres(name, Capability.OBSERVE, "backup").identity()
    if dry_run:
        return plan_database(place, target, identity, settings.backup.programs)
    origin = origin_of(settings, place, None, None)
    manifest = back_up_database(
        place, target, identity, settings.backup.programs, origin=origin, now=utc_now(), say=bench.say
    )
    return _keep(bench, manifest)


def _create_files(bench: Bench, kind: Kind, *, dry_run: bool) -> Document:
    settings, place = bench.environment.settings, bench.place
    files = settings.backup.application if kind is Kind.APPLICATION else settings.backup.configuration
    if not files.paths:
        raise UsageError(f"backup.{kind}.paths names nothing", hint="name what to back up in herald.yaml")
    if dry_run:
        return plan_files(place, kind, files, own_folders=[settings.home])
    origin = origin_of(settings, place, None, None)
    manifest = back_up_files(
        place, kind, files, origin=origin, now=utc_now(), say=bench.say, own_folders=[settings.home]
    )
    return _keep(bench, manifest)


def _keep(bench: Bench, manifest: Manifest) -> Document:
    bench.record(manifest)
    return describe_backup(bench.place, manifest)


def _describe(place: Repository, backup: Backup) -> Document:
    proof = backup.proofs[-1] if backup.proofs else None
    restored = backup.proof(Scope.RESTORED)
    return {
        **describe_backup(place, backup.manifest),
        "held": backup.is_held,
        "missing_parts": list(backup.missing),
        "proof": None if proof is None else _describe_proof(proof),
        "restored_at": None if restored is None else restored.at.isoformat(),
    }


def _describe_proof(proof: Proof) -> Document:
    return {
        "scope": proof.scope.value,
        "passed": proof.passed,
        "reason": proof.reason,
        "at": proof.at.isoformat(),
        "seconds": proof.seconds,
        "host": proof.host,
    }
