"""Rebuilds beside a real pg_dump of the same database, whose snapshot REINDEX CONCURRENTLY would have to wait for."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator

import psycopg2
import pytest
from rebuilding import hold, indexes, log, make_bloat, rebuild, run_sql
from sqlalchemy import make_url

from herald_pipelines.resources.server_host import find_binaries
from servers import TestServer

Dump = tuple[subprocess.Popen[bytes], psycopg2.extensions.connection]


@pytest.fixture
def dump(server: TestServer, database_url: str) -> Iterator[Callable[[], Dump]]:
    """Give what starts a dump that has its snapshot and waits for a table, with the session that holds the table."""
    run_sql(database_url, "create table held (id int)")
    begun: list[Dump] = []

    def begin() -> Dump:
        holder = hold(database_url, "lock table held in access exclusive mode")
        # npm's builds have none; a newer one dumps older servers.
        folders = (server.embedded._binaries.folder, find_binaries().folder)
        program = next(folder / "pg_dump" for folder in folders if (folder / "pg_dump").is_file())
        url = make_url(database_url)
        dump = subprocess.Popen(
            [program, "-h", str(url.host), "-p", str(url.port), "-U", str(url.username), str(url.database)],
            env=os.environ | {"PGPASSWORD": str(url.password)},
            stdout=subprocess.DEVNULL,
        )
        begun.append((dump, holder))
        waiting = (
            "select pid from pg_stat_activity where application_name = 'pg_dump' and wait_event_type = 'Lock'"
        )
        while run_sql(database_url, waiting) == []:
            assert dump.poll() is None
            time.sleep(0.02)
        return begun[-1]

    yield begin
    for dump, holder in begun:
        holder.close()
        dump.kill()
        dump.wait()


def test_a_dump_is_waited_for_within_the_budget_and_named(
    database_url: str, ops_url: str, dump: Callable[[], Dump]
):
    make_bloat(database_url)
    process, _ = dump()
    report = rebuild(database_url, ops_url, "public.i", budget_seconds=3)
    assert report.done == report.failed == report.leftovers == ()
    (skipped,) = report.skipped
    assert "it had to wait for an old snapshot" in skipped.reason
    assert "pg_dump" in skipped.reason
    assert [row[:3] for row in log(ops_url)] == [("public.i", "skipped", skipped.reason)]
    assert set(indexes(database_url)) == {"i"}
    assert process.poll() is None


def test_it_goes_on_when_the_dump_ends(database_url: str, ops_url: str, dump: Callable[[], Dump]):
    make_bloat(database_url)
    process, holder = dump()
    said: list[str] = []

    def let_go_when_waited_for(text: str) -> None:
        said.append(text)
        if "public.i waits for" in text:
            holder.close()

    report = rebuild(database_url, ops_url, "public.i", say=let_go_when_waited_for)
    assert [each.name for each in report.done] == ["public.i"]
    assert any("pg_dump" in text for text in said)
    assert process.wait() == 0
    assert set(indexes(database_url)) == {"i"}


def test_a_dump_that_begins_within_a_rebuild_makes_it_fail_and_leaves_nothing_in_the_end(
    database_url: str, ops_url: str, dump: Callable[[], Dump]
):
    make_bloat(database_url)
    begun: list[Dump] = []

    def begin_dump(text: str) -> None:
        if text.startswith("rebuilding public.i"):
            begun.append(dump())

    report = rebuild(database_url, ops_url, "public.i", say=begin_dump)
    (failed,) = report.failed
    assert "lock timeout" in failed.reason
    ((process, holder),) = begun
    holder.close()
    assert process.wait() == 0
    assert len(rebuild(database_url, ops_url, "public.i").done) == 1
    assert set(indexes(database_url)) == {"i"}
