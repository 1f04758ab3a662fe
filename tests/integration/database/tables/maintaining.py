"""What the tests of tables share: dead rows, a plan made from what the server says, and carrying it out."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2

from herald_pipelines.database.tables.analysis import TableAnalysis, analyze_tables
from herald_pipelines.database.tables.need import Scope
from herald_pipelines.database.tables.optimize import carry_out
from herald_pipelines.database.tables.report import VacuumReport
from herald_pipelines.database.tables.store import read_done
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import quote_identifier
from servers import wait_until

WORKER = Path(__file__).parent / "maintenance_worker.py"
TASK = "database_optimization"
WINDOW = "2026-11-22"
DEAD = 6000


def run_sql(url: str, *statements: str) -> list[tuple]:
    """Run statements, each in a session of its own, whose end hands its counters in before the next one begins."""
    rows: list[tuple] = []
    for statement in statements:
        connection = psycopg2.connect(url, options="-c statement_timeout=120s")
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                rows = cursor.fetchall() if cursor.description else []
        finally:
            connection.close()
    return rows


def make_dead_rows(url: str, *parts: str, rows: int = 8000, dead: int = DEAD) -> None:
    """Make a table with dead rows that autovacuum keeps away from."""
    table = quote_identifier(*parts) if parts else "t"
    run_sql(
        url,
        f"create table {table} (id int primary key, v text) with (autovacuum_enabled = off)",
        f"insert into {table} select n, md5(n::text) from generate_series(1, {rows}) n",
        f"analyze {table}",
        f"delete from {table} where id <= {dead}",
    )
    wait_for_dead_rows(url, table, dead)


def wait_for_dead_rows(url: str, table: str, dead: int) -> None:
    wait_until(url, f"pg_stat_get_dead_tuples('{table.replace(chr(39), chr(39) * 2)}'::regclass) >= {dead}")


def hold(url: str, *statements: str) -> psycopg2.extensions.connection:
    """Return a session with an open transaction; close it to let go."""
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    return connection


def analyze(url: str, scope: Scope = Scope.ROUTINE, **options: Any) -> TableAnalysis:
    options = {"budget_seconds": 600.0, "say": [].append, **options}
    return analyze_tables(Postgres(url, "platform", task=TASK), scope, **options)


def maintain(
    url: str,
    ops_url: str,
    scope: Scope = Scope.ROUTINE,
    *,
    observe_url: str | None = None,
    budget_seconds: float = 600,
    lock_wait_seconds: float = 1.0,
    only: Callable[[str], bool] = lambda name: not name.startswith(("pg_catalog.", "information_schema.")),
    say: Callable[[str], None] = [].append,
) -> VacuumReport:
    """Plan and carry out as a run does, leaving out the system catalogs, of which others write."""
    target = Postgres(url, "platform", task=TASK, lock_timeout_seconds=0.5)
    identity = target.identity()
    ops = Postgres(ops_url, "ops")
    done = read_done(ops, identity, TASK, WINDOW)
    plan = analyze(observe_url or url, scope, done=done).plan
    return carry_out(
        plan_of(plan, only),
        target=target.writable(),
        identity=identity,
        ledger=Ledger(ops, "test"),
        task=TASK,
        window=WINDOW,
        budget_seconds=budget_seconds,
        say=say,
        lock_wait_seconds=lock_wait_seconds,
    )


def plan_of(plan, only: Callable[[str], bool]):
    return type(plan)(
        plan.scope,
        tuple(step for step in plan.steps if only(step.name)),
        tuple(each for each in plan.skipped if only(each.name)),
        plan.holders,
        plan.notes,
    )


def log(ops_url: str) -> list[tuple]:
    return run_sql(
        ops_url,
        "select object_name, outcome, reason, evidence, result from herald.maintenance_log order by id",
    )


def dead_rows(url: str, table: str = "t") -> int:
    return run_sql(url, f"select pg_stat_get_dead_tuples('{table}'::regclass)")[0][0]


def start_worker(url: str, ops_url: str) -> "subprocess.Popen[bytes]":
    worker = subprocess.Popen([sys.executable, str(WORKER), url, ops_url], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    worker.stdout.readline()
    return worker
