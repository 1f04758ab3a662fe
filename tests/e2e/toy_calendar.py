"""Definitions for test_catching_up.py, loaded by a real code server: two slots that open every minute.

The assets do nothing but write down, in a table of the test, when they worked on which window.
"""

import os
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime

import dagster as dg
import psycopg2

from herald_pipelines.calendar import Calendar
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.scheduling import build_catch_up_sensor, build_schedule, build_slot_job, partitions_of
from herald_pipelines.settings import CatchUpSettings, DatabaseSettings, OpsSettings, Settings, TaskSettings
from herald_pipelines.slots import Cadence, CatchUpPolicy, Slot

URL = os.environ["TOY_URL"]
START = date.fromisoformat(os.environ["TOY_START"])
GRACE_SECONDS = 20.0
NOWHERE = "postgresql://localhost/none"
PULSE = Slot("pulse", Cadence.MINUTES, ("beat",), START, every_minutes=1, catch_up=CatchUpPolicy.EACH)
SWEEP = Slot("sweep", Cadence.MINUTES, ("gather", "judge"), START, every_minutes=1)
CALENDAR = Calendar((PULSE, SWEEP))
ASSET_KEYS = {task: (dg.AssetKey(["toy", task]),) for task in CALENDAR.tasks}
SETTINGS = Settings(
    databases={
        "alpha": DatabaseSettings(url=NOWHERE, tasks={"beat": TaskSettings(enabled=False)}),
        "beta": DatabaseSettings(url=NOWHERE),
    },
    ops=OpsSettings(tasks={task: TaskSettings(enabled=False) for task in CALENDAR.tasks}),
    catch_up=CatchUpSettings(
        look_back_days=1, grace_seconds=GRACE_SECONDS, backoff_seconds=1.0, max_requests_per_tick=20
    ),
)


def open_ledger() -> Ledger:
    return Ledger(Postgres(URL, "ops"))


def work(task: str, context: dg.AssetExecutionContext) -> None:
    """Write down each window as begun, wait while the test holds (task, database), then as ended."""
    connection = psycopg2.connect(URL)
    connection.autocommit = True
    keys = sorted(key.split("|") for key in context.partition_keys)
    with connection.cursor() as cursor:
        for database, window in keys:
            cursor.execute(
                "insert into execution (run_id, pid, task, database, window_key) values (%s, %s, %s, %s, %s)",
                (context.run.run_id, os.getpid(), task, database, window),
            )
        while True:
            cursor.execute("select from hold where task = %s and database = %s", (task, keys[0][0]))
            if not cursor.fetchall():
                break
            time.sleep(0.1)
        for database, window in keys:
            context.log_event(dg.AssetMaterialization(ASSET_KEYS[task][0], partition=f"{database}|{window}"))
        cursor.execute(
            "update execution set ended = clock_timestamp() where run_id = %s and task = %s",
            (context.run.run_id, task),
        )
    connection.close()


def build(slot: Slot, order: int, task: str) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=task,
        specs=[dg.AssetSpec(key, skippable=True) for key in ASSET_KEYS[task]],
        partitions_def=partitions_of(slot, SETTINGS.names()),
        backfill_policy=dg.BackfillPolicy.single_run(),
        op_tags={"dagster/priority": str(-order)},
        can_subset=True,
    )
    def toy(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        work(task, context)
        yield from ()  # a step that returned would materialize every window once more

    return toy


JOBS = {
    slot.name: build_slot_job(slot, [key for task in slot.tasks for key in ASSET_KEYS[task]])
    for slot in CALENDAR.slots
}
defs = dg.Definitions(
    assets=[build(slot, order, task) for slot in CALENDAR.slots for order, task in enumerate(slot.tasks)],
    jobs=list(JOBS.values()),
    schedules=[build_schedule(slot, JOBS[slot.name], SETTINGS, ASSET_KEYS) for slot in CALENDAR.slots],
    sensors=[build_catch_up_sensor(list(JOBS.values()), CALENDAR, SETTINGS, ASSET_KEYS, open_ledger)],
)


def now() -> datetime:
    return datetime.now(UTC)
