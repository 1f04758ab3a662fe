"""The watch where things go wrong: the ops database away, processes killed, clocks put back, several at once, readers."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import dagster as dg
import psycopg2
import pytest
from clinic import GONE, PATIENCE, Shop, execute, fixed

from herald_pipelines.errors import TransientFailure
from herald_pipelines.health import watch as watching
from herald_pipelines.health.history import read_standings, record, roll_up
from herald_pipelines.health.results import STANDS_FOR, Executed, HealthResult, Probe, Status, Verdict
from herald_pipelines.health.runner import Runner
from herald_pipelines.health.watch import Watch
from herald_pipelines.health_sensor import build_health_sensor
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import utc_now

pytestmark = pytest.mark.parametrize("server", ["pg18"], indirect=True)
HERE = Path(__file__).parent
AWAY = Postgres(GONE, "ops", read_only=False)
KEPT = "select check_name, status from herald.health_snapshot order by at, check_name"


def see(watch: Watch, ops: Postgres, checks: Any, now: datetime) -> Any:
    return watch.look(ops, checks, now, keep_months=13)


def yesterday() -> datetime:
    """Return the middle of an hour that is over for long, and whose neighbours are of the same day."""
    return utc_now().replace(hour=10, minute=30, second=0, microsecond=0) - timedelta(days=1)


def test_nothing_is_lost_while_the_ops_database_is_away(shop: Shop):
    watch, now = Watch(), utc_now()
    often = fixed("x", Status.UNHEALTHY, Status.UNHEALTHY, Status.HEALTHY)
    checks = [often, fixed("seldom", Status.HEALTHY, frequency=300.0)]
    for n, (asked, unwritten) in enumerate(((2, 2), (1, 3), (1, 4))):
        found = see(watch, AWAY, checks, now + timedelta(seconds=30 * n))
        assert (found.asked, found.unwritten) == (asked, unwritten)
        assert "connecting to ops" in found.problems[0]
    # How things stand is known all the same.
    assert found.standings["shop", "x"].state.status is Status.HEALTHY
    found = see(watch, shop.ops, checks, now + timedelta(seconds=90))
    assert (found.asked, found.unwritten, found.problems) == (1, 0, ())
    assert execute(shop.ops_url, KEPT) == [
        ("seldom", "healthy"), ("x", "unhealthy"), ("x", "unhealthy"), ("x", "healthy"), ("x", "healthy"),
    ]  # fmt: skip
    recovered = (
        "select recovered_after_seconds from herald.health_snapshot where recovered_after_seconds is not null"
    )
    assert execute(shop.ops_url, recovered) == [(60.0,)]
    assert execute(shop.ops_url, "select check_name, status from herald.health_state order by 1") == [
        ("seldom", "healthy"), ("x", "healthy"),
    ]  # fmt: skip


def test_results_that_wait_are_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watching, "MOST_KEPT", 5)
    monkeypatch.setattr(watching, "AT_ONCE", 2)
    watch, now = Watch(), utc_now()
    for n in range(9):
        see(watch, AWAY, [fixed("x", Status.HEALTHY)], now + timedelta(seconds=30 * n))
    found = see(watch, shop.ops, [fixed("x", Status.HEALTHY)], now + timedelta(seconds=270))
    assert found.unwritten == 0
    at = [each for (each,) in execute(shop.ops_url, "select at from herald.health_snapshot order by at")]
    assert at == [now + timedelta(seconds=30 * n) for n in range(5, 10)]


def test_the_sensor_tells_that_the_ops_database_is_away_without_failing(shop: Shop):
    shop.environ["OPS_URL"] = GONE
    clock = [utc_now()]
    sensor = build_health_sensor(shop.environment, clock=lambda: clock[0])
    result = sensor(dg.build_sensor_context())
    (critical,) = [
        each for each in result.asset_events if getattr(each, "check_name", "") == "critical_checks_healthy"
    ]
    assert not critical.passed
    assert "ops/database unhealthy" in critical.description
    assert (
        "wait for the ops database"
        in sensor(dg.build_sensor_context(cursor=result.cursor)).skip_reason.skip_message
    )


def test_the_same_results_again_change_nothing(shop: Shop):
    """A commit of which nobody learned is written once more."""
    result = HealthResult(Status.HEALTHY, "", {}, utc_now(), 0.0)
    for _ in range(2):
        record(shop.ops, [Executed(fixed("x", Status.HEALTHY), result)], run_id=None)
    assert execute(shop.ops_url, KEPT) == [("x", "healthy")]


def test_a_clock_that_was_put_back_does_not_keep_old_results_standing(shop: Shop):
    watch, now = Watch(), utc_now()
    check = fixed("x", Status.UNHEALTHY, Status.HEALTHY)
    see(watch, shop.ops, [check], now + timedelta(hours=6))
    found = see(watch, shop.ops, [check], now)
    assert found.standings["shop", "x"].state.status is Status.HEALTHY
    assert execute(shop.ops_url, "select status, at from herald.health_state") == [("healthy", now)]
    assert see(watch, shop.ops, [check], now + timedelta(seconds=29)).asked == 0


def test_hours_that_a_fast_clock_has_counted_hide_none(shop: Shop):
    then = yesterday()

    def write(at: datetime) -> None:
        result = HealthResult(Status.HEALTHY, "", {}, at, 0.0)
        record(shop.ops, [Executed(fixed("x", Status.HEALTHY), result)], run_id=None)

    write(then + timedelta(days=2))
    roll_up(shop.ops, then + timedelta(days=2, hours=1))
    write(then)
    roll_up(shop.ops, then + timedelta(hours=1))
    # One that comes late to an hour that is counted is counted too.
    write(then + timedelta(minutes=1))
    roll_up(shop.ops, then + timedelta(hours=1))
    counted = "select starts_at, samples from herald.health_hourly order by 1"
    hour = then.replace(minute=0)
    assert execute(shop.ops_url, counted) == [(hour, 2), (hour + timedelta(days=2), 1)]


def test_a_long_backlog_is_counted_in_several_goes(shop: Shop):
    now = utc_now()
    hours = 200
    execute(
        shop.ops_url,
        "select herald.add_health_partition(now() - interval '1 month')",
        "insert into herald.health_snapshot (at, subject, check_name, status, critical, message, metrics,"
        " duration_seconds, frequency_seconds)"
        " select date_trunc('hour', now(), 'UTC') - n * interval '1 hour', 'shop', 'x', 'healthy', false, '', '{}', 0.01, 60"
        f" from generate_series(1, {hours}) as n",
    )
    watch = Watch()
    monotonic = iter([1.0] * 50 + [-1.0] * 1000)
    with pytest.raises(TransientFailure, match="in time: 50 were"):
        roll_up(shop.ops, now + timedelta(hours=1), left_seconds=lambda: next(monotonic))
    counted = "select count(*) from herald.health_rollup where period = 'hour'"
    assert execute(shop.ops_url, counted) == [(50,)]
    see(watch, shop.ops, [], now + timedelta(hours=1))
    assert execute(shop.ops_url, counted) == [(hours,)]


@contextmanager
def stopped_at(shop: Shop, lock: str, waiting_for: str, now: datetime) -> Iterator[subprocess.Popen[bytes]]:
    """Run a watcher up to where it waits for a lock."""
    with closing(psycopg2.connect(shop.ops_url)) as holder, holder.cursor() as cursor:
        cursor.execute(lock)
        process = subprocess.Popen(
            [sys.executable, str(HERE / "watcher.py"), shop.ops_url, now.isoformat()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE), str(HERE.parents[2])))},
        )
        try:
            deadline = time.monotonic() + PATIENCE
            asked = (
                "select pid from pg_stat_activity where application_name = 'herald:watcher' and wait_event_type = 'Lock'"
                f" and datname = current_database() and query ~ '{waiting_for}'"
            )
            while not execute(shop.ops_url, asked):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield process
        finally:
            process.kill()
            process.wait(PATIENCE)


def kill(shop: Shop, process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE)


def wait_until_nobody_is_left(shop: Shop) -> None:
    deadline = time.monotonic() + PATIENCE
    while execute(
        shop.ops_url,
        "select 1 from pg_stat_activity where application_name = 'herald:watcher' and datname = current_database()",
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_killed_between_results_and_hours_the_next_one_counts_them(shop: Shop):
    then = yesterday()
    see(Watch(), shop.ops, [fixed("x", Status.HEALTHY)], then)
    later = then + timedelta(hours=1)
    with stopped_at(
        shop, "lock herald.health_rollup in exclusive mode", "A result stands until", later
    ) as process:
        kill(shop, process)
        # What was asked is written, and nothing is counted.
        assert execute(shop.ops_url, KEPT) == [("x", "healthy")] * 2
        assert execute(shop.ops_url, "select 1 from herald.health_rollup") == []
    wait_until_nobody_is_left(shop)
    # In the same hour: a new process does not know that it was done.
    see(Watch(), shop.ops, [fixed("x", Status.HEALTHY)], later + timedelta(seconds=30))
    counted = "select starts_at, samples from herald.health_hourly"
    assert execute(shop.ops_url, counted) == [(then.replace(minute=0), 1)]


def test_killed_while_results_are_written_none_of_them_is(shop: Shop):
    then = yesterday()
    see(Watch(), shop.ops, [fixed("x", Status.UNHEALTHY)], then)
    row = "select from herald.health_state for update"
    with stopped_at(shop, row, "insert into herald.health_snapshot", then + timedelta(minutes=1)) as process:
        kill(shop, process)
    wait_until_nobody_is_left(shop)
    assert execute(shop.ops_url, KEPT) == [("x", "unhealthy")]
    assert execute(shop.ops_url, "select status, at from herald.health_state") == [("unhealthy", then)]


def test_a_look_that_has_not_ended_holds_back_the_next(shop: Shop):
    gate, begun = Event(), Event()

    def hang(_now: datetime, _previous: Any) -> Verdict:
        begun.set()
        gate.wait(PATIENCE)
        return Verdict(Status.HEALTHY, "")

    watch, found = Watch(), list[Any]()
    check = Probe("shop", "slow", 30.0, hang, time.monotonic, timeout_seconds=PATIENCE)
    thread = Thread(target=lambda: found.append(see(watch, shop.ops, [check], utc_now())))
    thread.start()
    assert begun.wait(PATIENCE)
    assert see(watch, shop.ops, [check], utc_now()) is None
    gate.set()
    thread.join(PATIENCE)
    assert found[0].asked == 1


def test_two_at_once_in_a_month_without_a_partition(shop: Shop):
    ahead = utc_now() + timedelta(days=400)
    found: list[Any] = []
    threads = [
        Thread(
            target=lambda n=n: found.append(see(Watch(), shop.ops, [fixed(f"x{n}", Status.HEALTHY)], ahead))
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert [each.problems for each in found] == [()] * 4
    assert execute(shop.ops_url, KEPT) == [(f"x{n}", "healthy") for n in range(4)]


def test_whoever_reads_an_old_month_keeps_it_and_holds_up_no_result(shop: Shop):
    execute(shop.ops_url, "select herald.add_health_partition('2020-01-15')")
    ops = Postgres(shop.ops_url, "ops", read_only=False, lock_timeout_seconds=0.2)
    watch, now = Watch(), utc_now()
    with closing(psycopg2.connect(shop.ops_url)) as reader, reader.cursor() as cursor:
        cursor.execute("select count(*) from herald.health_snapshot")
        found = see(watch, ops, [fixed("x", Status.HEALTHY)], now)
        assert (found.asked, found.unwritten) == (1, 0)
        assert "lock timeout" in found.problems[0]
        assert execute(shop.ops_url, KEPT) == [("x", "healthy")]
    found = see(watch, shop.ops, [fixed("x", Status.HEALTHY)], now + timedelta(hours=1))
    assert found.problems == ()
    assert execute(shop.ops_url, "select to_regclass('herald.health_snapshot_2020_01')") == [(None,)]


def test_who_was_not_reached_comes_first_the_next_time(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watching, "CHECKS_SECONDS", 0.3)
    asked: list[str] = []

    def slow(name: str) -> Probe:
        def ask(_now: datetime, _previous: Any) -> Verdict:
            asked.append(name)
            time.sleep(0.5)
            return Verdict(Status.HEALTHY, "")

        return Probe("shop", name, 30.0, ask, time.monotonic, timeout_seconds=PATIENCE)

    now = utc_now()
    checks = [slow("a"), slow("b"), slow("c")]
    watch = Watch(Runner(at_once=1))
    for n in range(3):
        see(watch, shop.ops, checks, now + timedelta(minutes=n))
    assert asked == ["a", "b", "c"]


def test_how_long_a_result_stands_is_one_number(shop: Shop):
    frequency = 600.0
    for name, times in (("fresh", STANDS_FOR - 0.5), ("stale", STANDS_FOR + 0.5)):
        at = datetime.now(UTC) - timedelta(seconds=times * frequency)
        result = HealthResult(Status.HEALTHY, "", {}, at, 0.0)
        record(shop.ops, [Executed(fixed(name, Status.HEALTHY, frequency=frequency), result)], run_id=None)
    in_view = execute(shop.ops_url, "select check_name, status from herald.health_status order by 1")
    assert in_view == [("fresh", "healthy"), ("stale", "unknown")]
    with shop.ops.session() as session:
        stale = {each.check: each.is_stale(utc_now()) for each in read_standings(session).values()}
    assert stale == {"fresh": False, "stale": True}


def test_the_rights_of_a_writer_suffice(shop: Shop):
    execute(shop.ops_url, "create role watchman login password 'known' in role herald_writer")
    try:
        ops = Postgres(re.sub(r"//[^@]*@", "//watchman:known@", shop.ops_url), "ops", read_only=False)
        watch, now = Watch(), yesterday()
        for hours in (0, 1):
            found = see(watch, ops, [fixed(f"x{hours}", Status.HEALTHY)], now + timedelta(hours=hours))
            assert (found.asked, found.problems) == (1, ())
        assert found.rolled_up == 1
        assert execute(shop.ops_url, "select check_name from herald.health_state") == [("x1",)]
    finally:
        execute(shop.ops_url, "drop owned by watchman", "drop role watchman")
