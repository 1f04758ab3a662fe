"""`herald security` and the runs of its tasks: documents, exit codes, what a killed run leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import psycopg2
import pytest
import yaml
from scanning import NOW, execute, one_server
from shop import AUDIT, ROLE, SCANS, Shop, of_ours

from contract_files import check_documents
from herald_pipelines import operations, operations_runs
from herald_pipelines.cli_output import DOCUMENT_VERSION
from herald_pipelines.console_security import show_security
from herald_pipelines.errors import UsageError
from herald_pipelines.operations_security import security

# Dagster warns of the tags that it makes itself of a multi-partition key.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Non-compliant tag keys like .'dagster/partition/:DeprecationWarning"
)

COMMAND = [sys.executable, "-m", "herald_pipelines.cli"]
OPEN_TABLE = (
    "create schema shop; grant usage on schema shop to public;"
    "create table shop.orders (id int); grant insert on shop.orders to public"
)
GONE = "postgresql://nobody@127.0.0.1:1/gone"


def run(shop: Shop, task: str, *, dry_run: bool = False) -> operations_runs.RunOutcome:
    return operations_runs.run(
        shop.environ, shop.home, task=task, window=None, database="shop", dry_run=dry_run
    )


@one_server
def test_documents(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    documents: dict[str, list[Any]] = {}

    def keep(title: str, document: dict[str, Any]) -> dict[str, Any]:
        given = json.loads(json.dumps({"version": DOCUMENT_VERSION, **document}))
        documents.setdefault(title, []).append(given)
        return given

    shop.environ["HERALD_DAGSTER_URL"] = shop.server.create_database()
    execute(shop.url, OPEN_TABLE, f"alter role {ROLE} superuser login bypassrls")
    shop.write(
        accepted=[
            {"finding": f"superuser_role:{ROLE}", "reason": "the vendor's", "until": "2099-12-31"},
            {
                "finding": "createrole_role:gone",
                "reason": "once",
                "until": "2099-12-31",
                "databases": ["shop"],
            },
        ]
    )
    shop.observe()
    for task in (SCANS, AUDIT):
        reachable, shop.environ["SHOP_URL"] = shop.environ["SHOP_URL"], GONE
        failed = run(shop, task)
        assert failed.exit_code == 1
        keep(f"herald run {task}", failed.document)
        shop.environ["SHOP_URL"] = reachable
        keep(f"herald run {task}", run(shop, task, dry_run=True).document)
        outcome = run(shop, task)
        assert outcome.exit_code == 0, outcome.document
        keep(f"herald run {task}", outcome.document)
        if task == SCANS:
            execute(shop.url, "revoke insert on shop.orders from public")
            keep(f"herald run {task}", run(shop, task).document)

    execute(shop.url, "grant insert on shop.orders to public")
    document, code = security(shop.environ, shop.home, database="shop")
    keep("herald security", document)
    assert code == 0
    show_security(document)
    said = capsys.readouterr().out
    assert "shop: " in said
    assert "high, new: every role has INSERT on the table shop.orders" in said
    assert "fix: revoke INSERT on shop.orders from public" in said
    assert f"accepted until 2099-12-31: the vendor's: superuser_role:{ROLE} (high)" in said
    assert "accepted, and not there: createrole_role:gone" in said
    assert "not visible: whether no password is stored as MD5: herald_observe may not read pg_authid" in said

    shop.environ["SHOP_URL"] = GONE
    document, code = security(shop.environ, shop.home, database="shop")
    keep("herald security", document)
    assert code == 1
    check_documents("documents.yaml", documents)


@one_server
def test_a_database_is_looked_at_before_anything_is_set_up(shop: Shop) -> None:
    (shop.home / "herald.yaml").write_text(
        yaml.safe_dump({"version": 1, "databases": {"shop": {"url": {"env": "SHOP_URL"}}}})
    )
    execute(shop.url, OPEN_TABLE)
    document, code = security(shop.environ, shop.home, database=None)
    entries = {entry["database"]: entry for entry in document["databases"]}
    assert code == 0
    assert "public_table_write:shop.orders" in of_ours(entries["shop"]["findings"])
    assert "no history" in entries["shop"]["notes"][0]
    assert entries["shop"]["findings"][0]["new"] is None
    assert "not set up yet" in entries["ops"]["error"]
    assert sorted(path.name for path in shop.home.iterdir()) == ["herald.yaml"]


@one_server
def test_mistakes_are_refused(shop: Shop) -> None:
    with pytest.raises(UsageError, match="unknown database 'shap'"):
        security(shop.environ, shop.home, database="shap")
    shop.accept("superuser:bob", NOW.date())
    for refused in (
        lambda: security(shop.environ, shop.home, database="shop"),
        lambda: operations.check(shop.environ, shop.home),
    ):
        with pytest.raises(UsageError, match=r"unknown rule in security\.accepted 'superuser'"):
            refused()


def test_a_run_that_is_killed_while_it_writes_leaves_nothing_and_is_run_again(shop: Shop) -> None:
    shop.environ["HERALD_DAGSTER_URL"] = shop.server.create_database()
    execute(shop.url, OPEN_TABLE)
    holder = psycopg2.connect(shop.ops_url)
    try:
        with holder.cursor() as cursor:
            cursor.execute("lock table herald.security_finding in access exclusive mode")
        process = subprocess.Popen(
            [*COMMAND, "run", SCANS, "--database", "shop"],
            cwd=shop.home,
            env={**os.environ, **shop.environ},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        waiting = (
            "select count(*) from pg_stat_activity where application_name = 'herald:security_scans'"
            " and datname = current_database() and wait_event_type = 'Lock'"
        )
        while shop.ops(waiting) == [(0,)]:
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    finally:
        holder.close()
    outcome = run(shop, SCANS)
    assert outcome.exit_code == 0, outcome.document
    (entry,) = outcome.document["databases"]
    assert "public_table_write:shop.orders" in {row["id"] for row in entry["findings"] if row["new"]}
    assert shop.ops("select count(*) from herald.security_scan") == [(1,)]
    assert shop.ops(f"select outcome from herald.maintenance_log where task = '{SCANS}' order by id") == [
        ("interrupted",),
        ("done",),
    ]
