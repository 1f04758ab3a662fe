"""The tasks and the command as operators run them: killed in the middle, without the extension, on all databases."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pytest
import yaml
from bank import Bank, execute

from herald_pipelines.console_performance import show_queries
from herald_pipelines.errors import UsageError
from herald_pipelines.operations_performance import queries

on_18 = pytest.mark.parametrize("server", ["pg18"], indirect=True)
WORKER = Path(__file__).with_name("analysis_worker.py")
ASKED = "select count(*) from bank.pgbench_accounts where bid = 3"
KEPT = "select count(*) from bank.pgbench_accounts where bid = $1"
BLOCKED = "select count(*) from pg_locks where not granted and relation = 'herald.{}'::regclass"


@pytest.fixture
def counted(bank: Bank) -> Bank:
    """Give the bank with what is needed to count its statements."""
    execute(bank.url, "create extension pg_stat_statements")
    bank.write(ops=True)
    config = yaml.safe_load((bank.home / "herald.yaml").read_text())
    config["ops"]["lock_timeout_seconds"] = 600
    (bank.home / "herald.yaml").write_text(yaml.safe_dump(config))
    bank.migrate()
    return bank


def ask(bank: Bank, times: int) -> None:
    for _ in range(times):
        execute(bank.url, ASKED)


def kept_calls(bank: Bank) -> int:
    rows = execute(
        bank.environ["OPS_URL"],
        f"select coalesce(sum(calls), 0)::int from herald.query_history where query = '{KEPT}'",
    )
    return rows[0][0]


def start_analysis(bank: Bank) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(WORKER), "2026-11-24"],
        cwd=bank.home,
        env={**os.environ, **bank.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def analyze(bank: Bank) -> str:
    run = start_analysis(bank)
    said, _ = run.communicate(timeout=120)
    assert run.returncode == 0, said
    return said


def kill_while_it_waits_for(bank: Bank, table: str) -> None:
    ops = bank.environ["OPS_URL"]
    holder = psycopg2.connect(ops)
    try:
        holder.cursor().execute(f"lock table herald.{table} in exclusive mode")
        run = start_analysis(bank)
        while execute(ops, BLOCKED.format(table)) == [(0,)]:
            assert run.poll() is None, run.communicate()
            time.sleep(0.1)
        run.send_signal(signal.SIGKILL)
        run.communicate(timeout=60)
    finally:
        holder.close()


@on_18
def test_a_killed_run_is_repeated_and_nothing_is_counted_twice(counted: Bank) -> None:
    """Killed while it writes what was counted, and after that was committed."""
    ask(counted, 4)
    analyze(counted)
    assert kept_calls(counted) == 4
    ask(counted, 3)
    kill_while_it_waits_for(counted, "statement_delta")
    assert kept_calls(counted) == 4
    ask(counted, 2)
    kill_while_it_waits_for(counted, "query_finding")
    assert kept_calls(counted) == 9
    ask(counted, 1)
    assert "closed as interrupted: the window" in analyze(counted)
    assert kept_calls(counted) == 10
    outcomes = execute(
        counted.environ["OPS_URL"],
        "select outcome from herald.maintenance_log where object_name is null order by id",
    )
    assert outcomes == [("done",), ("interrupted",), ("interrupted",), ("done",)]


@on_18
def test_without_the_extension_the_rest_of_the_window_goes_on(bank: Bank) -> None:
    bank.write(ops=True)
    bank.migrate()
    outcome = bank.run("performance_analysis")
    [entry] = outcome.document["databases"]
    assert (outcome.exit_code, entry["outcome"]) == (0, "done")
    assert "create extension pg_stat_statements" in entry["hindrance"]
    checks = execute(
        bank.environ["OPS_URL"],
        "select check_name, passed, severity, metadata ->> 'summary' from herald.check_result order by check_name",
    )
    assert checks == [
        ("no_query_regressions", False, "WARN", "not known: statements are not tracked"),
        ("no_slow_queries", False, "WARN", "not known: statements are not tracked"),
        ("statements_are_tracked", False, "WARN", entry["hindrance"]),
    ]
    [entry] = bank.run("performance_baseline_update", dry_run=True).document["databases"]
    assert (entry["outcome"], entry["baseline"]) == ("planned", None)


@on_18
def test_a_dry_run_and_the_command_tell_the_same_and_record_nothing(counted: Bank) -> None:
    ask(counted, 4)
    [planned] = counted.run("performance_analysis", dry_run=True).document["databases"]
    assert planned["outcome"] == "planned"
    assert execute(counted.environ["OPS_URL"], "select count(*) from herald.statement_reading") == [(0,)]
    document, code = queries(counted.environ, counted.home, database=None, limit=500)
    assert code == 0
    bank, ops = document["databases"]
    assert (bank["database"], ops["database"]) == ("bank", "ops")
    assert "create extension" in ops["hindrance"]
    of_command, of_run = (
        next(row for row in entry["queries"] if row["query"] == KEPT) for entry in (bank, planned)
    )
    # Of all execution time, which the first reading is a part of.
    assert of_command | {"share": None} == of_run | {"share": None}
    assert of_run["calls"] == 4


@on_18
def test_a_database_that_is_away_hides_no_other(counted: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    counted.environ["BANK_OBSERVE"] = "postgresql://nobody@127.0.0.1:1/gone"
    document, code = queries(counted.environ, counted.home, database=None, limit=5)
    assert code == 1
    bank, ops = document["databases"]
    assert bank["server_version"] is None
    assert "connecting to bank" in bank["error"]
    assert ops["error"] is None
    show_queries(document)
    shown = capsys.readouterr().out
    assert shown.startswith("bank: not read\n")
    assert "ops: no statements\n" in shown
    with pytest.raises(UsageError, match=re.escape("unknown database 'bnk' (known: bank, ops)")):
        queries(counted.environ, counted.home, database="bnk", limit=5)


@on_18
def test_the_command_before_anything_is_set_up(bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    execute(bank.url, "create extension pg_stat_statements")
    bank.write(ops=False)
    ask(bank, 2)
    document, code = queries(bank.environ, bank.home, database="bank", limit=500)
    assert code == 0
    show_queries(document)
    shown = capsys.readouterr().out
    assert KEPT in shown
    assert "note: no history" in shown
