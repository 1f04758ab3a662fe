"""How long it takes to read, compare and keep 50,000 statements, against doing it row by row, in one run.

    python benchmarks/statement_diff.py [--scale S]

A server of version 18 has really executed that many different statements, and executes each of them again before each
reading, so that all of them changed. Both sides read pg_stat_statements without the texts, find what each statement did
since the reading before, and keep that and the counters in the ops database. Ours is the daily task's own: arrays, a
statement for each table, one transaction. The naive way asks for the counters of each statement and writes two rows for each,
in one transaction too, as a loop in Python would. Each side has tables of its own, and begins with the same first reading.
Texts are not a part of it: they are read once for each statement. Targets: at most a fifth of the naive time, under 10 s.
Prints one JSON line.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from _servers import say

from herald_pipelines.database.statements.deltas import diff_readings
from herald_pipelines.database.statements.facts import Counters, StatementReading
from herald_pipelines.database.statements.history import read_last_reading, record_reading
from herald_pipelines.database.statements.store import read_statements
from herald_pipelines.migrations import migrate
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import DatabaseIdentity
from server_programs import server_programs

STATEMENTS = 50_000
COLUMNS = 250
ROUNDS = 3
TARGET_RATIO, TARGET_SECONDS = 0.2, 10.0
NAIVE_TABLES = """
create table naive_counter (query_id bigint, user_oid bigint, toplevel boolean, {columns},
    primary key (query_id, user_oid, toplevel));
create table naive_delta (reading int, query_id bigint, user_oid bigint, toplevel boolean, {columns},
    primary key (reading, query_id, user_oid, toplevel));
"""


def statements_of(count: int) -> Iterator[str]:
    """Yield statements of which no two are the same to pg_stat_statements: another table, or another column."""
    for number in range(count):
        table, column = divmod(number, COLUMNS)
        yield f"select c{column} from public.t{table} limit 1"


def build(target: Postgres, count: int) -> None:
    """Make the tables that the statements are about."""
    columns = ", ".join(f"c{number} int" for number in range(COLUMNS))
    with target.writable().session(autocommit=True) as session:
        session.execute("create extension pg_stat_statements schema public")
        for table in range(-(-count // COLUMNS)):
            session.execute(f"create table public.t{table} ({columns})")


def execute_all(target: Postgres, count: int) -> None:
    """Execute each statement once."""
    with target.session(autocommit=True) as session:
        for statement in statements_of(count):
            session.execute(statement)


def read(target: Postgres) -> StatementReading:
    with target.session(autocommit=True) as session:
        reading = read_statements(session).reading
    assert reading is not None
    return reading


def ours(target: Postgres, ops: Postgres, identity: DatabaseIdentity, window: str) -> tuple[float, int]:
    """Return the seconds of a reading as the daily task makes it, and how many statements had done something."""
    started = time.perf_counter()
    reading = read(target)
    with ops.session() as session:
        last = read_last_reading(session, identity)
    delta = diff_readings(None if last is None else last.reading, reading)
    with ops.session() as session:
        record_reading(session, identity, window, last, reading, delta, {}, {}, keep_days=90)
    return time.perf_counter() - started, len(delta.counters)


def naive(target: Postgres, ops: Postgres, number: int) -> tuple[float, int]:
    """Return the same of doing it a statement at a time."""
    names = ", ".join(Counters._fields)
    values = ", ".join(f"%({name})s" for name in Counters._fields)
    keys = "query_id = %(query_id)s and user_oid = %(user_oid)s and toplevel = %(toplevel)s"
    updates = ", ".join(f"{name} = excluded.{name}" for name in Counters._fields)
    started, changed = time.perf_counter(), 0
    reading = read(target)
    with ops.session() as session:
        session.execute("set search_path = public")
        for key, entry in reading.entries.items():
            row = {**key._asdict(), **entry.counters._asdict(), "reading": number}
            found = session.execute(f"select {names} from naive_counter where {keys}", row)
            before = found[0] if found else dict.fromkeys(Counters._fields, 0)
            delta = {name: row[name] - before[name] for name in Counters._fields}
            if delta["calls"]:
                changed += 1
                session.execute(
                    f"insert into naive_delta values (%(reading)s, %(query_id)s, %(user_oid)s, %(toplevel)s, {values})",
                    {**row, **delta},
                )
            session.execute(
                f"insert into naive_counter values (%(query_id)s, %(user_oid)s, %(toplevel)s, {values})"
                f" on conflict (query_id, user_oid, toplevel) do update set {updates}",
                row,
            )
    return time.perf_counter() - started, changed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0, help=f"1 = {STATEMENTS} statements")
    count = max(COLUMNS, int(STATEMENTS * parser.parse_args().scale))
    with tempfile.TemporaryDirectory(prefix="herald-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        server = EmbeddedServer(
            folder / "home",
            binaries=server_programs(18),
            durable=False,
            options={"pg_stat_statements.max": str(count + 20_000)},
        )
        server.ensure_started()
        try:
            print(json.dumps(measure(server, count)))
        finally:
            server.stop()


def measure(server: EmbeddedServer, count: int) -> dict[str, object]:
    """Return both sides of each round, ours first in one and the naive way in the next."""
    for database in ("bench", "ops"):
        server.create_database(database)
    target = Postgres(server.url("bench"), "bench", statement_timeout_seconds=600)
    ops = Postgres(server.url("ops"), "ops", statement_timeout_seconds=600, read_only=False)
    migrate(ops)
    columns = ", ".join(
        f"{name} {'double precision' if name.endswith('_seconds') else 'bigint'}" for name in Counters._fields
    )
    with ops.session() as session:
        session.execute("set search_path = public")
        session.execute(NAIVE_TABLES.format(columns=columns))
    build(target, count)
    identity = target.identity()
    rounds: list[tuple[tuple[float, int], tuple[float, int]]] = []
    for number in range(ROUNDS + 1):
        execute_all(target, count)
        if number % 2:
            mine, other = ours(target, ops, identity, f"2026-11-{number + 1:02}"), naive(target, ops, number)
        else:
            other, mine = naive(target, ops, number), ours(target, ops, identity, f"2026-11-{number + 1:02}")
        say(f"round {number}: ours {mine[0]:.2f} s, naive {other[0]:.2f} s, {mine[1]} statements")
        if number:  # the first has nothing to compare with
            rounds.append((mine, other))
    seconds = statistics.median(mine[0] for mine, _ in rounds)
    naive_seconds = statistics.median(other[0] for _, other in rounds)
    return {
        "benchmark": "statement_diff",
        "statements": count,
        "changed_of_rounds": [mine[1] for mine, _ in rounds],
        "naive_changed_of_rounds": [other[1] for _, other in rounds],
        "seconds": round(seconds, 3),
        "seconds_of_rounds": [round(mine[0], 3) for mine, _ in rounds],
        "naive_seconds": round(naive_seconds, 3),
        "naive_seconds_of_rounds": [round(other[0], 3) for _, other in rounds],
        "ratio": round(seconds / naive_seconds, 4),
        "target_ratio": TARGET_RATIO,
        "target_seconds": TARGET_SECONDS,
    }


if __name__ == "__main__":
    main()
