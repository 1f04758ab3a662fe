"""Throw-away servers: a private PostgreSQL of a wanted major version for as long as a block, and a backup restored into it.

Its data is worth nothing, so nothing is made durable. It listens on 127.0.0.1 alone, with a generated password. A killed
process leaves its server running: the next scratch server that is made in the same folder ends and removes it first. Not
here: what is asked of the restored database.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_facts import maintenance_session
from herald_pipelines.backup.restore_fill import Filled, fill_database
from herald_pipelines.backup.restore_prepare import Wish, prepare
from herald_pipelines.backup.restore_statements import create_database
from herald_pipelines.resources.clients import ClientPrograms, find_clients
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.home import writing_home
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.resources.postmaster import end_orphans
from herald_pipelines.resources.server_host import STATE_DIRECTORY
from herald_pipelines.values import Say

FOLDER = "scratch"
CLAIM = ".alive"
"""Ending of a file beside the folder of a scratch server: locked by the process that it belongs to."""
RESTORED = "restored"
"""Name of the database that a backup is restored into."""
MOST_BUFFERS_MB = 1024
STATISTICS_TARGET = 10
"""Enough for the plans of a proof, in a tenth of the time: the middle stage of vacuumdb --analyze-in-stages."""
STATEMENT_SECONDS = 6 * 3600.0


@dataclass(frozen=True)
class ScratchServer:
    """A running throw-away server."""

    embedded: EmbeddedServer
    clients: ClientPrograms

    def address(self, database: str) -> Postgres:
        """Return how its superuser reaches a database."""
        return Postgres(
            url=self.embedded.url(database),
            database="scratch",
            task="scratch",
            statement_timeout_seconds=STATEMENT_SECONDS,
            read_only=False,
        )


@contextmanager
def scratch_server(major: int, programs: Mapping[int, Path], folder: Path) -> Generator[ScratchServer]:
    """Give a throw-away server for a block; it is ended and removed at the block's end.

    Args:
        major: its version.
        programs: folders of PostgreSQL's programs by major version, of the settings.
        folder: where it may lie: repository.work_folder. As root, its data lies below /var/lib/herald where the server's
            system user may not pass the folder.

    Raises:
        UsageError: there are no server programs of that version.
        PermanentFailure: it does not start.
    """
    clients = find_clients(major, programs, with_server=True)
    place = folder / FOLDER
    with writing_home(place):
        place.mkdir(mode=0o711, parents=True, exist_ok=True)
    remove_dead(place)
    with ExitStack() as stack:
        with writing_home(place):
            home = _claim(place, stack)
        server = EmbeddedServer(home, binaries=clients.folder, durable=False, options=_fast_options())
        stack.callback(_remove, server)
        server.ensure_started()
        yield ScratchServer(server, clients)


def remove_dead(place: Path) -> int:
    """End and remove the scratch servers in a folder whose process is gone; return how many there were."""
    count = 0
    for claim in place.glob(f"*{CLAIM}"):
        try:
            handle = os.open(claim, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Still locked while it goes, so that nobody else removes it too.
            _remove(EmbeddedServer(claim.with_suffix("")))
            count += 1
        except BlockingIOError:
            continue
        finally:
            os.close(handle)
    return count


def restore_into_scratch(
    repository: Repository, backup: Backup, server: ScratchServer, *, now: datetime, say: Say
) -> tuple[Postgres, Filled]:
    """Restore a backup into a scratch server, and return the address of the database and what was found.

    Raises:
        GuardRefusal: the server lacks what the backup needs (an extension, a newer version), or there is no room.
        PermanentFailure: it is no backup of a database, its key is missing, or what was restored is not what was backed up.
        HeraldError: of the kind that fits.
    """
    target = server.address("postgres")
    with maintenance_session(target, RESTORED) as session:
        plan, source = prepare(
            repository,
            backup,
            target,
            session,
            Wish(RESTORED, {server.clients.major: server.clients.folder}, now),
        )
        plan.require()
        assert source is not None  # noqa: S101 - a plan that does not refuse has one
        statement = create_database(RESTORED, source.facts, source.server.major)
        session.execute(statement.sql, dict(statement.parameters))
        rows = session.fetch("backup/list_databases")
        oid = next(row["oid"] for row in rows if row["name"] == RESTORED)
        filled = fill_database(session, source, RESTORED, oid, say, statistics_target=STATISTICS_TARGET)
    return server.address(RESTORED), filled


def _fast_options() -> dict[str, str]:
    """Return settings for data that may be lost: no WAL of what is loaded, no flushes, no vacuum beside the load."""
    free_mb = psutil.virtual_memory().available // 1024**2
    return {
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "synchronous_commit": "off",
        "max_wal_size": "8GB",
        "checkpoint_timeout": "1h",
        "autovacuum": "off",
        "shared_buffers": f"{max(32, min(free_mb // 8, MOST_BUFFERS_MB))}MB",
        "maintenance_work_mem": f"{max(64, min(free_mb // 8, 1024))}MB",
        "bgwriter_lru_maxpages": "0",
    }


def _claim(place: Path, stack: ExitStack) -> Path:
    """Make the folder of a new server, held by this process until the stack unwinds."""
    while True:
        home = place / secrets.token_hex(4)
        claim = home.with_suffix(CLAIM)
        handle = os.open(claim, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        # Somebody may have taken it for a dead one's before it was locked.
        if claim.exists() and claim.stat().st_ino == os.fstat(handle).st_ino:
            stack.callback(os.close, handle)
            home.mkdir(mode=0o711)
            return home
        os.close(handle)


def _remove(server: EmbeddedServer) -> None:
    """End a server, whatever state it is in, and remove all of it."""
    data = server.data_directory
    # Not a clean stop: nothing of it is needed, and its last checkpoint would write everything out.
    end_orphans(data)
    folders = [server.home]
    if data.parent.parent == STATE_DIRECTORY / "homes":
        folders.insert(0, data.parent)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    # What an initdb of a killed process still wrote is removed the next time.
    if not any(folder.exists() for folder in folders):
        server.home.with_suffix(CLAIM).unlink(missing_ok=True)
