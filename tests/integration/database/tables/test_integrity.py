"""amcheck finds an index that was damaged on disk, and says so loudly; the others have their turn by age."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psycopg2
import pytest
from maintaining import log, run_sql

from herald_pipelines.database.integrity.amcheck import (
    check_btrees,
    find_hindrance,
    read_btrees,
    read_losses,
    read_verdicts,
)
from herald_pipelines.database.integrity.checks import check_soundness
from herald_pipelines.database.integrity.plan import Checked, CheckPlan, plan_checks
from herald_pipelines.errors import DatabaseUnavailable
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import Outcome
from server_programs import server_programs
from servers import TestServer, temporary_home, wait_until

TASK = "full_database_maintenance"
BLOCK = 8192


@pytest.fixture(scope="module", params=[15, 18])
def own_server(request: pytest.FixtureRequest) -> Iterator[TestServer]:
    """Give a server that may be stopped."""
    with temporary_home() as home:
        embedded = EmbeddedServer(home, binaries=server_programs(request.param), durable=False)
        embedded.ensure_started()
        yield TestServer(embedded)


@pytest.fixture
def database_url(own_server: TestServer) -> Iterator[str]:
    url = own_server.create_database()
    run_sql(
        url,
        "create schema looker",
        "create extension amcheck schema looker",
        'create table t (id int, "Größe \'x" text)',
        "insert into t select n, md5(n::text) from generate_series(1, 20000) n",
        "create index sound on t (id)",
        'create index "Dam""aged" on t ("Größe \'x")',
    )
    yield url
    own_server.drop_databases()


def look_through(
    url: str, ops_url: str, *, window: str, budget_seconds: float = 600
) -> tuple[CheckPlan, tuple[Checked, ...]]:
    target = Postgres(url, "platform", task=TASK)
    identity, ops = target.identity(), Postgres(ops_url, "ops")
    with target.session() as session:
        assert find_hindrance(session) is None
        btrees = [each for each in read_btrees(session) if each.schema == "public"]
    plan = plan_checks(
        btrees,
        read_verdicts(ops, identity, TASK, window),
        read_losses(ops, identity, TASK, window),
        budget_seconds=600,
    )
    checked = check_btrees(
        plan,
        target=target,
        identity=identity,
        ledger=Ledger(ops, "test"),
        task=TASK,
        window=window,
        budget_seconds=budget_seconds,
        say=[].append,
    )
    return plan, checked


def damage(server: TestServer, url: str, index: str) -> None:
    """Write over keys in a leaf page of an index while nobody has it in memory."""
    ((path,),) = run_sql(url, f"select pg_relation_filepath('{index}'::regclass)")
    server.embedded.stop()
    file = Path(server.embedded.data_directory) / path
    owner = file.stat()
    with file.open("r+b") as pages:
        # Page 0 is the metapage; the middle of the next holds items. Bytes at random may end the server that reads them.
        pages.seek(BLOCK + BLOCK // 2)
        pages.write(b"\xff" * 256)
    assert (file.stat().st_uid, file.stat().st_gid) == (owner.st_uid, owner.st_gid)
    server.embedded.ensure_started()


def test_an_index_that_was_damaged_on_disk_is_found(own_server: TestServer, database_url: str, ops_url: str):
    name = database_url.rpartition("/")[2].partition("?")[0]
    plan, checked = look_through(database_url, ops_url, window="2026-11-15")
    assert {each.outcome for each in checked} == {Outcome.DONE}
    assert check_soundness(plan, checked).passed
    damage(own_server, database_url, '"Dam""aged"')
    url = own_server.url(name)
    plan, checked = look_through(url, ops_url, window="2026-11-22")
    fates = {each.step.btree.index: each for each in checked}
    assert fates["sound"].outcome is Outcome.DONE
    assert fates['Dam"aged'].outcome is Outcome.FAILED
    verdict = check_soundness(plan, checked)
    assert (verdict.passed, verdict.is_error) == (False, True)
    assert 'Dam"aged' in verdict.summary
    rows = run_sql(ops_url, "select index_name, sound from herald.index_soundness order by 1")
    assert rows == [('public.Dam"aged', False), ("public.sound", True)]
    # In a later run it is the first, also of the same window; what was found sound is not looked at again.
    plan, _ = look_through(url, ops_url, window="2026-11-22")
    assert [step.btree.index for step in plan.steps] == ['Dam"aged']
    run_sql(url, 'reindex index "Dam""aged"')
    plan, checked = look_through(url, ops_url, window="2026-11-29")
    assert check_soundness(plan, checked).passed


def test_without_amcheck_or_the_right_to_use_it_nothing_is_called_sound(
    own_server: TestServer, database_url: str
):
    name = database_url.rpartition("/")[2].partition("?")[0]
    run_sql(database_url, f"create role looker_{name} login password 'x'")
    address = database_url.replace("postgres:", f"looker_{name}:x@", 1)
    address = f"postgresql://looker_{name}:x@{database_url.rpartition('@')[2]}"
    with Postgres(address, "platform").session() as session:
        hindrance = find_hindrance(session)
    assert hindrance is not None
    cure = hindrance.partition(": ")[2]
    run_sql(database_url, *cure.split("; "))
    with Postgres(address, "platform").session() as session:
        assert find_hindrance(session) is None
    run_sql(
        database_url, f"drop owned by looker_{name}", f"drop role looker_{name}", "drop extension amcheck"
    )
    with Postgres(database_url, "platform").session() as session:
        missing = find_hindrance(session)
        plan = plan_checks(read_btrees(session), {}, {}, budget_seconds=60, hindrance=missing)
    assert missing is not None
    assert plan.steps == ()
    verdict = check_soundness(plan, ())
    assert not verdict.passed
    assert "create extension amcheck" in verdict.summary


def test_a_locked_index_is_left_for_later_and_is_neither_sound_nor_corrupt(database_url: str, ops_url: str):
    holder = psycopg2.connect(database_url)
    holder.cursor().execute("lock table t in access exclusive mode")
    plan, checked = look_through(database_url, ops_url, window="2026-11-22")
    holder.close()
    assert {each.outcome for each in checked} == {Outcome.SKIPPED}
    assert check_soundness(plan, checked).metadata["checked"] == 0
    assert {row[1] for row in log(ops_url)} == {"skipped"}
    _, checked = look_through(database_url, ops_url, window="2026-11-22")
    assert {each.outcome for each in checked} == {Outcome.DONE}


def fall_over(server: TestServer, url: str, ops_url: str, *, window: str) -> None:
    """Let the server process that looks through the first index of a plan end as if it had met a wild pointer."""
    holder = psycopg2.connect(url)
    holder.cursor().execute("lock table t in access exclusive mode")
    waiting = "from pg_stat_activity where wait_event_type = 'Lock' and query like '%bt_index_check%'"
    with ThreadPoolExecutor(max_workers=1) as pool:
        looking = pool.submit(look_through, url, ops_url, window=window)
        wait_until(url, f"exists (select {waiting})")
        ((pid,),) = run_sql(url, f"select pid {waiting}")
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(DatabaseUnavailable):
            looking.result(timeout=120)
    holder.close()
    server.embedded.ensure_started()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(psycopg2.OperationalError):
            run_sql(url, "select 1")
            return
        time.sleep(0.05)
    raise AssertionError("the server did not come back")


def test_an_index_that_ends_the_servers_process_is_tried_once_more_and_then_left_alone(
    own_server: TestServer, database_url: str, ops_url: str
):
    fall_over(own_server, database_url, ops_url, window="2026-11-08")
    # The next run of the window leaves that one alone and does the others.
    plan, checked = look_through(database_url, ops_url, window="2026-11-08")
    ((name, reason),) = plan.lost.items()
    assert "looked through it, once, last" in reason
    assert "once more in a later window" in reason
    assert [each.outcome for each in checked] == [Outcome.DONE]
    verdict = check_soundness(plan, checked)
    assert (verdict.passed, verdict.is_error) == (False, True)
    assert name in verdict.summary
    # In the next window it has its turn after the others; whatever comes of that is a verdict like any other.
    target = Postgres(database_url, "platform")
    ops, identity = Postgres(ops_url, "ops"), target.identity()
    with target.session() as session:
        btrees = [each for each in read_btrees(session) if each.schema == "public"]
    later = read_losses(ops, identity, TASK, "2026-11-15")
    plan = plan_checks(btrees, read_verdicts(ops, identity, TASK, "2026-11-15"), later, budget_seconds=600)
    assert [step.btree.name for step in plan.steps][-1] == name
    assert plan.lost == {}
    # The second time in a row is no chance any more.
    run_sql(database_url, "drop index sound" if "Dam" in name else 'drop index "Dam""aged"')
    fall_over(own_server, database_url, ops_url, window="2026-11-15")
    plan, checked = look_through(database_url, ops_url, window="2026-11-22")
    assert (plan.steps, checked) == ((), ())
    assert "2 times" in plan.lost[name]
    cure = plan.lost[name].rpartition(": ")[2]
    assert not check_soundness(plan, checked).passed
    assert run_sql(ops_url, "select index_name, sound from herald.index_soundness where sound is null") == [
        (name, None)
    ]
    run_sql(database_url, cure)
    plan, checked = look_through(database_url, ops_url, window="2026-11-22")
    assert [each.outcome for each in checked] == [Outcome.DONE]
    assert check_soundness(plan, checked).passed
