"""The embedded PostgreSQL: one server a home, made when missing, reused when running, recovered when killed.

It listens on 127.0.0.1 alone, on a port that the home remembers, with a generated password; it outlives the
process that started it. As root it runs as a system user. Not here: what its databases hold.
"""

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from herald_pipelines.errors import DatabaseUnavailable, PermanentFailure, TransientFailure, UsageError
from herald_pipelines.resources.commands import CommandFailed
from herald_pipelines.resources.data_directory import (
    SUPERUSER,
    ServerPrograms,
    check_data_directory,
    foreign_owner,
    make_data_directory,
)
from herald_pipelines.resources.home import write_whole, writing_home
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

START_SECONDS = 300
"""How long a start may take; recovery after a crash replays the log first."""
STOP_SECONDS = 60
"""How long a stop may take: far more than writing `shared_buffers` out needs."""
LOCK_SECONDS = START_SECONDS + STOP_SECONDS
PORT_ATTEMPTS = 5
START_LOG = "start.log"
"""In the data directory: what the server says before it writes its own log."""


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
        options: settings of the server from its start on, without white space or quotes.
    """

    def __init__(
        self,
        home: Path,
        *,
        binaries: Path | None = None,
        durable: bool = True,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home.absolute()
        self._folder = self.home / "postgres"
        self._chosen = binaries
        self._durable = durable
        self._options = dict(options or {})

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
        except FileNotFoundError:
            password = None
        except PermissionError as error:
            raise self._somebody_elses() from error
        port = self._read_port()
        if password is None or port is None:
            raise UsageError(
                f"there is no embedded database in {self.home}", hint="start it first: herald up"
            )
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
            self._require_password()
            if not self._wait_for_answer():
                self._initialise()
                check_data_directory(self.data_directory, self._binaries)
                end_orphans(self.data_directory)
                self._start()

    def stop(self) -> None:
        """Stop the server cleanly if it runs; open transactions are rolled back."""
        if not self._folder.is_dir():
            return
        with self._locked():
            if self._read_postmaster() is not None:
                try:
                    self._pg_ctl("stop", "-m", "fast", "-t", str(STOP_SECONDS), seconds=STOP_SECONDS)
                except CommandFailed:
                    # It cannot write its last checkpoint: the next start recovers what is in the log.
                    self._pg_ctl("stop", "-m", "immediate", "-t", str(STOP_SECONDS), seconds=STOP_SECONDS)

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
        with writing_home(self.home):
            try:
                if not self._folder.is_dir():
                    self._folder.mkdir(parents=True, exist_ok=True)
                    self._folder.chmod(0o711)  # the server's system user passes through, and can list nothing
                handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            except PermissionError as error:
                raise self._somebody_elses() from error
            try:
                deadline = time.monotonic() + LOCK_SECONDS
                while not _try_lock(handle):
                    if time.monotonic() > deadline:
                        raise TransientFailure(
                            f"another process has been starting or stopping the server of {self.home} for"
                            f" {LOCK_SECONDS} s"
                        )
                    time.sleep(0.05)
                yield
            finally:
                os.close(handle)

    def _read_port(self) -> int | None:
        """Return the port that the home remembers; none when it remembers no number."""
        try:
            return int(self._port_file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _read_postmaster(self) -> Postmaster | None:
        try:
            return read_postmaster(self.data_directory)
        except PermissionError as error:
            raise foreign_owner(self.data_directory) from error

    def _require_password(self) -> None:
        data = self.data_directory
        if data.exists() and not self._password_file.exists():
            raise UsageError(
                f"{self._password_file} is missing, and without it nobody gets into {data}",
                hint=f"bring it back, or move {data} away for an empty server",
            )

    def _wait_for_answer(self) -> bool:
        """Return whether the server runs and lets us in; waits while it starts, recovers or stops."""
        deadline = time.monotonic() + START_SECONDS
        while (postmaster := self._read_postmaster()) is not None:
            write_whole(self._port_file, str(postmaster.port))
            try:
                with Postgres(self.url("postgres"), "embedded").session() as session:
                    session.execute("select")
            except DatabaseUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            except PermanentFailure as error:
                raise UsageError(
                    f"the server in {self.data_directory} does not let us in: {error.message}",
                    hint=f"its password is not the one in {self._password_file}: bring the right one back",
                ) from error
            else:
                return True
        return False

    def _initialise(self) -> None:
        user = self._server_user()
        if user is not None and not self.data_directory.exists():
            self._choose_location(user)
        if self.data_directory.exists():
            return
        if not self._password_file.exists():
            write_whole(self._password_file, secrets.token_urlsafe(24), mode=0o600)
        make_data_directory(
            self.data_directory, self._programs(), self._password_file.read_text(), durable=self._durable
        )

    def _start(self) -> None:
        port = self._read_port() or free_port()
        for attempt in range(1, PORT_ATTEMPTS + 1):
            if not is_free(port):
                port = free_port()
            write_whole(self._port_file, str(port))
            options = {
                "port": str(port),
                "listen_addresses": HOST,
                "dynamic_shared_memory_type": shared_memory_type(),
                **self._options,
            }
            if not self._durable:
                options |= {"fsync": "off", "full_page_writes": "off"}
            words = " ".join(f"-c {name}={value}" for name, value in options.items())
            (self.data_directory / START_LOG).unlink(missing_ok=True)
            try:
                self._pg_ctl(
                    "start", "-t", str(START_SECONDS), "-l", START_LOG, "-o", words, seconds=START_SECONDS
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
        # pg_ctl puts --pgdata and -l into a line for a shell; what is in the environment or the present folder it does not.
        self._programs().run(
            "pg_ctl", action, "-w", *arguments,
            seconds=seconds + 30, cwd=self.data_directory, env={"PGDATA": str(self.data_directory)},
        )  # fmt: skip

    def _programs(self) -> ServerPrograms:
        user = self._server_user()
        return ServerPrograms(self._binaries if user is None else reachable_by(user, self._binaries), user)

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
            write_whole(self._folder / "location", f"{make_state_directory('homes', mark) / 'data'}\n")

    def _somebody_elses(self) -> UsageError:
        return UsageError(
            f"{self._folder} belongs to somebody else",
            hint="run this as its owner, or name another folder with HERALD_HOME",
        )


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
