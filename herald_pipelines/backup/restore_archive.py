"""The clear archives of a backup: fetched, verified and held while pg_restore reads them; they have no name on the disk.

pg_restore's workers each open the archive anew, which standard input does not allow. So it is a file without a name, held
open by this process and named to them by /proc: when this process ends, however it does, the file is gone.
"""

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import psutil

from herald_pipelines.backup.database import GLOBALS
from herald_pipelines.backup.facts import Manifest
from herald_pipelines.backup.parts import open_part, read_part
from herald_pipelines.backup.progress import Progress
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_listing import Entry, read_listing
from herald_pipelines.backup.restore_statements import Globals
from herald_pipelines.errors import PermanentFailure
from herald_pipelines.resources.clients import ClientPrograms
from herald_pipelines.resources.commands import run
from herald_pipelines.resources.pipes import piping
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import Say

FOLDER = "archives"
LIST_SECONDS = 600.0
MOST_RESTORE_SECONDS = 7 * 86400.0
"""Of pg_restore as a whole: a terabyte takes hours."""
END_SECONDS = 60.0
WATCH_SECONDS = 5.0
MOST_JOBS = 4
"""More sessions gain little and take the server's memory: each index build has workers of its own."""
LEAST_MEMORY_MB, USUAL_MEMORY_MB, MOST_MEMORY_MB = 64, 256, 1024
"""maintenance_work_mem: the server's default, what a server of unknown size gets, and where sorting gains no more."""
NAMED_AGE_SECONDS = 60.0


def read_globals(repository: Repository, manifest: Manifest) -> Globals:
    """Return what a backup holds of its server: small, and the first proof that the key fits.

    Raises:
        As `open_part`.
    """
    content = json.loads(read_part(repository, manifest, GLOBALS))
    lists = {key: tuple(content.get(key, ())) for key in ("roles", "memberships", "settings", "tablespaces")}
    return Globals(has_passwords=bool(content.get("has_passwords")), **lists)


@contextmanager
def clear_archives(
    repository: Repository, manifest: Manifest, say: Say, *, names: Collection[str] = ()
) -> Generator[tuple[Path, ...]]:
    """Fetch, decrypt and verify archives, and give paths by which programs of this user can open them for a block.

    Args:
        repository: where they are.
        manifest: of their backup.
        say: told of the progress.
        names: of the parts, in their order; none: all that make up the dump.

    Raises:
        PermanentFailure: the work folder cannot be written, or is full.
        HeraldError: as `open_part`.
    """
    folder = archive_folder(repository)
    parts = tuple(map(manifest.part, names)) or manifest.archives
    progress = Progress(f"fetching {manifest.id}", sum(part.clear_bytes for part in parts), say)
    started, count = time.monotonic(), 0
    paths: list[Path] = []
    with ExitStack() as stack:
        for part in parts:
            with _writing(folder):
                file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
            with open_part(repository, manifest, part.name) as chunks:
                for chunk in chunks:
                    with _writing(folder):
                        file.write(chunk)
                    count += len(chunk)
                    progress.update(count, 0)
            with _writing(folder):
                file.flush()
            paths.append(path_of(file))
        progress.end(count, sum(part.stored_bytes for part in parts), time.monotonic() - started)
        yield tuple(paths)


def path_of(file: IO[Any]) -> Path:
    """Return a path by which programs of this user can open a file without a name, for as long as we hold it open."""
    return Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")


def archive_folder(repository: Repository) -> Path:
    """Return where clear archives lie, made for this user alone; removes what a kill left in it.

    Raises:
        PermanentFailure: it cannot be made.
    """
    folder = repository.work_folder / FOLDER
    with _writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        # Where the file system makes no files without a name, one has a name for an instant.
        newest = time.clock_gettime(time.CLOCK_REALTIME) - NAMED_AGE_SECONDS
        for left in folder.glob("tmp*"):
            if left.stat().st_mtime < newest:
                left.unlink(missing_ok=True)
    return folder


def list_archive(clients: ClientPrograms, archive: Path) -> tuple[Entry, ...]:
    """Return the entries of an archive.

    Raises:
        CommandFailed: pg_restore cannot read it.
    """
    argv = [clients.pg_restore, "--list", "--verbose", archive]
    return read_listing(run(argv, timeout_seconds=LIST_SECONDS, env=_plain_environment()).stdout)


def show_entries(clients: ClientPrograms, archive: Path, chosen: Path) -> str:
    """Return the definitions of the entries of an archive that a list names.

    Raises:
        CommandFailed: pg_restore cannot read it.
    """
    argv = [clients.pg_restore, "--file=-", f"--use-list={chosen}", archive]
    return run(argv, timeout_seconds=LIST_SECONDS, env=_plain_environment()).stdout


def choose_jobs() -> int:
    """Return how many sessions restore at once: one a processor, four at most."""
    return max(1, min(len(os.sched_getaffinity(0)), MOST_JOBS))


def fast_settings(jobs: int, *, is_local: bool) -> dict[str, str]:
    """Return settings of the sessions that restore. None takes a superuser.

    Building indexes is most of the time: measured on 1.3 GB, 1 GB of maintenance_work_mem took a quarter off.

    Args:
        jobs: how many sessions.
        is_local: whether the server shares this machine's memory.
    """
    memory_mb = USUAL_MEMORY_MB
    if is_local:
        share = psutil.virtual_memory().available // (4 * jobs) // 1024**2
        memory_mb = max(LEAST_MEMORY_MB, min(int(share), MOST_MEMORY_MB))
    return {
        "maintenance_work_mem": f"{memory_mb}MB",
        # What is lost with the server is made again: the restore is not done before its swap, which is durable.
        "synchronous_commit": "off",
        "default_transaction_read_only": "off",
        "client_connection_check_interval": "2000",
        "idle_session_timeout": "0",
        "standard_conforming_strings": "on",
    }


def restore_archive(
    clients: ClientPrograms,
    archive: Path,
    target: Postgres,
    dbname: str,
    *,
    jobs: int,
    settings: Mapping[str, str],
    options: Sequence[str | Path],
    watch: Callable[[], None],
) -> None:
    """Run pg_restore to its end. Its first error ends it.

    Args:
        clients: of the server's major version.
        archive: a path that it can open several times.
        target: address of the database.
        dbname: its name.
        jobs: sessions at once.
        settings: of its sessions.
        options: further arguments.
        watch: called every few seconds; what it raises ends pg_restore.

    Raises:
        CommandFailed: it failed; the text ends with what it said.
    """
    # As a connection string, because a bare name with = in it would be taken for one.
    escaped = dbname.replace("\\", "\\\\").replace("'", "\\'")
    argv: list[str | Path] = [
        clients.pg_restore,
        "--exit-on-error",
        "--no-password",
        "--no-subscriptions",
        f"--jobs={jobs}",
        f"--dbname=dbname='{escaped}'",
        *options,
        archive,
    ]
    environ = target.client_environment(options=settings)
    with piping(argv, env=environ, stall_seconds=MOST_RESTORE_SECONDS) as process:

        def drain() -> None:
            for _ in process.chunks():
                pass

        # Standard output ends when it does: there is nothing on it.
        waiting = threading.Thread(target=drain, daemon=True)
        waiting.start()
        while waiting.is_alive():
            waiting.join(WATCH_SECONDS)
            if waiting.is_alive():
                watch()
        process.finish(timeout_seconds=END_SECONDS)


@contextmanager
def _writing(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise PermanentFailure(
            f"the work folder {folder} cannot be written: {(error.strerror or type(error).__name__).lower()}",
            hint="let backup.work_folder name a folder with room that this user may write",
        ) from error


def _plain_environment() -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return environ | {"LC_ALL": "C.UTF-8"}
