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
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from herald_pipelines.errors import HeraldError, PermanentFailure, UsageError
from herald_pipelines.resources.dagster_home import (
    DAGSTER_DATABASE,
    DAGSTER_URL_VARIABLE,
    dagster_variables,
    prepare_dagster_home,
    renew_dotenv,
)
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.home import writing_home
from herald_pipelines.resources.server_host import HOST, free_port, is_free
from herald_pipelines.resources.service import Service
from herald_pipelines.values import Say

DEFINITIONS = "herald_pipelines.definitions"
WORKLOAD = "herald_pipelines.sample.workload"
LOCATION = "herald_pipelines"
START_SECONDS = 180
PROGRESS_SECONDS = 5
LOOK_SECONDS = 0.2
DATABASE_LOOK_SECONDS = 5
NOTE = "up.json"
"""Where a running one says where it answers."""


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
    workload: bool = False,
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
        workload: whether the embedded server holds the sample platform, whose players are then played.

    Raises:
        UsageError: the port is taken by something else, or the home cannot be written.
        PermanentFailure: a process does not come up; the text ends with what its log says.
    """
    home = home.absolute()

    def tell(text: str) -> None:
        with suppress(OSError):  # a terminal that was closed, a reader that went away
            say(text)

    with writing_home(home):
        folder = prepare_dagster_home(home)
    with _only_one(home, folder / "up.lock") as running:
        if running is not None:
            tell(f"herald already runs for {home}: {running}")
            return 0
        if not is_free(port):
            raise UsageError(
                f"port {port} of {HOST} is taken by another program",
                hint="choose another: herald up --port 3001",
            )
        supervisor = _Supervisor(home, folder, port, environ, storage, tell)
        supervisor.plan(definitions, workload=workload)
        with _stop_on_signals() as ignore_signals:
            try:
                supervisor.start()
                supervisor.watch()
            except _StopRequested:
                tell("stopping")
            finally:
                ignore_signals()
                supervisor.stop()
                (folder / NOTE).unlink(missing_ok=True)
        tell("stopped")
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
    ) -> None:
        self._home, self._folder, self._port, self._say = home, folder, port, say
        self._address = f"http://{HOST}:{port}"
        self._database = storage if isinstance(storage, EmbeddedServer) else None
        url = storage.url(DAGSTER_DATABASE) if isinstance(storage, EmbeddedServer) else storage
        self._environ = {**environ, **dagster_variables(home, url), "PYTHONUNBUFFERED": "1"}
        self._code_port = free_port()
        self._trouble = ""

    def plan(self, definitions: str, *, workload: bool) -> None:
        """Say what there is to run; nothing is started."""
        workspace = self._folder / "workspace.yaml"
        server = {"host": HOST, "port": self._code_port, "location_name": LOCATION}
        logs = self._home / "logs"
        with writing_home(self._home):
            workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
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
            [*python, "dagster_webserver", "--host", HOST, "--port", str(self._port), "--workspace", str(workspace)],
            logs / "webserver.log",
        )  # fmt: skip
        self._daemon = Service(
            "daemon", [*python, "dagster._daemon", "run", "--workspace", str(workspace)], logs / "daemon.log"
        )
        others = [self._webserver, self._daemon]
        if workload:
            others.append(Service("sample's workload", [*python, WORKLOAD], logs / "workload.log"))
        self._others = others

    def start(self) -> None:
        self._start(self._code_server)
        self._wait_for(self._code_server, lambda: _listens(self._code_port))
        for service in self._others:
            self._start(service)
        self._wait_for(self._webserver, lambda: _location_error(self._port) is not None)
        note = {"pid": os.getpid(), "address": self._address}
        with writing_home(self._home):
            (self._folder / NOTE).write_text(json.dumps(note))
        if error := _location_error(self._port):
            self._say(f"the definitions do not load; the web interface shows why: {error}")
        self._say(f"herald runs at {self._address} (Ctrl-C stops it)")

    def watch(self) -> None:
        """Keep everything running, for ever."""
        looked_at = time.monotonic()
        while True:
            time.sleep(LOOK_SECONDS)
            for service in (self._code_server, *self._others):
                if said := service.look_after(self._environ, self._folder):
                    self._say(said)
            if self._database is not None and time.monotonic() - looked_at > DATABASE_LOOK_SECONDS:
                self._look_after_database(self._database)
                looked_at = time.monotonic()

    def stop(self) -> None:
        """End the processes: first what starts runs, last what they run in."""
        for service in (*reversed(self._others), self._code_server):
            service.stop()

    def _start(self, service: Service) -> None:
        service.start(self._environ, self._folder)

    def _look_after_database(self, database: EmbeddedServer) -> None:
        try:
            if not database.status().running:
                if not self._trouble:
                    self._say("the embedded database ended; starting it again")
                database.ensure_started()
            url = database.url(DAGSTER_DATABASE)
        except HeraldError as error:
            if error.message != self._trouble:
                self._say(f"{error.message}; trying again")
            self._trouble = error.message
            return
        if self._trouble:
            self._say("the embedded database runs again")
            self._trouble = ""
        if url == self._environ[DAGSTER_URL_VARIABLE]:
            return
        # Somebody took its port meanwhile. Runs in flight cannot tell anybody any more what they do.
        self._say("the embedded database answers on another port; starting the other processes again")
        self._environ |= dagster_variables(self._home, url)
        renew_dotenv(self._environ, self._home, url, self._say)
        self.stop()
        for service in (self._code_server, *self._others):
            self._start(service)

    def _wait_for(self, service: Service, ready: Callable[[], bool]) -> None:
        began = told = time.monotonic()
        while not ready():
            now = time.monotonic()
            if service.has_ended() or now - began > START_SECONDS:
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
def _only_one(home: Path, path: Path) -> Generator[str | None]:
    """Hold the lock of a home's supervisor; yields where the other one runs when it is held already."""
    with writing_home(home):
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
def _stop_on_signals() -> Generator[Callable[[], None]]:
    """Raise _StopRequested in the main thread at the first signal, and ignore more of them.

    Yields what has them ignored from then on, when the end has another reason.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup's wish is respected
        numbers.append(signal.SIGHUP)

    def ignore() -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)

    def request(_number: int, _frame: FrameType | None) -> None:
        ignore()
        raise _StopRequested

    before = {number: signal.signal(number, request) for number in numbers}
    try:
        yield ignore
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
