"""The --json documents of backups, made by real runs and compared with their contract."""

import json
from pathlib import Path
from typing import Any

from operating import Platform

from contract_files import check_documents
from herald_pipelines.operations_backup import list_backups
from herald_pipelines.operations_retention import retention
from servers import TestServer


def test_documents_of_backups(tmp_path: Path, pg18: TestServer) -> None:
    tmp_path.chmod(0o755)
    platform = Platform(tmp_path, pg18, ops=pg18.create_database())
    dagster = pg18.create_database()
    documents: dict[str, list[Any]] = {}

    def run(*words: str, title: str | None = None, code: int = 0) -> Any:
        done = platform.herald(*words, "--json", HERALD_DAGSTER_URL=dagster)
        assert done.returncode == code, done.stderr
        document = json.loads(done.stdout)
        documents.setdefault(title or f"herald {' '.join(words)}", []).append(document)
        return document

    assert platform.herald("migrate", HERALD_DAGSTER_URL=dagster).returncode == 0
    run("backup", "prepare")
    for kind in ("database", "application", "configuration"):
        title = "herald backup create"
        run("backup", "create", "--kind", kind, "--dry-run", title=title)
        run("backup", "create", "--kind", kind, title=title)
    run("backup", "list")
    (platform.folder / "store" / "v1" / "herald" / "stray").write_text("not ours")
    listed = run("backup", "list")
    backup = next(each["id"] for each in listed["backups"] if each["name"] == "shop")
    run("backup", "verify", backup, title="herald backup verify")
    run("backup", "verify", backup, "--deep", title="herald backup verify")
    run("backup", "list")
    run("backup", "retention")
    run("backup", "hold", backup, "--reason", "case 4711", title="herald backup hold")
    run("backup", "release", backup, title="herald backup release")
    would = run("backup", "rekey", backup, "--dry-run", title="herald backup rekey")
    assert (would["done"], would["rekeyed"]) == (False, [])
    run("backup", "rekey")
    (platform.folder / "store" / "v1" / "herald" / "stray").unlink()

    for task, code in (
        ("database_backup", 0),
        ("application_backup", 0),
        ("configuration_backup", 0),
        ("backup_verification", 0),
        ("backup_retention", 0),
        ("disaster_recovery_test", 0),
    ):
        database = "shop" if task not in ("application_backup", "configuration_backup") else "ops"
        run("run", task, "--database", database, "--dry-run", title=f"herald run {task}")
        run("run", task, "--database", database, title=f"herald run {task}", code=code)
        shop_url, platform.url = platform.url, "postgresql://nobody@127.0.0.1:1/gone"
        ops_url, platform.ops = platform.ops, platform.ops if database == "shop" else platform.url
        run("run", task, "--database", database, "--dry-run", title=f"herald run {task}", code=1)
        platform.url, platform.ops = shop_url, ops_url
    run("drill", "--database", "shop", title="herald drill")
    would = run("drill", "--dry-run", title="herald drill")
    assert (would["done"], would["report"], len(would["planned"])) == (False, None, 4)
    run("drill", title="herald drill")

    restore = "herald restore"
    run("restore", "latest", "--mode", "full", title=restore)
    run("restore", "latest", "--mode", "full", "--yes", title=restore)
    run("restore", "--undo", "--mode", "database", "--database", "shop", "--yes", title=restore)
    run("restore", "--undo", "--mode", "application", "--yes", title=restore)

    platform.settings["databases"] = {"store": platform.settings["databases"]["shop"]}
    platform.configure({})
    left = platform.ask(retention, yes=False)
    assert [(each["name"], each["backups"] > 0) for each in left["left"]] == [("shop", True)]
    documents["herald backup retention"].append({"version": 1, **left})
    run("backup", "forget", "shop", "--yes", title="herald backup forget")
    assert all(each["name"] != "shop" for each in platform.ask(list_backups, database=None)["backups"])
    check_documents("documents.yaml", documents)
