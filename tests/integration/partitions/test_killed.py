"""Runs that are killed within and between their steps: the next goes on, and nothing is lost or doubled."""

import psycopg2
import pytest
from yard import LATER, Gate, Yard, execute, kill_at, wait_for

from servers import TestServer

JANUARY = "public.matches_2024_01"
WITHOUT = {"public.matches": {"archive": False, "premake": 1}}
RULE = {"public.matches": {"premake": 1}}
ONE = """
create table public.matches (id bigint not null, played_at timestamptz not null, note text) partition by range (played_at);
create table public.matches_2024_01 partition of public.matches for values from ('2024-01-01Z') to ('2024-02-01Z');
insert into public.matches select n, timestamptz '2024-01-05Z' + n * interval '1 minute', 'x' from generate_series(1, 500) n;
"""
DEFAULT = "create table public.matches_rest partition of public.matches default"


@pytest.fixture(params=["pg15", "pg18"])
def server(request: pytest.FixtureRequest) -> TestServer:
    """Give two servers, however many the others run on."""
    return request.getfixturevalue(request.param)


def detached(yard: Yard) -> list[str]:
    return [name for name in yard.tables() if "_detached_" in name]


def invisible(yard: Yard) -> bool:
    return execute(yard.url, "select bool_or(inhdetachpending) from pg_inherits") == [(True,)]


def test_killed_while_archiving(open_it):
    yard: Yard = open_it(ONE, rules=RULE)
    ledger = Gate(yard.ops_url, of_ledger=True)
    run = yard.start("partition_archive", stop_at="restoring")
    assert run.stdout is not None
    assert run.stdout.readline() == "stopped\n"
    run.kill()
    run.communicate(timeout=60)
    assert len(yard.archives()) == 1
    # The archive that was left is proven, not made again.
    kill_at(yard, ledger, "archive", "partition_archive")
    assert yard.steps("partition_cleanup") == []
    assert yard.steps("partition_archive") == [(JANUARY, "archive", "done")]
    assert len(yard.archives()) == 1
    assert [outcome for _, _, outcome in yard.ledger()] == ["interrupted", "interrupted", "done"]

    # An archive of rows that have changed is no archive: another is made.
    execute(yard.url, "insert into public.matches values (0, '2024-01-31Z', 'late')")
    assert yard.steps("partition_cleanup") == [(JANUARY, "detach", "skipped")]
    assert yard.tables()["matches_2024_01"]
    assert yard.steps("partition_archive") == [(JANUARY, "archive", "done")]
    assert [each["partition"]["rows"] for each in yard.archives()] == [500, 501]
    assert yard.steps("partition_cleanup") == [(JANUARY, "detach", "done")]

    # The last proof is asked for in the transaction that drops: rows that were changed after detaching stay.
    (left,) = detached(yard)
    execute(yard.url, f"update public.{left} set note = 'y' where id = 0")
    assert yard.steps("partition_cleanup", LATER) == [(f"public.{left}", "drop", "skipped")]
    assert yard.steps("partition_archive", LATER) == [(f"public.{left}", "archive", "done")]
    ddl = Gate(yard.url, of_ledger=False)
    kill_at(yard, ddl, "drop table%", "partition_cleanup", LATER)
    assert detached(yard) == [left]
    assert yard.steps("partition_cleanup", LATER) == [(f"public.{left}", "drop", "done")]

    # A restore that dies with the table restored and not attached is gone on with, and ends under the old name.
    kill_at(yard, ddl, "alter table%attach partition%", "partitions", "restore", "matches_2024_01", "--yes")
    assert yard.tables() == {"matches": False, left: False}
    done, _ = yard.restore("matches_2024_01", yes=True)
    assert done["done"]
    assert yard.tables()["matches_2024_01"]
    assert len(yard.rows()) == 501
    assert ("y",) in execute(yard.url, "select note from public.matches where id = 0")


@pytest.mark.parametrize("default", ["", DEFAULT], ids=["concurrently", "plainly"])
def test_killed_while_detaching_and_dropping(open_it, default: str):
    yard: Yard = open_it(ONE + default, rules=WITHOUT)
    ddl, ledger = Gate(yard.url, of_ledger=False), Gate(yard.ops_url, of_ledger=True)
    kill_at(yard, ddl, "alter table%rename to%", "partition_cleanup")
    # Concurrently it is detached by then; in one transaction it is not.
    assert yard.tables()["matches_2024_01"] is bool(default)
    kill_at(yard, ledger, "detach", "partition_cleanup")
    (left,) = detached(yard)
    ((name, step, outcome),) = yard.steps("partition_cleanup")
    assert (name, step, outcome) == (f"public.{left}", "detach", "done")
    assert yard.steps("partition_cleanup") == []
    kill_at(yard, ledger, "drop", "partition_cleanup", LATER)
    assert detached(yard) == []
    assert [step for _, step, _ in yard.steps("partition_cleanup", LATER)] == ["drop"]
    assert yard.steps("partition_cleanup", LATER) == []
    assert [row[1:] for row in yard.ledger()] == [
        ("detach", "interrupted"),
        ("detach", "interrupted"),
        ("detach", "done"),
        ("drop", "interrupted"),
        ("drop", "done"),
    ]


@pytest.mark.parametrize("dies", [True, False], ids=["killed", "goes on"])
def test_a_detaching_that_is_held_up_half_way_is_finalized(open_it, *, dies: bool):
    yard: Yard = open_it(ONE, rules=WITHOUT)
    gate = Gate(yard.url, of_ledger=False)
    gate.close("alter table%concurrently%")
    run = yard.start("partition_cleanup")
    wait_for(gate.waiting, "the detaching at the gate")
    holder = psycopg2.connect(yard.url)
    holder.cursor().execute("select count(*) from public.matches")
    gate.open()
    wait_for(lambda: invisible(yard), "the pending detaching")
    if dies:
        run.kill()
        run.communicate(timeout=60)
        holder.close()
        assert yard.steps("partition_cleanup") == [(JANUARY, "detach", "done")]
    else:
        holder.close()
        assert run.communicate(timeout=120)[0] == "ended\n"
    assert not invisible(yard)
    assert len(detached(yard)) == 1
    assert "matches_2024_01" not in yard.tables()


def test_killed_while_making_the_next(open_it):
    yard: Yard = open_it(ONE, rules={"public.matches": {"keep": "forever", "premake": 1}})
    ddl, ledger = Gate(yard.url, of_ledger=False), Gate(yard.ops_url, of_ledger=True)
    window = "2024-01-20"
    kill_at(yard, ddl, "alter table%attach partition%", "upcoming_partitions", window)
    assert list(yard.tables()) == ["matches", "matches_2024_01"]
    kill_at(yard, ledger, "create", "upcoming_partitions", window)
    assert list(yard.tables()) == ["matches", "matches_2024_01", "matches_2024_02"]
    assert yard.steps("upcoming_partitions", window) == []
