"""Runs that are killed, told to stop or cut off: the next one does what is left, and nothing twice."""

import signal
import subprocess
import time

import pytest
from maintaining import (
    TASK,
    dead_rows,
    log,
    maintain,
    make_dead_rows,
    run_sql,
    start_worker,
)

from herald_pipelines.errors import DatabaseUnavailable
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import Outcome
from servers import wait_until

AT_WORK = "exists (select from pg_stat_progress_vacuum where datname = current_database() and relid = 'slow'::regclass)"
LONG_SECONDS = 60


def make_two(url: str) -> None:
    """Make a table that is done at once, and one whose VACUUM takes minutes because it is told to go slowly."""
    # The worse of the two goes first.
    make_dead_rows(url, "quick", rows=1000, dead=990)
    make_dead_rows(url, "slow", rows=60_000, dead=20_000)
    name = url.rpartition("/")[2].partition("?")[0]
    run_sql(
        url,
        f"alter database {name} set vacuum_cost_delay = 100",
        f"alter database {name} set vacuum_cost_limit = 20",
    )


def hurry(url: str) -> None:
    name = url.rpartition("/")[2].partition("?")[0]
    run_sql(url, f"alter database {name} reset all")


def begin_next_run(url: str, ops_url: str) -> list[str | None]:
    """Do what every run does first: wait for the dead run's server process, close its rows."""
    target = Postgres(url, "platform", task=TASK)
    with target.session(autocommit=True) as session:
        assert session.wait_for_lock(TASK, LONG_SECONDS)
        closed = Ledger(Postgres(ops_url, "ops")).close_interrupted(target.identity(), TASK)
    return [entry.object_name for entry in closed]


def test_killed_the_next_run_does_what_is_left_and_nothing_twice(database_url: str, ops_url: str):
    make_two(database_url)
    worker = start_worker(database_url, ops_url)
    try:
        wait_until(database_url, AT_WORK)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.communicate(timeout=LONG_SECONDS)
    assert [row[:2] for row in log(ops_url)] == [("public.quick", "done"), ("public.slow", "running")]
    assert begin_next_run(database_url, ops_url) == ["public.slow"]
    assert dead_rows(database_url, "slow") == 20_000
    hurry(database_url)
    # As needy as before: but this window has done it.
    run_sql(database_url, "delete from quick")
    report = maintain(database_url, ops_url)
    assert [(each.name, each.outcome) for each in report.handled] == [("public.slow", Outcome.DONE)]
    assert dead_rows(database_url, "slow") == 0
    assert [row[:2] for row in log(ops_url)] == [
        ("public.quick", "done"),
        ("public.slow", "interrupted"),
        ("public.slow", "done"),
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_it_stops_the_server_and_closes_its_row(
    database_url: str, ops_url: str, number: signal.Signals
):
    make_two(database_url)
    worker = start_worker(database_url, ops_url)
    try:
        wait_until(database_url, AT_WORK)
        worker.send_signal(number)
        worker.wait(timeout=LONG_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.fail("it did not stop")
    finally:
        worker.kill()
        worker.communicate()
    wait_until(database_url, f"not {AT_WORK}")
    assert [row[:2] for row in log(ops_url)] == [("public.quick", "done"), ("public.slow", "interrupted")]


def test_cut_off_from_the_server_the_row_is_closed_and_the_next_run_does_it(database_url: str, ops_url: str):
    make_two(database_url)
    said: list[str] = []

    def cut_off(text: str) -> None:
        said.append(text)
        if text.startswith("public.slow: "):
            run_sql(
                database_url,
                "select pg_terminate_backend(pid) from pg_stat_progress_vacuum"
                " where datname = current_database() and relid = 'slow'::regclass",
            )

    with pytest.raises(DatabaseUnavailable):
        maintain(database_url, ops_url, say=cut_off)
    # What was told before is the progress that PostgreSQL shows.
    assert any("scanning heap" in text or "vacuuming" in text for text in said)
    assert [row[:2] for row in log(ops_url)] == [("public.quick", "done"), ("public.slow", "failed")]
    hurry(database_url)
    begin_next_run(database_url, ops_url)
    assert [each.name for each in maintain(database_url, ops_url).of(Outcome.DONE)] == ["public.slow"]


def test_a_budget_that_ends_within_a_vacuum_ends_it(database_url: str, ops_url: str):
    make_two(database_url)
    started = time.monotonic()
    report = maintain(database_url, ops_url, budget_seconds=8, only=lambda name: name == "public.slow")
    assert time.monotonic() - started >= 8
    (failed,) = report.failed
    assert "the time budget ended" in (failed.reason or "")
    assert log(ops_url)[0][1] == "failed"
