"""What an operator asks of the commands: documents, exit codes, and what they leave behind, on real databases."""

import json
from datetime import date
from pathlib import Path

import psycopg2
import pytest
import yaml
from bank import BLOATED, Bank, execute

from herald_pipelines import operations, operations_runs
from herald_pipelines.errors import DatabaseUnavailable, UsageError
from herald_pipelines.resources.embedded import EmbeddedServer
from servers import TestServer

# Dagster warns of the tags that it makes itself of a multi-partition key.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Non-compliant tag keys like .'dagster/partition/:DeprecationWarning"
)

INDEX_FIELDS = {
    "schema", "table", "index", "access_method", "size_bytes", "bloat_ratio", "bloat_bytes", "bloat_method",
    "bloat_error_bound", "scans", "scans_window_days", "verdicts", "notes", "rebuild_planned",
}  # fmt: skip


def test_indexes_are_told_before_anything_is_set_up(bank: Bank) -> None:
    bank.write(ops=False)
    found = bank.indexes()
    assert {key: type(value) for key, value in found.items()} == {
        "database": str, "server_version": int, "analyzed_at": str, "indexes": list, "notes": list,
    }  # fmt: skip
    assert found["server_version"] // 10000 == bank.server.major
    rows = {f"{row['schema']}.{row['index']}": row for row in found["indexes"]}
    assert {"bank.pgbench_accounts_pkey", BLOATED} <= set(rows)
    assert all(set(row) == INDEX_FIELDS for row in found["indexes"])
    assert rows[BLOATED]["size_bytes"] == bank.size_and_file()[0]
    assert [note for note in found["notes"] if note.startswith("no history")]
    assert sorted(path.name for path in bank.home.iterdir()) == ["herald.yaml"]
    json.dumps(found)


def test_indexes_are_measured_by_the_pages_where_pgstattuple_is(bank: Bank) -> None:
    bank.write(ops=True)
    bank.migrate()
    without = {row["index"]: row for row in bank.indexes()["indexes"]}["accounts_by_balance"]
    assert without["bloat_method"] != "pgstatindex"
    execute(bank.url, "create extension pgstattuple schema public")
    found = bank.indexes()
    row = {row["index"]: row for row in found["indexes"]}["accounts_by_balance"]
    assert found["notes"] == []
    assert set(row) == INDEX_FIELDS
    assert row["bloat_method"] == "pgstatindex"
    assert row["bloat_ratio"] > 0.7
    assert row["rebuild_planned"]
    assert "bloated" in [verdict["kind"] for verdict in row["verdicts"]]


def test_a_dry_run_prints_the_plan_and_leaves_nothing(bank: Bank) -> None:
    execute(bank.url, "create extension pgstattuple schema public")
    bank.write(ops=True, mode="apply")
    bank.migrate()
    before = bank.size_and_file()
    done = bank.command("run", "index_rebuild", "--dry-run", "--database", "bank", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["dry_run"]
    (entry,) = document["databases"]
    assert (entry["database"], entry["mode"], entry["outcome"], entry["run_id"]) == (
        "bank",
        "apply",
        "planned",
        None,
    )
    planned = {f"{row['schema']}.{row['index']}": row["outcome"] for row in entry["indexes"]}
    assert planned[BLOATED] == "planned"
    assert bank.size_and_file() == before
    assert bank.ledger() == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            "alter schema bank owner to current_user; revoke usage on schema bank from herald_maintain",
            'grant usage on schema "bank" to "herald_maintain"',
        ),
        ("alter table bank.pgbench_accounts owner to current_user", "another owner than the superuser"),
        (
            "create role nobody_else; alter table bank.pgbench_accounts owner to nobody_else",
            'grant "nobody_else" to "herald_maintain"',
        ),
    ],
)
def test_what_the_role_may_not_rebuild_is_told_by_the_plan_as_by_the_run(
    bank: Bank, change: str, reason: str
) -> None:
    execute(bank.url, "create extension pgstattuple schema public")
    bank.write(ops=True, mode="apply")
    bank.migrate()
    execute(bank.url, change)
    try:
        (planned,) = bank.run(dry_run=True).document["databases"]
        ran = bank.run()
    finally:
        execute(
            bank.url,
            "alter table bank.pgbench_accounts owner to bank_owner; drop role if exists nobody_else",
        )
    # pg_maintain asks for no owner.
    may_anyway = bank.server.major >= 17 and "usage" not in change
    (done,) = ran.document["databases"]
    assert {row["outcome"] for row in planned["indexes"]} == {"planned" if may_anyway else "refused"}
    assert ran.exit_code == (0 if may_anyway else 1)
    for row in (*planned["indexes"], *done["indexes"]):
        assert may_anyway or reason in row["reason"]
    assert done["summary"]["promised_bytes"] == planned["summary"]["promised_bytes"] > 0


@pytest.mark.parametrize("server", ["pg18"], indirect=True)
def test_a_calendar_that_has_not_begun_has_no_window_to_run(bank: Bank) -> None:
    calendar = yaml.safe_load((Path(operations.__file__).parent / "calendar.yaml").read_text())
    (bank.home / "calendar.yaml").write_text(yaml.safe_dump(calendar | {"start": date(2099, 1, 1)}))
    bank.write(ops=True, mode="apply")
    bank.migrate()
    configured = yaml.safe_load((bank.home / "herald.yaml").read_text()) | {"calendar": "calendar.yaml"}
    (bank.home / "herald.yaml").write_text(yaml.safe_dump(configured))
    with pytest.raises(UsageError, match="has no window") as caught:
        bank.run()
    assert "from 2099-01-01 on" in str(caught.value)
    assert bank.ledger() == []


def test_observe_records_the_plan_and_apply_carries_it_out(bank: Bank) -> None:
    execute(bank.url, "create extension pgstattuple schema public")
    bank.write(ops=True, mode="observe")
    bank.migrate()
    size, node = bank.size_and_file()
    assert bank.run().exit_code == 0
    assert bank.size_and_file() == (size, node)
    assert {outcome for _, outcome, _ in bank.ledger()} == {"planned"}
    planned = {name for name, _, _ in bank.ledger()}
    assert BLOATED in planned

    bank.write(ops=True, mode="apply")
    outcome = bank.run()
    assert outcome.exit_code == 0, outcome.document
    done = {name: result for name, outcome, result in bank.ledger() if outcome == "done"}
    assert set(done) == planned
    after, new_node = bank.size_and_file()
    assert new_node != node
    assert done[BLOATED]["achieved_bytes"] == size - after
    assert done[BLOATED]["size_bytes"] == after
    assert after < size / 2
    (entry,) = outcome.document["databases"]
    assert entry["summary"]["reclaimed_bytes"] == sum(each["achieved_bytes"] for each in done.values())


def test_exit_codes_tell_failure_usage_and_refusal_apart(bank: Bank) -> None:
    bank.write(ops=True, mode="apply", guards={"max_transaction_seconds": 0, "wait_seconds": 0})
    bank.migrate()
    busy = psycopg2.connect(bank.url)
    try:
        busy.cursor().execute("select 1")
        refused = bank.run()
    finally:
        busy.close()
    (entry,) = refused.document["databases"]
    assert (refused.exit_code, entry["outcome"]) == (3, "refused")
    assert "too busy" in entry["reason"]

    with pytest.raises(UsageError, match="unknown task 'rebuild'"):
        bank.run("rebuild")
    usage = bank.command("run", "rebuild")
    assert (usage.returncode, usage.stdout) == (2, "")
    assert usage.stderr.startswith("herald: unknown task 'rebuild'")

    bank.environ["BANK_OBSERVE"] = "postgresql://nobody@127.0.0.1:1/gone"
    for dry_run in (True, False):
        failed = bank.run("index_analysis", dry_run=dry_run)
        assert (failed.exit_code, failed.document["databases"][0]["outcome"]) == (1, "failed")


def test_a_task_that_is_disabled_is_not_run(home: Path) -> None:
    off = "tasks: {index_rebuild: {enabled: false}}"
    (home / "herald.yaml").write_text(
        f'version: 1\nops: {{url: "postgresql://nobody@127.0.0.1:1/ops", {off}}}\n'
        f'databases: {{one: {{url: "postgresql://nobody@127.0.0.1:1/one", {off}}}}}\n'
    )
    for database, where in (("one", "one"), (None, "every database")):
        with pytest.raises(UsageError, match=f"^index_rebuild is disabled on {where}\n"):
            operations_runs.run({}, home, task="index_rebuild", window=None, database=database, dry_run=True)


def test_a_dry_run_plans_the_others_where_one_database_is_gone(bank: Bank) -> None:
    bank.write(ops=True)
    bank.migrate()
    config = yaml.safe_load((bank.home / "herald.yaml").read_text())
    config["databases"]["gone"] = {"url": "postgresql://nobody@127.0.0.1:1/gone"}
    (bank.home / "herald.yaml").write_text(yaml.safe_dump(config))
    outcome = operations_runs.run(
        bank.environ, bank.home, task="index_analysis", window=None, database=None, dry_run=True
    )
    entries = {entry["database"]: entry for entry in outcome.document["databases"]}
    assert {name: entry["outcome"] for name, entry in entries.items()} == {
        "bank": "planned", "gone": "failed", "ops": "planned",
    }  # fmt: skip
    assert entries["gone"]["reason"]
    assert outcome.exit_code == 1


def test_config_check_tells_the_mistakes_of_both_files(home: Path) -> None:
    (home / "calendar.yaml").write_text("version: 1\nstart: 2026-01-01\nslots: {daily: {cadence: hourly}}\n")
    (home / "herald.yaml").write_text("version: 1\ncalendar: calendar.yaml\nsinse: 2026-01-01\n")
    with pytest.raises(UsageError) as told:
        operations.check({"HERALD_HOME": str(home)}, home)
    assert "herald.yaml:3: sinse: unknown key" in told.value.message
    assert "calendar.yaml:3: slots.daily.cadence" in told.value.message
    (home / "herald.yaml").write_text("version: 1\n")
    assert set(operations.check({"HERALD_HOME": str(home)}, home)["slots"]) == {
        "backup",
        "maintenance",
        "inspection",
        "deep_maintenance",
        "monthly_review",
    }


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("postgresql://nobody@127.0.0.1:1/gone", DatabaseUnavailable),
        ("mysql://host/dagster", UsageError),
        ("postgresql+nothing://host/dagster", UsageError),
        ("postgresql://nobody@127.0.0.1:1,127.0.0.1:2/gone", UsageError),
        ("postgresql://nobody@127.0.0.1:1/gone?connect_timeout=4", UsageError),
    ],
)
def test_a_wrong_dagster_storage_is_told_by_its_variable(
    home: Path, pg18: TestServer, url: str, error: type[Exception]
) -> None:
    (home / "herald.yaml").write_text(
        "version: 1\nops: {url: {env: OPS_URL}}\ndatabases: {one: {url: {env: OPS_URL}}}\n"
    )
    environ = {"HERALD_HOME": str(home), "OPS_URL": pg18.create_database(), "HERALD_DAGSTER_URL": url}
    with pytest.raises(error, match="HERALD_DAGSTER_URL"):
        operations_runs.windows(environ, home, missed=False, database=None)
    with pytest.raises(error, match="HERALD_DAGSTER_URL"):
        operations_runs.up(environ, home, port=1, scale=0.05)


def test_a_set_up_that_was_interrupted_is_told_with_what_goes_on_with_it(home: Path) -> None:
    EmbeddedServer(home, durable=False).ensure_started()
    with pytest.raises(
        DatabaseUnavailable, match=r"in the embedded server cannot be reached(.|\n)*herald migrate"
    ):
        operations_runs.windows({"HERALD_HOME": str(home)}, home, missed=False, database=None)


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"herald's home .*/file/home cannot be used: not a directory"):
        operations_runs.migrate({"HERALD_HOME": str(tmp_path / "file" / "home")}, tmp_path)
