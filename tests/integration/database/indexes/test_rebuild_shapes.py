"""Rebuilds of every kind of index, under every kind of name, and of what changes while they are at work."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import psycopg2
import pytest
from rebuilding import indexes, log, make_bloat, rebuild, run_sql, step_for

from herald_pipelines.database.indexes.analysis import analyze_indexes
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.settings import IndexSettings
from herald_pipelines.values import Outcome, quote_identifier
from servers import TestServer

KINDS = """
create table referenced (id int primary key);
create table t (
    id int, n numeric, v text, p point, tags int[], r int4range,
    constraint pk primary key (id),
    constraint deferred unique (n) deferrable initially deferred,
    constraint fk foreign key (id) references referenced
);
insert into referenced select generate_series(1, 2000);
insert into t select n, n, md5(n::text), point(n, n), array[n, n % 7], int4range(n, n + 5) from generate_series(1, 2000) n;
create index of_btree on t (v desc nulls last) include (n) where id > 10;
create index of_expression on t (lower(v), (id + 1));
create unique index of_unique on t (id) with (fillfactor = 70);
create index of_hash on t using hash (v);
create index of_gin on t using gin (tags);
create index of_gist on t using gist (p, r);
create index of_spgist on t using spgist (p);
create index of_brin on t using brin (id) with (pages_per_range = 4);
create unlogged table u (id int);
create index of_unlogged on u (id);
create materialized view m as select id from t;
create index of_view on m (id);
alter table t replica identity using index of_unique;
alter table t cluster on of_expression
"""
NAMES = (
    "with space",
    'quo"ted',
    "100%s (of %% all)",
    "Ünïcode 日本",
    "' or 1=1 --",
    "new\nline | `tick`",
    "日" * 21,  # 63 bytes, which PostgreSQL cuts at a whole character
    "ü" * 30 + "xyz",
    "i_ccnew",
    "i_ccold2",
)


def test_every_kind_of_index_is_rebuilt(database_url: str, ops_url: str):
    run_sql(database_url, KINDS)
    before = indexes(database_url)
    report = rebuild(database_url, ops_url, *(f"public.{name}" for name in before))
    assert report.skipped == report.failed == report.leftovers == ()
    after = indexes(database_url)
    assert after.keys() == before.keys()
    assert all(valid for _, valid, _ in after.values())
    assert not {oid for oid, _, _ in before.values()} & {oid for oid, _, _ in after.values()}
    # What hangs on an index has moved to its successor.
    marks = (
        "select indexrelid::regclass::text from pg_index where indisreplident or indisclustered order by 1"
    )
    assert run_sql(database_url, marks) == [("of_expression",), ("of_unique",)]
    run_sql(database_url, "delete from t where id = 5")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        run_sql(database_url, "insert into t (id, n) values (6, 0)")


def test_whatever_the_name_it_is_rebuilt_and_its_leftover_dropped(database_url: str, ops_url: str):
    function = "create or replace function f(int) returns int immutable language sql as"
    run_sql(database_url, f"{function} 'select $1'")
    names: list[str] = []
    for name in NAMES:
        schema, table, index = (quote_identifier(each) for each in (f"S {name[:15]}", f"T {name[:15]}", name))
        names.append(f"{schema}.{index}")
        run_sql(
            database_url,
            f"create schema {schema}; create table {schema}.{table} as select 0 as id;"
            f"create index {index} on {schema}.{table} (f(id))",
        )
    run_sql(database_url, f"{function} 'select 1 / $1'")
    report = rebuild(database_url, ops_url, *names)
    assert len(report.failed) == len(report.leftovers) == len(NAMES)
    assert all("division by zero" in each.reason for each in report.failed)
    assert {each.outcome for each in report.leftovers} == {Outcome.DONE}
    run_sql(database_url, f"{function} 'select $1'")
    report = rebuild(database_url, ops_url, *names)
    assert len(report.done) == len(NAMES)
    assert report.leftovers == ()
    left = "select relname from pg_class where relkind = 'i' and relnamespace >= 16384 order by oid"
    assert sorted(name for (name,) in run_sql(database_url, left)) == sorted(NAMES)


def test_leaves_are_rebuilt_below_partitions_of_partitions(database_url: str, ops_url: str):
    run_sql(
        database_url,
        "create table p (id int, v text) partition by range (id);"
        "create table p1 partition of p for values from (0) to (1000) partition by list (v);"
        "create table p1a partition of p1 for values in ('a'); create table p1b partition of p1 default;"
        "create index parent on p (v, id); insert into p select n, chr(97 + n % 3) from generate_series(1, 900) n",
    )
    report = rebuild(database_url, ops_url, "public.p1a_v_id_idx", "public.p1b_v_id_idx")
    assert len(report.done) == 2
    tree = "select count(*) from pg_partition_tree('parent') where isleaf"
    assert run_sql(database_url, tree) == [(2,)]
    assert run_sql(database_url, "select indisvalid from pg_index where indexrelid = 'parent'::regclass") == [
        (True,)
    ]


def test_an_exclusion_constraint_is_left_alone_with_the_reason(database_url: str, ops_url: str):
    run_sql(
        database_url,
        "create extension pgstattuple;"
        "create table t (id int, constraint once exclude using btree (id with =)) with (autovacuum_enabled = off);"
        "insert into t select generate_series(1, 20000); delete from t where id % 5 <> 0; vacuum t",
    )
    target = Postgres(database_url, "platform")
    plan = analyze_indexes(
        target,
        {},
        None,
        target.identity(),
        IndexSettings(min_size_bytes=8192),
        budget_seconds=60,
        now=datetime.now(tz=UTC),
        say=[].append,
    ).plan
    assert plan.steps == ()
    ((name, reason),) = [(each.name, each.reason) for each in plan.skipped]
    assert name == "public.once"
    assert "exclusion constraint" in reason
    # The server would indeed refuse it.
    report = rebuild(database_url, ops_url, "public.once")
    assert "exclusion constraints" in report.failed[0].reason
    assert set(indexes(database_url)) == {"once"}


def test_a_table_may_be_renamed_and_its_schema_may_not(database_url: str, ops_url: str):
    target = Postgres(database_url, "platform")
    for name in ("renamed", "moved"):
        make_bloat(database_url, table=f"t_{name}", index=name, rows=100)
    steps = tuple(step_for(target, f"public.{name}") for name in ("renamed", "moved"))
    run_sql(
        database_url,
        "alter table t_renamed rename to other; create schema s; alter table t_moved set schema s",
    )
    report = rebuild(database_url, ops_url, steps=steps)
    assert [each.name for each in report.done] == ["public.renamed"]
    assert [each.reason for each in report.skipped] == ["it was renamed meanwhile: s.moved"]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("drop index i", "does not exist"),
        ("alter index i rename to k", "does not exist"),
        ("alter index i rename to k; create index i on t (id)", "left the index as it was"),
    ],
)
def test_what_changes_at_the_last_moment_fails_alone(
    database_url: str, ops_url: str, statement: str, reason: str
):
    make_bloat(database_url, rows=100)
    make_bloat(database_url, table="other", index="j", rows=100)

    def interfere(text: str) -> None:
        if text.startswith("rebuilding public.i"):
            run_sql(database_url, statement)

    report = rebuild(database_url, ops_url, "public.i", "public.j", say=interfere)
    assert [each.name for each in report.done] == ["public.j"]
    (failed,) = report.failed
    assert reason in failed.reason
    assert not any("_cc" in name for name in indexes(database_url))


def test_too_little_disk_skips_an_index_alone(database_url: str, ops_url: str):
    make_bloat(database_url, rows=100)
    make_bloat(database_url, table="other", index="j", rows=100)
    i, j = (step_for(Postgres(database_url, "platform"), f"public.{each}") for each in "ij")
    report = rebuild(database_url, ops_url, steps=(replace(i, disk_bytes=2**60), j))
    assert [each.name for each in report.done] == ["public.j"]
    assert report.skipped[0].reason.startswith("it needs 1024.0 PiB of disk, ")
    assert [row[:2] for row in log(ops_url)] == [("public.i", "skipped"), ("public.j", "done")]


def test_a_budget_that_ends_within_a_rebuild_stops_the_server_and_leaves_nothing(
    database_url: str, ops_url: str
):
    make_bloat(database_url, rows=100)
    function = "create or replace function slow(int) returns int immutable language sql as"
    run_sql(
        database_url,
        f"{function} 'select $1'; create table s (id int) with (autovacuum_enabled = off);"
        "insert into s select generate_series(1, 600);"
        f"create index of_slow on s (slow(id)); {function} 'select $1 from pg_catalog.pg_sleep(0.02)'",
    )
    report = rebuild(database_url, ops_url, "public.of_slow", "public.i", budget_seconds=6)
    (failed,) = report.failed
    assert failed.name == "public.of_slow"
    assert "the time budget ended before the rebuild did" in failed.reason
    assert [each.reason for each in report.skipped] == ["the time budget is used up"]
    assert [(each.name, each.outcome) for each in report.leftovers] == [
        ("public.of_slow_ccnew", Outcome.DONE)
    ]
    assert set(indexes(database_url)) == {"i", "of_slow"}


def test_two_databases_of_a_server_are_rebuilt_at_once(server: TestServer, ops_url: str):
    urls = [server.create_database() for _ in range(2)]
    for url in urls:
        make_bloat(url, rows=20_000)
    with ThreadPoolExecutor() as pool:
        reports = list(pool.map(lambda url: rebuild(url, ops_url, "public.i"), urls))
    assert [len(report.done) for report in reports] == [1, 1]
    assert [row[1] for row in log(ops_url)] == ["done", "done"]
