"""Databases dumped by several programs at once: one snapshot, each row once, and all of it or nothing."""

import threading
from collections.abc import Callable

import pytest
from restoring import cursor, restore, rows

from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.facts import Manifest, Scope
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_plan import Selection
from herald_pipelines.backup.verify import verify_backup
from herald_pipelines.errors import HeraldError
from herald_pipelines.values import utc_now
from servers import TestServer

Backer = Callable[..., Manifest]
TABLES = """
create table a (id serial primary key, t text);
insert into a (t) select repeat('a', 100) from generate_series(1, 3000);
create table b (id int primary key references a, t text);
insert into b select n, repeat('b', 50) from generate_series(1, 3000) as n;
create table "C ""d"".*$" as select n from generate_series(1, 3000) as n;
create table small as select 1 as n;
create table empty (n int);
"""
COUNTS = """select (select count(*) from a), (select count(*) from b), (select count(*) from small)"""
BESIDE = "beside"


@pytest.fixture
def beside(server: TestServer):
    """Give the url of a database that a part is restored into, and drop it."""
    yield server.url(BESIDE)
    with cursor(server.url("postgres")) as opened:
        opened.execute(f"drop database if exists {BESIDE} with (force)")


def test_each_row_is_in_one_archive(repo: Repository, back_up: Backer, database_url: str) -> None:
    rows(database_url, TABLES)

    manifest = back_up(database_url, streams=3)

    assert [part.name for part in manifest.archives] == ["dump", "rows-2", "rows-3"]
    (backup,) = read_catalog(repo).backups
    proof = verify_backup(repo, backup, Scope.FULL, {}, now=utc_now(), say=lambda _text: None)
    assert (proof.passed, proof.details["tables"]) == (True, 5)
    clear = sum(part.clear_bytes for part in manifest.archives)
    whole = back_up(database_url, streams=1)
    assert clear - whole.clear_bytes < 30_000, "rows are in two archives"


def test_more_programs_than_tables(repo: Repository, back_up: Backer, database_url: str) -> None:
    rows(database_url, "create table only_one as select 1 as n")
    assert len(back_up(database_url, streams=16).archives) <= 2


def test_one_snapshot_for_all(repo: Repository, back_up: Backer, database_url: str, beside: str) -> None:
    """Both tables change together, all the time: what comes back has both sides of each change or none."""
    rows(database_url, "create table one (n int); create table two (n int)")
    stopped = threading.Event()

    def change() -> None:
        with cursor(database_url) as opened:
            while not stopped.is_set():
                opened.execute("with i as (insert into one values (1)) insert into two values (1)")

    writer = threading.Thread(target=change)
    writer.start()
    try:
        manifest = back_up(database_url, streams=3)
    finally:
        stopped.set()
        writer.join()

    restore(repo, manifest, database_url, BESIDE)

    ((same, any_rows),) = rows(
        beside, "select (select count(*) from one) = (select count(*) from two), exists (select from one)"
    )
    assert (same, any_rows) == (True, True)


def test_a_part_of_it_comes_back(repo: Repository, back_up: Backer, database_url: str, beside: str) -> None:
    rows(database_url, TABLES)
    manifest = back_up(database_url, streams=3)

    restore(
        repo,
        manifest,
        database_url,
        BESIDE,
        selection=Selection(tables=(("public", "b"), ("public", 'C "d".*$'))),
    )

    assert rows(beside, "select count(*), min(id), max(id) from b") == [(3000, 1, 3000)]
    assert rows(beside, 'select count(*) from "C ""d"".*$"') == [(3000,)]
    assert rows(beside, "select count(*) from pg_class where relname in ('a', 'small')") == [(0,)]


def test_names_that_the_database_writes_in_its_own_encoding(
    server: TestServer, repo: Repository, back_up: Backer, beside: str
) -> None:
    with cursor(server.url("postgres")) as opened:
        opened.execute("drop database if exists latin with (force)")
        opened.execute(
            "create database latin template template0 encoding latin1 locale_provider libc locale 'C'"
        )
    url = server.url("latin")
    try:
        rows(url, """create table "größe" as select 'é' as t; create table plain as select 'ü' as t""")
        manifest = back_up(url, streams=3)
        restore(repo, manifest, url, BESIDE)
        assert rows(beside, 'select g.t, p.t from "größe" as g, plain as p') == [("é", "ü")]
    finally:
        with cursor(server.url("postgres")) as opened:
            opened.execute("drop database latin with (force)")


def test_one_that_fails_ends_all(repo: Repository, back_up: Backer, database_url: str) -> None:
    rows(database_url, TABLES)
    rows(
        database_url, "insert into a (t) select repeat(md5(n::text), 60) from generate_series(1, 100000) as n"
    )
    ended = threading.Event()

    def terminate() -> None:
        with cursor(database_url) as opened:
            while not ended.is_set():
                opened.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where query like 'COPY public.a %'"
                )

    killer = threading.Thread(target=terminate)
    killer.start()
    try:
        with pytest.raises(HeraldError, match="pg_dump"):
            back_up(database_url, streams=3)
    finally:
        ended.set()
        killer.join()

    catalog = read_catalog(repo)
    assert (catalog.backups, catalog.unfinished, catalog.problems) == ((), (), ())
    copying = "select count(*) from pg_stat_activity where query like 'COPY %' and state = 'active'"
    assert rows(database_url, copying) == [(0,)]
