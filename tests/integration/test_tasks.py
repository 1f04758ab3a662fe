"""Every task's way through the lock, the ledger, the guard and Dagster, with a toy task on real servers."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from threading import Event
from typing import Any

import dagster as dg
import psycopg2
import pytest

from herald_pipelines.environment import Environment
from herald_pipelines.errors import DatabaseUnavailable, GuardRefusal, HeraldError, PermanentFailure
from herald_pipelines.ledger import Ledger
from herald_pipelines.migrations import migrate
from herald_pipelines.resources.targets import Targets
from herald_pipelines.scheduling import mapping_between, partitions_of
from herald_pipelines.settings import CatchUpSettings, Settings
from herald_pipelines.slots import Cadence, Slot, opens_at
from herald_pipelines.task_assets import asset_key, build_task_asset, is_late
from herald_pipelines.tasks import (
    AssetInfo,
    CheckInfo,
    CheckVerdict,
    Markdown,
    Task,
    TaskContext,
    TaskResult,
    execute_task,
)
from herald_pipelines.values import Mode, Outcome

NOW = datetime(2026, 11, 24, 2, 5, tzinfo=UTC)
SLOT = Slot("maintenance", Cadence.DAILY, ("polish",), date(2026, 11, 1))


@dataclass
class Polish:
    """A task that remembers what it was told, and fails where it is told to."""

    contexts: list[TaskContext] = field(default_factory=list)
    error: Exception | None = None
    problems: tuple[str, ...] = ()
    during: Callable[[], None] | None = None
    passed: bool = False

    def task(self, *, acts: bool = False) -> Task:
        return Task(
            name="polish",
            description="Polishes.",
            group="toys",
            assets=(AssetInfo("shine", "How it shines."), AssetInfo("gloss", "More of it.", ("shine",))),
            checks=(CheckInfo("shiny", "gloss", "Whether it shines."),),
            body=self.body,
            acts=acts,
        )

    def body(self, context: TaskContext) -> TaskResult:
        self.contexts.append(context)
        if self.during:
            self.during()
        if self.error:
            raise self.error
        return TaskResult(
            metadata={"shine": {"lumen": 7, "table": Markdown("| a |")}},
            checks=(
                CheckVerdict(
                    "shiny",
                    passed=self.passed,
                    is_error=False,
                    summary="bright" if self.passed else "dull",
                    metadata={"lumen": 7},
                ),
            ),
            summary={"lumen": 7},
            document={"lumen": 7},
            problems=self.problems,
        )


class House:
    """Settings with a few targets and a migrated ops database on one server."""

    def __init__(self, ops_url: str, targets: dict[str, dict[str, Any]]) -> None:
        self.environ = {"OPS_URL": ops_url}
        databases: dict[str, Any] = {}
        for name, options in targets.items():
            self.environ[f"{name.upper()}_URL"] = options.pop("url")
            databases[name] = {"url": {"env": f"{name.upper()}_URL"}, **options}
        self.settings = Settings.model_validate(
            {"version": 1, "ops": {"url": {"env": "OPS_URL"}}, "databases": databases}
        )
        self.targets = Targets(
            self.settings, self.environ, lambda name: pytest.fail(f"{name} is not embedded")
        )
        self.ops = self.targets.ops("test")
        migrate(self.ops)

    def limit(self, name: str, **guards: float) -> None:
        limits = self.settings.databases[name].guards.model_copy(update=guards)
        database = self.settings.databases[name].model_copy(update={"guards": limits})
        self.settings = self.settings.model_copy(
            update={"databases": {**self.settings.databases, name: database}}
        )

    def execute(
        self,
        task: Task,
        database: str = "one",
        *,
        dry_run: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> TaskResult:
        return execute_task(
            task,
            database,
            covered=("2026-11-24",),
            late=False,
            dry_run=dry_run,
            now=NOW,
            run_id="run",
            settings=self.settings,
            targets=self.targets,
            say=say,
        )

    def rows(
        self, statement: str = "select * from herald.maintenance_log order by id"
    ) -> list[dict[str, Any]]:
        with self.ops.session() as session:
            return [dict(row) for row in session.execute(statement)]


@pytest.fixture
def house(pg18) -> House:
    quick = {"wait_seconds": 0}
    return House(
        pg18.create_database(),
        {
            "one": {"url": pg18.create_database(), "mode": "apply", "guards": quick},
            "two": {"url": pg18.create_database(), "guards": quick},
            "gone": {"url": "postgresql://nobody@127.0.0.1:1/gone"},
        },
    )


def test_a_window_leaves_one_closed_row_and_its_verdicts(house: House):
    polish = Polish()
    house.execute(polish.task())
    (row,) = house.rows()
    assert (row["database"], row["task"], row["window_key"], row["outcome"]) == (
        "one",
        "polish",
        "2026-11-24",
        "done",
    )
    assert row["evidence"] == {"mode": "apply", "late": False, "covered": ["2026-11-24"]}
    assert row["result"] == {"lumen": 7}
    assert polish.contexts[0].may_act
    (check,) = house.rows("select * from herald.check_result")
    assert (check["asset"], check["check_name"], check["passed"], check["severity"]) == (
        "herald/gloss",
        "shiny",
        False,
        "WARN",
    )


def test_a_database_that_an_operator_adds_is_only_observed(house: House):
    polish = Polish()
    house.execute(polish.task(acts=True), "two")
    assert polish.contexts[0].mode is Mode.OBSERVE
    assert not polish.contexts[0].may_act
    assert house.rows()[0]["outcome"] == "done"


def test_a_dry_run_writes_nothing_and_needs_no_ops_database(house: House):
    house.environ["OPS_URL"] = "postgresql://nobody@127.0.0.1:1/gone"
    polish = Polish()
    assert house.execute(polish.task(acts=True), dry_run=True).document == {"lumen": 7}
    assert not polish.contexts[0].may_act
    house.environ["OPS_URL"] = house.ops.url
    assert house.rows() == []
    assert house.rows("select * from herald.target_database") == []


def test_a_task_never_runs_twice_at_once_on_one_database(house: House):
    polish = Polish()
    second = Polish()

    def try_again() -> None:
        with pytest.raises(GuardRefusal, match="polish is already running on one"):
            house.execute(second.task())
        house.execute(second.task(), "two")

    polish.during = try_again
    house.execute(polish.task())
    assert [context.database for context in second.contexts] == ["two"]


def test_a_run_that_is_at_work_is_waited_for(house: House):
    house.limit("one", wait_seconds=60)
    polish, second, waits = Polish(), Polish(), Event()
    told: list[str] = []

    def say(text: str) -> None:
        told.append(text)
        waits.set()

    with ThreadPoolExecutor(1) as pool:

        def try_again() -> None:
            pool.submit(house.execute, second.task(), say=say)
            assert waits.wait(30)
            assert second.contexts == []

        polish.during = try_again
        house.execute(polish.task())
    assert told == ["waiting for another run of polish on one to end"]
    assert len(second.contexts) == 1
    assert [row["outcome"] for row in house.rows()] == ["done", "done"]


def test_the_backend_of_a_killed_worker_holds_its_successor_off(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("herald_pipelines.tasks.WORKER_STOP_SECONDS", 0.2)
    polish = Polish()
    with house.targets.postgres("one", "maintain", "polish").session(autocommit=True) as worker:
        assert worker.try_lock("polish")
        with pytest.raises(GuardRefusal, match="still at work on one"):
            house.execute(polish.task())
    house.execute(polish.task())
    assert len(polish.contexts) == 1


def test_rows_of_a_dead_run_are_closed_as_interrupted(house: House):
    identity = house.targets.postgres("one", "observe", "polish").identity()
    Ledger(house.ops, "dead").open(identity, "polish", "2026-11-23")
    house.execute(Polish().task())
    assert [row["outcome"] for row in house.rows()] == ["interrupted", "done"]


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (GuardRefusal("too busy"), Outcome.REFUSED, "too busy"),
        (PermanentFailure("no right"), Outcome.FAILED, "no right"),
        (ZeroDivisionError("oh"), Outcome.FAILED, "ZeroDivisionError: oh"),
    ],
)
def test_an_error_closes_the_row_and_goes_on(house: House, error: Exception, outcome: Outcome, reason: str):
    with pytest.raises(type(error)):
        house.execute(Polish(error=error).task())
    (row,) = house.rows()
    assert (row["outcome"], row["reason"]) == (outcome, reason)


def test_the_busy_guard_stops_an_acting_task_before_it_begins(house: House):
    house.limit("one", max_transaction_seconds=0.0)
    other = psycopg2.connect(house.environ["ONE_URL"])
    try:
        other.cursor().execute("select 1")
        polish = Polish()
        with pytest.raises(GuardRefusal, match="too busy"):
            house.execute(polish.task(acts=True))
        assert polish.contexts == []
        assert house.rows()[0]["outcome"] == "refused"
        house.execute(polish.task(acts=False))
    finally:
        other.close()


def test_an_unreachable_database_is_an_error_of_that_database(house: House):
    with pytest.raises(DatabaseUnavailable):
        house.execute(Polish().task(), "gone")
    assert house.rows() == []


def materialize(
    house: House,
    task: Task,
    first: str,
    last: str,
    *,
    config: dict[str, Any] | None = None,
    then: Task | None = None,
):
    """Run a task, and one that is made from its assets in the same slot, over a range of windows."""
    partitions = partitions_of(SLOT, house.settings.names())
    assets = [build_task_asset(task, slot=SLOT, order=0, partitions_def=partitions, upstream={})]
    if then:
        dep = dg.AssetDep(asset_key("gloss"), partition_mapping=mapping_between(SLOT, SLOT))
        assets.append(
            build_task_asset(then, slot=SLOT, order=1, partitions_def=partitions, upstream={"gloss": dep})
        )
    environment = Environment(house.settings, house.environ)
    job = dg.Definitions(
        assets=assets,
        jobs=[dg.define_asset_job("toys", selection="*")],
        resources={"herald": dg.ResourceDefinition.hardcoded_resource(environment)},
        executor=dg.in_process_executor,
    ).resolve_job_def("toys")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(
            instance=instance,
            tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
            run_config={"ops": {"polish": {"config": config or {}}}},
            raise_on_error=False,
        )
        names = ("shine", "gloss", *(("mirror",) if then else ()))
        return result, {name: sorted(instance.get_materialized_partitions(asset_key(name))) for name in names}


def refused(result: dg.ExecuteInProcessResult) -> bool:
    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data
    return failure.user_failure_data.metadata["refused"].value


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str | None, dict[str, Any]]:
    """Values of every materialization of an asset, by partition."""
    materializations = [
        event.step_materialization_data.materialization
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == asset_key(asset)
    ]
    return {
        each.partition: {name: value.value for name, value in each.metadata.items()}
        for each in materializations
    }


def test_one_run_over_databases_and_windows_isolates_each_database(house: House):
    polish = Polish()
    result, found = materialize(house, polish.task(), "two|2026-11-22", "ops|2026-11-23")
    assert not result.success
    good = ["ops|2026-11-22", "ops|2026-11-23", "two|2026-11-22", "two|2026-11-23"]
    assert [key for key in found["gloss"] if key in good] == good
    assert not [key for key in found["shine"] if key.startswith("gone")]
    assert {context.database for context in polish.contexts} >= {"two", "ops"}
    assert all(context.covered == ("2026-11-22", "2026-11-23") for context in polish.contexts)


def test_a_problem_with_an_object_fails_the_window_and_keeps_it_missing(house: House):
    result, found = materialize(
        house, Polish(problems=("public.a: no",)).task(), "one|2026-11-22", "one|2026-11-22"
    )
    assert not result.success
    assert not refused(result)
    assert found == {"shine": [], "gloss": []}
    assert house.rows()[0]["outcome"] == "failed"


@pytest.mark.parametrize(("error", "is_refusal"), [(GuardRefusal("busy"), True), (HeraldError("no"), False)])
def test_only_what_a_guard_refused_counts_as_refused(house: House, error: Exception, *, is_refusal: bool):
    result, found = materialize(house, Polish(error=error).task(), "one|2026-11-22", "one|2026-11-22")
    assert refused(result) is is_refusal
    assert found == {"shine": [], "gloss": []}


def mirror(polish: Polish) -> Task:
    """A task that is made from what polish makes."""
    return Task(
        name="mirror",
        description="Mirrors.",
        group="toys",
        assets=(AssetInfo("mirror", "What it shows.", ("gloss",)),),
        checks=(),
        body=lambda context: polish.contexts.append(context) or TaskResult({}, (), {}, {}),
    )


def test_a_task_goes_on_with_what_another_of_its_slot_made(house: House):
    polish, after = Polish(passed=True), Polish()
    result, found = materialize(house, polish.task(), "two|2026-11-22", "two|2026-11-23", then=mirror(after))
    assert result.success
    both = ["two|2026-11-22", "two|2026-11-23"]
    assert found == {"shine": both, "gloss": both, "mirror": both}
    assert [context.covered for context in after.contexts] == [("2026-11-22", "2026-11-23")]
    assert len([event for event in result.all_events if event.is_step_materialization]) == 6


@pytest.mark.parametrize("polish", [Polish(error=HeraldError("no")), Polish(problems=("a: no",))])
def test_a_task_waits_for_what_another_of_its_slot_could_not_make(house: House, polish: Polish):
    after = Polish()
    result, found = materialize(house, polish.task(), "two|2026-11-22", "two|2026-11-22", then=mirror(after))
    assert not result.success
    assert found == {"shine": [], "gloss": [], "mirror": []}
    assert after.contexts == []


def test_older_windows_of_a_late_run_get_no_numbers(house: House):
    result, _ = materialize(house, Polish().task(), "two|2026-11-21", "two|2026-11-22")
    assert metadata_of(result, "shine") == {
        "two|2026-11-21": {"covered_by": "2026-11-22", "late": True},
        "two|2026-11-22": {"lumen": 7, "table": "| a |", "late": True},
    }
    assert house.rows()[0]["evidence"]["late"]


def test_a_window_is_late_once_its_grace_is_over():
    settings = Settings(catch_up=CatchUpSettings(grace_seconds=600))
    opening = opens_at(SLOT, "2026-11-24")
    grace = timedelta(seconds=600)
    assert not is_late(SLOT, ["2026-11-24"], opening + grace, settings)
    assert is_late(SLOT, ["2026-11-24"], opening + grace + timedelta(seconds=1), settings)
    assert is_late(SLOT, ["2026-11-23", "2026-11-24"], opening, settings)


def test_a_dry_run_of_the_job_materializes_nothing(house: House):
    result, found = materialize(
        house, Polish().task(), "one|2026-11-22", "one|2026-11-22", config={"dry_run": True}
    )
    assert result.success
    assert found == {"shine": [], "gloss": []}
    assert house.rows() == []


def test_checks_carry_severity_and_the_databases_name(house: House):
    result, _ = materialize(house, Polish().task(), "two|2026-11-22", "two|2026-11-22")
    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "two (2026-11-22): dull"


def test_a_well_database_does_not_hide_a_sick_one(house: House):
    house.execute(Polish().task(), "one")
    result, _ = materialize(house, Polish(passed=True).task(), "two|2026-11-22", "two|2026-11-22")
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.description == "one (2026-11-24): dull; two (2026-11-22): bright"
