"""`herald up` as a person starts it: twice at the same moment, in an empty home, and ended by Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg2
import pytest
from dotenv import dotenv_values

from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.server_host import free_port

PATIENCE_SECONDS = 900
pytestmark = pytest.mark.timeout(1800)


def begin(home: Path, checkout: Path, number: int) -> subprocess.Popen[bytes]:
    with (checkout / f"said-{number}").open("wb") as output:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "herald_pipelines.cli",
                "up",
                "--port",
                str(free_port()),
                "--scale",
                "0.02",
            ],
            cwd=checkout,
            env={**os.environ, "HERALD_HOME": str(home), "HERALD_DOTENV": "."},
            stderr=output,
            start_new_session=True,
        )


def said(checkout: Path, number: int) -> str:
    return (checkout / f"said-{number}").read_text()


def statements(server: EmbeddedServer) -> int:
    connection = psycopg2.connect(server.url("platform"))
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "select sum(calls) from pg_stat_statements where query ~ 'from public.(users|matches|tickets)'"
            )
            return cursor.fetchone()[0]
    finally:
        connection.close()


def logs(home: Path) -> str:
    """Return the ends of what the services wrote."""
    return "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in sorted((home / "logs").iterdir()))


def test_of_two_at_the_same_moment_one_runs_with_its_workload_and_ctrl_c_ends_it(home: Path, tmp_path: Path):
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    both = [begin(home, tmp_path, number) for number in range(2)]
    try:
        while not all(
            any(words in said(tmp_path, number) for number in range(2))
            for words in ("herald runs at", "already runs")
        ):
            assert {each.poll() for each in both} <= {None, 0}, [
                said(tmp_path, number) for number in range(2)
            ]
            assert time.monotonic() < give_up_at, [said(tmp_path, number) for number in range(2)]
            time.sleep(0.2)
        done = next(number for number in range(2) if "already runs" in said(tmp_path, number))
        assert both[done].wait(timeout=60) == 0
        running = both[1 - done]
        assert running.poll() is None

        server = EmbeddedServer(home)
        before = statements(server)
        while statements(server) <= before:
            assert time.monotonic() < give_up_at, logs(home)
            time.sleep(0.2)
        assert dotenv_values(tmp_path / ".env") == {
            "DAGSTER_HOME": str(home / "dagster"),
            "HERALD_HOME": str(home),
            "HERALD_DAGSTER_URL": server.url("dagster"),
        }

        processes = psutil.Process(running.pid).children(recursive=True)
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=90) == 0
        assert psutil.wait_procs(processes, timeout=20)[1] == []
        assert not server.status().running
    finally:
        for each in both:
            each.kill()
            each.wait()
