"""What herald.yaml may say: frozen models with defaults and units. docs/settings.md is the same for people.

Every model refuses unknown keys; an empty value (`guards:`) counts as a key that is not there. Numbers are
strict: `"60"` and `true` are none. A value that may hold a secret is never part of an error's text.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from herald_pipelines.errors import UsageError, unknown_value
from herald_pipelines.settings.backup import BackupSettings
from herald_pipelines.settings.fields import (
    OPS,
    Budget,
    Bytes,
    DatabaseName,
    Day,
    Duration,
    Model,
    Name,
    Number,
    Range,
    Seconds,
    Switch,
    Whole,
    from_folder,
)
from herald_pipelines.settings.files import MOST_YAML_BYTES, explain, read_text_file, show_file
from herald_pipelines.settings.health import HealthSettings
from herald_pipelines.settings.partitions import PartitionSettings, TableName
from herald_pipelines.settings.performance import PerformanceSettings
from herald_pipelines.settings.security import SecuritySettings
from herald_pipelines.settings.urls import CapabilityUrls, SecretRef, Url, Value
from herald_pipelines.values import Capability, Mode

SAMPLE = "platform"
"""Name of the sample platform, the one target database where nothing is configured."""


class Guards(Model):
    """When a database is too busy for maintenance, and how long to wait for it."""

    max_active_sessions: Annotated[Whole, AfterValidator(Range(0, 262_143))] = 50
    """Client backends that are not idle, ours left out."""
    max_replication_lag_seconds: Seconds = 60.0
    max_transaction_seconds: Seconds = 300.0
    """Age of the oldest open transaction of a client."""
    wait_seconds: Seconds = 600.0
    """How long a task waits for a busy database before it gives up and is refused."""


class TaskSettings(Model):
    """What one task does differently on one database."""

    mode: Mode | None = None
    """The database's, when not given."""
    enabled: Switch = True
    budget_seconds: Budget | None = None
    """The database's, when not given."""


class IndexSettings(Model):
    """Thresholds of index maintenance."""

    bloat_threshold: Annotated[Number, AfterValidator(Range(0.01, 0.99))] = 0.20
    """Share of an index that is waste, above which it is rebuilt (the seed's 20 %)."""
    min_size_bytes: Bytes = 1024 * 1024
    """Smaller indexes are never called bloated: a rebuild would not be worth its lock."""
    usage_window_days: Annotated[Whole, AfterValidator(Range(1, 99))] = 30
    """Days without a scan before an index is called unused. A business cycle that is longer needs more."""
    inefficient_hit_ratio: Annotated[Number, AfterValidator(Range(0, 1))] = 0.50
    """Share of block reads found in shared_buffers; below it an index is inefficient (the seed's 50 %)."""
    inefficient_min_blocks: Annotated[Whole, AfterValidator(Range(0, 2**31 - 1))] = 1000
    """Blocks read from outside, above which that share is judged at all (the seed's 1000)."""
    free_disk_factor: Annotated[Number, AfterValidator(Range(1, 100))] = 2.0
    """Free disk that a rebuild needs, in sizes of the index: one for the new index, one for its WAL."""
    assumed_free_disk_bytes: Bytes = 10 * 1024**3
    """Taken for free where it cannot be measured: on any machine but this one."""


class CatchUpSettings(Model):
    """How missed maintenance windows are made up for."""

    look_back_days: Annotated[Whole, AfterValidator(Range(1, 366))] = 35
    """Older windows are left missed; 35 holds every first Sunday."""
    grace_seconds: Duration = 600.0
    """How long after its opening a window that did not run counts as missed; half of it is the schedule's."""
    max_requests_per_tick: Annotated[Whole, AfterValidator(Range(1, 1000))] = 10
    max_attempts: Annotated[Whole, AfterValidator(Range(1, 20))] = 3
    """Failed attempts at a window before it is left to people."""
    backoff_seconds: Annotated[Number, AfterValidator(Range(0, 86_400))] = 300.0
    """Wait after a failed attempt; doubles with each."""


def _check_query(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


class DatabaseSettings(Model):
    """One target database."""

    url: Url | None
    """None: the database of that name in the embedded server; a file cannot say so."""
    replicas: Mapping[Name, Value] = Field(default_factory=dict[str, str | SecretRef])
    """Standbys, by name: where an index counts as used as well."""
    since: Day | None = None
    """No window before that day (UTC) is missed; when not given, the day the database was first seen."""
    mode: Mode = Mode.OBSERVE
    tasks: Mapping[Name, TaskSettings] = Field(default_factory=dict[str, TaskSettings])
    guards: Guards = Guards()
    budget_seconds: Budget = 3600.0
    """How long one task may begin new work in one window."""
    statement_timeout_seconds: Duration = 60.0
    lock_timeout_seconds: Duration = 2.0
    indexes: IndexSettings | None = None
    """What differs from the `indexes` of the top level; keys that are not given are taken from there."""
    partitions: Mapping[TableName, PartitionSettings] = Field(default_factory=dict[str, PartitionSettings])
    """The rules of partitioned tables, by schema.table; a table without one is left alone."""
    performance: PerformanceSettings | None = None
    """The same of the `performance` of the top level."""
    test_query: Annotated[str, AfterValidator(_check_query)] | None = None
    """A query of your own that the health check asks each time, in a read-only session."""

    def task(self, name: str) -> TaskSettings:
        """Return what is said about a task; nothing, when it is not named."""
        return self.tasks.get(name, TaskSettings())

    def url_for(self, capability: Capability, name: str) -> "str | SecretRef | None":
        """Return the url for a capability; None means the embedded server.

        Args:
            capability: what the connection is for. `observe` falls back on `maintain`.
            name: the database's name, for the error.

        Raises:
            UsageError: no url is given for that capability.
        """
        if not isinstance(self.url, CapabilityUrls):
            return self.url
        url: str | SecretRef | None = getattr(self.url, capability.value)
        if url is None and capability is Capability.OBSERVE:
            url = self.url.maintain
        if url is None:
            where = OPS if name == OPS else f"databases.{name}"
            raise UsageError(
                f"database {name!r} has no url for {capability.value}",
                hint=f"add {where}.url.{capability.value}",
            )
        return url

    @model_validator(mode="after")
    def _check_apply(self) -> "DatabaseSettings":
        modes = {self.mode, *(task.mode for task in self.tasks.values() if task.enabled)}
        if Mode.APPLY in modes and isinstance(self.url, CapabilityUrls) and self.url.maintain is None:
            raise ValueError("mode apply needs url.maintain")
        return self


class OpsSettings(DatabaseSettings):
    """The database of our own tables; maintained as a target too, and ours to change."""

    url: Url | None = None
    mode: Mode = Mode.APPLY


class Settings(Model):
    """Everything that herald.yaml says, with defaults for what it does not say."""

    version: Literal[1] = 1
    ops: OpsSettings = OpsSettings()
    databases: Mapping[DatabaseName, DatabaseSettings] = Field(default_factory=dict[str, DatabaseSettings])
    calendar: Path | None = None
    """A calendar in place of the shipped one; a relative path starts at the folder of herald.yaml."""
    catch_up: CatchUpSettings = CatchUpSettings()
    indexes: IndexSettings = IndexSettings()
    performance: PerformanceSettings = PerformanceSettings()
    backup: BackupSettings = BackupSettings()
    security: SecuritySettings = SecuritySettings()
    health: HealthSettings = HealthSettings()
    home: Path = Path(".herald")
    """Where we keep our own files. Not a key of the file: HERALD_HOME, else .herald in the current folder."""
    source: Path | None = None
    """The file that was read; None: the defaults. Not a key of the file."""

    @property
    def embedded(self) -> bool:
        """Whether the ops database lives in the embedded server."""
        return self.ops.url is None

    def names(self) -> tuple[str, ...]:
        """Return the names of all databases we maintain: the targets in the file's order, then ops."""
        return (*self.databases, OPS)

    def database(self, name: str) -> DatabaseSettings:
        """Return the settings of a database; `ops` is one.

        Raises:
            UsageError: no database has that name.
        """
        if name == OPS:
            return self.ops
        if name not in self.databases:
            raise unknown_value("database", name, self.names())
        return self.databases[name]

    def mode_of(self, database: str, task: str) -> Mode:
        """Return whether a task may change a database."""
        target = self.database(database)
        return target.task(task).mode or target.mode

    def budget_of(self, database: str, task: str) -> float:
        """Return how long a task may begin new work on a database in one window, in seconds."""
        target = self.database(database)
        return target.task(task).budget_seconds or target.budget_seconds

    def is_enabled(self, database: str, task: str) -> bool:
        """Return whether a task runs on a database at all."""
        return self.database(database).task(task).enabled

    def indexes_of(self, database: str) -> IndexSettings:
        """Return the index thresholds of a database: the common ones, overridden by its own."""
        own = self.database(database).indexes
        if own is None:
            return self.indexes
        return self.indexes.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})

    def performance_of(self, database: str) -> PerformanceSettings:
        """Return the thresholds of performance of a database: the common ones, overridden by its own."""
        own = self.database(database).performance
        if own is None:
            return self.performance
        return self.performance.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})

    @field_validator("calendar")
    @classmethod
    def _check_calendar(cls, path: Path, info: ValidationInfo) -> Path:
        absolute = from_folder(path, info)
        try:
            read_text_file(absolute, MOST_YAML_BYTES)
        except OSError as error:
            raise ValueError(f"{show_file(absolute)} cannot be read: {explain(error)}") from None
        return absolute

    @model_validator(mode="before")
    @classmethod
    def _add_sample(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        given = cast("dict[str, Any]", data)
        ops = given.get("ops")
        ops_url = (
            cast("dict[str, Any]", ops).get("url") if isinstance(ops, dict) else getattr(ops, "url", None)
        )
        if given.get("databases") or ops_url is not None:
            return given
        # model_construct: no file may leave the url out, so validation would refuse it
        rules = {f"public.{table}": PartitionSettings() for table in ("matches", "match_events")}
        sample = DatabaseSettings.model_construct(url=None, mode=Mode.APPLY, partitions=rules)
        return given | {"databases": {SAMPLE: sample}}
