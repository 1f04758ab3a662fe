"""The documents of the commands on tables, and what they say of a real database with the least roles."""

import json
from typing import Any

import psycopg2
import pytest
from bank import Bank, execute
from maintaining import wait_for_dead_rows

from contract_files import check_documents

on_one_server = pytest.mark.parametrize("server", ["pg18"], indirect=True)


@on_one_server
def test_documents(bank: Bank) -> None:
    """A dry run, `observe` and `apply` of each task, and `herald tables`, on a database of an operator's own."""
    documents: dict[str, list[Any]] = {}

    def run(*words: str, title: str) -> dict[str, Any]:
        done = bank.command(*words, "--json")
        assert done.returncode == 0, done.stderr
        documents.setdefault(title, []).append(json.loads(done.stdout))
        return documents[title][-1]

    execute(bank.url, "create extension amcheck schema public")
    execute(bank.url, "grant execute on function bt_index_check(regclass, boolean) to herald_observe")
    execute(bank.url, "update bank.pgbench_accounts set bid = 0")
    wait_for_dead_rows(bank.url, "bank.pgbench_accounts", 6000)
    bank.write(ops=True, mode="observe")
    holder = psycopg2.connect(bank.url)
    holder.cursor().execute("create temporary table held (id int)")
    try:
        found = run("tables", "--database", "bank", title="herald tables")
        (accounts,) = [row for row in found["tables"] if row["table"] == "pgbench_accounts"]
        assert "dead rows" in [need["kind"] for need in accounts["needs"]]
        assert accounts["statement"].startswith("VACUUM (ANALYZE")
        assert f"pid {holder.info.backend_pid}" in " ".join(each["holder"] for each in found["holders"])
        assert any("pg_statistic" in note for note in found["notes"])
        bank.migrate()
        for task in ("statistics_update", "full_database_maintenance", "database_optimization"):
            title = f"herald run {task}"
            bank.write(ops=True, mode="apply")
            words = ("run", task, "--database", "bank")
            (planned,) = run(*words, "--dry-run", title=title)["databases"]
            assert execute(bank.environ["OPS_URL"], "select count(*) from herald.maintenance_log") == [(0,)]
            bank.write(ops=True, mode="observe")
            run(*words, title=title)
            kinds = execute(
                bank.environ["OPS_URL"],
                "delete from herald.maintenance_log returning outcome, object_name, evidence ? 'needs'",
            )
            assert {outcome for outcome, _, needs in kinds if needs} == {"planned"}
            assert "bank.pgbench_accounts" in {name for _, name, _ in kinds}
            assert planned["outcome"] == "planned"
    finally:
        holder.close()
    bank.write(ops=True, mode="apply")
    for task in ("database_optimization", "statistics_update", "full_database_maintenance"):
        run("run", task, "--database", "bank", title=f"herald run {task}")
    (applied,) = documents["herald run database_optimization"][-1]["databases"]
    (row,) = [row for row in applied["tables"] if row["table"] == "pgbench_accounts"]
    assert (row["outcome"], row["dead_rows_after"]) == ("done", 0)
    (full,) = documents["herald run full_database_maintenance"][-1]["databases"]
    assert full["summary"]["btrees_checked"] > 2
    assert full["summary"]["btrees_unsound"] == 0
    check_documents("documents.yaml", documents)
    effects = "select outcome, dead_rows_before, dead_rows_after, removed_rows from herald.vacuum_effects"
    assert execute(
        bank.environ["OPS_URL"],
        f"{effects} where table_name = 'bank.pgbench_accounts' and task = 'database_optimization'",
    ) == [("done", 6000, 0, 6000)]
    sound = (
        "select sound, with_table from herald.index_soundness where index_name = 'bank.accounts_by_balance'"
    )
    assert execute(bank.environ["OPS_URL"], sound) == [(True, True)]


def test_what_the_least_roles_may_not_do_is_told_and_the_rest_is_done(bank: Bank) -> None:
    """Without amcheck, and with a table of a superuser: named with what is missing, before and after."""
    execute(
        bank.url,
        "create table bank.foreign_t with (autovacuum_enabled = false) as select n from generate_series(1, 2000) n",
    )
    execute(bank.url, "update bank.pgbench_accounts set bid = 0")
    wait_for_dead_rows(bank.url, "bank.pgbench_accounts", 6000)
    bank.write(ops=True, mode="apply")
    bank.migrate()
    (planned,) = bank.run("database_optimization", dry_run=True).document["databases"]
    outcome = bank.run("database_optimization")
    (done,) = outcome.document["databases"]
    # pg_maintain asks for no owner.
    may_anyway = bank.server.major >= 17
    fates = {row["table"]: row for row in planned["tables"]}
    assert fates["foreign_t"]["outcome"] == ("planned" if may_anyway else "refused")
    fates = {row["table"]: row for row in done["tables"]}
    assert fates["pgbench_accounts"]["outcome"] == "done"
    assert fates["foreign_t"]["outcome"] == ("done" if may_anyway else "failed")
    assert may_anyway or "give its table another owner than the superuser" in fates["foreign_t"]["reason"]
    assert outcome.exit_code == (0 if may_anyway else 1)
    (full,) = bank.run("full_database_maintenance", dry_run=True).document["databases"]
    assert "create extension amcheck" in full["hindrance"]
    shown = bank.command("tables", "--database", "bank")
    assert shown.returncode == 0, shown.stderr
    assert "VACUUM" in shown.stdout or "tables need something" in shown.stdout
    unknown = bank.command("tables", "--database", "bnk")
    assert (unknown.returncode, "unknown database 'bnk' (known: bank, ops)" in unknown.stderr) == (2, True)
