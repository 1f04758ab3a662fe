"""`herald up` for real: everything answers, ends and comes back, with processes killed."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg2
import pytest
import yaml

from herald_pipelines import supervisor
from herald_pipelines.errors import PermanentFailure, UsageError
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.server_host import free_port, is_free
from herald_pipelines.resources.service import Service

DEFINITIONS = """
import os
import time
from pathlib import Path

import dagster as dg


@dg.asset
def slow():
    while not Path(os.environ["GATE"]).exists():
        time.sleep(0.1)


defs = dg.Definitions(
    assets=[slow], jobs=[dg.define_asset_job("slow_job", [slow])], executor=dg.in_process_executor
)
"""

UP = """
import os
import sys
from pathlib import Path
from herald_pipelines import supervisor
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.sample.platform import create_sample
from herald_pipelines.values import utc_now

# Unbuffered: what a closed terminal refuses is not tried again by the interpreter at its end.
say = lambda line: os.write(2, f"{line}\\n".encode())
workload = "workload" in sys.argv
server = EmbeddedServer(Path(sys.argv[1]), durable=False)
server.ensure_started()
server.create_database("dagster")
if workload:
    server.create_database("platform")
    create_sample(Postgres(server.url("platform"), "platform"), scale=0.01, now=utc_now(), say=say)
sys.exit(
    supervisor.up(
        Path(sys.argv[1]),
        port=int(sys.argv[2]),
        environ=os.environ,
        storage=server,
        say=say,
        definitions="supervised_definitions",
        workload=workload,
    )
)
"""


class Running:
    """A `herald up` in a process of its own, and its descendants."""

    def __init__(self, home: Path, folder: Path, port: int, *words: str) -> None:
        (folder / "supervised_definitions.py").write_text(DEFINITIONS)
        self.port = port
        self.gate = folder / "gate"
        self.said = folder / f"said-{port}"
        path = os.pathsep.join([str(folder), str(Path(supervisor.__file__).parents[1])])
        environment = {**os.environ, "PYTHONPATH": path, "GATE": str(self.gate)}
        with self.said.open("w") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-c", UP, str(home), str(port), *words],
                env=environment,
                stderr=sink,
                cwd=folder,
            )

    def wait_until(self, condition: Callable[[], object]) -> None:
        while not condition():
            assert self.process.poll() is None, self.said.read_text()
            time.sleep(0.1)

    def wait_until_it_says(self, words: str) -> None:
        self.wait_until(lambda: words in self.said.read_text())

    def descendants(self) -> list[psutil.Process]:
        """All but the embedded server, which is meant to stay."""
        everybody = psutil.Process(self.process.pid).children(recursive=True)
        found: list[psutil.Process] = []
        for each in everybody:
            with suppress(psutil.NoSuchProcess):  # a backend that has just ended
                if not each.name().startswith("postgres"):
                    found.append(each)
        return found

    def daemons(self) -> list[psutil.Process]:
        return [
            each
            for each in psutil.Process(self.process.pid).children()
            if each.status() != psutil.STATUS_ZOMBIE and "dagster._daemon" in each.cmdline()
        ]

    def ask(self, query: str):
        body = json.dumps({"query": query}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.loads(answer.read())["data"]

    def launch(self) -> str:
        launched = self.ask(
            'mutation { launchRun(executionParams: { selector: { repositoryName: "__repository__",'
            ' repositoryLocationName: "herald_pipelines", jobName: "slow_job" }, runConfigData: {} })'
            " { ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"
        )
        return launched["launchRun"]["run"]["runId"]

    def answers(self) -> bool:
        query = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError {"
        with suppress(OSError):
            (entry,) = self.ask(query + " __typename } } } } }")["workspaceOrError"]["locationEntries"]
            return (entry["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation"
        return False

    def run_status(self, run_id: str) -> str:
        return self.ask(f'{{ runOrError(runId: "{run_id}") {{ ... on Run {{ status }} }} }}')["runOrError"][
            "status"
        ]


@pytest.fixture
def start_up(home, tmp_path):
    """Start `herald up` for the test's home; whatever is left of it is ended."""
    started = []

    def start(*words: str) -> Running:
        running = Running(home, tmp_path, free_port(), *words)
        started.append(running)
        return running

    yield start
    for running in started:
        running.process.kill()
        running.process.wait()


def all_gone(processes: list[psutil.Process]) -> bool:
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            if each.is_running() and each.status() != psutil.STATUS_ZOMBIE:
                return False
    return True


def words_of(process: psutil.Process) -> list[str]:
    """Return its command line; none of one that has ended, reaped or not."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # which a ZombieProcess is, too
        return []


def test_runs_survive_the_daemon_and_a_signal_stops_everything(start_up, home):
    up = start_up()
    up.wait_until_it_says(f"herald runs at http://127.0.0.1:{up.port}")

    second = start_up()
    assert second.process.wait(timeout=120) == 0
    assert f"already runs for {home}: http://127.0.0.1:{up.port}" in second.said.read_text()

    run_id = up.launch()
    up.wait_until(lambda: up.run_status(run_id) == "STARTED")

    (daemon,) = up.daemons()
    daemon.kill()
    up.wait_until_it_says("the daemon ended (signal 9); starting it again")
    up.wait_until(lambda: all_gone([daemon]) and up.daemons())
    assert up.run_status(run_id) == "STARTED"
    up.gate.touch()
    up.wait_until(lambda: up.run_status(run_id) not in ("STARTED", "STARTING"))
    assert up.run_status(run_id) == "SUCCESS"
    logs = home / "dagster" / run_id / "compute_logs"
    assert {each.suffix for each in logs.iterdir()} == {".out", ".err", ".complete"}

    processes = up.descendants()
    assert len(processes) >= 3
    assert {address for process in processes for address in listens_on(process)} == {"127.0.0.1"}
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(timeout=120) == 0
    assert all_gone(processes)
    assert up.said.read_text().splitlines()[-2:] == ["stopping", "stopped"]


def test_nothing_outlives_a_killed_one_and_the_next_reuses_the_database(start_up, home):
    first = start_up()
    first.wait_until_it_says("herald runs at")
    processes = first.descendants()
    database = EmbeddedServer(home).status()
    first.process.kill()
    first.process.wait()
    while not all_gone(processes):
        time.sleep(0.1)
    assert EmbeddedServer(home).status() == database

    second = start_up()
    second.wait_until_it_says(f"herald runs at http://127.0.0.1:{second.port}")
    assert EmbeddedServer(home).status() == database

    os.kill(database.pid, signal.SIGKILL)
    second.wait_until_it_says("the embedded database ended; starting it again")
    second.wait_until(lambda: EmbeddedServer(home).status().running)

    processes = second.descendants()
    second.process.send_signal(signal.SIGINT)
    assert second.process.wait(timeout=120) == 0
    assert all_gone(processes)


def test_workload_and_runs_go_on_when_the_database_comes_back_on_another_port(start_up, home):
    up = start_up("workload")
    up.wait_until_it_says("herald runs at")
    server = EmbeddedServer(home)
    up.wait_until(lambda: calls_grow(server))
    before, old = server.status(), up.descendants()

    up.process.send_signal(signal.SIGSTOP)  # so that the port is surely taken when it looks
    os.kill(before.pid, signal.SIGKILL)
    with socket.socket() as intruder:
        intruder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        while not is_free(before.port):
            time.sleep(0.1)
        intruder.bind(("127.0.0.1", before.port))
        intruder.listen()
        up.process.send_signal(signal.SIGCONT)
        up.wait_until_it_says("the embedded database answers on another port; starting the other processes")
        assert server.status().port != before.port
        up.wait_until(lambda: all_gone(old) and up.answers())
        up.gate.touch()
        run_id = up.launch()
        up.wait_until(lambda: up.run_status(run_id) == "SUCCESS")
        up.wait_until(lambda: calls_grow(server))

    processes = up.descendants()
    assert any("herald_pipelines.sample.workload" in words_of(each) for each in processes)
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(timeout=120) == 0
    assert all_gone(processes)


def calls_grow(server: EmbeddedServer) -> bool:
    """Whether statements of the sample's pages were executed within a second."""
    seen = [calls(server)]
    time.sleep(1)
    seen.append(calls(server))
    return 0 <= seen[0] < seen[1]


def calls(server: EmbeddedServer) -> int:
    """Return how often the sample's statements were executed as pg_stat_statements says, -1 while nobody answers."""
    counted = (
        "select coalesce(sum(calls), 0) from pg_stat_statements(true) as s join pg_database as d on d.oid = s.dbid"
        " where d.datname = 'platform' and s.query ~ 'from public.(users|matches|player_ratings|tickets)'"
    )
    try:
        connection = psycopg2.connect(server.url("platform"))
    except psycopg2.OperationalError:
        return -1
    try:
        with connection.cursor() as cursor:
            cursor.execute(counted)
            return int(cursor.fetchone()[0])
    finally:
        connection.close()


def test_closing_the_terminal_ends_everything(home, tmp_path):
    (tmp_path / "supervised_definitions.py").write_text(DEFINITIONS)
    path = os.pathsep.join([str(tmp_path), str(Path(supervisor.__file__).parents[1])])
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-c", UP, str(home), str(free_port())],
        env={**os.environ, "PYTHONPATH": path},
        stdin=inside,
        stdout=inside,
        stderr=inside,
        cwd=tmp_path,
    )
    os.close(inside)
    try:
        said = b""
        while b"herald runs at" not in said:
            said += os.read(terminal, 4096)
        everybody = psutil.Process(process.pid).children(recursive=True)
        ours = [each for each in everybody if not each.name().startswith("postgres")]
        os.close(terminal)
        assert process.wait(timeout=120) == 0
        assert all_gone(ours)
    finally:
        process.kill()
        process.wait()


def test_a_process_that_ends_again_and_again_leaves_nothing_behind(tmp_path):
    others = psutil.Process().children(recursive=True)
    service = Service("flapping", ["/bin/true"], tmp_path / "log")
    service.start(os.environ, tmp_path)
    open_files = psutil.Process().num_fds()
    for _ in range(5):
        while not service.has_ended():
            time.sleep(0.01)
        assert "ended (exit code 0); starting it again" in (service.look_after(os.environ, tmp_path) or "")
        service.start_again_at = 0.0
        assert service.look_after(os.environ, tmp_path) is None
    assert psutil.Process().num_fds() == open_files
    service.stop()
    assert [each for each in psutil.Process().children(recursive=True) if each not in others] == []


def test_a_process_that_cannot_be_started_again_now_is_tried_later(tmp_path):
    service = Service("flapping", ["/bin/sleep", "600"], tmp_path / "log")
    service.start_again_at = 0.0
    # No fork is possible into a folder that is a file, as none is without memory.
    no_folder = tmp_path / "file"
    no_folder.touch()
    assert "could not be started" in (service.look_after(os.environ, no_folder) or "")
    assert service.look_after(os.environ, tmp_path) is None
    assert service.has_ended()
    service.start_again_at = 0.0
    assert service.look_after(os.environ, tmp_path) is None
    assert not service.has_ended()
    service.stop()


def test_what_an_ended_process_leaves_at_work_ends_with_the_service(tmp_path):
    service = Service("parent", ["/bin/sh", "-c", "sleep 600 & true"], tmp_path / "log")
    service.start(os.environ, tmp_path)
    group = service.child.pid
    while not service.has_ended():
        time.sleep(0.01)
    assert "ended (exit code 0)" in (service.look_after(os.environ, tmp_path) or "")
    left = [
        each
        for each in psutil.process_iter(["name"])
        if each.info["name"] == "sleep" and os.getpgid(each.pid) == group
    ]
    assert len(left) == 1
    assert not all_gone(left)
    service.stop()
    assert all_gone(left)


def test_a_signal_does_not_cut_short_the_end_after_a_failure(home, monkeypatch):
    stop, started = Service.stop, []

    def interrupted_stop(service: Service) -> None:
        if service.child is not None:
            leader = psutil.Process(service.child.pid)
            started.extend([leader, *leader.children(recursive=True)])
        signal.raise_signal(signal.SIGINT)
        stop(service)

    monkeypatch.setattr(Service, "stop", interrupted_stop)
    monkeypatch.setattr(supervisor, "START_SECONDS", 0)
    with pytest.raises(PermanentFailure, match="the code server did not answer within 0 s"):
        supervisor.up(home, port=free_port(), environ=os.environ, storage="postgresql://unused", say=print)
    assert started
    assert all_gone(started)


def test_taken_port_is_refused_by_name(home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {port} of 127\.0\.0\.1 is taken"):
            supervisor.up(home, port=port, environ={}, storage="postgresql://unused", say=print)


def test_workspace_file_of_the_checkout_names_the_same_location():
    root = Path(supervisor.__file__).parents[1]
    (entry,) = yaml.safe_load((root / "workspace.yaml").read_text())["load_from"]
    assert entry["grpc_server"]["location_name"] == supervisor.LOCATION


def listens_on(process: psutil.Process) -> set[str]:
    connections = process.net_connections("inet")
    return {
        each.laddr.ip.removeprefix("::ffff:") for each in connections if each.status == psutil.CONN_LISTEN
    }
