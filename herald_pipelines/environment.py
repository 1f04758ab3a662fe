"""Everything a process of ours needs, put together once from the environment: settings, targets, the embedded server.

The Dagster resource, the CLI and the supervisor each make one of these. Nothing is opened or started by making it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

from herald_pipelines.calendar import Calendar, load_calendar
from herald_pipelines.errors import UsageError
from herald_pipelines.registry import TASKS
from herald_pipelines.resources.dagster_home import DAGSTER_DATABASE, DAGSTER_URL_VARIABLE
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.home import check_home
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.resources.targets import Targets
from herald_pipelines.settings import SAMPLE, Settings, load_settings
from herald_pipelines.tasks import TaskResult

SINCE_FILE = "since"
"""In the home: the day (UTC) on which it was set up."""


def _ignore(_database: str, _result: TaskResult) -> None:
    return


@dataclass(frozen=True)
class Environment:
    """Settings and what is reached through them."""

    settings: Settings
    environ: Mapping[str, str] = field(repr=False)
    on_result: Callable[[str, TaskResult], None] = _ignore
    """Told of each database's result as soon as it is there: how the CLI shows a run it started."""
    say: Callable[[str], None] | None = None
    """Where progress goes beside the run's log."""

    @classmethod
    def load(cls, environ: Mapping[str, str], cwd: Path) -> "Environment":
        """Read the settings.

        Raises:
            UsageError: the settings hold mistakes, and the text names each; or nothing can live in the home.
        """
        settings = load_settings(environ, cwd, tasks=TASKS)
        check_home(settings.home)
        return cls(settings=settings, environ=dict(environ))

    @cached_property
    def embedded(self) -> EmbeddedServer:
        """The embedded server of this home, running or not."""
        return EmbeddedServer(self.settings.home)

    @property
    def dagster_url(self) -> str | None:
        """Where Dagster keeps its storage, when it is not the embedded server."""
        return self.environ.get(DAGSTER_URL_VARIABLE) or None

    @property
    def storage_url(self) -> str:
        """Where Dagster keeps its storage.

        Raises:
            UsageError: in the embedded server, which was never started.
        """
        return self.dagster_url or self.embedded.url(DAGSTER_DATABASE)

    def storage(self, task: str) -> Postgres:
        """Return how to reach Dagster's database for the locks of runs.

        Raises:
            UsageError: it is in the embedded server, which was never started.
        """
        return Postgres(self.storage_url, DAGSTER_DATABASE, task)

    @property
    def uses_embedded(self) -> bool:
        """Whether anything lives in the embedded server."""
        targets = self.settings.databases.values()
        return self.dagster_url is None or self.settings.embedded or any(each.url is None for each in targets)

    @property
    def has_sample(self) -> bool:
        """Whether the settings hold the sample platform, rather than databases of the operator's own."""
        return SAMPLE in self.settings.databases and self.settings.databases[SAMPLE].url is None

    @property
    def is_set_up(self) -> bool:
        """Whether the embedded server was made."""
        return (self.settings.home / "postgres").is_dir()

    @cached_property
    def targets(self) -> Targets:
        """The databases by name."""
        return Targets(self.settings, self.environ, self.embedded.url)

    @cached_property
    def calendar(self) -> Calendar:
        """The maintenance calendar in force, from the first window that concerns a database on.

        Raises:
            UsageError: the calendar holds mistakes, or the note of the set-up no day.
        """
        calendar = load_calendar(self.settings.calendar, frozenset(TASKS))
        return calendar.beginning(self.since) if self.since is not None else calendar

    @cached_property
    def since(self) -> date | None:
        """The day from which on windows matter: the earliest `since`; for databases without one, the set-up's here.

        None where neither is known: the calendar's own start holds.

        Raises:
            UsageError: the note of the set-up holds no day.
        """
        named = [self.settings.database(name).since for name in self.settings.names()]
        days = [day for day in named if day is not None]
        if len(days) < len(named):
            note = self.settings.home / SINCE_FILE
            if not note.is_file():
                return None
            try:
                days.append(date.fromisoformat(note.read_text("ascii").strip()))
            except ValueError:
                raise UsageError(
                    f"{note} holds no day", hint="write the day of the set-up into it, such as 2026-11-24"
                ) from None
        return min(days)
