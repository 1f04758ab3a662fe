"""The checks that the settings ask for: what each reads, how often, and who judges it."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import psutil

from herald_pipelines.errors import HeraldError, PermanentFailure, TransientFailure
from herald_pipelines.health import rules
from herald_pipelines.health.ahead import judge_ahead
from herald_pipelines.health.results import HealthCheck, Previous, Probe, Status, Verdict
from herald_pipelines.health.web import EndpointCheck, RiotCheck
from herald_pipelines.partitions.rules import fit_rules
from herald_pipelines.partitions.store import read_inventory
from herald_pipelines.records import describe_error
from herald_pipelines.resources.dagster_home import DAGSTER_DATABASE, DAGSTER_URL_VARIABLE
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.resources.targets import Targets
from herald_pipelines.settings import OPS, DatabaseSettings, Settings
from herald_pipelines.values import SECONDS_PER_DAY, Capability

TASK = "health"
FIRST_WITH_CHECKPOINTER = 170000
STATEMENT_SECONDS = 8.0
"""For a statement of a check, which is waited for 10 s: nothing is left at work on a server that is in trouble."""
OFTEN, SOMETIMES, SELDOM = 30.0, 60.0, 300.0
Ask = Callable[[datetime, Previous | None], Verdict]
Read = Callable[[Session, datetime, Previous | None], Verdict]


def build_checks(targets: Targets, databases: Sequence[str]) -> list[HealthCheck]:
    """Return the checks of some databases; with `ops` come those of the platform, its host and Dagster.

    Nothing is opened or asked by that.
    """
    settings = targets.settings
    found: list[HealthCheck] = []
    for name in databases:
        found += _database_checks(targets, name)
    if OPS in databases:
        found += _platform_checks(targets, settings)
    return found


def _database_checks(targets: Targets, name: str) -> Iterator[HealthCheck]:
    target = targets.settings.database(name)
    limits = rules.Limits(max_lag_seconds=target.guards.max_replication_lag_seconds)
    probes: tuple[tuple[str, float, Ask], ...] = (
        ("database", OFTEN, _DatabaseCheck(targets, name, target.test_query, limits)),
        ("blockers", OFTEN, _reading(targets, name, _read_blockers)),
        ("wraparound", SELDOM, _reading(targets, name, _read_ages)),
        ("replication", SOMETIMES, _reading(targets, name, _read_standbys(limits))),
        ("slots", SOMETIMES, _reading(targets, name, _read_slots)),
        ("cache", SELDOM, _reading(targets, name, _read_cache)),
        ("deadlocks", SOMETIMES, _reading(targets, name, _read_deadlocks)),
        ("checkpoints", SELDOM, _reading(targets, name, _read_checkpoints)),
        ("disk", SOMETIMES, _reading(targets, name, _read_disk)),
        *(
            [("partitions", SELDOM, _reading(targets, name, _read_partitions(target, name)))]
            if target.partitions
            else []
        ),
    )
    for check, frequency, ask in probes:
        critical = check in ("database", "wraparound", "disk")
        yield Probe(name, check, frequency, ask, time.monotonic, critical=critical)
    # Without a store, only what lives in the embedded server is backed up.
    if name != OPS and (targets.settings.backup.store is not None or target.url is None):
        yield Probe(name, "backups", SELDOM, _backups(targets, name), time.monotonic)


def _platform_checks(targets: Targets, settings: Settings) -> Iterator[HealthCheck]:
    yield Probe("host", "memory", SOMETIMES, _ask_memory, time.monotonic)
    yield Probe("host", "disk", SOMETIMES, _disk_of(settings.home), time.monotonic, critical=True)
    for name, read in (("daemons", _read_daemons), ("ticks", _read_ticks), ("runs", _read_runs)):
        critical = name == "daemons"
        yield Probe("dagster", name, SOMETIMES, _dagster(targets, read), time.monotonic, critical=critical)
    for each in settings.health.endpoints:
        yield Probe("endpoints", each.name, each.frequency_seconds, EndpointCheck(each), time.monotonic,
                    critical=each.critical, timeout_seconds=each.timeout_seconds * 2)  # fmt: skip
    if (riot := settings.health.riot) is not None:
        ask = RiotCheck(riot, targets.environ)
        wait = riot.timeout_seconds * 2 + 1
        yield Probe("riot", "api", riot.frequency_seconds, ask, time.monotonic, timeout_seconds=wait)


@dataclass(frozen=True)
class _DatabaseCheck:
    """Connects, counts sessions, and asks the test query of the settings."""

    targets: Targets
    name: str
    test_query: str | None
    limits: rules.Limits

    def __call__(self, _now: datetime, _previous: Previous | None) -> Verdict:
        began = time.monotonic()
        try:
            with _reach(self.targets, self.name).session(autocommit=True) as session:
                row = session.fetch_one("health/read_activity", long_seconds=self.limits.long_seconds)
                ping_ms = (time.monotonic() - began) * 1000
                query = _run_test(session, self.test_query) if self.test_query else None
        except PermanentFailure as error:
            # Trying again cannot help, and nobody gets in: the database was dropped, or the role is refused.
            return Verdict(Status.UNHEALTHY, describe_error(error))
        return rules.judge_activity(row, self.limits, ping_ms=ping_ms, query=query)


def _run_test(session: Session, statement: str) -> Verdict:
    began = time.monotonic()
    try:
        rows = session.execute(statement)
    except HeraldError as error:
        return Verdict(Status.DEGRADED, f"the test query failed: {describe_error(error)}")
    metrics = {"query_duration_ms": (time.monotonic() - began) * 1000}
    first = next(iter(rows[0].values()), None) if rows else None
    if isinstance(first, (int, float, Decimal)):
        metrics["test_query_value"] = float(first)
    return Verdict(Status.HEALTHY, "", metrics)


def _reading(targets: Targets, name: str, read: Read) -> Ask:
    def ask(now: datetime, previous: Previous | None) -> Verdict:
        with _reach(targets, name).session(autocommit=True) as session:
            return read(session, now, previous)

    return ask


def _reach(targets: Targets, name: str) -> Postgres:
    """Return how a check reaches a database: by a connection of its own, closed at once, so that none holds up another."""
    return replace(
        targets.postgres(name, Capability.OBSERVE, TASK), statement_timeout_seconds=STATEMENT_SECONDS
    )


def _dagster(targets: Targets, read: Read) -> Ask:
    def ask(now: datetime, previous: Previous | None) -> Verdict:
        url = targets.environ.get(DAGSTER_URL_VARIABLE) or targets.embedded_url(DAGSTER_DATABASE)
        storage = Postgres(url, DAGSTER_DATABASE, TASK, statement_timeout_seconds=STATEMENT_SECONDS)
        with storage.session(autocommit=True) as session:
            return read(session, now, previous)

    return ask


def _backups(targets: Targets, name: str) -> Ask:
    limits = targets.settings.backup.limits

    def ask(_now: datetime, _previous: Previous | None) -> Verdict:
        try:
            with targets.ops(TASK, read_only=True).session(autocommit=True) as session:
                row = session.fetch_one("health/read_backup_ages", database=name)
        except TransientFailure as error:
            # That the ops database is away is told by its own checks.
            return Verdict(Status.UNKNOWN, describe_error(error))
        return rules.judge_backups(
            row,
            max_age_seconds=limits.max_age_hours * 3600,
            proof_seconds=limits.max_proof_age_days * SECONDS_PER_DAY,
        )

    return ask


def _read_partitions(target: DatabaseSettings, name: str) -> Read:
    def read(session: Session, now: datetime, _previous: Previous | None) -> Verdict:
        fitted = fit_rules(read_inventory(session), target.partitions, name)
        return judge_ahead(fitted.values(), now)

    return read


def _read_blockers(session: Session, _now: datetime, _previous: Previous | None) -> Verdict:
    return rules.judge_blockers(session.fetch("health/list_blockers"))


def _read_ages(session: Session, _now: datetime, _previous: Previous | None) -> Verdict:
    return rules.judge_ages(session.fetch_one("health/read_ages"))


def _read_standbys(limits: rules.Limits) -> Read:
    def read(session: Session, _now: datetime, _previous: Previous | None) -> Verdict:
        return rules.judge_standbys(session.fetch_one("health/read_standbys"), limits)

    return read


def _read_slots(session: Session, _now: datetime, _previous: Previous | None) -> Verdict:
    return rules.judge_slots(session.fetch("health/list_slots"))


def _read_cache(session: Session, _now: datetime, previous: Previous | None) -> Verdict:
    return rules.judge_cache(session.fetch_one("health/read_database_counters"), previous)


def _read_deadlocks(session: Session, _now: datetime, previous: Previous | None) -> Verdict:
    return rules.judge_deadlocks(session.fetch_one("health/read_database_counters"), previous)


def _read_checkpoints(session: Session, _now: datetime, previous: Previous | None) -> Verdict:
    new = session.connection.server_version >= FIRST_WITH_CHECKPOINTER
    query = "health/read_checkpoints" if new else "health/read_bgwriter"
    return rules.judge_checkpoints(session.fetch_one(query), previous)


def _read_disk(session: Session, _now: datetime, _previous: Previous | None) -> Verdict:
    """Measure where the server's own process is seen: that a path exists here proves nothing (a tunnel, a container)."""
    row = session.fetch_one("health/find_data_directory")
    folder = row["data_directory"]
    if not row["is_local"] or not folder or not _is_server_process(row["pid"]):
        return Verdict(Status.UNKNOWN, "the server's disk is not visible from here")
    return _judge_disk("the data directory", Path(folder))


def _is_server_process(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"postgres: ")
    except OSError:
        return False


def _disk_of(folder: Path) -> Ask:
    def ask(_now: datetime, _previous: Previous | None) -> Verdict:
        return _judge_disk("the home of herald", folder)

    return ask


def _judge_disk(what: str, folder: Path) -> Verdict:
    try:
        # What only root may still write counts as used; statvfs needs no right to enter the folder itself.
        usage, state = shutil.disk_usage(folder), os.statvfs(folder)
    except OSError as error:
        return Verdict(Status.UNKNOWN, f"{what} cannot be measured: {(error.strerror or '').lower()}")
    free = state.f_bavail * state.f_frsize
    total = usage.used + free
    return rules.judge_room(what, free, total, degraded=rules.DISK_DEGRADED, unhealthy=rules.DISK_UNHEALTHY)


def _ask_memory(_now: datetime, _previous: Previous | None) -> Verdict:
    memory = psutil.virtual_memory()
    return rules.judge_room(
        "memory", memory.available, memory.total,
        degraded=rules.MEMORY_DEGRADED, unhealthy=rules.MEMORY_UNHEALTHY,
    )  # fmt: skip


def _read_daemons(session: Session, _now: datetime, _previous: Previous | None) -> Verdict:
    return rules.judge_daemons(session.fetch("health/read_daemons"))


def _read_ticks(session: Session, _now: datetime, _previous: Previous | None) -> Verdict:
    return rules.judge_ticks(session.fetch("health/list_newest_ticks"))


def _read_runs(session: Session, _now: datetime, _previous: Previous | None) -> Verdict:
    return rules.judge_runs(session.fetch_one("health/read_runs"))
