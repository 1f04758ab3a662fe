"""Health checks of real databases: what they find, what is kept and told, and how hours and days are counted."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest
from clinic import GONE, PATIENCE, Shop, execute, fixed

from contract_files import check_documents
from herald_pipelines import operations_runs
from herald_pipelines.cli_output import DOCUMENT_VERSION
from herald_pipelines.console_health import show_health
from herald_pipelines.health.checks import build_checks
from herald_pipelines.health.history import record, roll_up
from herald_pipelines.health.results import Executed, HealthResult, Status
from herald_pipelines.health.runner import Runner
from herald_pipelines.health.watch import Watch
from herald_pipelines.health_sensor import STATUS_KEY, build_health_sensor
from herald_pipelines.operations_health import health
from herald_pipelines.values import utc_now

one_server = pytest.mark.parametrize("server", ["pg18"], indirect=True)
pytestmark = [
    # Dagster warns of the tags that it makes itself of a multi-partition key.
    pytest.mark.filterwarnings("ignore:Non-compliant tag keys like .'dagster/partition/:DeprecationWarning"),
]


def test_every_check_of_a_database_answers(shop: Shop):
    execute(shop.url, "create table users (id int); insert into users values (1), (2)")
    shop.write(test_query="select count(*) from public.users where id % 2 = 0")
    found = shop.ask()
    of_shop = {name: result for name, result in found.items() if name.startswith("shop/")}
    names = "database blockers wraparound replication slots cache deadlocks checkpoints disk"
    assert set(of_shop) == {f"shop/{name}" for name in names.split()}
    # How full the disk of this machine is, is its business.
    ill = {name: result.message for name, result in of_shop.items()
           if result.status is not Status.HEALTHY and name != "shop/disk"}  # fmt: skip
    assert ill == {}
    metrics = of_shop["shop/database"].metrics
    assert metrics["test_query_value"] == 1
    assert metrics["query_duration_ms"] > 0
    assert metrics["open_connections"] >= 1
    assert of_shop["shop/disk"].metrics["total_bytes"] > 0
    assert of_shop["shop/wraparound"].metrics["xid_age"] > 0
    assert {"host/memory", "host/disk"} <= set(found)


@one_server
def test_a_database_that_is_gone_is_unhealthy_and_a_wrong_query_degrades(shop: Shop):
    shop.write(test_query="select count(*) from nowhere")
    found = shop.ask("database")["shop/database"]
    assert found.status is Status.DEGRADED
    assert "the test query failed" in found.message
    shop.write(test_query="create table public.mine (id int)")
    assert "read-only" in shop.ask("database")["shop/database"].message
    url = shop.environ["SHOP_URL"]
    shop.environ["SHOP_URL"] = GONE
    found = shop.ask("database", "slots")
    assert {result.status for result in found.values()} == {Status.UNHEALTHY}
    # One that was dropped is as gone as its server; what else was to be asked of it nobody can tell.
    shop.environ["SHOP_URL"] = url.rpartition("/")[0] + "/dropped"
    found = shop.ask("database", "slots")
    assert {name: each.status for name, each in found.items()} == {
        "shop/database": Status.UNHEALTHY, "shop/slots": Status.UNKNOWN,
    }  # fmt: skip


@contextmanager
def lock_held(url: str) -> Iterator[int]:
    """Hold a lock that another session waits for; give the pid of the holder."""
    execute(url, "create table held (id int)")
    with closing(psycopg2.connect(url)) as holder, closing(psycopg2.connect(url, async_=True)) as waiter:
        with holder.cursor() as cursor:
            cursor.execute("lock table held; select pg_backend_pid()")
            (pid,) = cursor.fetchone()
        psycopg2.extensions.set_wait_callback(None)
        while waiter.poll() != psycopg2.extensions.POLL_OK:
            time.sleep(0.01)
        waiter.cursor().execute("select * from held")
        yield pid


def test_the_root_of_a_queue_is_named(shop: Shop):
    with lock_held(shop.url) as pid:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = shop.ask("blockers")["shop/blockers"]
            if found.metrics["waiting_sessions"]:
                break
            time.sleep(0.05)
    assert (found.metrics["root_blockers"], found.metrics["waiting_sessions"]) == (1, 1)
    assert f"pid {pid} " in found.message


@one_server
def test_a_wait_begins_with_the_lock_and_not_with_the_query(shop: Shop):
    execute(shop.url, "create table held (id int)")
    age = (
        "select extract(epoch from clock_timestamp() - query_start)::float8 from pg_stat_activity"
        " where query like '%pg_sleep(2)%held%' and pid <> pg_backend_pid()"
    )
    with (
        closing(psycopg2.connect(shop.url)) as holder,
        closing(psycopg2.connect(shop.url, async_=True)) as waiter,
    ):
        with holder.cursor() as cursor:
            cursor.execute("lock table held")
        while waiter.poll() != psycopg2.extensions.POLL_OK:
            time.sleep(0.01)
        waiter.cursor().execute("select pg_sleep(2); select * from held")
        deadline = time.monotonic() + PATIENCE
        while not (found := shop.ask("blockers")["shop/blockers"]).metrics["waiting_sessions"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        ((seconds,),) = execute(shop.url, age)
    assert found.metrics["longest_wait_seconds"] <= seconds - 2


@one_server
def test_what_a_role_may_not_see_is_not_known(shop: Shop):
    execute(shop.url, "create role stranger login password 'known'", "create table held (id int)")
    owner = shop.url
    try:
        with closing(psycopg2.connect(owner)) as other, other.cursor() as cursor:
            cursor.execute("lock table held")
            shop.environ["SHOP_URL"] = re.sub(r"//[^@]*@", "//stranger:known@", owner)
            found = shop.ask("database", "slots", "blockers")
            assert found["shop/database"].status is Status.UNKNOWN
            assert "grant pg_monitor" in found["shop/database"].message
            assert found["shop/database"].metrics["open_connections"] >= 2
            execute(owner, "grant pg_monitor to stranger")
            assert shop.ask("database")["shop/database"].status is Status.HEALTHY
    finally:
        execute(owner, "drop owned by stranger", "drop role stranger")


def test_partitions_ahead_are_judged_by_the_rules(shop: Shop):
    today = utc_now().date()

    def make(number: int) -> str:
        begin = today + timedelta(days=number)
        end = begin + timedelta(days=1)
        return f"create table events_{begin:%Y_%m_%d} partition of events for values from ('{begin}') to ('{end}')"

    shop.write(partitions={"public.events": {"premake": 3}})
    assert "unknown partitioned table" in shop.ask("partitions")["shop/partitions"].message
    execute(
        shop.url,
        "create table events (at date not null) partition by range (at)",
        *(make(n) for n in (-4, -3)),
    )
    found = shop.ask("partitions")["shop/partitions"]
    assert (found.status, found.metrics["least_ahead"]) == (Status.UNHEALTHY, 0)
    assert "public.events refuses rows of now" in found.message
    execute(shop.url, "create table events_rest partition of events default")
    found = shop.ask("partitions")["shop/partitions"]
    assert found.status is Status.DEGRADED
    assert "go into the default partition of public.events" in found.message
    execute(shop.url, *(make(n) for n in range(-2, 6)))
    assert shop.ask("partitions")["shop/partitions"].status is Status.HEALTHY


@one_server
def test_a_slot_and_deadlocks_are_seen(shop: Shop):
    assert shop.ask("slots")["shop/slots"].metrics["slots"] == 0
    name = f"slot_{Path(shop.home).name.replace('-', '_').lower()}"
    execute(shop.url, f"select pg_create_physical_replication_slot('{name}', true)")
    try:
        assert shop.ask("slots")["shop/slots"].metrics["inactive_slots"] == 1
    finally:
        execute(shop.url, f"select pg_drop_replication_slot('{name}')")


@one_server
def test_a_look_asks_what_is_due_and_keeps_all_of_it(shop: Shop):
    watch, now = Watch(), utc_now()
    often, seldom = (
        fixed("often", Status.UNHEALTHY, Status.HEALTHY),
        fixed("seldom", Status.HEALTHY, frequency=300.0),
    )

    def see(after: float) -> Any:
        return watch.look(shop.ops, [often, seldom], now + timedelta(seconds=after), keep_months=13)

    assert (see(0).asked, see(29).asked) == (2, 0)
    found = see(30)
    assert (found.asked, found.changed) == (1, (("shop", "often"),))
    rows = execute(
        shop.ops_url,
        "select check_name, status, recovered_after_seconds from herald.health_snapshot order by at, check_name",
    )
    assert rows == [("often", "unhealthy", None), ("seldom", "healthy", None), ("often", "healthy", 30.0)]
    assert execute(shop.ops_url, "select check_name, status from herald.health_status order by 1") == [
        ("often", "healthy"), ("seldom", "healthy"),
    ]  # fmt: skip
    # What the settings do not have any more stands no longer.
    watch.look(shop.ops, [seldom], now + timedelta(seconds=31), keep_months=13)
    assert execute(shop.ops_url, "select check_name from herald.health_state") == [("seldom",)]


@one_server
def test_an_older_result_does_not_change_how_things_stand(shop: Shop):
    now, check = utc_now(), fixed("x", Status.HEALTHY)

    def write(status: Status, at: datetime) -> None:
        result = HealthResult(status, "", {}, at, 0.0)
        record(shop.ops, [Executed(check, result)], run_id=None)

    write(Status.HEALTHY, now)
    write(Status.UNHEALTHY, now - timedelta(seconds=5))
    assert execute(shop.ops_url, "select status, at from herald.health_state") == [("healthy", now)]
    assert execute(shop.ops_url, "select count(*) from herald.health_snapshot") == [(2,)]


@one_server
def test_hours_and_days_count_what_was_watched(shop: Shop):
    day = (utc_now() - timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    check = fixed("x", Status.HEALTHY, frequency=60.0)

    def write(minute: int, status: Status) -> None:
        at = day + timedelta(minutes=minute)
        result = HealthResult(status, "", {}, at, 0.010 + minute / 1000)
        record(shop.ops, [Executed(check, result)], run_id=None)

    # 10 minutes healthy, 2 unhealthy, then well until minute 20, at which the watch ends; 3 more minutes it stands for.
    for minute in range(20):
        write(minute, Status.UNHEALTHY if 10 <= minute < 12 else Status.HEALTHY)
    write(120, Status.UNKNOWN)
    later = day + timedelta(days=1, minutes=4)
    assert roll_up(shop.ops, later) == 2  # the hours 0 and 2; the day is over for less than five minutes
    assert roll_up(shop.ops, later) == 0
    assert roll_up(shop.ops, later + timedelta(minutes=2)) == 1
    assert roll_up(shop.ops, later + timedelta(minutes=2)) == 0
    hours = execute(
        shop.ops_url,
        "select starts_at, samples, watched_ratio * 60, uptime_ratio, down_seconds, recoveries, mean_time_to_recover_seconds,"
        " duration_p50_ms from herald.health_hourly order by starts_at",
    )
    assert hours == [
        (day, 20, pytest.approx(22), pytest.approx(20 / 22), 120, 1, 120, pytest.approx(19.5)),
        (day + timedelta(hours=2), 1, 0, None, 0, 0, None, pytest.approx(130)),
    ]
    days = execute(
        shop.ops_url,
        "select starts_at, samples, watched_ratio * 1440, uptime_ratio, recoveries from herald.health_daily",
    )
    assert days == [(day, 21, pytest.approx(22), pytest.approx(20 / 22), 1)]


@one_server
def test_partitions_are_made_ahead_and_dropped_when_old(shop: Shop):
    names = (
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
        " where i.inhparent = 'herald.health_snapshot'::regclass order by 1"
    )
    ahead = [name for (name,) in execute(shop.ops_url, names)]
    assert len(ahead) == 3
    execute(
        shop.ops_url,
        "create table herald.health_snapshot_2020_01 partition of herald.health_snapshot"
        " for values from ('2020-01-01') to ('2020-02-01')",
        f"drop table herald.{ahead[2]}",
        # As a role that only writes.
        "set role herald_writer",
        "select herald.drop_health_partitions(13)",
        "select herald.add_health_partition(now() + interval '2 months')",
    )
    assert [name for (name,) in execute(shop.ops_url, names)] == ahead


@one_server
def test_the_sensor_tells_dagster_on_a_change_and_hourly(shop: Shop):
    clock = [utc_now()]
    steps = (Status.HEALTHY, Status.HEALTHY, Status.UNHEALTHY, Status.UNHEALTHY)
    checks = [fixed("x", *steps, critical=True)]
    sensor = build_health_sensor(shop.environment, clock=lambda: clock[0], build=lambda _: checks)
    cursor: str | None = None

    def tick(after: float) -> list[Any]:
        nonlocal cursor
        clock[0] += timedelta(seconds=after)
        context = dg.build_sensor_context(cursor=cursor)
        result = sensor(context)
        cursor = result.cursor or cursor
        return list(result.asset_events)

    first = tick(0)
    assert [type(each).__name__ for each in first] == [
        "AssetMaterialization", "AssetCheckEvaluation", "AssetCheckEvaluation",
    ]  # fmt: skip
    assert first[0].asset_key == STATUS_KEY
    assert all(each.passed for each in first[1:])
    assert tick(30) == []
    changed = tick(30)
    assert changed[0].metadata["unhealthy"].value == 1
    (critical,) = [each for each in changed[1:] if each.check_name == "critical_checks_healthy"]
    assert (critical.passed, critical.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "shop/x unhealthy" in critical.description
    assert tick(30) == []
    assert len(tick(3600)) == 3
    assert execute(shop.ops_url, "select count(*) from herald.health_snapshot") == [(5,)]


@one_server
def test_documents(shop: Shop, capsys: pytest.CaptureFixture[str]):
    documents: dict[str, list[Any]] = {}

    def keep(title: str, document: dict[str, Any]) -> dict[str, Any]:
        given = json.loads(json.dumps({"version": DOCUMENT_VERSION, **document}))
        documents.setdefault(title, []).append(given)
        return given

    for dry_run in (True, False):
        outcome = operations_runs.run(
            shop.environ, shop.home, task="health_checks", window=None, database="shop", dry_run=dry_run
        )
        assert outcome.exit_code == 0, outcome.document
        keep("herald run health_checks", outcome.document)
    ((kept,),) = execute(shop.ops_url, "select count(*) from herald.health_snapshot where run_id is not null")
    assert kept == len(outcome.document["databases"][0]["checks"]) == 9

    # Before four the newest window is that of yesterday.
    for days in (1, 2):
        noon = (utc_now() - timedelta(days=days)).replace(hour=12, minute=0, second=0, microsecond=0)
        result = HealthResult(Status.HEALTHY, "", {}, noon, 0.010)
        record(shop.ops, [Executed(fixed("x", Status.HEALTHY), result)], run_id=None)
    for dry_run in (False, True):
        outcome = operations_runs.run(
            shop.environ, shop.home, task="health_history", window=None, database=None, dry_run=dry_run
        )
        assert outcome.exit_code == 0, outcome.document
        keep("herald run health_history", outcome.document)

    document, _ = health(shop.environ, shop.home, database="shop")
    keep("herald health", document)
    assert {row["since"] is None for row in document["checks"] if row["status"] == "healthy"} == {False}
    show_health(document)
    assert "shop/database (critical)" in capsys.readouterr().out

    shop.environ["SHOP_URL"] = GONE
    document, code = health(shop.environ, shop.home, database="shop")
    assert (document["status"], code) == ("unhealthy", 1)
    keep("herald health", document)
    shop.environ["OPS_URL"] = GONE
    document, code = health(shop.environ, shop.home, database="shop")
    keep("herald health", document)
    assert "no history" in document["notes"][0]
    assert execute(shop.ops_url, "select count(*) from herald.health_snapshot") == [(kept + 2,)]
    check_documents("documents.yaml", documents)


@one_server
def test_dagster_is_asked_by_its_own_tables(shop: Shop):
    checks = [each for each in build_checks(shop.environment.targets, ("ops",)) if each.subject == "dagster"]
    unset = Runner().run(checks, {}, utc_now())
    assert {each.result.status for each in unset} == {Status.UNKNOWN}  # Dagster has no tables there yet

    storage = {
        "storage": {"postgres": {"postgres_url": shop.environ["HERALD_DAGSTER_URL"]}},
        "telemetry": {"enabled": False},
    }
    with dg.instance_for_test(overrides=storage) as instance:
        assert instance.get_daemon_heartbeats() == {}
        now = datetime.now(UTC).timestamp()
        from dagster._core.scheduler.instigation import InstigatorType, TickData, TickStatus
        from dagster._daemon.types import DaemonHeartbeat
        from dagster_shared.error import SerializableErrorInfo

        error = SerializableErrorInfo("gone", [], None)

        def beat(age: float) -> None:
            instance.add_daemon_heartbeat(DaemonHeartbeat(now - age, "SENSOR", "some", []))

        def tick(status: TickStatus, name: str = "watch_health", age: float = 0.0) -> None:
            instance.create_tick(
                TickData(
                    "origin",
                    name,
                    InstigatorType.SENSOR,
                    status,
                    now - age,
                    run_ids=[],
                    error=error if status is TickStatus.FAILURE else None,
                    selector_id=name,
                )
            )

        def ask() -> dict[str, HealthResult]:
            return {each.check.name: each.result for each in Runner().run(checks, {}, utc_now())}

        beat(10)
        tick(TickStatus.SUCCESS)
        assert {name: result.status.value for name, result in ask().items()} == {
            "daemons": "healthy", "ticks": "healthy", "runs": "healthy",
        }  # fmt: skip
        beat(4000)
        tick(TickStatus.FAILURE)
        for name in ("a", "z"):
            tick(TickStatus.FAILURE, name, age=600.0)
            tick(TickStatus.SKIPPED, name, age=300.0)
        tick(TickStatus.FAILURE, "gone", age=200_000.0)
        found = ask()
        assert found["daemons"].status is Status.UNHEALTHY
        assert found["daemons"].metrics["oldest_heartbeat_seconds"] == pytest.approx(4000, abs=600)
        assert (found["ticks"].status, found["ticks"].message) == (
            Status.DEGRADED, "the newest tick failed: watch_health",
        )  # fmt: skip
        assert found["ticks"].metrics["instigators"] == 3
