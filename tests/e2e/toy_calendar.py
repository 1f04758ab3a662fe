"""Definitions for test_catching_up.py, loaded by a real code server: two slots that open every minute.

Their tasks go the way of every task: locks, ledger, guard, asset. The bodies do nothing but write down, in a table of
the test, when they worked on which window; `judge` is made from what `gather` makes in the same slot.
"""

import os
import time
from datetime import UTC, date, datetime

import dagster as dg
import psycopg2

from herald_pipelines.calendar import Calendar
from herald_pipelines.environment import Environment
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.scheduling import (
    build_catch_up_sensor,
    build_schedule,
    build_slot_job,
    mapping_between,
    partitions_of,
)
from herald_pipelines.settings import (
    CatchUpSettings,
    DatabaseSettings,
    OpsSettings,
    SecretRef,
    Settings,
    TaskSettings,
)
from herald_pipelines.slots import Cadence, CatchUpPolicy, Slot
from herald_pipelines.task_assets import asset_key, build_task_asset
from herald_pipelines.tasks import AssetInfo, Task, TaskContext, TaskResult

URL = os.environ["TOY_URL"]
START = date.fromisoformat(os.environ["TOY_START"])
GRACE_SECONDS = 20.0
PULSE = Slot("pulse", Cadence.MINUTES, ("beat",), START, every_minutes=1, catch_up=CatchUpPolicy.EACH)
SWEEP = Slot("sweep", Cadence.MINUTES, ("gather", "judge"), START, every_minutes=1)
CALENDAR = Calendar((PULSE, SWEEP))
ASSET_KEYS = {task: (asset_key(task),) for task in CALENDAR.tasks}
SETTINGS = Settings(
    databases={
        "alpha": DatabaseSettings(
            url=SecretRef(env="TOY_ALPHA_URL"), tasks={"beat": TaskSettings(enabled=False)}
        ),
        "beta": DatabaseSettings(url=SecretRef(env="TOY_BETA_URL")),
    },
    ops=OpsSettings(
        url=SecretRef(env="TOY_URL"),
        tasks={task: TaskSettings(enabled=False) for task in CALENDAR.tasks},
    ),
    catch_up=CatchUpSettings(
        look_back_days=1, grace_seconds=GRACE_SECONDS, backoff_seconds=1.0, max_requests_per_tick=20
    ),
)


def open_storage() -> Postgres:
    return Environment(SETTINGS, dict(os.environ)).storage("request_missed_windows")


def open_ledger() -> Ledger:
    return Ledger(Postgres(URL, "ops"))


def work(context: TaskContext) -> TaskResult:
    """Write down each window as begun, wait while the test holds (task, database), then as ended."""
    connection = psycopg2.connect(URL)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for window in context.covered:
            cursor.execute(
                "insert into execution (run_id, pid, task, database, window_key) values (%s, %s, %s, %s, %s)",
                (context.run_id, os.getpid(), context.task, context.database, window),
            )
        while True:
            cursor.execute(
                "select from hold where task = %s and database = %s", (context.task, context.database)
            )
            if not cursor.fetchall():
                break
            time.sleep(0.1)
        cursor.execute(
            "update execution set ended = clock_timestamp() where run_id = %s and task = %s",
            (context.run_id, context.task),
        )
    connection.close()
    return TaskResult(metadata={}, checks=(), summary={}, document={})


def build(slot: Slot, order: int, name: str, *deps: str) -> dg.AssetsDefinition:
    return build_task_asset(
        Task(name, f"Does {name}.", "toys", (AssetInfo(name, "Nothing.", deps),), (), work),
        slot=slot,
        order=order,
        partitions_def=partitions_of(slot, SETTINGS.names()),
        upstream={
            dep: dg.AssetDep(asset_key(dep), partition_mapping=mapping_between(slot, slot)) for dep in deps
        },
    )


JOBS = {
    slot.name: build_slot_job(slot, [key for task in slot.tasks for key in ASSET_KEYS[task]])
    for slot in CALENDAR.slots
}
defs = dg.Definitions(
    assets=[build(PULSE, 0, "beat"), build(SWEEP, 0, "gather"), build(SWEEP, 1, "judge", "gather")],
    jobs=list(JOBS.values()),
    schedules=[build_schedule(slot, JOBS[slot.name], SETTINGS, ASSET_KEYS) for slot in CALENDAR.slots],
    sensors=[
        build_catch_up_sensor(list(JOBS.values()), CALENDAR, SETTINGS, ASSET_KEYS, open_ledger, open_storage)
    ],
    resources={"herald": dg.ResourceDefinition.hardcoded_resource(Environment(SETTINGS, dict(os.environ)))},
)


def now() -> datetime:
    return datetime.now(UTC)
