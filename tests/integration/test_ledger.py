"""The ledger: written before, closed after, by whoever is left."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import psycopg2.extras
import pytest
import sqlalchemy as sa

from herald_pipelines import ledger as ledger_module
from herald_pipelines.errors import DatabaseUnavailable, GuardRefusal, PermanentFailure
from herald_pipelines.ledger import Ledger
from herald_pipelines.migrations import migrate
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import DatabaseIdentity, Outcome
from servers import TestServer, running_server

TASK, WINDOW = "index_rebuild", "2026-11-24"
SHOP = DatabaseIdentity("shop", "shop_db", "7400000000000000001", 16384, 180006)

# Opens three rows, closes one, and waits to be killed.
DIE_IN_THE_MIDDLE = """
import sys
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import DatabaseIdentity, Outcome
ledger = Ledger(Postgres(sys.stdin.readline().strip(), "ops"), "run-1")
shop = DatabaseIdentity("shop", "shop_db", "7400000000000000001", 16384, 180006)
ledger.open(shop, "index_rebuild", "2026-11-24", evidence={"mode": "apply"})
first = ledger.open(shop, "index_rebuild", "2026-11-24", object_name="public.first", object_oid=1)
ledger.close(first, Outcome.DONE)
evidence = {"size_bytes": 8192}
ledger.open(shop, "index_rebuild", "2026-11-24", object_name="public.second", object_oid=2, evidence=evidence)
print("acting", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def ops(pg18: TestServer) -> Postgres:
    ops = Postgres(pg18.create_database(), "ops")
    migrate(ops)
    return ops


@pytest.fixture
def ledger(ops: Postgres) -> Ledger:
    return Ledger(ops, "run-1")


def rows(
    ops: Postgres, statement: str = "select * from herald.maintenance_log order by id"
) -> list[dict[str, Any]]:
    with ops.session() as session:
        return [dict(row) for row in session.execute(statement)]


def run(ops: Postgres, statement: str) -> None:
    with ops.writable().session() as session:
        session.execute(statement)


def member_of(ops: Postgres, group: str) -> Postgres:
    """Return the ops database as a login role sees it that is a member of the group and nothing else."""
    role = f"test_{group}"
    run(
        ops,
        f"""
        do $$ begin
            if to_regrole('{role}') is null then
                create role {role} login password 'secret' in role {group};
            end if;
        end $$
        """,
    )
    url = sa.make_url(ops.url).set(username=role, password="secret").render_as_string(hide_password=False)
    return replace(ops, url=url)


def test_an_open_row_is_there_before_the_action(ops: Postgres, ledger: Ledger) -> None:
    entry_id = ledger.open(
        SHOP,
        TASK,
        WINDOW,
        object_name="public.i",
        object_oid=9,
        evidence={"density": float("nan"), "nul": "a\0b"},
    )
    (row,) = rows(ops)
    assert row["id"] == entry_id
    assert (row["outcome"], row["finished_at"], row["run_id"]) == ("running", None, "run-1")
    assert row["evidence"] == {"density": None, "nul": "ab"}
    assert (row["database"], row["system_identifier"], row["database_oid"]) == (
        "shop",
        SHOP.system_identifier,
        16384,
    )

    ledger.close(entry_id, Outcome.DONE, result={"size_bytes": 8192, "on": date(2026, 11, 24)})
    (row,) = rows(ops)
    assert (row["outcome"], row["result"]) == ("done", {"size_bytes": 8192, "on": "2026-11-24"})
    assert row["finished_at"] > row["started_at"]


def test_a_recorded_row_is_closed_from_the_start(ops: Postgres, ledger: Ledger) -> None:
    ledger.record(SHOP, TASK, WINDOW, Outcome.SKIPPED, object_name="public.i", reason="exclusion constraint")
    (row,) = rows(ops)
    assert (row["outcome"], row["reason"]) == ("skipped", "exclusion constraint")
    assert row["finished_at"] is not None


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (GuardRefusal("52 sessions are active", hint="wait"), "refused", "52 sessions are active"),
        (PermanentFailure("no right"), "failed", "no right"),
        (ValueError("at postgresql://a:hunter2@b/c"), "failed", "ValueError: at postgresql://a:***@b/c"),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
    ],
)
def test_an_action_that_raises_is_closed_by_its_error(
    ops: Postgres, ledger: Ledger, error: BaseException, outcome: str, reason: str
) -> None:
    def act() -> None:
        with ledger.action(SHOP, TASK, WINDOW, object_name="public.i") as action:
            action.result["seconds"] = 1.5
            raise error

    with pytest.raises(type(error)):
        act()
    (row,) = rows(ops)
    assert (row["outcome"], row["reason"], row["result"]) == (outcome, reason, {"seconds": 1.5})


def test_an_action_is_done_unless_its_block_says_otherwise(ops: Postgres, ledger: Ledger) -> None:
    with ledger.action(SHOP, TASK, WINDOW, object_name="public.i") as action:
        action.result["size_bytes"] = 1
    with ledger.action(SHOP, TASK, WINDOW, object_name="public.j") as action:
        action.outcome, action.reason = Outcome.SKIPPED, "gone meanwhile"
    assert [(row["outcome"], row["reason"]) for row in rows(ops)] == [
        ("done", None),
        ("skipped", "gone meanwhile"),
    ]


def test_a_killed_run_leaves_rows_that_the_next_one_closes_and_no_others(
    ops: Postgres, ledger: Ledger
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", DIE_IN_THE_MIDDLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{ops.url}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "acting\n"
        os.kill(process.pid, signal.SIGKILL)

    alive = Ledger(ops, "run-2")
    others = [
        alive.open(SHOP, "index_stats", WINDOW),
        alive.open(replace(SHOP, name="crm"), TASK, WINDOW),
    ]
    dead = alive.close_interrupted(SHOP, TASK)
    assert [(entry.object_name, entry.object_oid, entry.evidence, entry.run_id) for entry in dead] == [
        (None, None, {"mode": "apply"}, "run-1"),
        ("public.second", 2, {"size_bytes": 8192}, "run-1"),
    ]
    by_outcome = {(row["object_name"], row["task"], row["database"]): row["outcome"] for row in rows(ops)}
    assert by_outcome == {
        (None, TASK, "shop"): "interrupted",
        ("public.first", TASK, "shop"): "done",
        ("public.second", TASK, "shop"): "interrupted",
        (None, "index_stats", "shop"): "running",
        (None, TASK, "crm"): "running",
    }
    assert alive.close_interrupted(SHOP, TASK) == []
    assert {row["id"] for row in rows(ops) if row["finished_at"] is None} == set(others)


def test_rows_of_a_former_database_are_closed_but_their_oids_are_not_handed_on(ledger: Ledger) -> None:
    ledger.open(SHOP, TASK, WINDOW, object_name="public.i", object_oid=1)
    restored = replace(SHOP, database_oid=20000)
    assert ledger.close_interrupted(restored, TASK) == []
    assert ledger.close_interrupted(SHOP, TASK) == []


def test_a_run_that_was_taken_for_dead_hears_of_it(ledger: Ledger) -> None:
    entry_id = ledger.open(SHOP, TASK, WINDOW)
    ledger.close_interrupted(SHOP, TASK)
    with pytest.raises(
        PermanentFailure, match=f"row {entry_id} cannot be closed as done: it is closed as interrupted"
    ):
        ledger.close(entry_id, Outcome.DONE)
    with pytest.raises(PermanentFailure, match="row 999 does not exist"):
        ledger.close(999, Outcome.DONE)


def test_windows_are_complete_by_the_tasks_own_row_alone(ledger: Ledger) -> None:
    ledger.record(SHOP, TASK, "2026-11-20", Outcome.DONE)
    ledger.record(SHOP, TASK, "2026-11-22", Outcome.FAILED)
    ledger.record(SHOP, TASK, "2026-11-22", Outcome.DONE)
    ledger.record(SHOP, TASK, "2026-11-23T02:30", Outcome.REFUSED)
    ledger.record(SHOP, TASK, "2026-11-24", Outcome.DONE, object_name="public.i")
    ledger.record(SHOP, "health", "2026-11-22T02:30", Outcome.DONE)
    ledger.open(SHOP, TASK, "2026-11-24")

    assert ledger.completed(date(2026, 11, 22)) == {
        ("shop", TASK, "2026-11-22"),
        ("shop", "health", "2026-11-22T02:30"),
    }


def test_a_name_keeps_its_first_day_when_it_comes_to_stand_for_another_database(
    ledger: Ledger, ops: Postgres
) -> None:
    ledger.see(SHOP)
    first_seen = ledger.first_seen()
    assert set(first_seen) == {"shop"}
    moved = replace(SHOP, system_identifier="7400000000000000002")
    for each in (moved, replace(SHOP, server_version=180007), moved):
        ledger.see(each)
    assert ledger.first_seen() == first_seen
    known = rows(
        ops, "select system_identifier, server_version from herald.target_database order by first_seen"
    )
    assert [tuple(row.values()) for row in known] == [
        (SHOP.system_identifier, 180007), (moved.system_identifier, SHOP.server_version),
    ]  # fmt: skip


def test_checks_are_kept(ops: Postgres, ledger: Ledger) -> None:
    ledger.check(
        SHOP,
        WINDOW,
        TASK,
        "herald/index_analysis",
        "no_invalid_index",
        passed=False,
        severity="ERROR",
        metadata={"n": 2},
    )
    (row,) = rows(ops, "select * from herald.check_result")
    assert (row["asset"], row["passed"], row["severity"], row["metadata"]) == (
        "herald/index_analysis", False, "ERROR", {"n": 2}
    )  # fmt: skip


def test_a_schema_that_is_missing_is_named(pg18: TestServer) -> None:
    with pytest.raises(
        PermanentFailure, match=r'^the ops database lacks .*"herald.maintenance_log" does not exist'
    ) as caught:
        Ledger(Postgres(pg18.create_database(), "ops")).open(SHOP, TASK, WINDOW)
    assert "herald migrate" in (caught.value.hint or "")


@pytest.fixture
def own_server(pg18: TestServer) -> Iterator[TestServer]:
    """Give a server that a test may stop."""
    with running_server() as server:
        yield server


def test_a_restart_of_the_ops_server_is_survived(
    own_server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops = Postgres(own_server.create_database(), "ops")
    migrate(ops)
    ledger = Ledger(ops)
    first, second = ledger.open(SHOP, TASK, WINDOW), ledger.open(SHOP, TASK, WINDOW, object_name="public.i")

    own_server.embedded.stop()
    closing = threading.Thread(target=ledger.close, args=(first, Outcome.DONE))
    closing.start()
    with pytest.raises(DatabaseUnavailable):
        ledger.open(SHOP, TASK, WINDOW)
    own_server.embedded.ensure_started()
    closing.join()
    assert [row["outcome"] for row in rows(ops)] == ["done", "running"]

    own_server.embedded.stop()
    monkeypatch.setattr(ledger_module, "CLOSE_RETRY_SECONDS", 0.6)
    with pytest.raises(DatabaseUnavailable):
        ledger.close(second, Outcome.DONE)
    own_server.embedded.ensure_started()
    assert [row["outcome"] for row in rows(ops)] == ["done", "running"]


def test_the_writer_can_close_rows_but_never_rewrite_them(ops: Postgres) -> None:
    writer = member_of(ops, "herald_writer")
    ledger = Ledger(writer, "run-1")
    ledger.see(SHOP)
    ledger.check(SHOP, WINDOW, TASK, "herald/x", "y", passed=True, severity="WARN")
    closed = ledger.record(SHOP, TASK, WINDOW, Outcome.FAILED)
    with ledger.action(SHOP, TASK, WINDOW):
        pass

    refused = "permission denied for"
    for statement, why in [
        (
            f"update herald.maintenance_log set outcome = 'done' where id = {closed}",
            "is closed and cannot be changed",
        ),
        ("update herald.maintenance_log set object_name = 'other'", refused),
        ("update herald.maintenance_log set started_at = now()", refused),
        ("delete from herald.maintenance_log", refused),
        ("truncate herald.maintenance_log", refused),
        ("alter table herald.maintenance_log disable trigger all", "must be owner"),
        ("update herald.check_result set passed = true", refused),
        ("delete from herald.check_result", refused),
        ("update herald.schema_version set version_num = '0001'", refused),
        ("create table herald.mine (id int)", refused),
    ]:
        with pytest.raises(PermanentFailure, match=why):
            run(writer, statement)
    with pytest.raises(PermanentFailure, match="is closed and cannot be changed"):
        run(ops, f"update herald.maintenance_log set outcome = 'done' where id = {closed}")
    run(ops, f"delete from herald.maintenance_log where id = {closed}")
    assert [row["outcome"] for row in rows(writer)] == ["done"]


def test_the_analyst_reads_everything_and_writes_nothing(ops: Postgres, ledger: Ledger) -> None:
    ledger.record(SHOP, TASK, WINDOW, Outcome.DONE)
    analyst = member_of(ops, "herald_analyst")
    relations = (
        "select relname from pg_class where relnamespace = 'herald'::regnamespace and relkind in ('r', 'v')"
    )
    names = {row["relname"] for row in rows(ops, relations)}
    assert {"maintenance_log", "last_action", "index_health", "rebuild_gains", "window_history"} <= names
    for name in names:
        rows(analyst, f"select * from herald.{name}")
    granted = """
        select table_name, privilege_type from information_schema.table_privileges
         where table_schema = 'herald' and grantee = 'herald_analyst' and privilege_type <> 'SELECT'
        union all
        select table_name, privilege_type from information_schema.column_privileges
         where table_schema = 'herald' and grantee = 'herald_analyst' and privilege_type <> 'SELECT'
    """
    assert rows(ops, granted) == []
    for name in ("maintenance_log", "target_database", "index_snapshot", "check_result"):
        for statement in ("insert into {} default values", "delete from {}", "truncate {}"):
            with pytest.raises(PermanentFailure, match="permission denied"):
                run(analyst, statement.format(f"herald.{name}"))
    with pytest.raises(PermanentFailure, match="permission denied"):
        run(analyst, "update herald.maintenance_log set outcome = 'done'")
    with pytest.raises(PermanentFailure, match="permission denied"):
        Ledger(analyst).open(SHOP, TASK, WINDOW)


def test_the_views_tell_state_history_and_gains(ops: Postgres, ledger: Ledger) -> None:
    evidence = {"size_bytes": 1000, "promised_bytes": 600}
    ledger.record(
        SHOP, TASK, "2026-11-17", Outcome.FAILED, object_name="public.i", object_oid=1, evidence=evidence
    )
    with ledger.action(
        SHOP, TASK, WINDOW, evidence={"mode": "apply", "late": True, "covered": ["2026-11-17"]}
    ):
        ledger.record(
            SHOP,
            TASK,
            WINDOW,
            Outcome.DONE,
            object_name="public.i",
            evidence=evidence,
            result={"size_bytes": 450.0},
        )
    (action,) = rows(ops, "select * from herald.last_action")
    assert (action["object_name"], action["outcome"], action["window_key"]) == ("public.i", "done", WINDOW)
    (window,) = rows(ops, "select * from herald.window_history")
    assert (window["mode"], window["late"], window["covered"]) == ("apply", True, ["2026-11-17"])
    (gain,) = rows(ops, "select * from herald.rebuild_gains")
    assert (gain["promised_bytes"], gain["achieved_bytes"]) == (600, 550)
    assert (gain["promised_ratio"], gain["achieved_ratio"]) == (0.6, 0.55)


def test_index_health_is_the_latest_analysis_of_each_database(ops: Postgres) -> None:
    analyses = [
        ("2026-11-23", 1, "shop"),
        ("2026-11-23", 2, "shop"),
        (WINDOW, 2, "shop"),
        ("2026-11-23", 7, "crm"),
    ]
    for window, index_oid, database in analyses:
        run(
            ops,
            f"""
            insert into herald.index_analysis
                   (database, system_identifier, database_oid, window_key, index_oid, schema_name, table_name,
                    index_name, access_method, size_bytes, verdicts)
            values ('{database}', '1', 5, '{window}', {index_oid}, 'public', 't',
                    'i{index_oid}', 'btree', 8192, '[{{"kind": "unused"}}, {{"kind": "bloated"}}]')
            """,
        )
    found = rows(ops, "select database, index_name, verdict_kinds from herald.index_health order by 1")
    assert [tuple(row.values()) for row in found] == [
        ("crm", "i7", ["unused", "bloated"]),
        ("shop", "i2", ["unused", "bloated"]),
    ]


def test_ten_thousand_snapshot_rows_are_written_once_however_often_a_window_runs(ops: Postgres) -> None:
    writer = member_of(ops, "herald_writer")
    statement = """
        insert into herald.index_snapshot
               (database, system_identifier, database_oid, window_key, index_oid, schema_name, table_name,
                index_name, relfilenode, size_bytes, tuples, scans, tuples_read, tuples_fetched, blocks_hit,
                blocks_read, table_writes, table_scans)
        values %s
        on conflict (database, system_identifier, database_oid, window_key, index_oid) do update
           set scans = excluded.scans, taken_at = excluded.taken_at
    """
    for scans in (1, 2):
        values = [
            ("shop", "1", 5, WINDOW, oid, "public", "t", f"i{oid}", oid, 8192, None, scans, 0, 0, 0, 0, 0, 0)
            for oid in range(10_000)
        ]
        with writer.writable().session() as session, session.connection.cursor() as cursor:
            psycopg2.extras.execute_values(cursor, statement, values, page_size=1000)
    (found,) = rows(
        writer, "select count(*), sum(scans), count(distinct taken_at) as times from herald.index_snapshot"
    )
    assert tuple(found.values()) == (10_000, 20_000, 1)
