"""How long it takes to plan the maintenance of 10,000 tables, against asking for each table by itself, in one run.

    python benchmarks/vacuum_plan.py [--scale S]

Ours is what `herald tables` does: six catalog queries, autovacuum's rules in Python, a plan. The naive way does for each
table what most scripts do: its counters from pg_stat_all_tables, its size, its ages and options from pg_class, each a query.
Both find the same tables in need: a tenth has dead rows that autovacuum is kept away from. Each round begins with a new
session, which knows no relation yet; the naive way has one round. Target: about 2 s on an idle machine. Prints one JSON line.
"""

import argparse
import json
import os
import statistics
import time
from typing import Any

from _servers import benchmark_server, say

from herald_pipelines.database.tables.analysis import analyze_tables
from herald_pipelines.database.tables.need import NeedKind, Scope
from herald_pipelines.resources.postgres import Postgres

TABLES = 10_000
A_SCHEMA = 500
ROUNDS = 3
ROWS, DEAD = 200, 150
NEEDY = 10
"""One of so many tables has dead rows."""

MAKE = f"""
do $$ begin for number in {{first}} .. {{last}} loop
    execute format('create table {{schema}}.t%s (id int primary key, v text) with (autovacuum_enabled = off)', number);
    if number % {NEEDY} = 0 then
        execute format('insert into {{schema}}.t%s select n, null from generate_series(1, {ROWS}) n', number);
        execute format('analyze {{schema}}.t%s', number);
        execute format('delete from {{schema}}.t%s where id <= {DEAD}', number);
    end if;
end loop; end $$
"""
COUNTERS = (
    "select n_dead_tup, n_live_tup, n_ins_since_vacuum, n_mod_since_analyze, last_vacuum, last_autovacuum, last_analyze"
    " from pg_stat_all_tables where relid = %(oid)s"
)
AGES = (
    "select reltuples, relpages, relallvisible, reloptions, age(relfrozenxid) as xid_age, mxid_age(relminmxid)"
    " from pg_class where oid = %(oid)s"
)
SIZE = "select pg_total_relation_size(%(oid)s::oid::regclass) as bytes"


def build(writer: Postgres, tables: int) -> None:
    """Make tables with an index and a TOAST table, a tenth of them with dead rows."""
    with writer.session(autocommit=True) as session:
        for first in range(0, tables, A_SCHEMA):
            schema, end = f"s{first // A_SCHEMA}", min(first + A_SCHEMA, tables)
            session.execute(f"create schema {schema}")
            session.execute(MAKE.format(schema=schema, first=first, last=end - 1))
            say(f"{end} of {tables} tables")
    with writer.session(autocommit=True) as session:
        session.execute("vacuum analyze pg_class")
        session.execute("vacuum analyze pg_index")


def plan(reader: Postgres) -> tuple[float, int, int]:
    """Return the seconds, the tables, and those with dead rows over the limit."""
    started = time.perf_counter()
    analysis = analyze_tables(reader, Scope.ROUTINE, budget_seconds=3600, say=lambda _: None)
    seconds = time.perf_counter() - started
    dead = sum(
        any(need.kind is NeedKind.DEAD_ROWS for need in step.needs)
        for step in analysis.plan.steps
        if not step.is_system
    )
    return seconds, len(analysis.facts.tables), dead


def ask_each(reader: Postgres) -> tuple[float, int]:
    """Ask for every table by itself; return the seconds and the tables with dead rows over the limit."""
    started = time.perf_counter()
    dead = 0
    with reader.session(autocommit=True) as session:
        rules = {
            row["name"]: float(row["setting"])
            for row in session.execute(
                "select name, setting from pg_settings where name like 'autovacuum_vacuum%%'", {}
            )
        }
        tables = session.execute("select oid, relnamespace from pg_class where relkind in ('r', 'm', 'p')")
        for table in tables:
            facts: dict[str, Any] = {}
            for query in (COUNTERS, AGES, SIZE):
                facts |= session.execute(query, {"oid": table["oid"]})[0]
            limit = rules["autovacuum_vacuum_threshold"] + rules["autovacuum_vacuum_scale_factor"] * max(
                facts["reltuples"], 0
            )
            dead += facts["n_dead_tup"] > limit and "autovacuum_enabled=off" in (facts["reloptions"] or ())
    return time.perf_counter() - started, dead


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0, help=f"1 = {TABLES} tables")
    tables = max(NEEDY, int(TABLES * parser.parse_args().scale))
    with benchmark_server(18) as server:
        if isinstance(server, str):
            raise SystemExit(server)
        server.create_database("bench")
        reader = Postgres(server.url("bench"), "bench", statement_timeout_seconds=600)
        build(Postgres(reader.url, "bench", statement_timeout_seconds=3600, read_only=False), tables)
        load = os.getloadavg()[0]
        rounds: list[tuple[float, int, int]] = []
        for _ in range(ROUNDS):
            rounds.append(plan(reader))
            say(f"planned in {rounds[-1][0]:.3f} s")
        naive_seconds, naive_dead = ask_each(reader)
    seconds = statistics.median(each[0] for each in rounds)
    print(
        json.dumps(
            {
                "benchmark": "vacuum_plan",
                "tables": rounds[0][1],
                "tables_with_dead_rows": rounds[0][2],
                "naive_tables_with_dead_rows": naive_dead,
                "plan_seconds": round(seconds, 3),
                "plan_seconds_of_rounds": [round(each[0], 3) for each in rounds],
                "naive_seconds": round(naive_seconds, 3),
                "ratio": round(seconds / naive_seconds, 4),
                "load_average": round(load, 2),
                "target_seconds": 2.0,
            }
        )
    )


if __name__ == "__main__":
    main()
