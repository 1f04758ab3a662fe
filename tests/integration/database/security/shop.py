"""A database of an operator's own with the settings that name it, and the tasks of security on it."""

import os
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml
from scanning import NOW, execute, observer_of

from herald_pipelines.database.security.assets import SECURITY_TASKS
from herald_pipelines.migrations import migrate
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.resources.targets import Targets
from herald_pipelines.settings import Settings, load_settings
from herald_pipelines.tasks import TaskResult, execute_task
from servers import TestServer

TASKS = {task.name: task for task in SECURITY_TASKS}
SCANS, AUDIT = "security_scans", "comprehensive_security_audit"
ROLE = f"weak_{os.getpid()}"
"""Belongs to the server, which tests of other processes do not share."""


@dataclass
class Shop:
    """The database `shop`, read by its superuser until `observe` says otherwise."""

    home: Path
    server: TestServer
    url: str
    ops_url: str
    environ: dict[str, str]
    config: dict[str, Any] = field(default_factory=dict)

    def write(self, **security: Any) -> None:
        self.config = {
            "version": 1,
            "ops": {"url": {"env": "OPS_URL"}, "lock_timeout_seconds": 60},
            "databases": {"shop": {"url": {"env": "SHOP_URL"}}},
            "security": security,
        }
        (self.home / "herald.yaml").write_text(yaml.safe_dump(self.config))

    def accept(self, finding: str, until: date, *databases: str) -> None:
        risk = {"finding": finding, "reason": "the vendor's", "until": until, "databases": list(databases)}
        self.write(accepted=[risk])

    def observe(self) -> None:
        """Read with the least rights from now on."""
        self.environ["SHOP_URL"] = observer_of(self.url)

    @property
    def settings(self) -> Settings:
        return load_settings(self.environ, self.home)

    def run(
        self, task: str = SCANS, window: str = "2026-08-13", *, now: datetime = NOW, dry_run: bool = False
    ) -> TaskResult:
        settings = self.settings
        return execute_task(
            TASKS[task],
            "shop",
            covered=(window,),
            late=False,
            dry_run=dry_run,
            now=now,
            run_id="run",
            settings=settings,
            targets=Targets(settings, self.environ, self.server.url),
            say=lambda _: None,
        )

    def ops(self, statement: str) -> list[tuple[Any, ...]]:
        return execute(self.ops_url, statement)

    def open(self) -> set[str]:
        """Return the ids of what the ops database calls open."""
        return {finding for (finding,) in self.ops("select finding from herald.open_findings")}


def of_ours(rows: list[dict[str, Any]]) -> set[str]:
    """Return ids without those of the server's version and of other tests' roles."""
    return {
        row["id"]
        for row in rows
        if not row["id"].startswith(
            ("minor_outdated", "major_end", "role_without_expiry", "public_schema_create")
        )
        and (ROLE in row["id"] or not row["id"].startswith(("superuser_", "md5_")))
    }


def open_shop(home: Path, server: TestServer, ops_server: TestServer) -> Shop:
    """Create both databases, and the ops schema."""
    url, ops_url = server.create_database(), ops_server.create_database()
    migrate(Postgres(ops_url, "ops"))
    # Not ours, so that being read by a superuser is a finding.
    shop = Shop(home, server, url, ops_url, {"HERALD_HOME": str(home), "SHOP_URL": url, "OPS_URL": ops_url})
    shop.write()
    return shop
