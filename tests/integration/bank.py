"""A churned database of an operator's own, with herald.yaml and the least roles, for tests of the commands."""

import os
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import sqlalchemy as sa
import yaml

from herald_pipelines import operations, operations_runs
from herald_pipelines.resources.queries import sql_root
from herald_processes import run_herald
from servers import TestServer

COMMAND = [sys.executable, "-m", "herald_pipelines.cli"]
ROWS = 60_000
# pgbench's accounts, whose balance is indexed; most rows go after the load, as churn leaves them.
CHURN = f"""
create table bank.pgbench_accounts (aid int primary key, bid int, abalance int, filler char(84))
  with (autovacuum_enabled = off);
create index accounts_by_balance on bank.pgbench_accounts (abalance, aid);
insert into bank.pgbench_accounts select n, n % 10, hashint4(n), '' from generate_series(1, {ROWS}) n;
"""
REMOVAL = "delete from bank.pgbench_accounts where aid % 10 <> 0"
BLOATED = "bank.accounts_by_balance"


def execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def as_role(url: str, role: str, password: str) -> str:
    return sa.make_url(url).set(username=role, password=password).render_as_string(hide_password=False)


@dataclass
class Bank:
    """A churned database of an operator's own, the herald.yaml that names it, and its superuser's url."""

    home: Path
    server: TestServer
    url: str
    environ: dict[str, str]

    def write(self, *, ops: bool, **options: Any) -> None:
        urls = {"observe": {"env": "BANK_OBSERVE"}, "maintain": {"env": "BANK_MAINTAIN"}}
        document: dict[str, Any] = {"version": 1, "databases": {"bank": {"url": urls, **options}}}
        if ops:
            document["ops"] = {"url": {"env": "OPS_URL"}}
        (self.home / "herald.yaml").write_text(yaml.safe_dump(document))

    def migrate(self) -> None:
        self.environ["OPS_URL"] = self.server.create_database()
        self.environ["HERALD_DAGSTER_URL"] = self.server.create_database()
        operations_runs.migrate(self.environ, self.home)

    def run(self, task: str = "index_rebuild", *, dry_run: bool = False) -> operations_runs.RunOutcome:
        return operations_runs.run(
            self.environ, self.home, task=task, window=None, database="bank", dry_run=dry_run
        )

    def indexes(self) -> dict[str, Any]:
        return operations.indexes(self.environ, self.home, database="bank")

    def ledger(self) -> list[tuple[Any, ...]]:
        return execute(
            self.environ["OPS_URL"],
            "select object_name, outcome, result from herald.maintenance_log"
            " where task = 'index_rebuild' and object_name is not null order by id",
        )

    def size_and_file(self, index: str = BLOATED) -> tuple[int, int]:
        ((size, node),) = execute(
            self.url, f"select pg_relation_size('{index}'), pg_relation_filenode('{index}')"
        )
        return size, node

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return run_herald(*words, cwd=self.home, env={**os.environ, **self.environ}, timeout=300)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.home,
            env={**os.environ, **self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def windows_of_rebuild(self) -> list[str]:
        """Return the outcome of each attempt at a window, oldest first."""
        rows = execute(
            self.environ["OPS_URL"],
            "select outcome from herald.maintenance_log"
            " where task = 'index_rebuild' and object_name is null order by id",
        )
        return [outcome for (outcome,) in rows]

    def wait_until_at_work(self, run: "subprocess.Popen[str]") -> None:
        while "running" not in self.windows_of_rebuild():
            assert run.poll() is None, run.communicate()
            time.sleep(0.05)


def open_bank(home: Path, server: TestServer) -> Bank:
    """Create and churn the database, and give it the two roles."""
    url, password = server.create_database(), uuid.uuid4().hex
    execute(
        url,
        "do $$ begin if to_regrole('bank_owner') is null then create role bank_owner; end if; end $$;"
        f"create schema bank authorization bank_owner; set role bank_owner; {CHURN}",
    )
    execute(url, REMOVAL)
    execute(url, "vacuum analyze bank.pgbench_accounts")
    for name in ("observe", "maintain"):
        execute(url, (sql_root() / "roles" / f"{name}.sql").read_text())
        execute(url, f"alter role herald_{name} password '{password}'")
    return Bank(
        home,
        server,
        url,
        {
            "HERALD_HOME": str(home),
            "BANK_OBSERVE": as_role(url, "herald_observe", password),
            "BANK_MAINTAIN": as_role(url, "herald_maintain", password),
            "PATH": os.environ["PATH"],
        },
    )
