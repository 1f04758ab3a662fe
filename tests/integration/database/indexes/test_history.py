"""What the history of counters proves about the use of an index, on servers that are killed, reset and rebuilt."""

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from rebuilding import make_bloat, rebuild, run_sql

from herald_pipelines.database.indexes.analysis import IndexAnalysis, analyze_indexes
from herald_pipelines.database.indexes.history import record_snapshot
from herald_pipelines.migrations import migrate
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.settings import IndexSettings
from servers import TestServer

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
TABLE = """
create table t (id int, v int) with (autovacuum_enabled = off);
insert into t select g, g from generate_series(1, 1000) g;
create index used on t (id);
create index idle on t (v);
"""
USE = "set enable_seqscan = off; select * from t where id = 5"
READ_TABLE = "select count(*) from t where id + v < 0"


@pytest.fixture
def ops(pg18: TestServer) -> Postgres:
    ops = Postgres(pg18.create_database(), "ops")
    migrate(ops)
    return ops


def look(url: str, ops: Postgres, day: int, *, window: str | None = None) -> IndexAnalysis:
    """Analyse as the task does on a day, and keep what it keeps."""
    wait_for_counters(url)
    target, now = Postgres(url, "platform"), NOW + timedelta(days=day)
    identity = target.identity()
    analysis = analyze_indexes(
        target, {}, ops, identity, IndexSettings(), budget_seconds=60, now=now, say=[].append
    )
    with ops.writable().session() as session:
        record_snapshot(session, identity, window or f"{now:%Y-%m-%d}", analysis.facts, now, analysis.servers)
    return analysis


def wait_for_counters(url: str) -> None:
    """Return when what sessions before did is counted: they tell of it at their end, before version 15 by messages."""
    others = """
        select count(*) from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
    """
    while run_sql(url, others) != [(0,)]:
        time.sleep(0.02)
    if run_sql(url, "select current_setting('server_version_num')::int < 150000") == [(True,)]:
        time.sleep(1)


def restart(server: TestServer) -> None:
    server.embedded.stop()
    server.embedded.ensure_started()


def verdicts(analysis: IndexAnalysis) -> dict[str, list[str]]:
    names = {index.oid: index.name for index in analysis.facts}
    return {names[each.oid]: [str(found.kind) for found in each.verdicts] for each in analysis.judged}


def too_young(analysis: IndexAnalysis) -> set[str]:
    names = {index.oid: index.name for index in analysis.facts}
    return {names[each.oid] for each in analysis.judged if each.is_too_young}


def kill_server(server: TestServer, _url: str) -> None:
    os.kill(server.embedded.status().pid, signal.SIGKILL)
    server.embedded.ensure_started()


def kill_backend(server: TestServer, url: str) -> None:
    """End one session's process: the server ends all others then and recovers."""
    victim, witness = psycopg2.connect(url), psycopg2.connect(url)
    os.kill(victim.info.backend_pid, signal.SIGKILL)
    with pytest.raises(psycopg2.OperationalError), witness.cursor() as cursor:
        cursor.execute("select pg_sleep(60)")
    victim.close()
    witness.close()
    server.embedded.ensure_started()


@pytest.mark.parametrize("crash", [kill_server, kill_backend])
def test_an_index_that_was_used_before_and_after_a_crash_is_used(
    server: TestServer, database_url: str, ops: Postgres, crash: Callable[[TestServer, str], None]
):
    """Everything that the server counts is above what it was before, but for the scans: these are equal."""
    run_sql(database_url, f"{TABLE}; {USE}")
    look(database_url, ops, 0)
    crash(server, database_url)
    run_sql(database_url, "insert into t select g, g from generate_series(1, 20000) g")
    restart(server)
    run_sql(database_url, f"insert into t values (0, 0); {USE}; {READ_TABLE}")
    found = look(database_url, ops, 40)
    assert verdicts(found) == {"used": [], "idle": []}
    # One that was scanned since is in use; the other waits for a whole window.
    assert too_young(found) == {"idle"}
    assert found.usage == {}
    assert verdicts(look(database_url, ops, 41)) == {"used": [], "idle": []}
    run_sql(database_url, READ_TABLE)
    assert verdicts(look(database_url, ops, 80)) == {"used": ["unused"], "idle": ["unused"]}


def test_a_clean_restart_loses_nothing(server: TestServer, database_url: str, ops: Postgres):
    run_sql(database_url, TABLE)
    look(database_url, ops, 0)
    run_sql(database_url, f"{USE}; {READ_TABLE}")
    restart(server)
    assert verdicts(look(database_url, ops, 40)) == {"used": [], "idle": ["unused"]}


@pytest.mark.parametrize(
    "reset",
    ["select pg_stat_reset()", "select pg_stat_reset_single_table_counters('used'::regclass)"],
)
def test_a_reset_of_counters_begins_afresh(database_url: str, ops: Postgres, reset: str):
    run_sql(database_url, f"{TABLE}; {USE}")
    look(database_url, ops, 0)
    run_sql(database_url, f"{USE}; {reset}; {USE}; {USE}; {READ_TABLE}")
    assert verdicts(look(database_url, ops, 40)) == {"used": [], "idle": []}
    run_sql(database_url, READ_TABLE)
    assert verdicts(look(database_url, ops, 80)) == {"used": ["unused"], "idle": ["unused"]}


def test_statistics_that_are_shared_by_all_databases_may_be_reset_one_kind_at_a_time(
    database_url: str, ops: Postgres
):
    run_sql(database_url, TABLE)
    look(database_url, ops, 0)
    run_sql(
        database_url,
        f"select pg_stat_reset_shared('bgwriter'); select pg_stat_reset_shared('wal'); {READ_TABLE}",
    )
    assert verdicts(look(database_url, ops, 40))["idle"] == ["unused"]


def test_one_counter_that_fell_is_proof_for_the_whole_database(database_url: str, ops: Postgres):
    run_sql(database_url, TABLE)
    look(database_url, ops, 0)
    look(database_url, ops, 1)
    run_sql(ops.url, "update herald.index_snapshot set scans = 7 where index_name = 'used' and scans = 0")
    run_sql(database_url, READ_TABLE)
    assert verdicts(look(database_url, ops, 40)) == {"used": [], "idle": []}
    run_sql(ops.url, "update herald.index_snapshot set scans = 0")
    assert verdicts(look(database_url, ops, 40)) == {"used": ["unused"], "idle": ["unused"]}


def test_a_second_reading_of_a_window_erases_nothing(database_url: str, ops: Postgres):
    run_sql(database_url, TABLE)
    look(database_url, ops, 0, window="first")
    run_sql(database_url, f"{USE}; {READ_TABLE}")
    assert verdicts(look(database_url, ops, 40, window="first")) == {"used": [], "idle": ["unused"]}
    assert verdicts(look(database_url, ops, 41)) == {"used": [], "idle": ["unused"]}
    assert run_sql(ops.url, "select count(*) from herald.counter_reading") == [(3,)]


def test_an_index_that_is_dropped_ends_nobody_else_s_window(database_url: str, ops: Postgres):
    run_sql(database_url, TABLE)
    run_sql(database_url, "create index third on t (v, id); " + USE.replace("id = 5", "v = 5"))
    look(database_url, ops, 0)
    run_sql(database_url, READ_TABLE)
    look(database_url, ops, 1)
    run_sql(database_url, "drop index third")
    assert verdicts(look(database_url, ops, 40)) == {"used": ["unused"], "idle": ["unused"]}


def test_the_window_goes_on_over_a_rebuild(database_url: str, ops: Postgres):
    make_bloat(database_url, index="rebuilt")
    run_sql(database_url, "create index idle on t (id)")
    look(database_url, ops, 0)
    run_sql(database_url, "set enable_indexonlyscan = off; select count(*) from t")
    rebuild(database_url, ops.url, "public.rebuilt")
    look(database_url, ops, 35)
    assert verdicts(look(database_url, ops, 40)) == {"rebuilt": ["unused"], "idle": ["unused"]}
    run_sql(database_url, "set enable_seqscan = off; select * from t where v = 'x'")
    assert verdicts(look(database_url, ops, 41)) == {"rebuilt": [], "idle": ["unused"]}
