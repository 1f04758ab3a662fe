"""How long it takes to plan 10,000 partitions, against asking for each by itself, in one run.

    python benchmarks/partition_plan.py [--scale S]

Planning is what `herald partitions plan` does: reading every partition with its bounds and size, the ledger's proofs, what
depends on those that have expired, and deciding on each. The naive way asks the catalog once a partition, as scripts do: its
bound, its size, and what depends on it. Twenty tables by day, of which two fifths have expired and are archived. Each round
begins with new sessions. Target: under 2 s. Prints one JSON line.
"""

import argparse
import json
import re
import statistics
import time
from datetime import UTC, datetime, timedelta

from _servers import benchmark_server, say

from herald_pipelines.migrations import migrate
from herald_pipelines.partitions.analysis import PartitionAnalysis, analyze_partitions
from herald_pipelines.partitions.plan import Action
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.settings import PartitionSettings
from herald_pipelines.values import DatabaseIdentity

PARTITIONS = 10_000
TABLES = 20
ROUNDS = 3
TARGET_SECONDS = 2.0
AT = datetime(2026, 11, 22, tzinfo=UTC)
EXPIRED_SHARE = 0.4
BATCH = 50
ARCHIVED = """
insert into herald.maintenance_log
    (database, system_identifier, database_oid, task, window_key, object_name, object_oid, outcome, evidence, result,
     finished_at)
select 'bench', %(system_identifier)s, %(database_oid)s, 'partition_archive', '2026-11-15', 'public.' || x.name, x.oid,
    'done', '{"step": "archive"}', jsonb_build_object('backup', 'bench', 'bound', x.bound, 'rows', 0, 'digest', '0:0'), now()
from jsonb_to_recordset(%(rows)s::jsonb) as x (oid bigint, name text, bound text)
"""


def build(writer: Postgres, days: int) -> None:
    """Make tables by day, the newest ending some days after the moment of the plan."""
    first = (AT + timedelta(days=10) - timedelta(days=days)).date()
    with writer.session(autocommit=True) as session:
        for number in range(TABLES):
            session.execute(
                f"create table public.t{number} (id bigint, at timestamptz not null, primary key (id, at))"
                " partition by range (at)"
            )
            for start in range(0, days, BATCH):
                session.execute("begin")
                for day in range(start, min(start + BATCH, days)):
                    lower, upper = first + timedelta(days=day), first + timedelta(days=day + 1)
                    session.execute(
                        f"create table public.t{number}_{lower:%Y%m%d} partition of public.t{number}"
                        f" for values from ('{lower}') to ('{upper}')"
                    )
                session.execute("commit")
            say(f"{number + 1} of {TABLES} tables")
        session.execute("analyze")


def prove(ops: Postgres, identity: DatabaseIdentity, analysis: PartitionAnalysis) -> None:
    """Let the ledger hold an archive of every partition that has expired."""
    rows = [
        {"oid": each.oid, "name": each.name, "bound": each.partition.bound}
        for each in analysis.items
        if each.action is Action.ARCHIVE and each.partition
    ]
    about = {"system_identifier": identity.system_identifier, "database_oid": identity.database_oid}
    with ops.writable().session() as session:
        session.execute(ARCHIVED, {**about, "rows": json.dumps(rows)})


def plan_naively(reader: Postgres, cutoff: datetime) -> tuple[float, int]:
    """Ask for each partition by itself; return the seconds, and how many have expired."""
    started, expired = time.perf_counter(), 0
    with reader.session() as session:
        names = session.execute("select inhrelid::oid::bigint as oid from pg_inherits join pg_class c on c.oid = inhparent"
                                " where c.relkind = 'p'")  # fmt: skip
        for row in names:
            bound = session.execute(
                "select pg_get_expr(relpartbound, oid) as bound from pg_class where oid = %(oid)s", row
            )[0]["bound"]
            session.execute("select pg_total_relation_size(%(oid)s::oid) as size", row)
            upper = re.search(r"TO \('(.*)'\)", bound)
            if upper is not None and datetime.fromisoformat(upper[1]) <= cutoff:
                expired += 1
                session.execute(
                    "select pg_describe_object(classid, objid, 0) as dependant from pg_depend"
                    " where refobjid = %(oid)s and refclassid = 'pg_class'::regclass and deptype = 'n'",
                    row,
                )
    return time.perf_counter() - started, expired


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0, help=f"1 = {PARTITIONS} partitions")
    days = max(10, int(PARTITIONS * parser.parse_args().scale) // TABLES)
    keep = int(days * (1 - EXPIRED_SHARE))
    rules = {f"public.t{number}": PartitionSettings(keep=f"{keep} days") for number in range(TABLES)}
    with benchmark_server(18) as server:
        if isinstance(server, str):
            raise SystemExit(server)
        server.create_database("bench")
        server.create_database("ops")
        reader = Postgres(server.url("bench"), "bench", statement_timeout_seconds=600)
        ops = Postgres(server.url("ops"), "ops")
        migrate(ops)
        build(Postgres(reader.url, "bench", statement_timeout_seconds=3600, read_only=False), days)
        identity = reader.identity()
        analysis, expired = analyze_partitions(reader, ops, identity, rules, at=AT), 0
        prove(ops, identity, analysis)
        with reader.session(autocommit=True) as session:
            session.execute("checkpoint")
        rounds: list[float] = []
        naive: list[float] = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            analysis = analyze_partitions(reader, ops, identity, rules, at=AT)
            rounds.append(time.perf_counter() - started)
            seconds, expired = plan_naively(reader, AT - timedelta(days=keep))
            naive.append(seconds)
    seconds, naive_seconds = statistics.median(rounds), statistics.median(naive)
    print(
        json.dumps(
            {
                "benchmark": "partition_plan",
                "partitions": len(analysis.items),
                "to_detach": len(analysis.to_do(Action.DETACH)),
                "expired_naively": expired,
                "plan_seconds": round(seconds, 3),
                "plan_seconds_of_rounds": [round(each, 3) for each in rounds],
                "naive_seconds": round(naive_seconds, 3),
                "naive_seconds_of_rounds": [round(each, 3) for each in naive],
                "ratio": round(seconds / naive_seconds, 3),
                "target_seconds": TARGET_SECONDS,
            }
        )
    )


if __name__ == "__main__":
    main()
