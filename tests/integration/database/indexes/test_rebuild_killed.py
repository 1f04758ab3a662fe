"""Rebuilds that are killed, told to stop or cut off: the next run leaves neither a leftover nor a duplicate."""

import random
import signal
import time

import pytest
from rebuilding import (
    TASK,
    begin_next_run,
    hold,
    indexes,
    kill,
    log,
    make_bloat,
    rebuild,
    run_sql,
    start_worker,
    step_for,
    wait_for_phase,
)

from herald_pipelines.database.indexes.context import Patience
from herald_pipelines.database.indexes.history import read_baselines
from herald_pipelines.errors import DatabaseUnavailable
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import Outcome
from servers import TestServer


@pytest.fixture(params=["pg15", "pg18"])
def server(request: pytest.FixtureRequest) -> TestServer:
    """Give two servers, however many the others run on: these tests mostly wait."""
    return request.getfixturevalue(request.param)


def assert_next_run_heals(url: str, ops_url: str) -> None:
    report = rebuild(url, ops_url, "public.i")
    assert len(report.done) == 1, report
    found = indexes(url)
    assert list(found) == ["i"], found
    assert found["i"][1]


@pytest.mark.parametrize(
    ("phase", "statements", "left", "was_swapped"),
    [
        ("waiting for writers before build", ["insert into t values (0, 'x')"], "i_ccnew", False),
        (
            "waiting for old snapshots",
            ["set transaction isolation level repeatable read", "select 1"],
            "i_ccnew",
            False,
        ),
        ("waiting for readers before marking dead", ["select count(*) from t"], "i_ccold", True),
    ],
)
def test_killed_while_it_waits_the_next_run_heals(
    database_url: str, ops_url: str, phase: str, statements: list[str], left: str, *, was_swapped: bool
):
    make_bloat(database_url)
    before = indexes(database_url)["i"]
    target = Postgres(database_url, "platform")
    # What a run in mode `observe` leaves tells nothing about leftovers.
    Ledger(Postgres(ops_url, "ops")).record(
        target.identity(),
        TASK,
        "2026-11-21",
        Outcome.PLANNED,
        object_name="public.i",
        object_oid=before[0],
        evidence={"size_bytes": before[2], "promised_bytes": 1},
    )
    holder = hold(database_url, *statements)
    worker = start_worker(database_url, ops_url)
    wait_for_phase(database_url, phase)
    kill(worker)
    begin_next_run(database_url, ops_url)
    found = indexes(database_url)
    assert set(found) == {"i", left}
    assert [found["i"][1], found[left][1]] == [True, False]
    holder.close()
    report = rebuild(database_url, ops_url)
    assert [(each.name, each.outcome) for each in report.leftovers] == [(f"public.{left}", Outcome.DONE)]
    assert list(indexes(database_url)) == ["i"]
    # A rebuild that was swapped in is recorded as done, with its gain, exactly once.
    rebuild(database_url, ops_url)
    finished = [row for row in log(ops_url) if row[0] == "public.i" and row[1] == "done"]
    assert len(finished) == was_swapped
    for row in finished:
        assert row[4]["index_oid"] == indexes(database_url)["i"][0]
        assert row[4]["achieved_bytes"] == before[2] - indexes(database_url)["i"][2] > 0
    assert_next_run_heals(database_url, ops_url)


def test_an_index_that_was_bloated_again_before_its_killed_rebuild_was_settled_is_no_baseline(
    database_url: str, ops_url: str
):
    make_bloat(database_url)
    holder = hold(database_url, "select count(*) from t")
    worker = start_worker(database_url, ops_url)
    wait_for_phase(database_url, "waiting for readers before marking dead")
    kill(worker)
    begin_next_run(database_url, ops_url)
    holder.close()
    run_sql(
        database_url,
        "insert into t select n, md5(n::text) from generate_series(1, 50000) n;"
        "delete from t where id % 5 <> 0; vacuum t",
    )
    rebuild(database_url, ops_url)
    assert ("public.i", "done") in [row[:2] for row in log(ops_url)]
    with Postgres(ops_url, "ops").session() as ops:
        assert read_baselines(ops, Postgres(database_url, "platform").identity()) == {}


def test_killed_at_random_moments_the_next_run_leaves_neither_leftover_nor_duplicate(
    database_url: str, ops_url: str
):
    run_sql(
        database_url,
        "create table t (id bigint, v text); insert into t select n, md5(n::text) from generate_series(1, 200000) n;"
        "create index i on t (v, id)",
    )
    chance = random.Random(11)
    for _ in range(6):
        worker = start_worker(database_url, ops_url)
        time.sleep(chance.uniform(0.1, 1.2))
        kill(worker)
        begin_next_run(database_url, ops_url)
        found = indexes(database_url)
        assert found["i"][1]
        assert not any(valid for name, (_, valid, _) in found.items() if name != "i")
        assert_next_run_heals(database_url, ops_url)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("phase", "statements", "left"),
    [
        ("waiting for writers before build", ["insert into t values (0, 'x')"], "i_ccnew"),
        ("waiting for readers before marking dead", ["select count(*) from t"], "i_ccold"),
    ],
)
def test_told_to_stop_it_stops_the_server_and_closes_its_row(
    database_url: str, ops_url: str, number: signal.Signals, phase: str, statements: list[str], left: str
):
    make_bloat(database_url)
    holder = hold(database_url, *statements)
    worker = start_worker(database_url, ops_url)
    wait_for_phase(database_url, phase)
    kill(worker, number)
    # Nothing is left to wait for: no server process of ours, no open row.
    assert run_sql(database_url, "select pid from pg_stat_progress_create_index") == []
    assert [row[:2] for row in log(ops_url)] == [("public.i", "interrupted")]
    assert set(indexes(database_url)) == {"i", left}
    holder.close()
    assert_next_run_heals(database_url, ops_url)
    assert "running" not in {row[1] for row in log(ops_url)}


def test_cut_off_from_the_server_the_next_run_finds_out_what_became_of_it(database_url: str, ops_url: str):
    make_bloat(database_url)
    step = step_for(Postgres(database_url, "platform"), "public.i")
    holder = hold(database_url, "insert into t values (0, 'x')")

    def cut_off(text: str) -> None:
        if "waiting for writers" in text:
            terminate = "select pg_terminate_backend(pid) from pg_stat_progress_create_index"
            run_sql(database_url, terminate)

    with pytest.raises(DatabaseUnavailable):
        rebuild(database_url, ops_url, steps=(step,), patience=Patience(1, 60, 60, 0.1), say=cut_off)
    assert [row[:2] for row in log(ops_url)] == [("public.i", "interrupted")]
    holder.close()
    begin_next_run(database_url, ops_url)
    assert_next_run_heals(database_url, ops_url)
