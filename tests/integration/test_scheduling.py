"""The calendar in Dagster: keys, mappings, order of steps, schedules, histories, against Dagster itself."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.execution.backfill import PartitionBackfill

from herald_pipelines.calendar import Calendar, load_calendar
from herald_pipelines.catchup import State
from herald_pipelines.ledger import Ledger
from herald_pipelines.migrations import migrate
from herald_pipelines.registry import TASKS
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.runs import HELD_TAG, holding, reap_dead_runs
from herald_pipelines.scheduling import (
    build_catch_up_sensor,
    build_schedule,
    build_slot_job,
    mapping_between,
    partitions_of,
)
from herald_pipelines.settings import CatchUpSettings, DatabaseSettings, OpsSettings, Settings, TaskSettings
from herald_pipelines.slots import Cadence, CatchUpPolicy, Slot, windows_opened
from herald_pipelines.values import DatabaseIdentity, Outcome, utc_now
from herald_pipelines.window_history import window_states
from servers import TestServer

# Dagster warns of the tags that it makes itself of a multi-partition key.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Non-compliant tag keys like .'dagster/partition/:DeprecationWarning"
)

START = date(2026, 1, 1)
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
DATABASES = ("alpha", "beta")
MAINTENANCE = Slot("maintenance", Cadence.DAILY, ("analysis", "cleanup"), START, time(2, 0))
DEEP = Slot("deep_maintenance", Cadence.WEEKLY, ("rebuild",), START, time(1, 0))
AUDIT = Slot("audit", Cadence.MONTHLY, ("drill",), START, time(0, 0))
PULSE = Slot("pulse", Cadence.MINUTES, ("snapshot",), date(2026, 11, 23), every_minutes=30)
ORDERED = Slot("ordered", Cadence.DAILY, ("zulu", "mike", "alfa", "yankee", "bravo"), START)
CALENDAR = Calendar((MAINTENANCE, DEEP, AUDIT))
ASSET_KEYS = {
    task: (dg.AssetKey(["toy", task]),) for slot in (*CALENDAR.slots, PULSE, ORDERED) for task in slot.tasks
}

# Only runs that a command holds make the sensor ask it.
STORAGE = Postgres("postgresql://nobody@127.0.0.1:1/gone", "dagster")


def settings_since(
    since: date | None, *databases: str, tasks: dict[str, TaskSettings] | None = None, **limits: float
) -> Settings:
    """Settings of databases that are maintained since a day; ops has no enabled task."""
    off = {task: TaskSettings(enabled=False) for task in ASSET_KEYS}
    return Settings(
        databases={
            name: DatabaseSettings(url="postgresql://localhost/x", since=since, tasks=tasks or {})
            for name in databases or DATABASES
        },
        ops=OpsSettings(tasks=off),
        catch_up=CatchUpSettings.model_validate(limits),
    )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


class TestPartitions:
    @pytest.mark.parametrize("slot", [MAINTENANCE, DEEP, AUDIT, PULSE], ids=lambda slot: slot.name)
    @pytest.mark.parametrize("now", [NOW, datetime(2026, 11, 1, 23, 59, tzinfo=UTC)], ids=str)
    def test_dagster_names_the_windows_as_the_calendar_does(self, slot: Slot, now: datetime) -> None:
        windows = partitions_of(slot, DATABASES).get_partitions_def_for_dimension("window")
        beginning = datetime(2026, 1, 1, tzinfo=UTC)
        assert tuple(windows.get_partition_keys(current_time=now)) == windows_opened(slot, beginning, now)

    def test_the_key_of_the_window_that_opens_exists_at_its_tick(self) -> None:
        for slot, opening in [
            (MAINTENANCE, datetime(2026, 11, 24, 2, 0, tzinfo=UTC)),
            (DEEP, datetime(2026, 11, 22, 1, 0, tzinfo=UTC)),
            (AUDIT, datetime(2026, 12, 6, 0, 0, tzinfo=UTC)),
            (PULSE, datetime(2026, 11, 24, 2, 30, tzinfo=UTC)),
        ]:
            windows = partitions_of(slot, DATABASES).get_partitions_def_for_dimension("window")
            keys = windows.get_partition_keys(current_time=opening)
            assert keys[-1] == opening.strftime(slot.key_format)


def upstream_windows(upstream: Slot, downstream: Slot, window: str, now: datetime = NOW) -> list[str]:
    """The upstream windows on which a window of beta depends, by Dagster's own reading of the mapping."""
    mapping = mapping_between(upstream, downstream)
    down, up = partitions_of(downstream, DATABASES), partitions_of(upstream, DATABASES)
    with partition_loading_context(effective_dt=now):
        result = mapping.get_upstream_mapped_partitions_result_for_partitions(
            down.subset_with_partition_keys([f"beta|{window}"]), down, up
        )
    keys = [str(key).split("|") for key in sorted(result.partitions_subset.get_partition_keys())]
    assert {database for database, _ in keys} <= {"beta"}
    return [window for _, window in keys]


class TestMappings:
    def test_a_sunday_reads_the_seven_days_before_it(self) -> None:
        assert upstream_windows(MAINTENANCE, DEEP, "2026-11-22") == [
            f"2026-11-{day}" for day in range(15, 22)
        ]

    def test_those_are_the_daily_windows_that_opened_since_the_sunday_before(self) -> None:
        opened = windows_opened(
            MAINTENANCE,
            datetime(2026, 11, 15, 1, 0, tzinfo=UTC),
            datetime(2026, 11, 22, 1, 0, tzinfo=UTC) - timedelta(seconds=1),
        )
        assert upstream_windows(MAINTENANCE, DEEP, "2026-11-22") == list(opened)

    def test_a_first_sunday_reads_the_days_since_the_first_sunday_before(self) -> None:
        december = datetime(2026, 12, 6, 8, 0, tzinfo=UTC)
        read = upstream_windows(MAINTENANCE, AUDIT, "2026-12-06", december)
        assert (read[0], read[-1], len(read)) == ("2026-11-01", "2026-12-05", 35)
        assert upstream_windows(DEEP, AUDIT, "2026-12-06", december) == [
            "2026-11-01",
            "2026-11-08",
            "2026-11-15",
            "2026-11-22",
            "2026-11-29",
        ]

    def test_a_day_reads_the_same_day_or_the_one_before(self) -> None:
        later = Slot("later", Cadence.DAILY, ("x",), START, time(4, 0))
        assert upstream_windows(MAINTENANCE, later, "2026-11-24") == ["2026-11-24"]
        assert upstream_windows(later, MAINTENANCE, "2026-11-24") == ["2026-11-23"]

    def test_a_day_reads_the_newest_month_that_has_opened(self) -> None:
        assert upstream_windows(AUDIT, MAINTENANCE, "2026-10-31") == ["2026-10-04"]
        assert upstream_windows(AUDIT, MAINTENANCE, "2026-11-01") == ["2026-11-01"]

    def test_minutes_and_days(self) -> None:
        read = upstream_windows(PULSE, MAINTENANCE, "2026-11-24")
        assert (read[0], read[-1], len(read)) == ("2026-11-23T00:00", "2026-11-23T23:30", 48)
        assert upstream_windows(MAINTENANCE, PULSE, "2026-11-24T00:30") == ["2026-11-23"]

    def test_the_first_window_reads_what_there_is(self) -> None:
        assert upstream_windows(MAINTENANCE, DEEP, "2026-01-04") == ["2026-01-01", "2026-01-02", "2026-01-03"]


class ToyConfig(dg.Config):
    dry_run: bool = False


def toy_definitions(
    settings: Settings,
    body: Callable[[str, dg.AssetExecutionContext], None],
    calendar: Calendar = CALENDAR,
    clock: Callable[[], datetime] = lambda: NOW,
    ledger: Ledger | None = None,
) -> dg.Definitions:
    """The calendar over assets whose body is a function; each logs its own materializations."""

    def build(slot: Slot, order: int, task: str) -> dg.AssetsDefinition:
        @dg.multi_asset(
            name=task,
            specs=[dg.AssetSpec(key, skippable=True) for key in ASSET_KEYS[task]],
            partitions_def=partitions_of(slot, settings.names()),
            backfill_policy=dg.BackfillPolicy.single_run(),
            op_tags={"dagster/priority": str(-order)},
            can_subset=True,
        )
        def toy(context: dg.AssetExecutionContext, config: ToyConfig) -> Iterator[dg.MaterializeResult]:
            body(task, context)
            if config.dry_run:
                return
            for partition in context.partition_keys:
                context.log_event(dg.AssetMaterialization(ASSET_KEYS[task][0], partition=partition))
            yield from ()  # a step that returned would materialize everything, a dry run too

        return toy

    jobs = {
        slot.name: build_slot_job(slot, [key for task in slot.tasks for key in ASSET_KEYS[task]])
        for slot in calendar.slots
    }
    return dg.Definitions(
        assets=[build(slot, order, task) for slot in calendar.slots for order, task in enumerate(slot.tasks)],
        jobs=list(jobs.values()),
        schedules=[
            build_schedule(slot, jobs[slot.name], settings, ASSET_KEYS, clock=clock)
            for slot in calendar.slots
        ],
        sensors=[
            build_catch_up_sensor(
                list(jobs.values()),
                calendar,
                settings,
                ASSET_KEYS,
                lambda: ledger,
                lambda: STORAGE,
                clock=clock,
            )
        ],
    )


def nothing(task: str, context: dg.AssetExecutionContext) -> None:
    """A body without an effect."""


class TestJobs:
    def test_tasks_run_in_the_order_of_the_slot_and_not_of_the_alphabet(
        self, instance: dg.DagsterInstance
    ) -> None:
        seen: list[str] = []
        settings = settings_since(START)
        definitions = toy_definitions(settings, lambda task, _: seen.append(task), Calendar((ORDERED,)))
        job = definitions.resolve_job_def("ordered")
        assert job.execute_in_process(instance=instance, partition_key="alpha|2026-11-24").success
        assert tuple(seen) == ORDERED.tasks

    def test_a_failing_task_does_not_stop_the_next_one(self, instance: dg.DagsterInstance) -> None:
        seen: list[str] = []

        def body(task: str, _context: dg.AssetExecutionContext) -> None:
            seen.append(task)
            if task == "analysis":
                raise dg.Failure("no")

        job = toy_definitions(settings_since(START), body).resolve_job_def("maintenance")
        result = job.execute_in_process(
            instance=instance, partition_key="alpha|2026-11-24", raise_on_error=False
        )
        assert not result.success
        assert seen == ["analysis", "cleanup"]

    def test_a_range_within_one_database_reaches_the_step_whole(self, instance: dg.DagsterInstance) -> None:
        seen: list[tuple[str, ...]] = []
        definitions = toy_definitions(
            settings_since(START), lambda _, context: seen.append(tuple(context.partition_keys))
        )
        result = definitions.resolve_job_def("deep_maintenance").execute_in_process(
            instance=instance,
            tags={
                "dagster/asset_partition_range_start": "beta|2026-11-08",
                "dagster/asset_partition_range_end": "beta|2026-11-22",
            },
        )
        assert result.success
        assert seen == [("beta|2026-11-08", "beta|2026-11-15", "beta|2026-11-22")]


def tick(definitions: dg.Definitions, schedule: str, at: datetime) -> dg.SkipReason | list[dg.RunRequest]:
    repository = definitions.get_repository_def()
    context = dg.build_schedule_context(scheduled_execution_time=at, repository_def=repository)
    data = repository.get_schedule_def(schedule).evaluate_tick(context)
    return list(data.run_requests or []) or dg.SkipReason(data.skip_message)


class TestSchedule:
    def test_one_run_for_every_database(self) -> None:
        definitions = toy_definitions(settings_since(START), nothing)
        requests = tick(definitions, "maintenance_daily", NOW.replace(hour=7, minute=58))
        assert isinstance(requests, list)
        assert [(each.run_key, each.partition_key) for each in requests] == [
            ("maintenance:alpha:2026-11-24:1", "alpha|2026-11-24"),
            ("maintenance:beta:2026-11-24:1", "beta|2026-11-24"),
        ]
        assert (
            requests[0].tags.items()
            >= {
                "herald/database": "alpha",
                "herald/slot": "maintenance",
                "herald/lane": "maintenance:alpha",
                "herald/window": "2026-11-24",
                "dagster/partition": "alpha|2026-11-24",
            }.items()
        )
        assert "herald/late" not in requests[0].tags

    def test_a_late_tick_is_left_to_the_sensor(self) -> None:
        definitions = toy_definitions(settings_since(START), nothing)
        skipped = tick(definitions, "maintenance_daily", NOW - timedelta(seconds=301))
        assert isinstance(skipped, dg.SkipReason)
        assert "left to the catch-up sensor" in str(skipped.skip_message)
        assert isinstance(tick(definitions, "maintenance_daily", NOW - timedelta(seconds=299)), list)

    def test_a_task_that_is_off_on_a_database_is_not_selected_there(self) -> None:
        settings = settings_since(START, "alpha", tasks={"cleanup": TaskSettings(enabled=False)})
        requests = tick(toy_definitions(settings, nothing), "maintenance_daily", NOW)
        assert isinstance(requests, list)
        assert requests[0].asset_selection == [dg.AssetKey(["toy", "analysis"])]

    def test_names_crons_and_first_status(self) -> None:
        definitions = toy_definitions(settings_since(START), nothing)
        schedules = {each.name: each for each in definitions.schedules or ()}
        assert {name: each.cron_schedule for name, each in schedules.items()} == {
            "maintenance_daily": "0 2 * * *",
            "deep_maintenance_weekly": "0 1 * * 0",
            "audit_monthly": "0 0 * * 0#1",
        }
        assert all(each.default_status is dg.DefaultScheduleStatus.RUNNING for each in schedules.values())


def evaluate_sensor(definitions: dg.Definitions, instance: dg.DagsterInstance) -> list[dg.RunRequest] | str:
    context = dg.build_sensor_context(instance=instance, definitions=definitions)
    data = definitions.get_repository_def().get_sensor_def("request_missed_windows").evaluate_tick(context)
    return list(data.run_requests or []) or str(data.skip_message)


def run_request(definitions: dg.Definitions, instance: dg.DagsterInstance, request: dg.RunRequest) -> bool:
    job = definitions.resolve_job_def(str(request.job_name))
    result = job.execute_in_process(
        instance=instance,
        partition_key=request.partition_key,
        tags={**request.tags, "dagster/run_key": str(request.run_key)},
        asset_selection=request.asset_selection,
        raise_on_error=False,
    )
    return result.success


def in_flight(instance: dg.DagsterInstance, settings: Settings) -> set[tuple[str, str, str]]:
    states = window_states(instance, CALENDAR, settings, ASSET_KEYS, None, NOW)
    return {(each.slot, each.database, each.window) for each in states if each.state is State.IN_FLIGHT}


class TestCatchUp:
    def test_what_was_missed_is_requested_once_and_then_complete(self, instance: dg.DagsterInstance) -> None:
        settings = settings_since(date(2026, 11, 21), backoff_seconds=0.0)
        definitions = toy_definitions(settings, nothing)
        requests = evaluate_sensor(definitions, instance)
        assert isinstance(requests, list)
        assert [each.run_key for each in requests] == [
            "maintenance:alpha:2026-11-21..2026-11-24:1",
            "maintenance:beta:2026-11-21..2026-11-24:1",
            "deep_maintenance:alpha:2026-11-22:1",
            "deep_maintenance:beta:2026-11-22:1",
        ]
        assert all(each.tags["herald/late"] == "true" for each in requests)
        assert all(run_request(definitions, instance, each) for each in requests)
        assert evaluate_sensor(definitions, instance) == "no window is missed"
        states = window_states(instance, CALENDAR, settings, ASSET_KEYS, None, NOW)
        assert {state.state for state in states} == {State.COMPLETE}
        assert len(states) == 2 * (4 + 1)

    def test_only_the_task_that_failed_is_tried_again(self, instance: dg.DagsterInstance) -> None:
        # Failures are dated by the real clock.
        since = utc_now().date() - timedelta(days=3)
        settings = settings_since(since, "alpha", backoff_seconds=0.0)
        ran: list[str] = []

        def body(task: str, _context: dg.AssetExecutionContext) -> None:
            ran.append(task)
            if ran.count("analysis") == 1 and task == "analysis":
                raise dg.Failure("no")

        definitions = toy_definitions(settings, body, Calendar((MAINTENANCE,)), utc_now)
        (first,) = evaluate_sensor(definitions, instance)
        assert first.run_key.startswith(f"maintenance:alpha:{since}..")
        assert not run_request(definitions, instance, first)
        (second,) = evaluate_sensor(definitions, instance)
        assert second.run_key == first.run_key.removesuffix("1") + "2"
        assert run_request(definitions, instance, second)
        assert ran == ["analysis", "cleanup", "analysis"]
        assert evaluate_sensor(definitions, instance) == "no window is missed"

    def test_given_up_after_the_last_attempt(self, instance: dg.DagsterInstance) -> None:
        since = utc_now().date() - timedelta(days=3)
        settings = settings_since(since, "alpha", backoff_seconds=0.0, max_attempts=2)

        def fail(_task: str, _context: dg.AssetExecutionContext) -> None:
            raise dg.Failure("no")

        definitions = toy_definitions(settings, fail, Calendar((MAINTENANCE,)), utc_now)
        for attempt in (1, 2):
            (request,) = evaluate_sensor(definitions, instance)
            assert request.run_key.endswith(f":{attempt}")
            assert not run_request(definitions, instance, request)
        assert evaluate_sensor(definitions, instance) == "no window is missed"
        states = window_states(instance, Calendar((MAINTENANCE,)), settings, ASSET_KEYS, None, utc_now())
        oldest = states[0]
        assert (oldest.window, oldest.state, oldest.attempts) == (str(since), State.GIVEN_UP, 2)
        assert oldest.missed

    def test_a_failed_dry_run_is_no_attempt(self, instance: dg.DagsterInstance) -> None:
        settings = settings_since(utc_now().date() - timedelta(days=3), "alpha")
        definitions = toy_definitions(settings, nothing, Calendar((MAINTENANCE,)), utc_now)
        instance.create_run_for_job(
            definitions.resolve_job_def("maintenance"),
            status=dg.DagsterRunStatus.FAILURE,
            run_config={"ops": {"analysis": {"config": {"dry_run": True}}}},
            tags={"dagster/partition": f"alpha|{utc_now().date() - timedelta(days=2)}"},
        )
        states = window_states(instance, Calendar((MAINTENANCE,)), settings, ASSET_KEYS, None, utc_now())
        assert all(state.attempts == 0 for state in states)

    def test_dagster_is_told_of_windows_that_only_the_ledger_knows(
        self, instance: dg.DagsterInstance, pg18: TestServer
    ) -> None:
        ops = Postgres(pg18.create_database(), "ops")
        migrate(ops)
        ledger, calendar = Ledger(ops, "killed"), Calendar((MAINTENANCE,))
        alpha = DatabaseIdentity("alpha", "alpha", "1", 1, 180000)
        for task in MAINTENANCE.tasks:
            evidence = {"covered": ["2026-11-23", "2026-11-24"]}
            ledger.record(alpha, task, "2026-11-24", Outcome.DONE, evidence=evidence)
        settings = settings_since(date(2026, 11, 23), "alpha")
        definitions = toy_definitions(settings, nothing, calendar, ledger=ledger)
        sensor = definitions.get_repository_def().get_sensor_def("request_missed_windows")
        context = dg.build_sensor_context(instance=instance, definitions=definitions)
        job = definitions.resolve_job_def("maintenance")
        tags = {"dagster/partition": "alpha|2026-11-24"}
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
        told = sensor.evaluate_tick(context).asset_events
        both = [("analysis", "alpha|2026-11-23"), ("cleanup", "alpha|2026-11-23")]
        assert [(each.asset_key.path[-1], each.partition) for each in told] == both
        instance.report_run_failed(run)
        for each in told:
            instance.report_runless_asset_event(each)
        assert [each.partition for each in sensor.evaluate_tick(context).asset_events] == [
            "alpha|2026-11-24"
        ] * 2

    def test_a_wiped_window_gets_a_run_key_of_its_own(self, instance: dg.DagsterInstance) -> None:
        settings = settings_since(date(2026, 11, 24), "alpha")
        definitions = toy_definitions(settings, nothing)
        (request,) = evaluate_sensor(definitions, instance)
        assert run_request(definitions, instance, request)
        instance.wipe_assets([ASSET_KEYS["analysis"][0], ASSET_KEYS["cleanup"][0]])
        (again,) = evaluate_sensor(definitions, instance)
        assert (request.run_key, again.run_key) == (
            "maintenance:alpha:2026-11-24:1",
            "maintenance:alpha:2026-11-24:2",
        )

    def test_the_range_of_an_unfinished_run_of_any_origin_is_in_flight(
        self, instance: dg.DagsterInstance
    ) -> None:
        settings = settings_since(date(2026, 11, 20), backoff_seconds=0.0)
        definitions = toy_definitions(settings, nothing)
        job = definitions.resolve_job_def("maintenance")
        instance.create_run_for_job(
            job,
            status=dg.DagsterRunStatus.STARTED,
            tags={
                "dagster/asset_partition_range_start": "alpha|2026-11-22",
                "dagster/asset_partition_range_end": "beta|2026-11-23",
            },
        )
        assert in_flight(instance, settings) == {
            ("maintenance", name, f"2026-11-{day}") for name in DATABASES for day in (22, 23)
        }

    def test_a_run_from_the_assets_page_is_known_by_its_assets(self, instance: dg.DagsterInstance) -> None:
        settings = settings_since(date(2026, 11, 20))
        definitions = toy_definitions(settings, nothing)
        instance.create_run_for_job(
            definitions.resolve_implicit_global_asset_job_def(),
            status=dg.DagsterRunStatus.STARTED,
            asset_selection=frozenset(ASSET_KEYS["rebuild"]),
            tags={"dagster/partition": "beta|2026-11-22"},
        )
        assert in_flight(instance, settings) == {("deep_maintenance", "beta", "2026-11-22")}

    @pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources`:DeprecationWarning")
    def test_a_backfill_holds_its_windows_before_it_has_made_their_runs(
        self, instance: dg.DagsterInstance
    ) -> None:
        settings = settings_since(date(2026, 11, 20))
        definitions = toy_definitions(settings, nothing)
        instance.add_backfill(
            PartitionBackfill.from_asset_partitions(
                backfill_id="clicked",
                asset_graph=definitions.resolve_asset_graph(),
                partition_names=["alpha|2026-11-21", "beta|2026-11-23"],
                asset_selection=[*ASSET_KEYS["analysis"], *ASSET_KEYS["cleanup"]],
                backfill_timestamp=NOW.timestamp(),
                tags={},
                dynamic_partitions_store=instance,
                all_partitions=False,
                title=None,
                description=None,
                run_config=None,
            )
        )
        assert in_flight(instance, settings) == {
            ("maintenance", "alpha", "2026-11-21"),
            ("maintenance", "beta", "2026-11-23"),
        }

    def test_catch_up_none_is_shown_and_not_requested(self, instance: dg.DagsterInstance) -> None:
        slot = Slot("pulse", Cadence.MINUTES, ("snapshot",), START, catch_up=CatchUpPolicy.NONE)
        settings = settings_since(date(2026, 11, 24), "alpha")
        definitions = toy_definitions(settings, nothing, Calendar((slot,)))
        assert (
            evaluate_sensor(definitions, instance) == "pulse on alpha: 8 missed, the slot's catch_up is none"
        )

    def test_a_database_that_was_never_seen_misses_nothing(self, instance: dg.DagsterInstance) -> None:
        definitions = toy_definitions(settings_since(None), nothing)
        assert evaluate_sensor(definitions, instance) == "no window is missed"

    def test_a_run_that_nobody_holds_any_more_is_over(
        self, instance: dg.DagsterInstance, pg18: TestServer
    ) -> None:
        storage = Postgres(pg18.create_database(), "dagster")
        job = toy_definitions(settings_since(START), nothing).resolve_job_def("maintenance")
        dead, alive, elsewhere = [
            instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
            for tags in ({HELD_TAG: "true"}, {HELD_TAG: "true"}, {})
        ]
        with holding(storage, alive.run_id):
            assert reap_dead_runs(instance, storage) == [dead.run_id]
            assert [instance.get_run_by_id(run.run_id).status for run in (alive, elsewhere)] == [
                dg.DagsterRunStatus.STARTED
            ] * 2
        assert reap_dead_runs(instance, storage) == [alive.run_id]

    def test_a_run_that_ends_while_it_is_looked_at_stays_as_it_ended(
        self, instance: dg.DagsterInstance, pg18: TestServer
    ) -> None:
        job = toy_definitions(settings_since(START), nothing).resolve_job_def("maintenance")
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags={HELD_TAG: "true"})

        class EndingMeanwhile(Postgres):
            @contextmanager
            def session(self, *, autocommit: bool = False) -> Generator[Session]:
                instance.report_run_canceled(run)
                with super().session(autocommit=autocommit) as session:
                    yield session

        assert reap_dead_runs(instance, EndingMeanwhile(pg18.create_database(), "dagster")) == []
        assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.CANCELED

    def test_a_re_executed_run_is_held_by_nobody_of_ours(
        self, instance: dg.DagsterInstance, pg18: TestServer
    ) -> None:
        job = toy_definitions(settings_since(START), nothing).resolve_job_def("maintenance")
        parent = instance.create_run_for_job(job, status=dg.DagsterRunStatus.FAILURE)
        instance.create_run_for_job(
            job,
            status=dg.DagsterRunStatus.STARTED,
            tags={HELD_TAG: "true"},
            parent_run_id=parent.run_id,
            root_run_id=parent.run_id,
        )
        assert reap_dead_runs(instance, Postgres(pg18.create_database(), "dagster")) == []


def test_the_shipped_calendar_loads() -> None:
    calendar = load_calendar(None, TASKS)
    assert [(slot.name, slot.schedule_name, slot.cron) for slot in calendar.slots] == [
        ("backup", "backup_daily", "30 0 * * *"),
        ("maintenance", "maintenance_daily", "0 2 * * *"),
        ("inspection", "inspection_daily", "0 4 * * *"),
        ("deep_maintenance", "deep_maintenance_weekly", "0 1 * * 0"),
        ("monthly_review", "monthly_review_monthly", "0 0 * * 0#1"),
    ]
