"""Missed windows end materialized exactly once: a real daemon, stopped and killed, and a killed worker, whose tasks go
the way of every task through locks and ledger."""

import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import psycopg2
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from herald_pipelines.catchup import State, WindowState
from herald_pipelines.ledger import Ledger
from herald_pipelines.migrations import migrate
from herald_pipelines.resources.commands import ChildProcess, start
from herald_pipelines.resources.dagster_home import dagster_variables, prepare_dagster_home
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.window_history import window_states
from servers import TestServer

HERE = Path(__file__).parent
PROGRAMS = Path(sys.executable).parent
WINDOWS_BEFORE, WINDOWS_WHILE_DOWN = 3, 1
PATIENCE_SECONDS = 600
"""A busy machine starts a run in ten times what an idle one takes; whoever waits in vain is told what there was."""
pytestmark = pytest.mark.timeout(1800)

TABLES = """
create table execution (
    id bigint generated always as identity primary key,
    run_id text not null,
    pid integer not null,
    task text not null,
    database text not null,
    window_key text not null,
    began timestamptz not null default clock_timestamp(),
    ended timestamptz
);
create table hold (task text not null, database text not null)
"""


@dataclass
class Stage:
    """A Dagster instance on PostgreSQL, its code server, and the test's own tables."""

    url: str
    folder: Path
    environ: dict[str, str]
    toy: ModuleType
    instance: dg.DagsterInstance

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def start(self, name: str, *arguments: str) -> ChildProcess:
        argv = [str(PROGRAMS / name), *arguments]
        return start(argv, env=self.environ, cwd=self.folder, log=self.folder / f"{name}.log")

    def start_daemon(self) -> ChildProcess:
        return self.start("dagster-daemon", "run", "-w", str(self.folder / "workspace.yaml"))

    def states(self) -> list[WindowState]:
        toy = self.toy
        return window_states(
            self.instance, toy.CALENDAR, toy.SETTINGS, toy.ASSET_KEYS, toy.open_ledger(), toy.now()
        )


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {PATIENCE_SECONDS} s for {what}")
        time.sleep(0.5)
    return found


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def stage(pg18: TestServer, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A code server is up; both databases were first seen some windows ago; nothing has run since."""
    url, storage_url = pg18.create_database(), pg18.create_database()
    prepare_dagster_home(home)
    variables = {
        **dagster_variables(home, storage_url),
        "TOY_URL": url,
        "TOY_ALPHA_URL": pg18.create_database(),
        "TOY_BETA_URL": pg18.create_database(),
        "TOY_START": (datetime.now(UTC) - timedelta(minutes=30)).date().isoformat(),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(HERE))
    import toy_calendar

    port = free_port()
    (tmp_path / "workspace.yaml").write_text(
        f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: toy}}\n"
    )
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        stage = Stage(url, tmp_path, {**os.environ}, toy_calendar, instance)
        ops = Postgres(url, "ops")
        migrate(ops)
        for name in ("alpha", "beta"):
            target = Postgres(variables[f"TOY_{name.upper()}_URL"], name)
            Ledger(ops).see(target.identity())
        seen = datetime.now(UTC) - timedelta(minutes=WINDOWS_BEFORE)
        stage.sql("update herald.target_database set first_seen = %s", seen)
        stage.sql(TABLES)
        server = stage.start(
            "dagster",
            *("code-server", "start", "-f", str(HERE / "toy_calendar.py")),
            *("-h", "127.0.0.1", "-p", str(port)),
        )
        try:
            wait_until(lambda: answers(port), "the code server")
            yield stage
        finally:
            server.terminate(grace_seconds=10)
    del sys.modules["toy_calendar"]


def test_missed_windows_are_made_up_for_exactly_once(stage: Stage) -> None:
    missed = {(each.database, each.slot, each.window) for each in stage.states() if each.missed}
    assert len(missed) >= 3 * (WINDOWS_BEFORE - 1)

    stage.sql("insert into hold values ('judge', 'alpha'), ('beat', 'beta')")
    daemon = stage.start_daemon()
    try:
        held = "select pid from execution where task = %s and database = %s and ended is null"
        worker = wait_until(lambda: stage.sql(held, "judge", "alpha"), "a worker on the range of alpha")
        os.kill(worker[0][0], signal.SIGKILL)
        wait_until(lambda: stage.sql(held, "beat", "beta"), "a worker on a window of beta")
        os.kill(daemon.pid, signal.SIGKILL)
        killed_at = datetime.now(UTC)
    finally:
        daemon.terminate(grace_seconds=10)
    stage.sql("delete from hold")
    # The run in flight outlives the daemon.
    wait_until(lambda: not stage.sql(held, "beat", "beta"), "the run that was in flight to end")
    assert stage.sql("select count(*) from execution where task = 'beat' and database = 'beta'") == [(1,)]

    back_at = killed_at.replace(second=0, microsecond=0) + timedelta(minutes=WINDOWS_WHILE_DOWN, seconds=2)
    wait_until(lambda: datetime.now(UTC) >= back_at, "windows to open while the daemon is down")
    daemon = stage.start_daemon()
    try:
        restarted_at = datetime.now(UTC)

        def all_complete() -> bool:
            return all(
                each.state is State.COMPLETE for each in stage.states() if each.opened_at <= restarted_at
            )

        wait_until(all_complete, "every window to be complete")
    finally:
        daemon.terminate(grace_seconds=30)

    ends = stage.sql(
        "select task, database, window_key, count(ended), count(*) from execution group by 1, 2, 3"
    )
    assert all(ended <= 1 for *_, ended, _ in ends), ends
    # Only what the killed worker had in hand was begun twice; what it had finished before stayed done.
    twice = {(task, database) for task, database, _, _, begun in ends if begun > 1}
    assert twice == {("judge", "alpha")}
    done = {(database, task, window) for task, database, window, ended, _ in ends if ended}
    for database, slot, window in missed:
        assert all((database, task, window) in done for task in stage.toy.CALENDAR.slot(slot).tasks)
    counts = materializations(stage)
    assert set(counts.values()) == {1}
    assert {(task, f"{database}|{window}") for database, task, window in done} <= counts.keys()
    assert overlapping_runs(stage) == []
    assert interrupted(stage) == {("judge", "alpha")}
    attempts = {run.tags["herald/attempt"] for run in stage.instance.get_runs()}
    assert attempts == {"1", "2"}


def materializations(stage: Stage) -> Counter[tuple[str, str]]:
    """How often each task's asset was materialized, by task and partition key."""
    return Counter(
        (task, str(record.partition_key))
        for task, (key,) in stage.toy.ASSET_KEYS.items()
        for record in stage.instance.fetch_materializations(key, limit=1000).records
    )


def interrupted(stage: Stage) -> set[tuple[Any, ...]]:
    """Tasks and databases of the ledger's rows that were closed for a dead run; no other row is unwell."""
    rows = stage.sql("select outcome, task, database from herald.maintenance_log")
    assert {outcome for outcome, *_ in rows} == {"done", "interrupted"}
    return {(task, database) for outcome, task, database in rows if outcome == "interrupted"}


def overlapping_runs(stage: Stage) -> list[tuple[Any, ...]]:
    """Return pairs of runs that worked on the same task and database at the same time."""
    return stage.sql(
        """
        select a.task, a.database, a.window_key, b.window_key
          from execution a
          join execution b
            on a.task = b.task and a.database = b.database and a.run_id < b.run_id
           and tstzrange(a.began, a.ended) && tstzrange(b.began, b.ended)
         where a.ended is not null and b.ended is not null
        """
    )


@pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources`:DeprecationWarning")
def test_the_backfill_button_and_the_sensor_share_the_work(stage: Stage) -> None:
    toy, instance = stage.toy, stage.instance
    missed = [each for each in stage.states() if each.missed and each.slot == "sweep"]
    clicked = sorted(f"{each.database}|{each.window}" for each in missed)
    instance.add_backfill(
        PartitionBackfill.from_asset_partitions(
            backfill_id="clicked",
            asset_graph=toy.defs.resolve_asset_graph(),
            partition_names=clicked,
            asset_selection=[*toy.ASSET_KEYS["gather"], *toy.ASSET_KEYS["judge"]],
            backfill_timestamp=toy.now().timestamp(),
            tags={},
            dynamic_partitions_store=instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
    )
    daemon = stage.start_daemon()
    try:
        finished = (
            BulkActionStatus.COMPLETED_SUCCESS,
            BulkActionStatus.COMPLETED_FAILED,
            BulkActionStatus.FAILED,
        )

        def backfill_over() -> bool:
            backfill = instance.get_backfill("clicked")
            return backfill is not None and backfill.status in finished

        wait_until(backfill_over, "the backfill to end")
    finally:
        daemon.terminate(grace_seconds=30)
    begun = stage.sql("select run_id, database || '|' || window_key from execution where task = 'judge'")
    backfill_runs = {
        run.run_id for run in instance.get_runs() if run.tags.get("dagster/backfill") == "clicked"
    }
    assert backfill_runs
    assert sorted(key for run_id, key in begun if run_id in backfill_runs) == clicked
    assert not [key for run_id, key in begun if run_id not in backfill_runs and key in clicked]
    assert set(materializations(stage).values()) == {1}
