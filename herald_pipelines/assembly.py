"""Puts the Dagster definitions together from the settings, the calendar and the tasks. Opens no database."""

import warnings

import dagster as dg

from herald_pipelines import scheduling
from herald_pipelines.environment import Environment
from herald_pipelines.health_frames import HealthFrames
from herald_pipelines.health_sensor import build_health_sensor, health_status_checks, status_asset
from herald_pipelines.ledger import Ledger
from herald_pipelines.recovery_job import restore_job
from herald_pipelines.registry import TASKS
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.task_assets import asset_key, build_task_asset
from herald_pipelines.window_history import AssetKeys

ASSET_KEYS: AssetKeys = {
    task.name: tuple(asset_key(asset.name) for asset in task.assets) for task in TASKS.values()
}


def build_definitions(environment: Environment) -> dg.Definitions:
    """Return assets, jobs, schedules and the catch-up sensor of every slot of the calendar.

    Raises:
        UsageError: the calendar holds mistakes.
    """
    with warnings.catch_warnings():
        # Backfill policies and multi-partition mappings are beta in Dagster: pinned, and no business of the operator.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return _build(environment)


def _build(environment: Environment) -> dg.Definitions:
    calendar, names = environment.calendar, environment.settings.names()
    slot_of_asset = {
        asset.name: slot for slot in calendar.slots for name in slot.tasks for asset in TASKS[name].assets
    }
    partitions = {slot.name: scheduling.partitions_of(slot, names) for slot in calendar.slots}
    assets = [
        build_task_asset(
            TASKS[name],
            slot=slot,
            order=order,
            partitions_def=partitions[slot.name],
            upstream={
                dep: dg.AssetDep(
                    asset_key(dep), partition_mapping=scheduling.mapping_between(slot_of_asset[dep], slot)
                )
                for asset in TASKS[name].assets
                for dep in asset.deps
                if dep in slot_of_asset
            },
        )
        for slot in calendar.slots
        for order, name in enumerate(slot.tasks)
    ]
    jobs = {
        slot.name: scheduling.build_slot_job(slot, [key for name in slot.tasks for key in ASSET_KEYS[name]])
        for slot in calendar.slots
    }

    def open_ledger() -> Ledger:
        return Ledger(environment.targets.ops("request_missed_windows"))

    def open_storage() -> Postgres:
        return environment.storage("request_missed_windows")

    return dg.Definitions(
        assets=[*assets, status_asset],
        asset_checks=[health_status_checks],
        jobs=[*jobs.values(), restore_job],
        schedules=[
            scheduling.build_schedule(slot, jobs[slot.name], environment.settings, ASSET_KEYS)
            for slot in calendar.slots
        ],
        sensors=[
            scheduling.build_catch_up_sensor(
                list(jobs.values()), calendar, environment.settings, ASSET_KEYS, open_ledger, open_storage
            ),
            build_health_sensor(environment, asset_keys=ASSET_KEYS),
        ],
        resources={
            "herald": dg.ResourceDefinition.hardcoded_resource(environment),
            "health_frames": HealthFrames(environment),
        },
        executor=dg.in_process_executor,
    )
