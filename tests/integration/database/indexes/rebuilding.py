"""What the tests of rebuilds share: a bloated table, a plan for some of its indexes, and carrying it out."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest

from herald_pipelines.database.indexes.context import Patience
from herald_pipelines.database.indexes.plan import RebuildPlan, RebuildStep
from herald_pipelines.database.indexes.rebuild import carry_out
from herald_pipelines.database.indexes.report import RebuildReport
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import quote_identifier

WORKER = Path(__file__).parent / "rebuild_worker.py"
TASK = "index_rebuild"
WINDOW = "2026-11-22"
SHORT = Patience(probe=0.5, lock=1.0, holder_age=0.0, poll=0.1)

BLOAT = """
create table {table} (id bigint, v text) with (autovacuum_enabled = off);
create index {index} on {table} (v, id);
insert into {table} select n, md5(n::text) from generate_series(1, {rows}) n;
delete from {table} where id % 5 <> 0;
vacuum {table};
"""


def run_sql(url: str, sql: str) -> list[tuple]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        rows: list[tuple] = []
        with connection.cursor() as cursor:
            for statement in filter(str.strip, sql.split(";")):
                cursor.execute(statement)
                rows = cursor.fetchall() if cursor.description else []
        return rows
    finally:
        connection.close()


def hold(url: str, *statements: str) -> psycopg2.extensions.connection:
    """Return a session with an open transaction; close it to let go."""
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    return connection


def make_bloat(url: str, *, table: str = "t", index: str = "i", rows: int = 50_000) -> None:
    run_sql(url, BLOAT.format(table=table, index=index, rows=rows))


def step_for(target: Postgres, name: str) -> RebuildStep:
    with target.session() as session:
        oid = session.execute("select %(name)s::regclass::oid as oid", {"name": name})[0]["oid"]
        state = session.fetch_one("indexes/read_index_state", oid=oid)
    schema, index = state["schema"], state["index"]
    return RebuildStep(
        oid=oid,
        schema=schema,
        table=state["table"],
        index=index,
        table_oid=state["table_oid"],
        relfilenode=state["relfilenode"],
        tuples=state["tuples"],
        size_bytes=state["size_bytes"],
        promised_bytes=state["size_bytes"] // 2,
        ratio=0.5,
        method="pgstatindex",
        order_score=1.0,
        disk_bytes=2 * state["size_bytes"],
        estimated_seconds=0.1,
        statement=f"REINDEX INDEX CONCURRENTLY {quote_identifier(schema, index)}",
    )


def rebuild(
    url: str,
    ops_url: str,
    *names: str,
    budget_seconds: float = 60,
    patience: Patience = SHORT,
    steps: tuple[RebuildStep, ...] | None = None,
    say: Callable[[str], None] = [].append,
) -> RebuildReport:
    target = Postgres(url, "platform", task=TASK, lock_timeout_seconds=0.5)
    plan = RebuildPlan(steps or tuple(step_for(target, name) for name in names), ())
    return carry_out(
        plan,
        target=target.writable(),
        identity=target.identity(),
        ledger=Ledger(Postgres(ops_url, "ops"), "test"),
        task=TASK,
        window=WINDOW,
        budget_seconds=budget_seconds,
        assumed_free_disk_bytes=2**40,
        say=say,
        patience=patience,
    )


def indexes(url: str) -> dict[str, tuple[int, bool, int]]:
    """Return (oid, valid, bytes) by name of every index of public."""
    rows = run_sql(
        url,
        "select c.relname, c.oid, i.indisvalid, pg_relation_size(c.oid) from pg_index i"
        " join pg_class c on c.oid = i.indexrelid where c.relnamespace = 'public'::regnamespace"
        " and c.relkind = 'i'",
    )
    return {name: (oid, valid, size) for name, oid, valid, size in rows}


def log(ops_url: str) -> list[tuple]:
    return run_sql(
        ops_url,
        "select object_name, outcome, reason, evidence, result from herald.maintenance_log order by id",
    )


def start_worker(url: str, ops_url: str) -> subprocess.Popen[bytes]:
    worker = subprocess.Popen([sys.executable, str(WORKER), url, ops_url, "public.i"], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    worker.stdout.readline()
    return worker


def kill(worker: subprocess.Popen[bytes], number: signal.Signals = signal.SIGKILL) -> None:
    worker.send_signal(number)
    try:
        worker.wait(timeout=60)
    finally:
        worker.kill()
        worker.communicate()


def wait_for_phase(url: str, phase: str) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        rows = run_sql(
            url, "select phase from pg_stat_progress_create_index where datname = current_database()"
        )
        if rows == [(phase,)]:
            return
        time.sleep(0.02)
    pytest.fail(f"never saw {phase!r}")


def interrupt_rebuild(url: str, ops_url: str) -> None:
    """Kill a rebuild of public.i while it waits, so that it leaves i_ccnew, and let the next run begin."""
    holder = hold(url, "insert into t values (0, 'x')")
    worker = start_worker(url, ops_url)
    wait_for_phase(url, "waiting for writers before build")
    kill(worker)
    begin_next_run(url, ops_url)
    holder.close()


def begin_next_run(url: str, ops_url: str) -> None:
    """Do what every run does first: wait for the dead run's server process, close its rows."""
    target = Postgres(url, "platform", task=TASK)
    with target.session(autocommit=True) as session:
        assert session.wait_for_lock(TASK, 30)
        Ledger(Postgres(ops_url, "ops")).close_interrupted(target.identity(), TASK)
