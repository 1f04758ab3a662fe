"""A part of a backup goes to a database beside; odd locales come back; scratch servers leave nothing behind."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from restoring import cursor, databases, restore, rows

from herald_pipelines.backup.facts import Manifest
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_plan import Selection
from herald_pipelines.backup.scratch import remove_dead, scratch_server
from herald_pipelines.errors import GuardRefusal, UsageError
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.postmaster import read_postmaster
from servers import TestServer

Backer = Callable[..., Manifest]
PART = "part_of_it"
TABLES = """
create schema a; create schema "b c"; create schema other;
create type other.mood as enum ('good', 'bad');
create function other.check_mood() returns trigger language plpgsql as 'begin return new; end';
create table a.customers (id serial primary key, mood other.mood default 'good');
insert into a.customers select from generate_series(1, 10);
create table a.orders (id int primary key generated always as identity, customer int references a.customers, n int);
insert into a.orders (customer, n) select 1 + i % 10, i from generate_series(1, 100) as i;
create index orders_n on a.orders (n);
create trigger watch before insert on a.customers for each row execute function other.check_mood();
create table a.parted (id int primary key) partition by range (id);
create table "b c".parted_1 partition of a.parted for values from (0) to (10);
create table a.parted_2 partition of a.parted default;
insert into a.parted select generate_series(1, 20);
create table "b c"."d e" (id int); insert into "b c"."d e" values (1);
create table "b c"."d" (id int);
create view a.busy as select customer, count(*) from a.orders group by 1;
comment on table a.orders is 'orders'
"""


@pytest.fixture
def tables(server: TestServer) -> Iterator[str]:
    """Give the url of a database of tables that need one another."""
    drop_part(server)
    url = server.create_database()
    rows(url, TABLES)
    yield url
    drop_part(server)


def drop_part(server: TestServer) -> None:
    """Drop what these tests restore."""
    with cursor(server.url("postgres")) as opened:
        for name in databases(server.url("postgres")):
            if name.startswith(PART):
                opened.execute(f'drop database "{name}" with (force)')


def relations(url: str) -> set[str]:
    """Return the tables and views of a database."""
    found = rows(
        url,
        "select format('%s.%s', relnamespace::regnamespace, relname) from pg_class where relkind in ('r', 'p', 'v')"
        " and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema')",
    )
    return {name for (name,) in found}


def test_a_table_comes_with_what_it_needs_and_what_hangs_on_it(
    server: TestServer, tables: str, repo: Repository, back_up: Backer
) -> None:
    manifest = back_up(tables)

    restore(repo, manifest, tables, PART, selection=Selection(tables=(("a", "customers"),)))

    url = server.url(PART)
    assert relations(url) == {"a.customers"}
    assert rows(url, "select count(*), min(mood::text) from a.customers") == [(10, "good")]
    assert rows(url, "insert into a.customers default values returning id") == [(11,)]
    assert rows(url, "select tgname from pg_trigger where not tgisinternal") == [("watch",)]
    assert rows(url, "select count(*) from pg_index where indrelid = 'a.customers'::regclass") == [(1,)]


def test_a_foreign_key_to_what_is_not_chosen_is_left_out_and_named(
    server: TestServer, tables: str, repo: Repository, back_up: Backer
) -> None:
    manifest = back_up(tables)

    report = restore(
        repo,
        manifest,
        tables,
        PART,
        selection=Selection(
            tables=(
                ("a", "orders"),
                ("b c", "d"),
            )
        ),
    )

    url = server.url(PART)
    assert relations(url) == {"a.orders", '"b c".d'}
    assert any("orders_customer_fkey" in note for note in report.notes)
    assert rows(url, "select count(*), max(n) from a.orders") == [(100, 100)]
    assert rows(url, "select count(*) from pg_index where indrelid = 'a.orders'::regclass") == [(2,)]
    assert rows(url, "insert into a.orders (n) values (1) returning id") == [(101,)]
    assert rows(url, "select obj_description('a.orders'::regclass, 'pg_class')") == [("orders",)]


def test_both_tables_bring_their_foreign_key(
    server: TestServer, tables: str, repo: Repository, back_up: Backer
) -> None:
    manifest = back_up(tables)

    restore(
        repo,
        manifest,
        tables,
        PART,
        selection=Selection(
            tables=(
                ("a", "orders"),
                ("a", "customers"),
            )
        ),
    )

    assert rows(server.url(PART), "select conname from pg_constraint where contype = 'f'") == [
        ("orders_customer_fkey",)
    ]


def test_a_partitioned_table_brings_its_partitions_and_a_partition_its_parent(
    server: TestServer, tables: str, repo: Repository, back_up: Backer
) -> None:
    manifest = back_up(tables)

    restore(repo, manifest, tables, PART, selection=Selection(tables=(("a", "parted"),)))
    restore(repo, manifest, tables, f"{PART}_2", selection=Selection(tables=(("b c", "parted_1"),)))

    assert rows(server.url(PART), "select count(*) from a.parted") == [(20,)]
    assert relations(server.url(f"{PART}_2")) == {"a.parted", '"b c".parted_1'}
    assert rows(server.url(f"{PART}_2"), "select count(*) from a.parted") == [(9,)]


def test_a_schema_comes_with_its_views(
    server: TestServer, tables: str, repo: Repository, back_up: Backer
) -> None:
    manifest = back_up(tables)

    restore(repo, manifest, tables, PART, selection=Selection(schemas=("a",)))

    url = server.url(PART)
    wanted = {"a.customers", "a.orders", "a.parted", "a.parted_2", "a.busy"}
    assert wanted <= relations(url) <= wanted | {'"b c".parted_1'}
    assert rows(url, "select sum(count) from a.busy") == [(100,)]


def test_a_part_never_replaces_a_database(tables: str, repo: Repository, back_up: Backer) -> None:
    manifest = back_up(tables)
    name = tables.rpartition("/")[2]
    with pytest.raises(GuardRefusal, match="restored beside, never over one"):
        restore(repo, manifest, tables, name, selection=Selection(schemas=("a",)))
    with pytest.raises(GuardRefusal, match=r"no table a\.x; the backup has no schema with tables nowhere"):
        restore(repo, manifest, tables, PART, selection=Selection(schemas=("nowhere",), tables=(("a", "x"),)))


LOCALES = {
    15: ["lc_collate 'C' lc_ctype 'C.UTF-8'", "locale_provider icu icu_locale 'de-AT' locale 'C'"],
    18: [
        "locale_provider builtin builtin_locale 'C.UTF-8' locale 'C'",
        "locale_provider icu icu_locale 'de' icu_rules '&a < g' locale 'C'",
        "locale_provider libc locale 'C'",
        "encoding 'LATIN1' locale_provider libc locale 'C'",
    ],
}


def test_locales_and_encodings_come_back(server: TestServer, repo: Repository, back_up: Backer) -> None:
    query = """
        select to_jsonb(d) - '{oid,datfrozenxid,datminmxid,dattablespace,datcollversion}'::text[] from pg_database as d
        where datname = current_database()
    """
    drop_part(server)
    made = 0
    for options in LOCALES.get(server.major, ["locale 'C'"]):
        try:
            rows(server.url("postgres"), f"create database {PART} template template0 {options}")
        except Exception as error:
            # Built without ICU.
            if "ICU is not supported" not in str(error):
                raise
            continue
        url = server.url(PART)
        rows(url, "create table t as select 'ä' as letter")
        before = rows(url, query)
        manifest = back_up(url)
        restore(repo, manifest, url, PART)
        assert rows(url, query) == before
        assert rows(url, "select letter from t") == [("ä",)]
        drop_part(server)
        made += 1
    assert made


def test_a_killed_scratch_server_is_removed_by_the_next(server: TestServer, repo: Repository) -> None:
    """Killed while its server runs: the server is ended, its folders go."""
    program = (
        "import os, signal, sys; from pathlib import Path; from herald_pipelines.backup.scratch import scratch_server\n"
        "with scratch_server(int(sys.argv[1]), {}, Path(sys.argv[2])) as made:\n"
        "    print(made.embedded.data_directory, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, str(server.major), str(repo.work_folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    data = Path(killed.stdout.strip())
    running = read_postmaster(data)
    assert running is not None

    with scratch_server(server.major, {}, repo.work_folder) as alive:
        assert not data.exists()
        assert read_postmaster(data) is None
        # The living one is left alone.
        assert remove_dead(repo.work_folder / "scratch") == 0
        assert rows(
            alive.address("postgres").url, "select current_setting('wal_level'), current_setting('fsync')"
        ) == [("minimal", "off")]
    assert list((repo.work_folder / "scratch").iterdir()) == []


def test_a_scratch_server_that_is_killed_while_it_is_made(server: TestServer, repo: Repository) -> None:
    program = (
        "import sys; from pathlib import Path; from herald_pipelines.backup.scratch import scratch_server\n"
        "print(1, flush=True)\n"
        "with scratch_server(int(sys.argv[1]), {}, Path(sys.argv[2])):\n    pass\n"
    )
    for milliseconds in (30, 150, 400, 800):
        made = subprocess.Popen(
            [sys.executable, "-c", program, str(server.major), str(repo.work_folder)], stdout=subprocess.PIPE
        )
        assert made.stdout is not None
        made.stdout.readline()
        time.sleep(milliseconds / 1000)
        made.kill()
        made.wait()
        made.stdout.close()
    place = repo.work_folder / "scratch"
    deadline = time.monotonic() + 60
    while list(place.iterdir()):
        # An initdb of a killed process may still be writing.
        remove_dead(place)
        assert time.monotonic() < deadline, list(place.rglob("*"))[:10]
        time.sleep(0.2)


def test_programs_without_a_server_are_told(repo: Repository) -> None:
    with (
        pytest.raises(UsageError, match="a server of PostgreSQL 99"),
        scratch_server(99, {}, repo.work_folder),
    ):
        pass
    assert not EmbeddedServer(repo.work_folder / "scratch").status().running
