"""`herald up`: a code server, the web interface and the daemon on 127.0.0.1, started in order, kept running.

A process that ends is reported and started again; SIGINT, SIGTERM or SIGHUP stops all of them in order. When
this process is killed, all of them end with it; the embedded database stays, and the next start reuses it.
Runs in flight belong to the code server, so that neither the daemon's end nor the interface's stops them.
"""

import fcntl
import http.client
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from herald_pipelines.errors import PermanentFailure, UsageError
from herald_pipelines.resources.commands import ChildProcess, start
from herald_pipelines.resources.dagster_home import dagster_variables, prepare_dagster_home
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.server_host import HOST, free_port, is_free

Say = Callable[[str], None]

DEFINITIONS = "herald_pipelines.definitions"
LOCATION = "herald_pipelines"
DAGSTER_DATABASE = "dagster"
START_SECONDS = 180
PROGRESS_SECONDS = 5
LOOK_SECONDS = 0.2
DATABASE_LOOK_SECONDS = 5
STOP_GRACE_SECONDS = 15
FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 30.0
CALM_SECONDS = 60
"""A process that lived this long starts with the first backoff again."""
LOG_LINES = 8
NOTE = "up.json"
"""Where a running one says where it answers."""
LONGEST_LOG_BYTES = 16 * 1024**2
"""A log larger than this is set aside at the next start; one older one is kept."""


@dataclass
class Service:
    """One supervised process."""

    name: str
    argv: Sequence[str]
    log: Path
    child: ChildProcess | None = None
    started_at: float = 0.0
    start_again_at: float | None = None
    backoff_seconds: float = FIRST_BACKOFF_SECONDS
    former: list[ChildProcess] = field(default_factory=list[ChildProcess])
    """Ended ones: what is left of their groups (runs in flight) is ended only with everything else."""

    def start(self, environ: Mapping[str, str], cwd: Path) -> None:
        """Start it, its output appended to its log."""
        if self.log.exists() and self.log.stat().st_size > LONGEST_LOG_BYTES:
            self.log.rename(self.log.with_suffix(".log.1"))
        self.child = start(self.argv, env=environ, cwd=cwd, log=self.log, end_with_parent=True)
        self.started_at = time.monotonic()
        self.start_again_at = None

    def stop(self) -> None:
        """End it, and what is left of those before it."""
        for child in (self.child, *self.former):
            if child is not None:
                child.terminate(STOP_GRACE_SECONDS)
        self.child = None
        self.former.clear()

    def last_words(self) -> str:
        """Return the last lines of its log, indented."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"    {line}" for line in lines[-LOG_LINES:])


class _StopRequested(BaseException):
    """A signal asked for the end."""


def up(
    home: Path,
    *,
    port: int,
    environ: Mapping[str, str],
    storage: EmbeddedServer | str,
    say: Say,
    definitions: str = DEFINITIONS,
) -> int:
    """Run everything until a signal ends it, and return the exit code: 0, also when it already runs.

    Args:
        home: HERALD_HOME; logs go to its `logs`.
        port: of the web interface on 127.0.0.1.
        environ: environment of the processes, to which Dagster's variables are added.
        storage: the embedded server, which is then watched too and holds the database `dagster`, or the URL
            of Dagster's storage.
        say: told of what happens, a line at a time.
        definitions: the module that the code server loads.

    Raises:
        UsageError: the port is taken by something else.
        PermanentFailure: a process does not come up; the text ends with what its log says.
    """
    home = home.absolute()
    folder = prepare_dagster_home(home)
    with _only_one(folder / "up.lock") as running:
        if running is not None:
            say(f"herald already runs for {home}: {running}")
            return 0
        if not is_free(port):
            raise UsageError(
                f"port {port} of {HOST} is taken by another program",
                hint="choose another: herald up --port 3001",
            )
        supervisor = _Supervisor(home, folder, port, environ, storage, say, definitions)
        with _stop_on_signals():
            try:
                supervisor.start()
                supervisor.watch()
            except _StopRequested:
                say("stopping")
            finally:
                supervisor.stop()
                (folder / NOTE).unlink(missing_ok=True)
        say("stopped")
    return 0


class _Supervisor:
    def __init__(
        self,
        home: Path,
        folder: Path,
        port: int,
        environ: Mapping[str, str],
        storage: EmbeddedServer | str,
        say: Say,
        definitions: str,
    ) -> None:
        self._folder, self._port, self._say = folder, port, say
        self._address = f"http://{HOST}:{port}"
        self._database = storage if isinstance(storage, EmbeddedServer) else None
        url = storage.url(DAGSTER_DATABASE) if isinstance(storage, EmbeddedServer) else storage
        self._environ = {**environ, **dagster_variables(home, url), "PYTHONUNBUFFERED": "1"}
        self._code_port = free_port()
        workspace = folder / "workspace.yaml"
        server = {"host": HOST, "port": self._code_port, "location_name": LOCATION}
        workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
        logs = home / "logs"
        logs.mkdir(exist_ok=True)
        python = [sys.executable, "-m"]
        self._code_server = Service(
            "code server",
            [*python, "dagster", "code-server", "start", "-m", definitions, "--host", HOST, "--port",
             str(self._code_port), "--location-name", LOCATION, "--use-python-environment-entry-point"],
            logs / "code-server.log",
        )  # fmt: skip
        self._webserver = Service(
            "webserver",
            [
                *python,
                "dagster_webserver",
                "--host",
                HOST,
                "--port",
                str(port),
                "--workspace",
                str(workspace),
            ],
            logs / "webserver.log",
        )
        self._daemon = Service(
            "daemon", [*python, "dagster._daemon", "run", "--workspace", str(workspace)], logs / "daemon.log"
        )
        self._services = (self._code_server, self._webserver, self._daemon)

    def start(self) -> None:
        self._start(self._code_server)
        self._wait_for(self._code_server, lambda: _listens(self._code_port))
        self._start(self._webserver)
        self._start(self._daemon)
        self._wait_for(self._webserver, lambda: _location_error(self._port) is not None)
        note = {"pid": os.getpid(), "address": self._address}
        (self._folder / NOTE).write_text(json.dumps(note))
        if error := _location_error(self._port):
            self._say(f"the definitions do not load; the web interface shows why: {error}")
        self._say(f"herald runs at {self._address} (Ctrl-C stops it)")

    def watch(self) -> None:
        """Keep everything running, for ever."""
        looked_at = time.monotonic()
        while True:
            time.sleep(LOOK_SECONDS)
            for service in self._services:
                self._look_after(service)
            if self._database is not None and time.monotonic() - looked_at > DATABASE_LOOK_SECONDS:
                if not self._database.status().running:
                    self._say("the embedded database ended; starting it again")
                    self._database.ensure_started()
                looked_at = time.monotonic()

    def stop(self) -> None:
        """End the processes: first what starts runs, last what they run in."""
        for service in (self._daemon, self._webserver, self._code_server):
            service.stop()

    def _start(self, service: Service) -> None:
        service.start(self._environ, self._folder)

    def _look_after(self, service: Service) -> None:
        now = time.monotonic()
        if service.start_again_at is not None:
            if now >= service.start_again_at:
                self._start(service)
            return
        code = None if service.child is None else service.child.poll()
        if code is None or service.child is None:
            return
        if now - service.started_at > CALM_SECONDS:
            service.backoff_seconds = FIRST_BACKOFF_SECONDS
        service.former.append(service.child)
        service.child = None
        service.start_again_at = now + service.backoff_seconds
        ending = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._say(
            f"the {service.name} ended ({ending}); starting it again in {service.backoff_seconds:g} s"
            f" (log: {service.log})"
        )
        service.backoff_seconds = min(service.backoff_seconds * 2, LONGEST_BACKOFF_SECONDS)

    def _wait_for(self, service: Service, ready: Callable[[], bool]) -> None:
        began = told = time.monotonic()
        while not ready():
            now = time.monotonic()
            if service.child is None or service.child.poll() is not None or now - began > START_SECONDS:
                why = "ended" if now - began <= START_SECONDS else f"did not answer within {START_SECONDS} s"
                raise PermanentFailure(
                    f"the {service.name} {why} while starting\n{service.last_words()}",
                    hint=f"its log is {service.log}",
                )
            if now - told > PROGRESS_SECONDS:
                self._say(f"waiting for the {service.name} ({now - began:.0f} s)")
                told = now
            time.sleep(LOOK_SECONDS)


@contextmanager
def _only_one(path: Path) -> Generator[str | None]:
    """Hold the lock of a home's supervisor; yields where the other one runs when it is held already."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            running = None
            (path.parent / NOTE).unlink(missing_ok=True)  # a killed one's
        except BlockingIOError:
            running = _read_note(path.parent)
        yield running
    finally:
        os.close(handle)


def _read_note(folder: Path) -> str:
    try:
        note = json.loads((folder / NOTE).read_text())
    except (FileNotFoundError, ValueError):
        return "it is starting"
    return f"{note['address']} (process {note['pid']})"


@contextmanager
def _stop_on_signals() -> Generator[None]:
    """Raise _StopRequested in the main thread at the first signal; ignore more of them while stopping."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup's wish is respected
        numbers.append(signal.SIGHUP)

    def request(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise _StopRequested

    before = {number: signal.signal(number, request) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def _location_error(port: int) -> str | None:
    """Ask the web interface what became of the code location: an error, "" for none, None for no answer."""
    query = (
        "{ workspaceOrError { ... on Workspace { locationEntries {"
        " loadStatus locationOrLoadError { ... on PythonError { message } } } } } }"
    )
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request(
            "POST", "/graphql", json.dumps({"query": query}), {"Content-Type": "application/json"}
        )
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        (entry,) = answer["data"]["workspaceOrError"]["locationEntries"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None
    finally:
        connection.close()
    if entry["loadStatus"] != "LOADED":
        return None
    loaded: dict[str, str] = entry["locationOrLoadError"] or {}
    return loaded.get("message", "").strip()
