"""What people and scripts rely on, made by real runs and compared with the files of tests/contracts."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml
from bank import COMMAND, Bank, execute

from command_tree import walk
from contract_files import FOLDER, check_documents, check_text
from herald_pipelines import operations_runs
from herald_pipelines.cli import herald
from herald_pipelines.registry import TASKS
from servers import TestServer

on_one_server = pytest.mark.parametrize("server", ["pg18"], indirect=True)

# One index of each kind that a document tells apart, beside the bloated one.
KINDS = """
create extension pgstattuple schema public;
create index twin_a on bank.pgbench_accounts (bid, aid);
create index twin_b on bank.pgbench_accounts (bid, aid);
create index halted on bank.pgbench_accounts (filler);
update pg_index set indisvalid = false where indexrelid = 'bank.halted'::regclass;
"""

VIEW_COLUMNS = """
select c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
  from pg_class c join pg_attribute a on a.attrelid = c.oid
 where c.relnamespace = 'herald'::regnamespace and c.relkind = 'v' and a.attnum > 0
 order by c.relname, a.attnum
"""
GONE = "postgresql://nobody@127.0.0.1:1/gone"


@on_one_server
def test_documents(bank: Bank) -> None:
    documents: dict[str, list[Any]] = {}

    def run(*words: str, title: str | None = None, code: int = 0) -> None:
        done = bank.command(*words, "--json")
        assert done.returncode == code, done.stderr
        documents.setdefault(title or f"herald {' '.join(words)}", []).append(json.loads(done.stdout))

    execute(bank.url, KINDS)
    bank.environ |= {
        "OPS_URL": bank.server.create_database(),
        "HERALD_DAGSTER_URL": bank.server.create_database(),
    }
    since = (datetime.now(UTC) - timedelta(days=15)).date()
    tasks = {"index_rebuild": {"mode": "observe", "budget_seconds": 60}}
    bank.write(ops=True, since=since, tasks=tasks, replicas={"copy": {"env": "BANK_OBSERVE"}})
    config = yaml.safe_load((bank.home / "herald.yaml").read_text())
    config["ops"] |= {"since": since, "tasks": tasks, "replicas": {"copy": {"env": "OPS_URL"}}}
    (bank.home / "herald.yaml").write_text(yaml.safe_dump(config))
    run("config", "check")

    bank.write(ops=True, mode="apply", since=since)
    run("indexes", "--database", "bank", title="herald indexes")
    run("migrate")
    run("migrate")
    for task in ("index_analysis", "index_rebuild"):
        title = f"herald run {task}"
        reachable, bank.environ["BANK_OBSERVE"] = bank.environ["BANK_OBSERVE"], GONE
        run("run", task, "--database", "bank", title=title, code=1)
        bank.environ["BANK_OBSERVE"] = reachable
        run("windows")
        run("run", task, "--database", "bank", "--dry-run", title=title)
        run("run", task, "--database", "bank", title=title)
    run("windows", "--missed", title="herald windows")
    _run_performance(bank, run)
    check_documents("documents.yaml", documents)


def _run_performance(bank: Bank, run: Callable[..., None]) -> None:
    """Run the tasks and the command on statements of which there is something to say."""
    execute(bank.url, "create extension pg_stat_statements schema public")
    execute(bank.url, "select pg_sleep(1.1)")
    run("queries", title="herald queries")
    for task in ("performance_analysis", "performance_baseline_update"):
        for words in (("--dry-run",), ()):
            run("run", task, "--database", "bank", *words, title=f"herald run {task}")
    reachable, bank.environ["BANK_OBSERVE"] = bank.environ["BANK_OBSERVE"], GONE
    run("queries", title="herald queries", code=1)
    bank.environ["BANK_OBSERVE"] = reachable


def test_document_of_the_demo(home: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "demo", "--scale", "0.2", "--json"],
        cwd=home,
        env={**os.environ, "HERALD_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    check_documents("documents.yaml", {"herald demo": [json.loads(done.stdout)]})


def test_every_document_has_its_contract() -> None:
    titles = {
        f"herald {' '.join(words)}"
        for words, command in walk(herald)
        if any("--json" in option.opts for option in command.params)
    }
    promised = yaml.safe_load((FOLDER / "documents.yaml").read_text())
    tasks = {f"herald run {task}" for task in TASKS}
    assert promised.keys() == titles - {"herald run"} | tasks


@on_one_server
def test_exit_codes(bank: Bank) -> None:
    bank.write(ops=True, mode="apply", guards={"max_transaction_seconds": 0, "wait_seconds": 0})
    bank.migrate()
    rebuild = ("run", "index_rebuild", "--database", "bank")
    codes = {"done": bank.command("config", "check").returncode}
    reachable, bank.environ["BANK_OBSERVE"] = bank.environ["BANK_OBSERVE"], GONE
    codes["the work failed"] = bank.command(*rebuild).returncode
    bank.environ["BANK_OBSERVE"] = reachable
    codes["wrong usage or configuration"] = bank.command("run", "nothing").returncode
    busy = psycopg2.connect(bank.url)
    try:
        busy.cursor().execute("select 1")
        codes["refused by a guard"] = bank.command(*rebuild).returncode
        bank.write(ops=True, mode="apply", guards={"max_transaction_seconds": 0, "wait_seconds": 600})
        run = bank.start(*rebuild)
        bank.wait_until_at_work(run)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=60)
        codes["interrupted by SIGINT"] = run.returncode
    finally:
        busy.close()
    check_text("exit_codes.txt", "\n".join(f"{code:>3}  {meaning}" for meaning, code in codes.items()))


def test_views(pg18: TestServer, home: Path) -> None:
    url = pg18.create_database()
    (home / "herald.yaml").write_text(
        "version: 1\nops: {url: {env: OPS_URL}}\ndatabases: {one: {url: {env: OPS_URL}}}\n"
    )
    operations_runs.migrate({"HERALD_HOME": str(home), "OPS_URL": url, "HERALD_DAGSTER_URL": url}, home)
    lines: list[str] = []
    for view, column, kind in execute(url, VIEW_COLUMNS):
        if f"herald.{view}" not in lines:
            lines.append(f"herald.{view}")
        lines.append(f"    {column:<24} {kind}")
    check_text("views.txt", "\n".join(lines))
