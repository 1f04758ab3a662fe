"""The databases by name: which url, role and timeouts a connection gets. Not here: opening one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.settings import OPS, DatabaseSettings, Settings, resolve_url
from herald_pipelines.values import Capability

EMBEDDED_OPS_DATABASE = "herald"
"""Name of the ops database within the embedded server; a target has its own name there."""
READING = frozenset({Capability.OBSERVE, Capability.BACKUP})
"""Capabilities whose sessions are read-only on the server's side."""


@dataclass(frozen=True)
class Targets:
    """How to reach each database of the settings. Secrets are resolved at each call, and not kept."""

    settings: Settings
    environ: Mapping[str, str] = field(repr=False)
    embedded_url: Callable[[str], str] = field(repr=False)
    """Url of a database of the embedded server."""

    def postgres(self, name: str, capability: Capability, task: str) -> Postgres:
        """Return how to reach a target database, or `ops`, for a task.

        Raises:
            UsageError: no such database, no url for the capability, or a secret that cannot be resolved.
        """
        return self._postgres(name, capability, task, read_only=capability in READING)

    def replicas(self, name: str, task: str) -> dict[str, Postgres]:
        """Return how to read from each replica of a database, by the replica's name.

        Raises:
            UsageError: no database has that name, or a secret cannot be resolved.
        """
        target = self.settings.database(name)
        return {
            replica: self._reach(f"{name}/{replica}", target, resolve_url(url, self.environ), task)
            for replica, url in target.replicas.items()
        }

    def ops(self, task: str, *, read_only: bool = False) -> Postgres:
        """Return how to reach the ops database for our own tables.

        Raises:
            UsageError: a secret cannot be resolved.
        """
        capability = Capability.OBSERVE if read_only else Capability.MAINTAIN
        return self._postgres(OPS, capability, task, read_only=read_only)

    def _postgres(self, name: str, capability: Capability, task: str, *, read_only: bool) -> Postgres:
        target = self.settings.database(name)
        value = target.url_for(capability, name)
        if value is None:
            url = self.embedded_url(EMBEDDED_OPS_DATABASE if name == OPS else name)
        else:
            url = resolve_url(value, self.environ)
        return self._reach(name, target, url, task, read_only=read_only)

    def _reach(
        self, name: str, target: DatabaseSettings, url: str, task: str, *, read_only: bool = True
    ) -> Postgres:
        return Postgres(
            url=url,
            database=name,
            task=task,
            statement_timeout_seconds=target.statement_timeout_seconds,
            lock_timeout_seconds=target.lock_timeout_seconds,
            read_only=read_only,
        )
