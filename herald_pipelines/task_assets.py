"""The Dagster side of a task: one multi-asset whose step handles every (database, window) of its run by itself.

Dagster marks every partition of a range run with what a step yields. So the step yields its assets only where it
completed them all; otherwise it logs a materialization for each (database, window) that it completed, and then fails
for those that it did not. A dry run materializes nothing, which is why the assets are skippable.
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
from herald_pipelines.tasks import ASSET_PREFIX, Markdown, Metadata, Task, TaskResult, execute_task
from herald_pipelines.values import utc_now


class TaskConfig(dg.Config):
    """What an operator may say in the launchpad."""

    dry_run: bool = False
    """Plan only: nothing is changed or recorded, and the window stays as it was. Tasks that are made from this one's
    assets are skipped in such a run."""


def asset_key(name: str) -> dg.AssetKey:
    """Return the key of an asset: herald/<name>."""
    return dg.AssetKey([ASSET_PREFIX, name])


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
    specs = [
        spec.with_io_manager_key(asset.io_manager) if asset.io_manager else spec
        for spec, asset in zip(specs, task.assets, strict=True)
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
    def task_asset(
        context: dg.AssetExecutionContext, config: TaskConfig
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        environment: Environment = context.resources.herald
        results: dict[str, TaskResult] = {}
        errors: dict[str, Exception] = {}
        completed: list[dg.AssetMaterialization] = []
        for database, windows in group_windows(context.partition_keys).items():
            try:
                late = is_late(slot, windows, utc_now(), environment.settings)
                result = _execute(task, database, windows, context, config, environment, late=late)
                results[database] = result
                if not result.problems and not config.dry_run:
                    completed += _materializations(task, database, windows, result, late=late)
            except Exception as error:
                context.log.error(  # noqa: TRY400 - a traceback only for what is a defect of ours
                    "%s on %s: %s", task.name, database, error, exc_info=not isinstance(error, HeraldError)
                )
                errors[database] = error
        problems = [
            f"{database}: {problem}" for database, result in results.items() for problem in result.problems
        ]
        yield from _record(completed, context, everything=not errors and not problems)
        if results and not config.dry_run:
            try:
                yield from _check_results(task, results, context, environment)
            except HeraldError as error:
                # It must not take the place of what went wrong before.
                errors["checks"] = error
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
    database: str,
    windows: tuple[str, ...],
    context: dg.AssetExecutionContext,
    config: TaskConfig,
    environment: Environment,
    *,
    late: bool,
) -> TaskResult:
    def say(text: str) -> None:
        context.log.info(text)
        if environment.say is not None:
            environment.say(text)

    result = execute_task(
        task,
        database,
        covered=windows,
        late=late,
        dry_run=config.dry_run,
        now=utc_now(),
        run_id=context.run.run_id,
        settings=environment.settings,
        targets=environment.targets,
        say=say,
    )
    environment.on_result(database, result)
    return result


def _materializations(
    task: Task, database: str, windows: tuple[str, ...], result: TaskResult, *, late: bool
) -> list[dg.AssetMaterialization]:
    """Return what is now complete: each asset at each window."""
    return [
        dg.AssetMaterialization(
            asset_key(asset.name),
            partition=f"{database}|{window}",
            # What was measured is of now: an older window gets no numbers, which would be invented history.
            metadata=to_dagster_metadata(
                {
                    **(
                        result.metadata.get(asset.name, {})
                        if window == windows[-1]
                        else {"covered_by": windows[-1]}
                    ),
                    "late": late,
                }
            ),
        )
        for window in windows
        for asset in task.assets
    ]


def _record(
    completed: Sequence[dg.AssetMaterialization], context: dg.AssetExecutionContext, *, everything: bool
) -> Iterator[dg.MaterializeResult[Any]]:
    """Tell Dagster what is complete: as the step's own results where that is all of its run.

    Only a step that yields its assets lets those go on that are made from them.
    """
    for each in completed:
        if everything and each.asset_key in context.selected_asset_keys:
            context.add_asset_metadata(each.metadata, each.asset_key, each.partition)
        else:
            context.log_event(each)
    if everything:
        for key in dict.fromkeys(each.asset_key for each in completed):
            if key in context.selected_asset_keys:
                yield dg.MaterializeResult(asset_key=key)


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
