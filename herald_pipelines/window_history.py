"""Reads what happened to the windows of the calendar: from Dagster's storage and from the ledger.

A window is complete on a database when each enabled task has materialized all its assets for it, or has a
ledger row that says done. Reading costs one query per asset and a handful for all runs, however many windows
there are. A read that fails raises: it is not an empty answer. Not here: what to do about it (catchup).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from herald_pipelines.calendar import Calendar
from herald_pipelines.catchup import Failures, SlotHistory, WindowState, judge_windows
from herald_pipelines.ledger import Ledger
from herald_pipelines.registry import is_enabled
from herald_pipelines.runs import LATE_TAG, UNFINISHED, in_utc
from herald_pipelines.settings import Settings
from herald_pipelines.slots import Slot, windows_opened

FAILED = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
RUNS_PER_READ = 500
AssetKeys = Mapping[str, Sequence[dg.AssetKey]]
"""By task: the assets that it materializes."""


@dataclass(frozen=True)
class Histories:
    """What happened to the windows within the look-back."""

    slots: tuple[SlotHistory, ...]
    """Of every enabled slot on every database that has a task of it."""
    untold: tuple[tuple[dg.AssetKey, str], ...]
    """Assets and partition keys that are done in the ledger, and of which Dagster does not know: the run was killed
    between the two, or its events were purged."""


@dataclass(frozen=True)
class _Cell:
    """One window of a slot on a database."""

    slot: str
    database: str
    window: str


def window_states(
    instance: dg.DagsterInstance,
    calendar: Calendar,
    settings: Settings,
    asset_keys: AssetKeys,
    ledger: Ledger | None,
    now: datetime,
) -> list[WindowState]:
    """Return the state of every window within the look-back, by slot and database, oldest first.

    Args:
        instance: where runs and materializations are.
        calendar: the slots.
        settings: databases, enabled tasks, limits of the catch-up.
        asset_keys: by task.
        ledger: None where there is no ops database.
        now: the clock.

    Raises:
        HeraldError: the ledger could not be read.
    """
    histories = read_histories(instance, calendar, settings, asset_keys, ledger, now)
    return [state for history in histories.slots for state in judge_windows(history, now, settings.catch_up)]


def read_histories(
    instance: dg.DagsterInstance,
    calendar: Calendar,
    settings: Settings,
    asset_keys: AssetKeys,
    ledger: Ledger | None,
    now: datetime,
) -> Histories:
    """Return what happened in every enabled slot on every database that has a task of it.

    Raises:
        HeraldError: the ledger could not be read.
    """
    oldest = now - timedelta(days=settings.catch_up.look_back_days)
    slots = [slot for slot in calendar.slots if slot.enabled]
    cells = _CellFinder(slots, settings.names(), asset_keys, oldest, now)
    late_runs: dict[tuple[str, str], int] = {}
    in_flight: set[_Cell] = set()
    # Runs before materializations: a run that ends in between counts as both, never as neither.
    for record in instance.get_run_records(dg.RunsFilter(statuses=list(UNFINISHED))):
        covered = cells.of_run(record.dagster_run)
        in_flight |= covered
        if LATE_TAG in record.dagster_run.tags:
            for where in {(cell.slot, cell.database) for cell in covered}:
                late_runs[where] = late_runs.get(where, 0) + 1
    unfinished_backfills = BulkActionsFilter(
        statuses=[BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING]
    )
    for backfill in instance.get_backfills(filters=unfinished_backfills):
        in_flight |= cells.of_backfill(backfill)
    failures = _read_failures(instance, cells, oldest)
    materialized = {
        key: instance.get_materialized_partitions(key)
        for slot in slots
        for task in slot.tasks
        for key in asset_keys[task]
    }
    completed = ledger.completed(oldest.date()) if ledger else set[tuple[str, str, str]]()
    done = _done_tasks(slots, asset_keys, materialized, completed)
    first_seen = ledger.first_seen() if ledger else {}
    histories = tuple(
        SlotHistory(
            slot=slot,
            database=database,
            since=_since(settings, database, first_seen),
            tasks=tasks,
            done=_tasks_by_window(done, tasks, database, cells.windows[slot.name]),
            in_flight=frozenset(
                cell.window for cell in in_flight if (cell.slot, cell.database) == (slot.name, database)
            ),
            failures={
                cell.window: each
                for cell, each in failures.items()
                if (cell.slot, cell.database) == (slot.name, database)
            },
            late_runs=late_runs.get((slot.name, database), 0),
        )
        for slot in slots
        for database in settings.names()
        if (tasks := enabled_tasks(settings, slot, database))
    )
    untold = tuple(
        (key, f"{database}|{window}")
        for database, task, window in sorted(completed)
        if (cell := cells.of_task(task, database, window)) and cell not in in_flight
        for key in asset_keys[task]
        if f"{database}|{window}" not in materialized[key]
    )
    return Histories(histories, untold)


def enabled_tasks(settings: Settings, slot: Slot, database: str) -> tuple[str, ...]:
    """Return the tasks of a slot that run on a database, in order."""
    return tuple(task for task in slot.tasks if is_enabled(settings, database, task))


class _CellFinder:
    """Finds the windows that a run or a backfill covers, by its partition tags."""

    def __init__(
        self,
        slots: Sequence[Slot],
        databases: Sequence[str],
        asset_keys: AssetKeys,
        oldest: datetime,
        now: datetime,
    ) -> None:
        self.databases = databases
        self.windows = {slot.name: windows_opened(slot, oldest, now) for slot in slots}
        self._known = {name: frozenset(windows) for name, windows in self.windows.items()}
        self._slot_of_task = {task: slot.name for slot in slots for task in slot.tasks}
        self._slots_of_key: dict[dg.AssetKey, str] = {
            key: slot for task, slot in self._slot_of_task.items() for key in asset_keys[task]
        }

    def of_task(self, task: str, database: str, window: str) -> _Cell | None:
        """Return the window of a task's slot; None where the slot is not enabled, or is without this window."""
        slot = self._slot_of_task.get(task)
        if slot is None or database not in self.databases or window not in self._known[slot]:
            return None
        return _Cell(slot, database, window)

    def of_run(self, run: dg.DagsterRun) -> set[_Cell]:
        """Return the windows that a run covers; one without a job of ours is known by its assets."""
        if run.job_name in self.windows:
            slots = {run.job_name}
        else:
            slots = {
                self._slots_of_key[key] for key in run.asset_selection or () if key in self._slots_of_key
            }
        first = run.tags.get(PARTITION_NAME_TAG) or run.tags.get(ASSET_PARTITION_RANGE_START_TAG)
        last = run.tags.get(PARTITION_NAME_TAG) or run.tags.get(ASSET_PARTITION_RANGE_END_TAG)
        if not first or not last:
            return set()
        return {cell for slot in slots for cell in self._between(slot, first, last)}

    def of_backfill(self, backfill: PartitionBackfill) -> set[_Cell]:
        """Return the windows that an unfinished backfill aims at, those without a run yet among them."""
        if backfill.asset_backfill_data is None:
            job = backfill.job_name
            if job not in self.windows:
                return set()
            return {
                cell for name in backfill.partition_names or () for cell in self._between(job, name, name)
            }
        data = backfill.asset_backfill_data
        open_subset = data.target_subset - (data.materialized_subset | data.failed_and_downstream_subset)
        return {
            cell
            for key, subset in open_subset.partitions_subsets_by_asset_key.items()
            if key in self._slots_of_key
            for name in subset.get_partition_keys()
            for cell in self._between(self._slots_of_key[key], name, name)
        }

    def _between(self, slot: str, first: str, last: str) -> Iterable[_Cell]:
        """Yield the databases between two partition keys by the windows between, as Dagster does."""
        first_database, _, first_window = first.partition("|")
        last_database, _, last_window = last.partition("|")
        if first_database not in self.databases or last_database not in self.databases:
            return
        names = self.databases[self.databases.index(first_database) : self.databases.index(last_database) + 1]
        if first_window == last_window:
            windows = [first_window] if first_window in self._known[slot] else list[str]()
        else:
            windows = [window for window in self.windows[slot] if first_window <= window <= last_window]
        for name in names:
            for window in windows:
                yield _Cell(slot, name, window)


def _read_failures(
    instance: dg.DagsterInstance, cells: _CellFinder, oldest: datetime
) -> dict[_Cell, Failures]:
    """Count the failed runs of every window; dry runs are no attempts."""
    found: dict[_Cell, Failures] = {}
    for record in _failed_runs(instance, oldest):
        if _is_dry(record.dagster_run.run_config):
            continue
        ended = (
            datetime.fromtimestamp(record.end_time, UTC)
            if record.end_time
            else in_utc(record.update_timestamp)
        )
        for cell in cells.of_run(record.dagster_run):
            known = found.get(cell)
            found[cell] = Failures(known.count + 1, max(known.last, ended)) if known else Failures(1, ended)
    return found


def _failed_runs(instance: dg.DagsterInstance, oldest: datetime) -> Iterator[dg.RunRecord]:
    cursor: str | None = None
    filters = dg.RunsFilter(statuses=list(FAILED), created_after=oldest)
    while records := instance.get_run_records(filters, limit=RUNS_PER_READ, cursor=cursor):
        yield from records
        cursor = records[-1].dagster_run.run_id


def _done_tasks(
    slots: Iterable[Slot],
    asset_keys: AssetKeys,
    materialized: Mapping[dg.AssetKey, Collection[str]],
    completed: Iterable[tuple[str, str, str]],
) -> Mapping[str, Collection[str]]:
    """Return for every task the partition keys (`database|window`) that it completed."""
    done = {
        task: set[str].intersection(*(set(materialized[key]) for key in asset_keys[task]))
        for slot in slots
        for task in slot.tasks
    }
    for database, task, window in completed:
        if task in done:
            done[task].add(f"{database}|{window}")
    return done


def _tasks_by_window(
    done: Mapping[str, Collection[str]], tasks: Sequence[str], database: str, windows: Iterable[str]
) -> dict[str, frozenset[str]]:
    return {
        window: frozenset(task for task in tasks if f"{database}|{window}" in done[task])
        for window in windows
    }


def _since(settings: Settings, database: str, first_seen: Mapping[str, datetime]) -> datetime | None:
    since = settings.database(database).since
    return datetime.combine(since, time(0, 0), UTC) if since else first_seen.get(database)


def _is_dry(run_config: Mapping[str, Any]) -> bool:
    ops: Mapping[str, Mapping[str, Mapping[str, Any]]] = run_config.get("ops") or {}
    return any(op.get("config", {}).get("dry_run") for op in ops.values())
