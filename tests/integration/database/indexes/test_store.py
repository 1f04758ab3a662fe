"""What is read of the indexes of real databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg2
import pytest

from herald_pipelines.database.indexes.facts import IndexFacts
from herald_pipelines.database.indexes.store import Confirmation, confirm_indexes, read_index_facts
from herald_pipelines.resources.postgres import Postgres
from servers import TestServer, wait_until

TABLES = """
create schema "odd Schema";
create domain state as text;
create table public.a (
    id int primary key, "we ird" text, n numeric, e state, j jsonb, during int4range,
    exclude using gist (during with &&)
);
create table "odd Schema".b (id bigint unique, a_id int references public.a, x int, y text);
create index partial on "odd Schema".b (a_id, x) where x > 3;
create index covering on "odd Schema".b (a_id desc nulls last, x) include (y) with (fillfactor = 70);
create index expression on public.a (lower("we ird"), e) with (deduplicate_items = off);
create index "other expression" on public.a (upper("we ird"), e) with (deduplicate_items = off);
create index filtered on public.a (n) where n > 5;
create index number on public.a (n);
create index state on public.a (e);
create index tokens on public.a using gin (j);
create table public.p (at timestamptz, k int, primary key (at, k)) partition by range (at);
create table public.p1 partition of public.p for values from ('2020-01-01') to ('2021-01-01');
create table public.empty (k int);
create index never_counted on public.empty (k);
insert into public.a select g, 'x' || g, g, 'c', '{}', int4range(g, g + 1) from generate_series(1, 1000) as g;
insert into "odd Schema".b select g, g, g, g from generate_series(1, 1000) as g;
analyze public.a;
analyze "odd Schema".b;
"""


@contextmanager
def writing(url: str) -> Iterator[psycopg2.extensions.cursor]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def run(url: str, *statements: str) -> None:
    with writing(url) as cursor:
        for statement in statements:
            cursor.execute(statement)


def read(url: str) -> dict[str, IndexFacts]:
    with Postgres(url, "target").session() as session:
        return {index.name: index for index in read_index_facts(session)}


def confirm(url: str, names: list[str], **options: float) -> dict[str, Confirmation]:
    facts = read(url)
    indexes = [facts[name] for name in names]
    postgres = Postgres(url, "target", statement_timeout_seconds=30, lock_timeout_seconds=0.2)
    with postgres.session(autocommit=True) as session:
        found = {each.oid: each for each in confirm_indexes(session, indexes, **options)}
    return {index.name: found[index.oid] for index in indexes}


@contextmanager
def monitor(url: str) -> Iterator[str]:
    """Yield the url of a role that has pg_monitor and nothing else."""
    with writing(url) as cursor:
        cursor.execute("select current_database(), current_setting('port')")
        database, port = cursor.fetchone()
        cursor.execute("create role only_monitor login password 'm'")
        cursor.execute("grant pg_monitor to only_monitor")
        try:
            yield f"postgresql://only_monitor:m@127.0.0.1:{port}/{database}"
        finally:
            cursor.execute("drop role only_monitor")


def test_facts_of_every_kind_of_index(database_url: str) -> None:
    run(database_url, TABLES)
    facts = read(database_url)
    assert set(facts) == {
        "a_pkey", "a_during_excl", "b_id_key", "partial", "covering", "expression", "other expression", "filtered",
        "number", "state", "tokens", "p_pkey", "p1_pkey", "never_counted",
    }  # fmt: skip

    covering = facts["covering"]
    assert (covering.schema, covering.table, covering.fillfactor) == ("odd Schema", "b", 70)
    assert covering.included == ("y",)
    assert not covering.deduplicates
    assert [each.options for each in covering.keys] == [1, 0]
    assert covering.supports_foreign_key == "b_a_id_fkey"
    assert covering.size_bytes > 0
    assert covering.tuples == covering.table_tuples == 1000

    assert facts["partial"].predicate == "x > 3"
    assert facts["partial"].deduplicates
    assert facts["partial"].supports_foreign_key is None

    expression = facts["expression"]
    assert [each.definition for each in expression.keys] == ['lower("we ird")', "e"]
    assert [each.type_name for each in expression.keys] == ["text", "text"]
    assert expression.keys[0].attnum == 0
    assert expression.keys[0].n_distinct == -1
    assert not expression.deduplicates
    assert facts["state"].deduplicates
    assert not facts["number"].deduplicates
    assert not facts["tokens"].deduplicates

    primary = facts["a_pkey"]
    assert primary.is_primary
    assert primary.constraint == "a_pkey"
    assert primary.referenced_by_foreign_key
    assert facts["a_during_excl"].is_exclusion
    assert not facts["b_id_key"].referenced_by_foreign_key

    assert facts["p_pkey"].is_partitioned
    assert facts["p_pkey"].size_bytes == 0
    assert facts["p1_pkey"].parent_oid == facts["p_pkey"].oid
    assert facts["never_counted"].table_tuples is None


def test_reading_uses_no_index_of_the_user(database_url: str) -> None:
    run(database_url, TABLES)
    before = {name: index.usage.scans for name, index in read(database_url).items()}
    assert {name: index.usage.scans for name, index in read(database_url).items()} == before


def test_a_role_with_pg_monitor_reads_all_but_statistics(database_url: str) -> None:
    run(database_url, TABLES, "create schema tools", "create extension pgstattuple schema tools")
    everything = read(database_url)
    with monitor(database_url) as url:
        seen = read(url)
        assert set(seen) == set(everything)
        assert seen["state"].keys[0].n_distinct is None
        assert seen["state"].size_bytes == everything["state"].size_bytes
        # The extension is in a schema that the role may not enter.
        assert "grant it pg_monitor" in (confirm(url, ["state"])["state"].reason or "")
        run(database_url, "grant usage on schema tools to public")
        assert confirm(url, ["state"])["state"].estimate is not None


def test_last_scan_is_known_from_16_on(server: TestServer) -> None:
    url = server.create_database()
    run(url, TABLES)
    run(url, "set enable_seqscan = off", "select from public.a where id = 5")
    with writing(url) as cursor:
        cursor.execute("set enable_seqscan = off")
        cursor.execute("select count(*) from public.a where id = 5")
    usage = read(url)["a_pkey"].usage
    assert usage.scans > 0
    assert (usage.last_scan_at is not None) == (server.major >= 16)


def test_locked_and_dropped_indexes_are_not_waited_for(database_url: str) -> None:
    run(database_url, TABLES, "create extension pgstattuple")
    facts = read(database_url)
    with writing(database_url) as cursor:
        cursor.execute("begin; lock table public.empty in access exclusive mode; drop index public.number")
        locked = Postgres(database_url, "target", lock_timeout_seconds=0.2)
        with locked.session() as session:
            seen = {index.name: index for index in read_index_facts(session)}
        assert set(seen) == set(facts)
        # What only its locked table could tell of an expression is not told, and is no other expression's.
        assert seen["state"] == replace(
            facts["state"], definition=None, table_bytes=seen["state"].table_bytes
        )
        assert seen["expression"].definition is None
        assert seen["expression"].keys[0].definition != seen["other expression"].keys[0].definition
        assert seen["expression"].keys[0].attnum == 0
        assert seen["expression"].keys[1] == facts["expression"].keys[1]
        assert seen["filtered"].predicate not in {None, facts["filtered"].predicate}
        with locked.session(autocommit=True) as session:
            reasons = list(confirm_indexes(session, [facts["number"], facts["state"]]))
        assert "lock timeout" in (reasons[0].reason or "")
        assert reasons[1].estimate is not None
        cursor.execute("commit; begin; reindex index public.state")
        with locked.session() as session:
            sizes = {index.name: index.size_bytes for index in read_index_facts(session)}
        assert sizes["state"] == facts["state"].size_bytes
        cursor.execute("rollback")
    with Postgres(database_url, "target").session(autocommit=True) as session:
        gone, there = confirm_indexes(session, [facts["number"], facts["state"]])
    assert gone.estimate is None
    assert gone.reason
    assert there.estimate is not None


def test_a_table_is_as_large_as_what_a_build_reads_of_it_and_its_toast_is_not_waited_for(
    database_url: str,
) -> None:
    run(database_url, "create table big (id int primary key, v text)")
    run(database_url, "alter table big alter v set storage external")
    run(database_url, "insert into big select g, repeat('x', 10000) from generate_series(1, 100) as g")
    with writing(database_url) as cursor:
        cursor.execute(
            "select reltoastrelid::regclass, pg_relation_size(oid) from pg_class where relname = 'big'"
        )
        ((toast, size),) = cursor.fetchall()
        cursor.execute(f"begin; reindex table {toast}")
        with Postgres(database_url, "target", lock_timeout_seconds=0.2).session() as session:
            (index,) = read_index_facts(session)
        assert index.table_bytes == size


def test_what_cannot_be_confirmed_says_why(database_url: str) -> None:
    run(database_url, TABLES)
    assert "not installed" in (confirm(database_url, ["state"])["state"].reason or "")
    run(database_url, "create extension pgstattuple")
    found = confirm(database_url, ["tokens", "p_pkey", "state", "a_pkey"], budget_bytes=20_000)
    assert "only valid b-trees" in (found["tokens"].reason or "")
    assert "only valid b-trees" in (found["p_pkey"].reason or "")
    assert found["state"].estimate is not None
    assert "may still be read" in (found["a_pkey"].reason or "")


def test_the_rows_of_a_table_are_counted_once_for_all_its_indexes(database_url: str) -> None:
    run(
        database_url,
        "create extension pgstattuple",
        "do $$ begin execute format('alter database %I set track_functions = ''all''', current_database()); end $$",
        "create table public.t (k int, s int) with (autovacuum_enabled = off)",
        "insert into public.t select g, g % 7 from generate_series(1, 5000) as g",
        "create index i on public.t (k)",
        "create index j on public.t (s)",
        "vacuum (analyze) public.t",
        "delete from public.t where k % 2 = 0",
    )
    wait_until(database_url, "n_dead_tup = 2500 from pg_stat_user_tables")
    found = confirm(database_url, ["i", "j"])
    assert all(each.estimate for each in found.values())
    counted = "from pg_stat_user_functions where funcname = 'pgstattuple_approx'"
    wait_until(database_url, f"exists (select {counted})")
    with writing(database_url) as cursor:
        cursor.execute(f"select calls {counted}")
        assert cursor.fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("keys", "values", "churn"),
    [
        ("(k)", "g", "delete from public.t where k % 2 = 0"),
        ("(k)", "(random() * 99)::int", "update public.t set k = (random() * 99)::int where random() < 0.3"),
        ("(k) with (fillfactor = 70)", "(random() * 1e9)::int", "delete from public.t where random() < 0.6"),
        ("(k)", "g", "delete from public.t where k < 45000"),
        (
            "((k::text || repeat('x', 60)))",
            "(random() * 1e9)::int",
            "delete from public.t where random() < 0.3",
        ),
    ],
    ids=["deleted", "repeated", "fillfactor", "queue", "expression"],
)
def test_confirmed_bloat_is_what_a_rebuild_gives_back(
    database_url: str, keys: str, values: str, churn: str
) -> None:
    run(database_url, "create extension pgstattuple", "create table public.t (k int)")
    run(database_url, f"create index i on public.t {keys}")
    run(database_url, f"insert into public.t select {values} from generate_series(1, 50000) as g")
    # In one session, whose deletions are then reported after the vacuum has counted: the statistics are wrong.
    run(database_url, churn, "vacuum (analyze) public.t")
    before = read(database_url)["i"]
    told = confirm(database_url, ["i"])["i"].estimate
    run(database_url, "reindex index public.i")
    gain = 1 - read(database_url)["i"].size_bytes / before.size_bytes
    assert told is not None
    assert told.ratio == pytest.approx(gain, abs=0.02)
