"""The sensor that asks what is due, without a run; Dagster is told when a status changes, and once an hour.

An event for every result would be gigabytes of event log a year; all of them are in herald.health_snapshot.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import dagster as dg

from herald_pipelines.catchup import State, WindowState
from herald_pipelines.environment import Environment
from herald_pipelines.errors import TransientFailure
from herald_pipelines.health.checks import build_checks
from herald_pipelines.health.history import Standing, read_standings
from herald_pipelines.health.report import count, fingerprint, judge, table, verdict_rows
from herald_pipelines.health.results import HealthCheck, Key, Previous, Probe, Status, Verdict
from herald_pipelines.health.watch import Watch
from herald_pipelines.ledger import Ledger
from herald_pipelines.task_assets import asset_key, to_dagster_metadata
from herald_pipelines.tasks import CheckVerdict
from herald_pipelines.values import utc_now
from herald_pipelines.window_history import AssetKeys, window_states

SENSOR_INTERVAL_SECONDS = 15
WINDOWS_SECONDS = 300.0
TELL_EVERY = timedelta(hours=1)
STATUS_KEY = asset_key("health_status")
CHECKS = {
    "critical_checks_healthy": "Nothing critical is unhealthy.",
    "no_unhealthy_checks": "Nothing is degraded or unhealthy.",
}

status_asset = dg.AssetSpec(
    STATUS_KEY,
    description="How everything is now, told when it changes and once an hour; herald.health_status has it at any time.",
    group_name="health",
    kinds={"postgres"},
    owners=["team:database"],
)


def build_health_sensor(
    environment: Environment,
    *,
    clock: Callable[[], datetime] = utc_now,
    build: Callable[[Environment], Sequence[HealthCheck]] | None = None,
    asset_keys: AssetKeys | None = None,
) -> dg.SensorDefinition:
    """Return the sensor that watches everything.

    Args:
        environment: what the checks reach.
        clock: the time, UTC.
        build: makes the checks; by default those that the settings ask for.
        asset_keys: of each task, for the check on missed windows; None: there is none.
    """
    watch = Watch()

    @dg.sensor(  # pyright: ignore[reportUnknownMemberType] - in the metadata we do not give
        name="watch_health",
        minimum_interval_seconds=SENSOR_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks every health check at its own frequency, without a run.",
    )
    def watch_health(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = clock()
        checks = list(build(environment) if build else _checks(environment))
        if asset_keys is not None:
            checks.append(_windows_check(environment, context.instance, asset_keys))
        ops = environment.targets.ops("watch_health")
        found = watch.look(ops, checks, now, keep_months=environment.settings.health.keep_months)
        if found is None:
            return dg.SensorResult(skip_reason="the look before has not ended yet")
        said = "; ".join((f"{found.asked} checks asked", *found.problems))
        if found.unwritten:
            said += f"; {found.unwritten} results wait for the ops database"
        context.log.info(said)
        told = fingerprint(found.standings)
        if not _is_to_be_told(context.cursor, told, now):
            return dg.SensorResult(skip_reason=f"{said}; nothing changed")
        return dg.SensorResult(
            asset_events=_events(found.standings, now),
            cursor=json.dumps({"told": told, "at": now.isoformat()}),
        )

    return watch_health


def _checks(environment: Environment) -> list[HealthCheck]:
    return build_checks(environment.targets, environment.settings.names())


def _windows_check(
    environment: Environment, instance: dg.DagsterInstance, asset_keys: AssetKeys
) -> HealthCheck:
    def ask(now: datetime, _previous: Previous | None) -> Verdict:
        ledger = Ledger(environment.targets.ops("windows", read_only=True))
        try:
            states = window_states(
                instance, environment.calendar, environment.settings, asset_keys, ledger, now
            )
        except TransientFailure as error:
            # That the ops database is away is told by its own checks.
            return Verdict(Status.UNKNOWN, error.message)
        return judge_windows(states)

    return Probe("dagster", "windows", WINDOWS_SECONDS, ask, time.monotonic, timeout_seconds=20.0)


def judge_windows(states: Sequence[WindowState]) -> Verdict:
    """Judge whether maintenance windows were missed: unhealthy where nobody tries any more."""
    missed = [each for each in states if each.missed]
    given_up = [each for each in missed if each.state is State.GIVEN_UP]
    metrics = {"missed_windows": float(len(missed)), "given_up_windows": float(len(given_up))}
    if not missed:
        return Verdict(Status.HEALTHY, "no window is missed", metrics)
    first = (given_up or missed)[0]
    status = Status.UNHEALTHY if given_up else Status.DEGRADED
    text = f"{len(missed)} windows are missed, {len(given_up)} given up: {first.slot} on {first.database}, {first.window}"
    return Verdict(status, text, metrics)


def _is_to_be_told(cursor: str | None, told: str, now: datetime) -> bool:
    try:
        before = json.loads(cursor or "{}")
        last = datetime.fromisoformat(before["at"])
    except (ValueError, KeyError, TypeError):
        return True
    # A clock that was put back does not silence it.
    return before.get("told") != told or not last <= now < last + TELL_EVERY


def _events(
    standings: Mapping[Key, Standing], now: datetime
) -> list[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    rows = verdict_rows(standings, now)
    slowest = max((each.duration_seconds for each in standings.values()), default=0.0)
    numbers = {"checks": len(rows), **count(row[2] for row in rows), "slowest_seconds": slowest}
    metadata = to_dagster_metadata({**numbers, "checks_by_status": table(rows)})
    return [
        dg.AssetMaterialization(STATUS_KEY, metadata=metadata),
        *(
            dg.AssetCheckEvaluation(
                asset_key=STATUS_KEY,
                check_name=verdict.check,
                passed=verdict.passed,
                severity=_severity(verdict),
                description=verdict.summary,
                metadata=to_dagster_metadata(verdict.metadata),
            )
            for verdict in judge(rows)
        ),
    ]


def _severity(verdict: CheckVerdict) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if verdict.is_error else dg.AssetCheckSeverity.WARN


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(name, asset=STATUS_KEY, description=description)
        for name, description in CHECKS.items()
    ],
    required_resource_keys={"herald"},
)
def health_status_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Judge again what the sensor has seen last."""
    environment: Environment = context.resources.herald
    with environment.targets.ops("health_status", read_only=True).session() as session:
        rows = verdict_rows(read_standings(session), utc_now())
    for verdict in judge(rows):
        yield dg.AssetCheckResult(
            asset_key=STATUS_KEY,
            check_name=verdict.check,
            passed=verdict.passed,
            severity=_severity(verdict),
            description=verdict.summary,
            metadata=to_dagster_metadata(verdict.metadata),
        )
