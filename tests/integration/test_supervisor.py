"""`herald up` for real: everything answers, ends and comes back, with processes killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from herald_pipelines import supervisor
from herald_pipelines.errors import UsageError
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.server_host import free_port

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

server = EmbeddedServer(Path(sys.argv[1]), durable=False)
server.ensure_started()
server.create_database("dagster")
sys.exit(
    supervisor.up(
        Path(sys.argv[1]),
        port=int(sys.argv[2]),
        environ=os.environ,
        storage=server,
        say=lambda line: print(line, file=sys.stderr, flush=True),
        definitions="supervised_definitions",
    )
)
"""


class Running:
    """A `herald up` in a process of its own, and its descendants."""

    def __init__(self, home: Path, folder: Path, port: int) -> None:
        (folder / "supervised_definitions.py").write_text(DEFINITIONS)
        self.port = port
        self.gate = folder / "gate"
        self.said = folder / f"said-{port}"
        path = os.pathsep.join([str(folder), str(Path(supervisor.__file__).parents[1])])
        environment = {**os.environ, "PYTHONPATH": path, "GATE": str(self.gate)}
        with self.said.open("w") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-c", UP, str(home), str(port)], env=environment, stderr=sink, cwd=folder
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
        return [each for each in everybody if not each.name().startswith("postgres")]

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

    def run_status(self, run_id: str) -> str:
        return self.ask(f'{{ runOrError(runId: "{run_id}") {{ ... on Run {{ status }} }} }}')["runOrError"][
            "status"
        ]


@pytest.fixture
def start_up(home, tmp_path):
    """Start `herald up` for the test's home; whatever is left of it is ended."""
    started = []

    def start() -> Running:
        running = Running(home, tmp_path, free_port())
        started.append(running)
        return running

    yield start
    for running in started:
        running.process.kill()
        running.process.wait()


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


def test_runs_survive_the_daemon_and_a_signal_stops_everything(start_up, home):
    up = start_up()
    up.wait_until_it_says(f"herald runs at http://127.0.0.1:{up.port}")

    second = start_up()
    assert second.process.wait(timeout=120) == 0
    assert f"already runs for {home}: http://127.0.0.1:{up.port}" in second.said.read_text()

    launched = up.ask(
        'mutation { launchRun(executionParams: { selector: { repositoryName: "__repository__",'
        ' repositoryLocationName: "herald_pipelines", jobName: "slow_job" }, runConfigData: {} })'
        " { ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"
    )
    run_id = launched["launchRun"]["run"]["runId"]
    up.wait_until(lambda: up.run_status(run_id) == "STARTED")

    (daemon,) = up.daemons()
    daemon.kill()
    up.wait_until_it_says("the daemon ended (signal 9); starting it again")
    up.wait_until(lambda: all_gone([daemon]) and up.daemons())
    assert up.run_status(run_id) == "STARTED"
    up.gate.touch()
    up.wait_until(lambda: up.run_status(run_id) not in ("STARTED", "STARTING"))
    assert up.run_status(run_id) == "SUCCESS"

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
