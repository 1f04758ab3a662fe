"""A database with partitions, its rules, a store and an ops database; and the tasks on them, as a window runs them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import yaml

from herald_pipelines import operations_partitions
from herald_pipelines.environment import Environment
from herald_pipelines.ledger import Ledger
from herald_pipelines.migrations import migrate
from herald_pipelines.partitions.analysis import analyze_partitions
from herald_pipelines.partitions.cleanup import clean_up
from herald_pipelines.partitions.report import Done
from herald_pipelines.partitions.work import Patience, at_work
from herald_pipelines.registry import TASKS
from herald_pipelines.resources.object_store.file_store import FileStore
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.tasks import TaskResult, execute_task
from herald_pipelines.values import utc_now
from servers import TestServer

WINDOW = "2026-11-22"
LATER = f"{utc_now() + timedelta(days=20):%Y-%m-%d}"
"""A window by which every grace of a week is over, and nothing that was brought back is touched again."""
WORKER = Path(__file__).parent / "yard_worker.py"

MATCHES = """
create table public.matches (
  id bigint not null, played_at timestamptz not null, note text, primary key (id, played_at)
) partition by range (played_at);
create table public.matches_2024_01 partition of public.matches for values from ('2024-01-01Z') to ('2024-02-01Z');
create table public.matches_2024_02 partition of public.matches for values from ('2024-02-01Z') to ('2024-03-01Z');
create table public.matches_2026_11 partition of public.matches for values from ('2026-11-01Z') to ('2026-12-01Z');
insert into public.matches
  select n, timestamptz '2024-01-05Z' + n * interval '1 minute', 'note ' || n from generate_series(1, 3000) n;
insert into public.matches
  select n, timestamptz '2024-02-05Z' + n * interval '1 minute', 'note ' || n from generate_series(1, 2000) n;
"""


def execute(url: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute("set timezone = 'Asia/Tokyo'")
            cursor.execute(sql, parameters or None)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


@dataclass
class Yard:
    """All of it."""

    home: Path
    server: TestServer
    url: str
    ops_url: str
    rules: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: {"public.matches": {"keep": "365 days", "premake": 2}}
    )
    said: list[str] = field(default_factory=list)
    database: Mapping[str, Any] = field(default_factory=dict)
    """Further settings of the database."""
    maintain_url: str = ""
    """Of another role than the superuser's."""
    dagster_url: str = ""

    def __post_init__(self) -> None:
        self.write()
        store = FileStore(self.home / "store")
        store.prepare()

    def write(self) -> None:
        urls: Any = {each: {"env": "SHOP_URL"} for each in ("observe", "backup", "restore")}
        urls["maintain"] = {"env": "MAINTAIN_URL"}
        document = {
            "version": 1,
            "ops": {"url": {"env": "OPS_URL"}},
            "databases": {
                "shop": {
                    "url": urls,
                    "mode": "apply",
                    "lock_timeout_seconds": 0.5,
                    "guards": {
                        "max_transaction_seconds": 100000,
                        "max_active_sessions": 1000,
                        "wait_seconds": 60,
                    },
                    "partitions": {name: dict(rule) for name, rule in self.rules.items()},
                    **self.database,
                }
            },
            "backup": {
                "store": (self.home / "store").as_uri(),
                "passphrases": [{"env": "BACKUP_KEY"}],
                "host": "testhost",
            },
        }
        (self.home / "herald.yaml").write_text(yaml.safe_dump(document))

    @property
    def environ(self) -> dict[str, str]:
        return {
            "HERALD_HOME": str(self.home),
            "SHOP_URL": self.url,
            "MAINTAIN_URL": self.maintain_url or self.url,
            "OPS_URL": self.ops_url,
            "BACKUP_KEY": "kJ8s0dpqLmvTz4Xr9NwQ2yBhCfGaEu7R",
            "PATH": os.environ["PATH"],
            **({"HERALD_DAGSTER_URL": self.dagster_url} if self.dagster_url else {}),
        }

    def run(self, task: str, window: str = WINDOW, *, dry_run: bool = False) -> TaskResult:
        environment = Environment.load(self.environ, self.home)
        return execute_task(
            TASKS[task],
            "shop",
            covered=(window,),
            late=False,
            dry_run=dry_run,
            now=utc_now(),
            run_id="test",
            settings=environment.settings,
            targets=environment.targets,
            say=self.said.append,
        )

    def steps(self, task: str, window: str = WINDOW, *, dry_run: bool = False) -> list[tuple[str, str, str]]:
        """Run a task and return (partition, step, outcome) of each step."""
        result = self.run(task, window, dry_run=dry_run)
        return [(row["partition"], row["step"], row["outcome"]) for row in result.document["steps"]]

    def clean_up(self, patience: Patience) -> list[Done]:
        """Do what partition_cleanup does, with another patience."""
        target = Postgres(self.url, "shop", "partition_cleanup", lock_timeout_seconds=0.3)
        identity, ops = target.identity(), Postgres(self.ops_url, "ops")
        rules = Environment.load(self.environ, self.home).settings.database("shop").partitions
        analysis = analyze_partitions(target, ops, identity, rules, at=day(WINDOW))
        with at_work(
            target.writable(),
            identity,
            Ledger(ops),
            task="partition_cleanup",
            window=WINDOW,
            now=utc_now(),
            budget_seconds=600,
            say=self.said.append,
            patience=patience,
        ) as work:
            return clean_up(work, analysis.items, analysis.known.inventory.by_oid, None)

    def start(self, task: str, window: str = WINDOW, *, stop_at: str = "") -> "subprocess.Popen[str]":
        """Run a task in a process; it stands still when it says what begins so, and is to be killed then."""
        return subprocess.Popen(
            [sys.executable, str(WORKER), str(self.home), task, window, stop_at],
            env={**os.environ, **self.environ},
            stdout=subprocess.PIPE,
            text=True,
        )

    def start_command(self, *words: str, **environ: str) -> "subprocess.Popen[str]":
        """Run a command of ours in a process."""
        return subprocess.Popen(
            [sys.executable, "-m", "herald_pipelines.cli", *words],
            cwd=self.home,
            env={**os.environ, **self.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def restore(self, wanted: str, *, yes: bool = False) -> tuple[dict[str, Any], int]:
        return operations_partitions.restore(self.environ, self.home, wanted=wanted, database=None, yes=yes)

    def plan(self) -> dict[str, Any]:
        return operations_partitions.plan(self.environ, self.home, database="shop")

    def ledger(self) -> list[tuple[str, str, str]]:
        """Return (partition, step, outcome) of every row of a partition, oldest first."""
        return execute(
            self.ops_url,
            "select object_name, evidence ->> 'step', outcome from herald.maintenance_log"
            " where object_name is not null order by id",
        )

    def archives(self) -> list[dict[str, Any]]:
        folder = self.home / "store"
        found = [json.loads(path.read_text()) for path in folder.glob("v1/*/*/partition/**/manifest.json")]
        return sorted(found, key=lambda each: each["started_at"])

    def rows(self, table: str = "public.matches") -> list[tuple[Any, ...]]:
        return execute(self.url, f"select * from {table} order by 1, 2")

    def tables(self) -> dict[str, bool]:
        """Return by name whether a table of ours is attached."""
        return dict(
            execute(
                self.url,
                "select relname, relispartition from pg_class where relnamespace = 'public'::regnamespace"
                " and relkind in ('r', 'p') order by relname",
            )
        )


def open_yard(home: Path, server: TestServer, ops_url: str, sql: str = MATCHES, **options: Any) -> Yard:
    url = server.create_database()
    execute(url, sql)
    return Yard(home, server, url, ops_url, **options)


def migrated_ops(server: TestServer) -> str:
    url = server.create_database()
    migrate(Postgres(url, "ops"))
    return url


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Gate:
    """Lets a step of a database's sessions wait until it is opened: DDL by its text, ledger rows by their step."""

    def __init__(self, url: str, *, of_ledger: bool) -> None:
        self.url = url
        how = (
            "create trigger gate before update on herald.maintenance_log for each row"
            " when (old.object_name is not null and new.outcome <> 'interrupted') execute function gate.wait()"
            if of_ledger
            else "create event trigger gate on ddl_command_start execute function gate.wait()"
        )
        text = "old.evidence ->> 'step'" if of_ledger else "current_query()"
        kind, end = ("trigger", "return new;") if of_ledger else ("event_trigger", "")
        execute(
            url,
            "create schema gate; create table gate.patterns (pattern text);"
            f"create function gate.wait() returns {kind} language plpgsql security definer as $$ begin"
            f" while exists (select from gate.patterns where {text} ilike pattern) loop"
            f" perform pg_sleep(0.02); end loop; {end} end $$; {how}",
        )

    def close(self, pattern: str) -> None:
        execute(self.url, "insert into gate.patterns values (%s)", pattern)

    def open(self) -> None:
        execute(self.url, "delete from gate.patterns")

    def waiting(self) -> int:
        """Return how many sessions of ours wait at it."""
        ((count,),) = execute(
            self.url,
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'"
            " and application_name like 'herald:%'",
        )
        return count


def wait_for(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


def kill_at(yard: Yard, gate: Gate, pattern: str, *words: str) -> None:
    """Run a task (or words of the command) in a process, and kill it at a gate; its server processes have ended then."""
    gate.close(pattern)
    run = yard.start(*words) if words[0] in TASKS else yard.start_command(*words)
    try:
        wait_for(lambda: gate.waiting() or run.poll() is not None, f"{words} at {pattern}")
        assert run.poll() is None, f"{words} ended before {pattern}: {run.communicate()}"
    finally:
        run.kill()
        run.communicate(timeout=60)
    # It looks for its client every two seconds; let through before, it would go on without it.
    wait_for(lambda: not gate.waiting(), "the end of its server process")
    gate.open()
