"""A platform of an operator's own, whose backups tests make and recover by the commands."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg2

from herald_processes import run_herald
from servers import TestServer

NOWHERE = "postgresql://nobody@127.0.0.1:1/gone"


class Platform:
    """A database, an application tree, configuration and a store; the ops database is not there unless one is given.

    `backup` replaces settings of that name, `secrets` are of the environment; a store of one's own is not made ready.
    """

    def __init__(
        self,
        folder: Path,
        server: TestServer,
        ops: str = NOWHERE,
        *,
        backup: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.server = folder, server
        self.ops, self.secrets = ops, dict(secrets or {})
        self.url = server.create_database()
        self.name = self.url.rpartition("/")[2]
        self.application = folder / "app"
        self.services = folder / "services.log"
        (self.application / "bin").mkdir(parents=True)
        (self.application / "bin" / "run").write_text("first")
        (folder / "etc").mkdir()
        (folder / "etc" / "herald.conf").write_text("first")
        self.execute(
            "create table matches (id int primary key, note text)",
            "insert into matches select n, repeat('x', 200) from generate_series(1, 5000) n",
        )
        (folder / "key").write_text("kJ8s0dpqLmvTz4Xr9NwQ2yBhCfGaEu7R\n")
        (folder / "key").chmod(0o600)
        service = f"echo $0 $1 >> {self.services}"
        self.settings: dict[str, Any] = {
            "version": 1,
            "ops": {"url": {"env": "OPS_URL"}},
            "databases": {"shop": {"url": {"env": "SHOP_URL"}}},
            "backup": {
                "store": (folder / "store").as_uri(),
                "passphrases": [{"file": "key"}],
                "application": {"paths": [str(self.application)], "excludes": []},
                "configuration": {"paths": [str(folder / "etc")]},
                "services": [
                    {
                        "name": name,
                        "stop": ["/bin/sh", "-c", service, "stop", name],
                        "start": ["/bin/sh", "-c", service, "start", name],
                    }
                    for name in ("front", "back")
                ],
            },
        }
        self.configure(backup or {})
        if "store" not in (backup or {}):
            assert self.herald("backup", "prepare").returncode == 0

    def configure(self, backup: Mapping[str, Any]) -> None:
        """Write the settings, with other ones of backups; None takes one away."""
        changed = {**self.settings["backup"], **backup}
        self.settings["backup"] = {name: value for name, value in changed.items() if value is not None}
        (self.folder / "herald.yaml").write_text(json.dumps(self.settings))

    def execute(self, *statements: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """Run statements, each by itself, and return the rows of the last."""
        connection = psycopg2.connect(url or self.url)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def environ(self) -> dict[str, str]:
        """Return the environment of the commands."""
        own = {"SHOP_URL": self.url, "OPS_URL": self.ops, "HERALD_HOME": str(self.folder / "home")}
        return {**os.environ, **own, **self.secrets}

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of a command."""
        return [sys.executable, "-m", "herald_pipelines.cli", *arguments]

    def herald(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return run_herald(*arguments, cwd=self.folder, env={**self.environ(), **environ}, timeout=300)

    def ask(self, operation: Callable[..., Any], **arguments: Any) -> Any:
        """Do in this process what a command does: the same function, in a tenth of the time."""
        return operation(self.environ(), self.folder, **arguments)

    def document(self, *arguments: str) -> dict[str, Any]:
        """Run a command that must succeed, and return its document."""
        done = self.herald(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def change_all(self) -> None:
        """Let time go by: everything is another state than the backup's."""
        self.execute("delete from matches where id > 10")
        (self.application / "bin" / "run").write_text("second")
        (self.application / "new").write_text("second")
        (self.folder / "etc" / "herald.conf").write_text("second")

    def state(self) -> tuple[int, str, str]:
        """Return what is there: rows, the application's and the configuration's file."""
        rows = self.execute("select count(*) from matches")[0][0]
        return (
            rows,
            (self.application / "bin" / "run").read_text(),
            (self.folder / "etc" / "herald.conf").read_text(),
        )
