"""The job `restore` of the launchpad: the same recovery as `herald restore`, planned unless somebody says yes.

Not here: planning and doing it (backup/recovery_plan.py, backup/recovery.py).
"""

import json

import dagster as dg
from pydantic import Field

from herald_pipelines.backup.recovery import recover
from herald_pipelines.backup.recovery_plan import Mode, Wish, plan_recovery, reach_of
from herald_pipelines.backup.repository import repository
from herald_pipelines.environment import Environment
from herald_pipelines.errors import HeraldError
from herald_pipelines.values import utc_now


class RestoreConfig(dg.Config):
    """What an operator says in the launchpad."""

    mode: Mode
    """database, application, configuration or full."""
    backup: str = "latest-proven"
    """An id, latest, latest-proven or a moment (UTC)."""
    databases: list[str] = Field(default_factory=list)
    """Names in herald.yaml; none: the only one that has backups, and of a full recovery all."""
    yes: bool = False
    """Do it; otherwise the plan is logged, and nothing is done."""


@dg.op(
    required_resource_keys={"herald"},
    description="Recovers from a backup; the plan is in the log and the output.",
)
def restore_backup(context: dg.OpExecutionContext, config: RestoreConfig) -> None:
    """Plan a recovery, and do it when somebody said yes."""
    environment: Environment = context.resources.herald
    settings, now = environment.settings, utc_now()
    wish = Wish(config.backup, config.mode, tuple(config.databases))
    try:
        with repository(settings, environment.environ) as place:
            place.store.check()
            reach = reach_of(settings, environment.targets)
            plan = plan_recovery(place, wish, reach, settings.backup, now=now)
            context.log.info("plan: %s", json.dumps(plan.document(), indent=1, default=str))
            if plan.refusals:
                plan.require()
            if not config.yes:
                context.log.info("nothing was done: yes: true in the launchpad does it")
                return
            done = recover(place, plan, reach, settings.backup, now=now, say=context.log.info)
            context.log.info("done: %s", json.dumps(done, indent=1, default=str))
    except HeraldError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


@dg.job(  # pyright: ignore[reportUnknownMemberType] - in the metadata we do not give
    name="restore",
    description="Recovery from a backup, for the launchpad: planned first, done where yes is true.",
    executor_def=dg.in_process_executor,
)
def restore_job() -> None:
    """Recover from a backup."""
    restore_backup()
