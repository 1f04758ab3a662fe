"""What a whole analysis concludes about the indexes of real databases."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from rebuilding import hold, run_sql
from sqlalchemy import make_url

from herald_pipelines.database.indexes.analysis import IndexAnalysis, analyze_indexes
from herald_pipelines.database.indexes.facts import IndexFacts
from herald_pipelines.database.indexes.history import record_snapshot, write_new_baselines
from herald_pipelines.database.indexes.store import read_index_facts
from herald_pipelines.migrations import migrate
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.settings import IndexSettings
from servers import wait_until

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
SETTINGS = IndexSettings(min_size_bytes=8192)


@pytest.fixture
def ops(pg18) -> Postgres:
    ops = Postgres(pg18.create_database(), "ops")
    migrate(ops)
    return ops


def analyze(url: str, ops: Postgres | None, *, day: int = 0, budget_seconds: float = 60) -> IndexAnalysis:
    """Analyse as the task does, and keep what it keeps."""
    target, now = Postgres(url, "platform"), NOW + timedelta(days=day)
    identity = Postgres(url, "platform").identity()
    analysis = analyze_indexes(
        target, {}, ops, identity, SETTINGS, budget_seconds=budget_seconds, now=now, say=[].append
    )
    if ops is not None:
        with ops.writable().session() as session:
            write_new_baselines(session, identity, analysis.facts, analysis.bloat)
            record_snapshot(session, identity, f"{now:%Y-%m-%d}", analysis.facts, now, analysis.servers)
    return analysis


def wait_for_build(url: str) -> None:
    end = time.monotonic() + 30
    waiting = "select 1 from pg_stat_progress_create_index where phase like 'waiting%'"
    while not run_sql(url, waiting):
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("method", ["gin", "hash"])
def test_an_index_that_was_built_between_two_looks_is_measured_by_what_it_was_then(
    database_url: str, ops: Postgres, method: str
):
    key = "array[id, id + 1, id % 7]" if method == "gin" else "id"
    run_sql(
        database_url,
        "create table t (id int, n int) with (autovacuum_enabled = off, fillfactor = 40);"
        "insert into t select g, 0 from generate_series(1, 20000) g; vacuum analyze t;"
        f"create index old on t using {method} (({key}))",
    )
    analyze(database_url, ops)
    run_sql(database_url, f"create index new on t using {method} (({key})); analyze t")
    assert analyze(database_url, ops, day=1).bloat == {}
    well = analyze(database_url, ops, day=2)
    assert [each.ratio for each in well.bloat.values()] == [0]
    churn = "delete from t; insert into t select g, 0 from generate_series({0}, {0} + 19999) g;"
    run_sql(
        database_url,
        "".join(churn.format(start) for start in (20001, 40001, 60001, 80001)) + "vacuum analyze t",
    )
    found = analyze(database_url, ops, day=3)
    names = {index.oid: index.name for index in found.facts}
    ((oid, estimate),) = found.bloat.items()
    assert (names[oid], estimate.method) == ("new", "baseline")
    assert estimate.ratio > 0.5
    assert [step.index for step in found.plan.steps] == ["new"]


@pytest.mark.parametrize("method", ["gin", "gist", "hash", "brin"])
def test_a_load_that_nobody_counted_is_no_bloat(database_url: str, ops: Postgres, method: str):
    key = {"gin": "array[id, id % 7]", "gist": "point(id, id % 7)"}.get(method, "id")
    run_sql(
        database_url,
        "create table t (id int) with (autovacuum_enabled = off); insert into t select generate_series(1, 5000);"
        f"vacuum analyze t; create index old on t using {method} (({key}))",
    )
    analyze(database_url, ops)
    run_sql(database_url, f"create index new on t using {method} (({key})); analyze t")
    analyze(database_url, ops, day=1)
    run_sql(database_url, "insert into t select generate_series(5001, 100000)")

    loaded = list(analyze(database_url, ops, day=2).bloat.values())
    run_sql(database_url, "select pg_stat_reset()")
    loaded += analyze(database_url, ops, day=3).bloat.values()
    ((before,),) = run_sql(database_url, "select pg_relation_size('new')")
    ((after,),) = run_sql(database_url, "reindex index new; select pg_relation_size('new')")
    assert [each.method for each in loaded] == ["baseline", "baseline"]
    for each in loaded:
        # A GiST index that is filled row by row does get less dense than a built one.
        assert each.ratio <= max(0, 1 - after / before) + 0.1
        assert abs(each.ratio - max(0, 1 - after / before)) <= each.error_bound


@pytest.mark.parametrize("unique", ["unique", ""])
def test_what_inserting_has_merged_and_a_build_would_not_is_no_bloat(database_url: str, unique: str):
    # Four of five keys are null; or they repeat, in an index that is told afterwards to merge no more.
    key = "case when g % 5 = 0 then g end" if unique else "g % 100"
    run_sql(
        database_url,
        "create extension pgstattuple schema public; create table t (k int) with (autovacuum_enabled = off);"
        f"create {unique} index i on t (k); insert into t select {key} from generate_series(1, 50000) g;"
        f"{'' if unique else 'alter index i set (deduplicate_items = off);'} vacuum analyze t",
    )
    found = analyze(database_url, None)
    (estimate,) = found.bloat.values()
    assert (estimate.method, estimate.ratio) == ("pgstatindex", 0)
    assert found.plan.steps == ()
    run_sql(database_url, f"delete from t where {'k is not null and' if unique else ''} random() < 0.7")
    run_sql(database_url, "vacuum analyze t")
    (after_churn,) = analyze(database_url, None).bloat.values()
    ((before,),) = run_sql(database_url, "select pg_relation_size('i')")
    ((after,),) = run_sql(database_url, "reindex index i; select pg_relation_size('i')")
    assert abs(after_churn.ratio - max(0, 1 - after / before)) <= after_churn.error_bound


def test_a_unique_index_whose_build_failed_is_told_of_after_an_analyze_too(database_url: str):
    run_sql(database_url, "create table t (k int); insert into t values (1), (1)")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        run_sql(database_url, "create unique index concurrently i on t (k)")
    run_sql(database_url, "analyze t")
    (judged,) = analyze(database_url, None).judged
    assert [verdict.kind.value for verdict in judged.verdicts] == ["invalid"]


def test_settings_of_the_database_hide_no_index(database_url: str):
    name = database_url.rpartition("/")[2].partition("?")[0]
    run_sql(database_url, "create schema pgq; create table pgq.t (id int primary key)")
    run_sql(database_url, f'alter database "{name}" set standard_conforming_strings = off')
    assert [index.name for index in analyze(database_url, None).facts] == ["t_pkey"]


def test_an_index_of_an_enumeration_with_nulls_is_measured_to_its_bound(database_url: str):
    run_sql(
        database_url,
        "create extension pgstattuple schema public; create type e as enum ('a', 'b', 'c', 'd', 'e');"
        "create table t (b bool, e e) with (autovacuum_enabled = off); create index i on t (b, e);"
        "insert into t select case g % 3 when 0 then null else g % 3 = 1 end, (array['a','b','c','d','e']::e[])[1 + g % 5]"
        " from generate_series(1, 100000) g; delete from t where random() < 0.45; vacuum analyze t",
    )
    (estimate,) = analyze(database_url, None).bloat.values()
    ((before,),) = run_sql(database_url, "select pg_relation_size('i')")
    ((after,),) = run_sql(database_url, "reindex index i; select pg_relation_size('i')")
    assert estimate.method == "pgstatindex"
    assert abs(estimate.ratio - (1 - after / before)) <= estimate.error_bound < 0.05


def test_an_index_of_unknown_build_is_not_called_invalid(database_url: str):
    role = "blind_" + uuid.uuid4().hex
    run_sql(
        database_url,
        f"create role {role} login password 'x'; create table t (id int); create table u (id int);"
        "create index broken on u (id)",
    )
    run_sql(database_url, "update pg_index set indisvalid = false where indexrelid = 'broken'::regclass")
    writer = psycopg2.connect(database_url)
    url = make_url(database_url).set(username=role, password="x").render_as_string(hide_password=False)

    def verdicts(url: str) -> dict[str, list[str]]:
        analysis = analyze(url, None)
        names = {index.oid: index.name for index in analysis.facts}
        return {
            names[each.oid]: [verdict.kind.value for verdict in each.verdicts] for each in analysis.judged
        }

    assert verdicts(url) == {"broken": ["invalid"]}
    try:
        with writer.cursor() as cursor:
            cursor.execute("insert into t values (1)")
        with ThreadPoolExecutor(max_workers=1) as pool:
            build = pool.submit(run_sql, database_url, "create index concurrently half on t (id)")
            try:
                wait_for_build(database_url)
                assert verdicts(url) == {"broken": [], "half": []}
                assert verdicts(database_url) == {"broken": ["invalid"], "half": []}
            finally:
                writer.rollback()
            build.result()
    finally:
        writer.close()


def test_an_index_whose_build_ends_while_it_is_looked_at_is_not_called_invalid(
    database_url: str, monkeypatch: pytest.MonkeyPatch
):
    run_sql(database_url, "create table t (id int)")
    holder = hold(database_url, "insert into t values (1)")
    with ThreadPoolExecutor() as pool:
        build = pool.submit(run_sql, database_url, "create index concurrently i on t (id)")
        wait_for_build(database_url)

        def read_and_end_the_build(session: Session) -> tuple[IndexFacts, ...]:
            facts = read_index_facts(session)
            holder.close()
            build.result()
            return facts

        monkeypatch.setattr(
            "herald_pipelines.database.indexes.analysis.read_index_facts", read_and_end_the_build
        )
        analysis = analyze(database_url, None)
    assert [index.is_valid for index in analysis.facts] == [False]
    assert [each.verdicts for each in analysis.judged] == [()]


def test_pages_are_read_until_the_deadline_and_not_beyond(database_url: str):
    run_sql(
        database_url,
        "create extension pgstattuple; create table t (id int);"
        "insert into t select generate_series(1, 2000); create index a on t (id); create index b on t (id desc)",
    )
    assert analyze(database_url, None).unconfirmed == {}
    # So short that its seconds are over before the first index is read, and its bytes are not.
    late = analyze(database_url, None, budget_seconds=0.005)
    assert list(late.unconfirmed.values()) == ["the time for reading pages is used up"]


def test_an_index_that_is_used_in_a_locked_partition_alone_is_not_called_unused(
    database_url: str, ops: Postgres
):
    run_sql(
        database_url,
        "create table p (k int, v int) partition by range (k); create index used on p (k); create index idle on p (v);"
        "create table p1 partition of p for values from (0) to (100);"
        "create table p2 partition of p for values from (100) to (200);"
        "insert into p select g, g from generate_series(1, 150) g; create index extra on p1 (v desc)",
    )
    # Before 15 a database has no statistics until the first arrive, and none are known to go on from then.
    wait_until(database_url, "sum(n_tup_ins) = 150 from pg_stat_user_tables")
    analyze(database_url, ops)
    run_sql(database_url, "select count(*) from p2; set enable_seqscan = off; select v from p where k = 5")
    wait_until(database_url, "sum(idx_scan) = 1 from pg_stat_user_indexes where relname = 'p1'")

    def verdicts() -> dict[str, list[str]]:
        analysis = analyze(database_url, ops, day=31)
        names = {index.oid: index.name for index in analysis.facts}
        return {
            names[each.oid]: [verdict.kind.value for verdict in each.verdicts] for each in analysis.judged
        }

    found = verdicts()
    assert found["used"] == []
    assert found["idle"] == found["extra"] == ["unused"]
    with closing(hold(database_url, "truncate p1")):
        assert verdicts() == {**found, "extra": []}
