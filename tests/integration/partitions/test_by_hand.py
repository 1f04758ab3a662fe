"""What people do by hand beside ours, and what a store that is away does not hold up."""

import threading
import time

import psycopg2
import pytest
from yard import LATER, Gate, Yard, execute, wait_for

from herald_pipelines.partitions.work import Patience
from servers import TestServer

JANUARY = "public.matches_2024_01"
WITHOUT = {"public.matches": {"archive": False, "premake": 0}}
SHORT = Patience(tries=2, pause=0.1, holder=0.5, finalize=1, poll=0.1)
TABLE = """
create table public.matches (id bigint not null, played_at timestamptz not null, note text) partition by range (played_at);
create table public.matches_2024_01 partition of public.matches for values from ('2024-01-01Z') to ('2024-02-01Z');
insert into public.matches values (1, '2024-01-05Z', 'a');
"""


@pytest.fixture(params=["pg15", "pg18"])
def server(request: pytest.FixtureRequest) -> TestServer:
    """Give two servers, however many the others run on."""
    return request.getfixturevalue(request.param)


def test_what_a_person_detaches_after_ours_failed_is_theirs(open_it):
    yard: Yard = open_it(TABLE, rules=WITHOUT)
    holder = psycopg2.connect(yard.url)
    holder.cursor().execute("select * from public.matches")
    (done,) = yard.clean_up(SHORT)
    assert (done.name, done.outcome) == (JANUARY, "failed")
    holder.close()
    execute(yard.url, "alter table public.matches detach partition public.matches_2024_01")
    assert yard.steps("partition_cleanup") == []
    assert yard.steps("partition_cleanup", LATER) == []
    assert yard.rows(JANUARY)[0][0] == 1


def test_a_plan_in_mode_observe_changes_nothing_of_what_is_known(open_it):
    yard: Yard = open_it(TABLE, rules=WITHOUT)
    assert yard.steps("partition_cleanup") == [(JANUARY, "detach", "done")]
    yard.database = {"mode": "observe"}
    yard.write()
    ((name, step, outcome),) = yard.steps("partition_cleanup", LATER)
    assert (step, outcome) == ("drop", "planned")
    assert "_detached_" in name
    assert yard.ledger()[-1] == (JANUARY, "drop", "planned")
    yard.database = {}
    yard.write()
    # What is only detached needs no store.
    (yard.home / "store").rename(yard.home / "away")
    assert yard.restore("matches_2024_01")[0]["partition"] == JANUARY
    assert yard.restore("matches_2024_01", yes=True)[0]["done"]
    assert yard.tables()["matches_2024_01"]


def test_a_pending_detaching_is_ended_without_a_store(open_it):
    yard: Yard = open_it(TABLE, rules={"public.matches": {"premake": 0}})
    assert yard.steps("partition_archive") == [(JANUARY, "archive", "done")]
    gate = Gate(yard.url, of_ledger=False)
    gate.close("alter table%concurrently%")
    run = yard.start("partition_cleanup")
    wait_for(gate.waiting, "the detaching at the gate")
    holder = psycopg2.connect(yard.url)
    holder.cursor().execute("select count(*) from public.matches")
    gate.open()
    pending = "select bool_or(inhdetachpending) from pg_inherits"
    wait_for(lambda: execute(yard.url, pending) == [(True,)], "the pending detaching")
    visible = yard.run("partition_inventory").checks[1]
    assert (visible.check, visible.passed, visible.is_error) == ("partitions_are_visible", False, True)
    run.kill()
    run.communicate(timeout=60)
    holder.close()
    (yard.home / "store").rename(yard.home / "away")
    assert yard.steps("partition_cleanup") == [(JANUARY, "detach", "done")]
    assert execute(yard.url, pending) == [(None,)]


def test_a_busy_table_is_detached_although_somebody_is_always_at_it(open_it):
    yard: Yard = open_it(TABLE, rules=WITHOUT)
    is_over = threading.Event()

    def keep_busy() -> None:
        """Begin each transaction before the one before ends."""
        sessions = [psycopg2.connect(yard.url) for _ in range(2)]
        turn = 0
        while not is_over.is_set():
            sessions[turn].cursor().execute("select count(*) from public.matches")
            turn = 1 - turn
            sessions[turn].rollback()
            time.sleep(0.05)
        for each in sessions:
            each.close()

    busy = threading.Thread(target=keep_busy)
    busy.start()
    try:
        held = "select count(*) from pg_locks where relation = 'public.matches'::regclass and granted"
        wait_for(lambda: execute(yard.url, held) != [(0,)], "somebody at the table")
        (done,) = yard.clean_up(Patience(tries=20, pause=0.1, holder=20, finalize=60, poll=0.1))
    finally:
        is_over.set()
        busy.join()
    assert (done.outcome, done.reason) == ("done", None)


def test_an_older_snapshot_elsewhere_is_named_before_rows_become_invisible(open_it):
    yard: Yard = open_it(TABLE + "create table public.elsewhere (id int)", rules=WITHOUT)
    report = psycopg2.connect(yard.url)
    report.set_session(isolation_level="REPEATABLE READ")
    report.cursor().execute("select count(*) from public.elsewhere")
    (done,) = yard.clean_up(SHORT)
    assert done.outcome == "failed"
    assert f"is held by session {report.info.backend_pid}, for " in (done.reason or "")
    assert execute(yard.url, "select bool_or(inhdetachpending) from pg_inherits") == [(False,)]
    assert len(yard.rows()) == 1
    report.close()
    # One that waits for nothing but its next statement holds no snapshot.
    writer = psycopg2.connect(yard.url)
    writer.cursor().execute("insert into public.elsewhere values (1)")
    assert yard.steps("partition_cleanup") == [(JANUARY, "detach", "done")]
    writer.rollback()
