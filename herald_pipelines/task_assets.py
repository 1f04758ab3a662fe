"""The Dagster side of a task: one multi-asset whose step handles every (database, window) of its run by itself.

Dagster marks every partition of a range run with what a step returns, so this step returns nothing: it logs a
materialization for each (window, database) that it completed, and only then fails for those that it did not. That is
why the outputs are skippable. A dry run logs none.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from herald_pipelines.environment import Environment
from herald_pipelines.errors import GuardRefusal, HeraldError
from herald_pipelines.ledger import Ledger
from herald_pipelines.settings import Settings
from herald_pipelines.slots import Slot, opens_at
from herald_pipelines.tasks import Markdown, Metadata, Task, TaskResult, execute_task
from herald_pipelines.values import utc_now

KEY_PREFIX = "herald"


class TaskConfig(dg.Config):
    """What an operator may say in the launchpad."""

    dry_run: bool = False
    """Plan only: nothing is changed or recorded, and the window stays as it was."""


def asset_key(name: str) -> dg.AssetKey:
    """Return the key of an asset: herald/<name>."""
    return dg.AssetKey([KEY_PREFIX, name])


def group_windows(partition_keys: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Sort a run's partition keys by database, each with its windows from the oldest to the newest.

    >>> dict(group_windows(["b|2026-11-02", "a|2026-11-02", "b|2026-11-01"]))
    {'a': ('2026-11-02',), 'b': ('2026-11-01', '2026-11-02')}
    """
    grouped: dict[str, list[str]] = {}
    for key in sorted(partition_keys):
        database, window = key.split("|", maxsplit=1)
        grouped.setdefault(database, []).append(window)
    return {database: tuple(windows) for database, windows in grouped.items()}


def is_late(slot: Slot, windows: Sequence[str], now: datetime, settings: Settings) -> bool:
    """Whether windows are begun after their time: past the grace, or older ones together with the newest."""
    grace = timedelta(seconds=settings.catch_up.grace_seconds)
    return len(windows) > 1 or opens_at(slot, windows[-1]) + grace < now


def build_task_asset(
    task: Task,
    *,
    slot: Slot,
    order: int,
    partitions_def: dg.PartitionsDefinition[Any],
    upstream: Mapping[str, dg.AssetDep],
) -> dg.AssetsDefinition:
    """Make the multi-asset of a task.

    Args:
        task: what is done.
        slot: in which it stands.
        order: place in its slot, from 0; the in-process executor takes ready steps by priority.
        partitions_def: database by window of the slot.
        upstream: for assets of other tasks that this one is made from, how their windows map onto its own.
    """
    own = {asset.name for asset in task.assets}
    specs = [
        dg.AssetSpec(
            asset_key(asset.name),
            deps=[asset_key(name) if name in own else upstream[name] for name in asset.deps],
            description=asset.description,
            group_name=task.group,
            kinds={"postgres"},
            owners=["team:database"],
            partitions_def=partitions_def,
            skippable=True,
            tags={"herald/task": task.name},
        )
        for asset in task.assets
    ]
    checks = [
        dg.AssetCheckSpec(check.name, asset=asset_key(check.asset), description=check.description)
        for check in task.checks
    ]

    @dg.multi_asset(
        name=task.name,
        specs=specs,
        check_specs=checks,
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
        op_tags={"dagster/priority": str(-order)},
        required_resource_keys={"herald"},
    )
    def task_asset(context: dg.AssetExecutionContext, config: TaskConfig) -> Iterator[dg.AssetCheckResult]:
        environment: Environment = context.resources.herald
        results: dict[str, TaskResult] = {}
        errors: dict[str, Exception] = {}
        for database, windows in group_windows(context.partition_keys).items():
            try:
                results[database] = _execute(task, slot, database, windows, context, config, environment)
            except Exception as error:
                context.log.error(  # noqa: TRY400 - a traceback only for what is a defect of ours
                    "%s on %s: %s", task.name, database, error, exc_info=not isinstance(error, HeraldError)
                )
                errors[database] = error
        if results and not config.dry_run:
            yield from _check_results(task, results, context, environment)
        problems = [
            f"{database}: {problem}" for database, result in results.items() for problem in result.problems
        ]
        if errors or problems:
            refused = not problems and all(isinstance(error, GuardRefusal) for error in errors.values())
            raise dg.Failure(
                "; ".join([*(f"{database}: {error}" for database, error in errors.items()), *problems]),
                metadata={"refused": refused},
                allow_retries=False,
            )

    return task_asset


def _execute(
    task: Task,
    slot: Slot,
    database: str,
    windows: tuple[str, ...],
    context: dg.AssetExecutionContext,
    config: TaskConfig,
    environment: Environment,
) -> TaskResult:
    def say(text: str) -> None:
        context.log.info(text)
        if environment.say is not None:
            environment.say(text)

    now, newest = utc_now(), windows[-1]
    late = is_late(slot, windows, now, environment.settings)
    result = execute_task(
        task,
        database,
        covered=windows,
        late=late,
        dry_run=config.dry_run,
        now=now,
        run_id=context.run.run_id,
        settings=environment.settings,
        targets=environment.targets,
        say=say,
    )
    if not config.dry_run and not result.problems:
        for window in windows:
            for asset in task.assets:
                # What was measured is of now: an older window gets no numbers, which would be invented history.
                told = result.metadata.get(asset.name, {}) if window == newest else {"covered_by": newest}
                context.log_event(
                    dg.AssetMaterialization(
                        asset_key(asset.name),
                        partition=f"{database}|{window}",
                        metadata=to_dagster_metadata({**told, "late": late}),
                    )
                )
    environment.on_result(database, result)
    return result


def _check_results(
    task: Task, databases: Collection[str], context: dg.AssetExecutionContext, environment: Environment
) -> Iterator[dg.AssetCheckResult]:
    """Yield each check once, as it stands now on all databases.

    A check of Dagster has one newest verdict, so that of a well database would hide that of a sick one.
    """
    ledger = Ledger(environment.targets.ops(task.name, read_only=True))
    standing = ledger.latest_checks(task.name, environment.settings.names())
    for check in task.checks:
        key = dg.AssetCheckKey(asset_key(check.asset), check.name)
        verdicts = [verdict for verdict in standing if verdict.check_name == check.name]
        if key not in context.selected_asset_check_keys or not verdicts:
            continue
        failed = [verdict for verdict in verdicts if not verdict.passed]
        own = [verdict for verdict in verdicts if verdict.database in databases]
        numbers = {
            name: value for name, value in own[0].metadata.items() if name != "summary"
        } if len(own) == 1 else None  # fmt: skip
        yield dg.AssetCheckResult(
            asset_key=key.asset_key,
            check_name=check.name,
            passed=not failed,
            severity=dg.AssetCheckSeverity.ERROR
            if any(verdict.severity == "ERROR" for verdict in failed)
            else dg.AssetCheckSeverity.WARN,
            description="; ".join(
                f"{verdict.database} ({verdict.window}): {verdict.metadata['summary']}"
                for verdict in verdicts
            ),
            metadata=numbers,
        )


def to_dagster_metadata(metadata: Metadata) -> dict[str, dg.MetadataValue[Any]]:
    """Return metadata values that the UI plots (numbers) and renders (Markdown)."""
    values: dict[str, dg.MetadataValue[Any]] = {}
    for name, value in metadata.items():
        match value:
            case Markdown(text):
                values[name] = dg.MetadataValue.md(text)
            case bool():
                values[name] = dg.MetadataValue.bool(value)
            case int():
                values[name] = dg.MetadataValue.int(value)
            case float():
                values[name] = dg.MetadataValue.float(value)
            case str():
                values[name] = dg.MetadataValue.text(value)
    return values
