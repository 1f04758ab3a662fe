"""The embedded PostgreSQL: one server a home, made when missing, reused when running, recovered when killed.

It listens on 127.0.0.1 alone, on a port that the home remembers, with a generated password; it outlives the
process that started it. As root it runs as a system user. Not here: what its databases hold.
"""

import fcntl
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from herald_pipelines.errors import DatabaseUnavailable, PermanentFailure, TransientFailure, UsageError
from herald_pipelines.resources.commands import CommandFailed, run
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.resources.postmaster import Postmaster, end_orphans, last_words, read_postmaster
from herald_pipelines.resources.server_host import (
    HOST,
    ServerBinaries,
    can_enter,
    ensure_system_user,
    find_binaries,
    free_port,
    is_free,
    make_state_directory,
    reachable_by,
    read_binaries,
    shared_memory_type,
)
from herald_pipelines.values import quote_identifier

SUPERUSER = "postgres"
START_SECONDS = 300
"""How long a start may take; recovery after a crash replays the log first."""
STOP_SECONDS = 60
LOCK_SECONDS = START_SECONDS + STOP_SECONDS
PORT_ATTEMPTS = 5

# Small, because a laptop also runs the rest; an operator changes them with ALTER SYSTEM.
SETTINGS = """
# Written once by herald when this data directory was made.
shared_preload_libraries = 'pg_stat_statements'
unix_socket_directories = ''
max_connections = 200
shared_buffers = '128MB'
maintenance_work_mem = '64MB'
max_wal_size = '1GB'
timezone = 'UTC'
log_timezone = 'UTC'
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%a.log'
log_truncate_on_rotation = on
log_rotation_age = '1d'
log_rotation_size = 0
"""


@dataclass(frozen=True)
class ServerStatus:
    """What is known of a home's server."""

    running: bool
    pid: int | None
    port: int | None
    data_directory: Path


class EmbeddedServer:
    """The server of one home.

    Args:
        home: HERALD_HOME; everything lies in its `postgres` folder, except the data directory when we are
            root and the home is closed to the server's system user: `postgres/location` then names it.
        binaries: the bin folder of another PostgreSQL than the one `find_binaries` chooses.
        durable: false gives up the data's safety for speed: tests and benchmarks.
    """

    def __init__(self, home: Path, *, binaries: Path | None = None, durable: bool = True) -> None:
        self.home = home.absolute()
        self._folder = self.home / "postgres"
        self._chosen = binaries
        self._durable = durable

    @property
    def major(self) -> int:
        """The major version of its programs."""
        return self._binaries.major

    @property
    def data_directory(self) -> Path:
        """Where the data lies: below the home, or where the home's `postgres/location` points to."""
        pointer = self._folder / "location"
        return Path(pointer.read_text().strip()) if pointer.is_file() else self._folder / "data"

    def url(self, database: str) -> str:
        """Return the superuser's URL of a database; it holds the password.

        Raises:
            UsageError: the server was never started.
        """
        try:
            password = self._password_file.read_text().strip()
            port = int(self._port_file.read_text())
        except FileNotFoundError as error:
            raise UsageError(
                f"there is no embedded database in {self.home}", hint="start it first: herald up"
            ) from error
        return f"postgresql://{SUPERUSER}:{password}@{HOST}:{port}/{quote(database, safe='')}"

    def status(self) -> ServerStatus:
        """Look at the server without changing anything."""
        postmaster = self._read_postmaster()
        return ServerStatus(
            running=postmaster is not None,
            pid=postmaster.pid if postmaster else None,
            port=postmaster.port if postmaster else None,
            data_directory=self.data_directory,
        )

    def ensure_started(self) -> None:
        """Make the server run and answer: reuse it, start it, or make it first. Many processes may call it.

        Raises:
            UsageError: the data directory is of another major version or belongs to somebody else, or there
                are no server programs.
            PermanentFailure: it does not start; the text ends with what its log says.
        """
        with self._locked():
            if not self._wait_for_answer():
                self._initialise()
                self._check_major()
                end_orphans(self.data_directory)
                self._start()

    def stop(self) -> None:
        """Stop the server cleanly if it runs; open transactions are rolled back."""
        if not self._folder.is_dir():
            return
        with self._locked():
            if self._read_postmaster() is not None:
                self._pg_ctl("stop", "-m", "fast", "-w", "-t", str(STOP_SECONDS), seconds=STOP_SECONDS)

    def create_database(self, name: str) -> None:
        """Create an empty database unless there is one of that name."""
        with (
            self._locked(),
            Postgres(self.url("postgres"), "embedded").writable().session(autocommit=True) as session,
        ):
            query = "select from pg_database where datname = %(name)s"
            if not session.execute(query, {"name": name}):
                # template0, because nobody can be connected to it.
                session.execute(f"create database {quote_identifier(name)} template template0")

    # What follows is called while holding the lock, except where it only reads.

    @cached_property
    def _binaries(self) -> ServerBinaries:
        return find_binaries() if self._chosen is None else read_binaries(self._chosen)

    @property
    def _password_file(self) -> Path:
        return self._folder / "password"

    @property
    def _port_file(self) -> Path:
        return self._folder / "port"

    @contextmanager
    def _locked(self) -> Generator[None]:
        try:
            if not self._folder.is_dir():
                self._folder.mkdir(parents=True, exist_ok=True)
                self._folder.chmod(0o711)  # the server's system user passes through, and can list nothing
            handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except PermissionError as error:
            raise UsageError(
                f"{self._folder} belongs to somebody else",
                hint="run this as its owner, or name another folder with HERALD_HOME",
            ) from error
        try:
            deadline = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TransientFailure(
                            f"another process has been starting or stopping the server of {self.home} for"
                            f" {LOCK_SECONDS} s"
                        ) from None
                    time.sleep(0.05)
                else:
                    break
            yield
        finally:
            os.close(handle)

    def _read_postmaster(self) -> Postmaster | None:
        try:
            return read_postmaster(self.data_directory)
        except PermissionError as error:
            raise self._foreign_owner() from error

    def _wait_for_answer(self) -> bool:
        """Return whether the server runs and lets us in; waits while it starts, recovers or stops."""
        deadline = time.monotonic() + START_SECONDS
        while (postmaster := self._read_postmaster()) is not None:
            _write(self._port_file, str(postmaster.port))
            try:
                with Postgres(self.url("postgres"), "embedded").session() as session:
                    session.execute("select")
            except DatabaseUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return True
        return False

    def _initialise(self) -> None:
        user = self._server_user()
        if user is not None and not self.data_directory.exists():
            self._choose_location(user)
        data = self.data_directory
        if data.exists():
            return
        if not self._password_file.exists():
            _write(self._password_file, secrets.token_urlsafe(24), mode=0o600)
        # Made beside its place and moved there when whole: an interrupted initdb is never taken for a server,
        # and one that outlived its parent works on in a folder that is not ours.
        for leftover in data.parent.glob("new-*"):
            if leftover.is_dir():
                # An initdb that outlived its parent may still write into it; what stays goes with the next start.
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
        fresh = data.with_name(f"new-{secrets.token_hex(4)}")
        password = data.with_name(f"{fresh.name}.password")
        fresh.mkdir(mode=0o700)
        try:
            _write(password, self._password_file.read_text(), mode=0o600)
            if user is not None:
                shutil.chown(fresh, user)
                shutil.chown(password, user)
            # The built-in collation of 17+ does not change under an index when the C library is upgraded.
            locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
            self._run(
                "initdb",
                "--pgdata", str(fresh), "--username", SUPERUSER, "--pwfile", str(password),
                "--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions",
                *(locale if self.major >= 17 else ["--locale=C.UTF-8"]),  # noqa: PLR2004
                *([] if self._durable else ["--no-sync"]),
                seconds=START_SECONDS,
            )  # fmt: skip
        finally:
            password.unlink(missing_ok=True)
        with (fresh / "postgresql.conf").open("a") as configuration:
            configuration.write(SETTINGS)
        fresh.rename(data)

    def _check_major(self) -> None:
        data = self.data_directory
        try:
            found = (data / "PG_VERSION").read_text().strip()
        except PermissionError as error:
            raise self._foreign_owner() from error
        except FileNotFoundError as error:
            raise UsageError(f"{data} is no data directory of PostgreSQL", hint="move it away") from error
        if found != str(self.major):
            raise UsageError(
                f"{data} holds data of PostgreSQL {found}, and the server programs in"
                f" {self._binaries.folder} are PostgreSQL {self.major}",
                hint=f"install PostgreSQL {found}, use pg_upgrade, or name another folder with HERALD_HOME",
            )

    def _start(self) -> None:
        port = int(self._port_file.read_text()) if self._port_file.is_file() else free_port()
        for attempt in range(1, PORT_ATTEMPTS + 1):
            if not is_free(port):
                port = free_port()
            _write(self._port_file, str(port))
            options = {
                "port": str(port),
                "listen_addresses": HOST,
                "dynamic_shared_memory_type": shared_memory_type(),
            }
            if not self._durable:
                options |= {"fsync": "off", "full_page_writes": "off"}
            words = " ".join(f"-c {name}={value}" for name, value in options.items())
            log = self.data_directory / "start.log"
            log.unlink(missing_ok=True)
            try:
                self._pg_ctl(
                    "start",
                    "-w",
                    "-t",
                    str(START_SECONDS),
                    "-l",
                    str(log),
                    "-o",
                    words,
                    seconds=START_SECONDS,
                )
            except CommandFailed as error:
                if self._wait_for_answer():  # started after all, by a pg_ctl whose parent was killed
                    return
                said = last_words(self.data_directory)
                # Somebody took the port between our look and the server's bind.
                if attempt < PORT_ATTEMPTS and not is_free(port):
                    continue
                raise PermanentFailure(
                    f"the embedded database in {self.data_directory} did not start: {said or error.message}"
                ) from error
            break
        if not self._wait_for_answer():
            raise PermanentFailure(
                f"the embedded database in {self.data_directory} ended right after its start:"
                f" {last_words(self.data_directory)}"
            )

    def _pg_ctl(self, action: str, *arguments: str, seconds: float) -> None:
        self._run("pg_ctl", action, "--pgdata", str(self.data_directory), *arguments, seconds=seconds)

    def _run(self, program: str, *arguments: str, seconds: float) -> None:
        user = self._server_user()
        binaries = self._binaries if user is None else reachable_by(user, self._binaries)
        run(
            [binaries.folder / program, *arguments],
            timeout_seconds=seconds + 30,
            # A clean environment: no PG* variable of the operator, messages in English.
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            cwd=Path("/"),
            as_user=user,
        )

    def _server_user(self) -> str | None:
        """Return the system user that the server runs as; none when we are not root: then it is us."""
        if os.geteuid() != 0:
            return None
        data = self.data_directory
        if data.exists() and data.stat().st_uid != 0:
            return data.owner()
        return ensure_system_user()

    def _choose_location(self, user: str) -> None:
        """Put the data elsewhere when the home lies behind a folder that the system user may not pass."""
        if not can_enter(user, self._folder):
            mark = hashlib.sha256(str(self._folder.resolve()).encode()).hexdigest()[:16]
            _write(self._folder / "location", f"{make_state_directory('homes', mark) / 'data'}\n")

    def _foreign_owner(self) -> UsageError:
        return UsageError(
            f"the data directory {self.data_directory} belongs to another user",
            hint="run this as its owner or as root, or name another folder with HERALD_HOME",
        )


def _write(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a small file whole or not at all, its mode set before its content."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    fresh.rename(path)
