"""How long it takes to screen 10,000 indexes for bloat, against reading them all with pgstatindex, in one run.

    python benchmarks/index_screening.py [--scale S]

Screening is reading the catalog and deciding for each index whether its pages must be read, with no baseline to help. The
indexes are of about 2.5 MB, which is small for a database that has 10,000: the time of screening does not depend on it,
that of pgstatindex does. Both find the caches as the build and a checkpoint left them: nothing is warmed or dropped for
either, and each round of screening begins with a new session, which knows no relation yet. Needs 30 GB of disk at scale 1.
Targets: at most 5 % of the time of pgstatindex, under 3 s in every round, and less than 300 MB of memory. Prints one JSON
line.
"""

import argparse
import json
import resource
import statistics
import time

from _servers import benchmark_server, say

from herald_pipelines.database.indexes.bloat import needs_confirmation
from herald_pipelines.database.indexes.store import read_index_facts
from herald_pipelines.resources.postgres import Postgres

INDEXES = 10_000
INDEXES_A_TABLE = 40
ROWS = 100_000
THRESHOLD = 0.20
MIN_SIZE_BYTES = 1024 * 1024
ROUNDS = 3
TARGET_RATIO = 0.05
COLUMNS = tuple("abcdefghij")


def build(writer: Postgres, tables: int) -> None:
    """Make tables of ten columns, each leading four indexes."""
    values = ", ".join(f"(random() * 1e9)::bigint as {column}" for column in COLUMNS)
    with writer.session(autocommit=True) as session:
        session.execute("create extension pgstattuple schema public")
        for number in range(tables):
            table = f"public.t{number}"
            session.execute(f"create table {table} as select {values} from generate_series(1, {ROWS})")
            for column, other in zip(COLUMNS, COLUMNS[1:] + COLUMNS[:1], strict=True):
                for keys in (
                    f"({column})",
                    f"({column}, {other})",
                    f"({column} desc)",
                    f"({column}) where {other} > 1000",
                ):
                    session.execute(f"create index on {table} {keys}")
            session.execute(f"vacuum (analyze) {table}")
            if number % 10 == 9:
                say(f"{number + 1} of {tables} tables")


def screen(reader: Postgres, min_size_bytes: int) -> tuple[float, int, int]:
    """Return the seconds, and the numbers of indexes that were read and that were flagged."""
    started = time.perf_counter()
    with reader.session() as session:
        facts = read_index_facts(session)
    flagged = sum(needs_confirmation(index, None, THRESHOLD, min_size_bytes) for index in facts)
    return time.perf_counter() - started, len(facts), flagged


def read_all_pages(reader: Postgres) -> tuple[float, int]:
    """Run pgstatindex on every index; return the seconds and the bytes."""
    with reader.session(autocommit=True) as session:
        oids = [index.oid for index in read_index_facts(session)]
        started = time.perf_counter()
        size = 0
        for oid in oids:
            statement = "select index_size from public.pgstatindex(%(oid)s::oid::regclass)"
            size += session.execute(statement, {"oid": oid})[0]["index_size"]
        return time.perf_counter() - started, size


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0, help=f"1 = {INDEXES} indexes")
    tables = max(1, int(INDEXES * parser.parse_args().scale) // INDEXES_A_TABLE)
    with benchmark_server(18) as server:
        if isinstance(server, str):
            raise SystemExit(server)
        server.create_database("bench")
        reader = Postgres(server.url("bench"), "bench", statement_timeout_seconds=600)
        build(Postgres(reader.url, "bench", statement_timeout_seconds=3600, read_only=False), tables)
        with reader.session(autocommit=True) as session:
            session.execute("checkpoint")  # what the build left to write is not what is measured
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rounds = [screen(reader, MIN_SIZE_BYTES) for _ in range(ROUNDS)]
        seconds = statistics.median(each[0] for each in rounds)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pages_seconds, size = read_all_pages(reader)
    _, indexes, flagged = rounds[0]
    ratio = seconds / pages_seconds
    print(
        json.dumps(
            {
                "benchmark": "index_screening",
                "indexes": indexes,
                "average_index_bytes": size // indexes,
                "screening_seconds": round(seconds, 3),
                "screening_seconds_of_rounds": [round(each[0], 3) for each in rounds],
                "flagged": flagged,
                "pgstatindex_seconds": round(pages_seconds, 3),
                "ratio": round(ratio, 4),
                "average_index_bytes_for_target_ratio": round(size / indexes * ratio / TARGET_RATIO),
                "peak_memory_bytes": memory * 1024,
                "of_which_before_bytes": before * 1024,
                "target_ratio": TARGET_RATIO,
                "target_seconds": 3.0,
                "target_memory_bytes": 300 * 1024 * 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
