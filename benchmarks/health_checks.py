"""What health checks cost: the runner, the writes, and a year of results queried by day, in one run.

    python benchmarks/health_checks.py [--days N]

The runner is measured on one core, with checks that answer at once; a look with checks that wait for 20 ms each, one after
the other, against that waiting alone. Writes are compared with one transaction for each result, the daily view of a year
of 20 checks a minute with the same question asked of the single results. Targets: 1,000 checks a second, at most 5 ms for
a check over its own waiting, a batch faster than single writes, the view under 200 ms. Needs 4 GB of disk for a year.
Prints one JSON line.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from _servers import benchmark_server, say

from herald_pipelines.health.history import record, roll_up
from herald_pipelines.health.results import (
    Executed,
    HealthCheck,
    HealthResult,
    Previous,
    Probe,
    Status,
    Verdict,
)
from herald_pipelines.health.runner import Runner
from herald_pipelines.health.watch import Watch
from herald_pipelines.migrations import migrate
from herald_pipelines.resources.postgres import Postgres

STUBS = 5_000
WAITS, WAIT_SECONDS = 40, 0.020
RESULTS = 100
CHECKS = 20
ROUNDS = 5
MOST_ROUNDS_OF_NAIVE = 1
DAILY = "select starts_at, subject, check_name, uptime_ratio, duration_p95_ms from herald.health_daily order by 1, 2, 3"
NAIVE = """
select date_trunc('day', at, 'UTC'), subject, check_name, avg((status in ('healthy', 'degraded'))::int),
       percentile_cont(0.95) within group (order by duration_seconds) * 1000
  from herald.health_snapshot where at < %(until)s group by 1, 2, 3 order by 1, 2, 3
"""
FILL = """
insert into herald.health_snapshot (
    at, subject, check_name, status, critical, message, metrics, duration_seconds, frequency_seconds
)
select minute + n * interval '1 second', 'shop', 'check' || n,
       case when random() < 0.001 then 'unhealthy' else 'healthy' end, false, 'answers in 4 ms, 10 of 97 connections',
       jsonb_build_object('ping_ms', random() * 10, 'open_connections', 10, 'connections_ratio', 0.1), random() / 100, 60
  from generate_series(%(begin)s::timestamptz, %(end)s::timestamptz - interval '1 minute', '1 minute') minute
 cross join generate_series(1, %(checks)s) n
"""
ROLLUPS = """
insert into herald.health_rollup (
    period, starts_at, subject, check_name, samples, watched_seconds, up_seconds, degraded_seconds, down_seconds,
    duration_p50_ms, duration_p95_ms, duration_p99_ms, recoveries, recovery_seconds
)
select period, starts_at, 'shop', 'check' || n, length / 60, length, length * 0.999, 0, length * 0.001, 5, 9.5, 9.9, 1, 60
  from (values ('hour', 3600), ('day', 86400)) as periods (period, length)
 cross join lateral generate_series(
     %(begin)s::timestamptz, %(end)s::timestamptz - make_interval(secs => length), make_interval(secs => length)
 ) as starts_at
 cross join generate_series(1, %(checks)s) n
"""
COUNTED_DAYS = 7
"""The newest days, whose hours and days our own code counts; the older ones are made like them."""


def stub(number: int, wait_seconds: float = 0.0) -> Probe:
    """Return a check that waits and is well."""

    def ask(_now: datetime, _previous: Previous | None) -> Verdict:
        if wait_seconds:
            time.sleep(wait_seconds)
        return Verdict(Status.HEALTHY, "well", {"n": 1.0})

    return Probe("stub", f"check{number}", 5.0, ask, time.monotonic)


def timed(work: Callable[[], object]) -> float:
    """Return how long something takes, in seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure_runner() -> float:
    """Return checks a second on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        checks = [stub(number) for number in range(STUBS)]
        seconds = min(timed(lambda: Runner().run(checks, {}, datetime.now(UTC))) for _ in range(ROUNDS))
    finally:
        os.sched_setaffinity(0, cores)
    return STUBS / seconds


def measure_look(ops: Postgres) -> float:
    """Return what a check costs over its own waiting, its share of the reads and writes included, in ms."""
    checks: list[HealthCheck] = [stub(number, WAIT_SECONDS) for number in range(WAITS)]
    alone = min(timed(lambda: [time.sleep(WAIT_SECONDS) for _ in range(WAITS)]) for _ in range(ROUNDS))
    now = datetime.now(UTC)
    # One watch, as the sensor has it: the first look counts hours, which the others need not.
    watch = Watch(Runner(at_once=1))
    whole = min(
        timed(lambda i=i: watch.look(ops, checks, now + timedelta(minutes=i), keep_months=13))
        for i in range(ROUNDS)
    )
    return (whole - alone) / WAITS * 1000


def measure_writes(ops: Postgres) -> tuple[float, float]:
    """Return the seconds of one batch, and of a transaction for each result."""
    now = datetime.now(UTC)
    results = [
        Executed(stub(number), HealthResult(Status.HEALTHY, "well", {"n": 1.0}, now, 0.001))
        for number in range(RESULTS)
    ]

    def write_single() -> None:
        for each in results:
            record(ops, [each], run_id=None)

    batch = statistics.median(timed(lambda: record(ops, results, run_id=None)) for _ in range(ROUNDS))
    return batch, timed(write_single)


def measure_year(ops: Postgres, days: int) -> dict[str, float]:
    """Return the seconds of the daily view and of the question asked of the single results, and of the counting."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - timedelta(days=days)
    with ops.session(autocommit=True) as session:
        session.execute("truncate herald.health_snapshot, herald.health_rollup")
        session.execute(
            "select herald.add_health_partition(month)"
            " from generate_series(date_trunc('month', %(first)s::timestamptz), now(), interval '1 month') as month",
            {"first": first},
        )
        for begin in range(0, days, 30):
            end = min(begin + 30, days)
            of_days = {"begin": first + timedelta(days=begin), "end": first + timedelta(days=end)}
            session.execute(FILL, {**of_days, "checks": CHECKS})
            say(f"{end} of {days} days")
        counted = today - timedelta(days=min(days, COUNTED_DAYS))
        session.execute(ROLLUPS, {"begin": first, "end": counted, "checks": CHECKS})
        session.execute("vacuum analyze herald.health_snapshot")
    began = time.perf_counter()
    periods = roll_up(ops, today + timedelta(minutes=10))
    counting = time.perf_counter() - began
    with ops.session(autocommit=True) as session:
        session.execute("vacuum analyze herald.health_rollup")
        view = statistics.median(timed(lambda: session.execute(DAILY)) for _ in range(ROUNDS))
        naive = min(
            timed(lambda: session.execute(NAIVE, {"until": today})) for _ in range(MOST_ROUNDS_OF_NAIVE)
        )
        rows = session.execute("select count(*) as rows from herald.health_snapshot")[0]["rows"]
    return {
        "rows": rows,
        "periods": periods,
        "counting_seconds_a_period": round(counting / max(periods, 1), 4),
        "daily_view_ms": round(view * 1000, 1),
        "naive_ms": round(naive * 1000, 1),
        "ratio": round(view / naive, 5),
    }


def main() -> None:
    """Measure, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--days", type=int, default=365, help="days of results that the view is asked of")
    arguments = parser.parse_args()
    rate = measure_runner()
    say(f"{rate:.0f} checks a second")
    with benchmark_server(18) as server:
        if isinstance(server, str):
            raise SystemExit(server)
        server.create_database("herald")
        ops = Postgres(server.url("herald"), "ops", read_only=False, statement_timeout_seconds=1800)
        migrate(ops)
        overhead = measure_look(ops)
        batch, single = measure_writes(ops)
        say(f"{overhead:.2f} ms a check, batch {batch:.3f} s, single {single:.3f} s")
        year = measure_year(ops, arguments.days)
    print(
        json.dumps(
            {
                "benchmark": "health_checks",
                "checks_a_second": round(rate),
                "overhead_ms_a_check": round(overhead, 3),
                "batch_seconds": round(batch, 4),
                "single_seconds": round(single, 4),
                "batch_ratio": round(batch / single, 4),
                "days": arguments.days,
                **year,
                "load": os.getloadavg()[0],
                "meets_targets": rate >= 1000
                and overhead <= 5
                and batch < single
                and year["daily_view_ms"] < 200,
            }
        )
    )


if __name__ == "__main__":
    main()
