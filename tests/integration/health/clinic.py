"""A database of an operator's own with its ops database, and checks that say what they are told."""

import time
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg2
import yaml

from herald_pipelines.environment import Environment
from herald_pipelines.health.checks import build_checks
from herald_pipelines.health.results import HealthResult, Probe, Status, Verdict
from herald_pipelines.health.runner import Runner
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import utc_now

GONE = "postgresql://nobody@127.0.0.1:1/gone"
PATIENCE = 120.0


def execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


@dataclass
class Shop:
    """A database of an operator's own, on each server in turn; the ops database is on another."""

    home: Path
    url: str
    ops_url: str
    environ: dict[str, str]

    def write(self, *, health: dict[str, Any] | None = None, **options: Any) -> None:
        document = {
            "version": 1,
            "ops": {"url": {"env": "OPS_URL"}, "lock_timeout_seconds": 60},
            "databases": {"shop": {"url": {"env": "SHOP_URL"}, **options}},
            "health": health or {},
        }
        (self.home / "herald.yaml").write_text(yaml.safe_dump(document))

    @property
    def environment(self) -> Environment:
        return Environment.load(self.environ, self.home)

    @property
    def ops(self) -> Postgres:
        return Postgres(self.ops_url, "ops", read_only=False, lock_timeout_seconds=60)

    def ask(self, *names: str) -> dict[str, HealthResult]:
        checks = build_checks(self.environment.targets, ("shop", *(() if names else ("ops",))))
        wanted = [each for each in checks if not names or each.name in names]
        found = Runner().run(wanted, {}, utc_now())
        return {f"{each.check.subject}/{each.check.name}": each.result for each in found}


def fixed(name: str, *statuses: Status, critical: bool = False, frequency: float = 30.0) -> Probe:
    """Return a check that says one status after the other, the last for ever."""
    told = list(statuses)

    def ask(_now: datetime, _previous: Any) -> Verdict:
        return Verdict(told.pop(0) if len(told) > 1 else told[0], "as told", {"n_ms": 1.0})

    return Probe("shop", name, frequency, ask, time.monotonic, critical=critical)
