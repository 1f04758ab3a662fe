"""What must be true of a restored database before it gets its name: statistics are there, and so are all its tables."""

import queue
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from herald_pipelines.backup.facts import TableFacts
from herald_pipelines.backup.restore_refusals import shown
from herald_pipelines.backup.unsealing import Damaged
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import quote_identifier

ANALYZED_KINDS = ("r", "m", "p")
MANY_ROWS = 1000
"""An estimate of so many is no rounding of an empty table."""


@dataclass(frozen=True)
class Checked:
    """What was found."""

    tables: int
    estimated_rows: int
    """As ANALYZE has them, exact for tables of up to 30,000 pages (300 x default_statistics_target)."""
    notes: tuple[str, ...]


def analyze_tables(target: Postgres, jobs: int, *, statistics_target: int | None = None) -> None:
    """Run ANALYZE on every table, several at once, the largest first.

    Args:
        target: address of the database.
        jobs: sessions at once.
        statistics_target: how many values it keeps of a column, for which it reads 300 times as many rows; None: as the
            server and its tables say.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    with target.session() as session:
        rows = session.fetch("backup/list_tables")
    rows.sort(key=lambda row: row["size_bytes"])
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for row in reversed(rows):
        if row["kind"] in ANALYZED_KINDS:
            waiting.put(quote_identifier(row["schema_name"], row["name"]))

    def work() -> None:
        with target.session(autocommit=True) as session:
            if statistics_target is not None:
                session.execute(f"set default_statistics_target = {statistics_target}")
            while True:
                try:
                    table = waiting.get_nowait()
                except queue.Empty:
                    return
                session.execute(f"analyze {table}")

    with ThreadPoolExecutor(jobs) as pool:
        for each in [pool.submit(work) for _ in range(jobs)]:
            each.result()


def check_restored(target: Postgres, expected: Collection[TableFacts], *, is_whole: bool) -> Checked:
    """Compare a restored database with what was dumped.

    Args:
        target: address of the restored database.
        expected: tables of the manifest that must be there.
        is_whole: whether no other may be.

    Raises:
        Damaged: a table is missing, or an index is not valid.
        HeraldError: of the kind that fits what the server said.
    """
    with target.session() as session:
        rows = session.fetch("backup/list_tables")
        doubtful = session.fetch("backup/list_doubtful")
    found = {(row["schema_name"], row["name"], row["kind"]): row for row in rows}
    wanted = {(each.schema_name, each.name, each.kind): each for each in expected}
    if missing := sorted(set(wanted) - set(found)):
        raise Damaged(
            f"{len(missing)} tables of the backup are not in the restored database:"
            f" {shown(tuple('.'.join(each[:2]) for each in missing))}"
        )
    if invalid := tuple(each["name"] for each in doubtful if each["kind"] == "index"):
        raise Damaged(f"indexes of the restored database are not valid: {shown(invalid)}")
    notes: list[str] = []
    if unchecked := tuple(each["name"] for each in doubtful if each["kind"] == "constraint"):
        notes.append(f"constraints that are not validated, as in the backup: {shown(unchecked)}")
    if is_whole and (more := sorted(set(found) - set(wanted))):
        notes.append(
            f"tables that the manifest does not name: {shown(tuple('.'.join(each[:2]) for each in more))}"
        )
    emptied = tuple(
        f"{each.schema_name}.{each.name}"
        for key, each in wanted.items()
        if each.estimated_rows >= MANY_ROWS and found[key]["estimated_rows"] == 0
    )
    if emptied:
        notes.append(f"tables that had rows and have none: {shown(emptied)}")
    rows_in_all = sum(max(0, row["estimated_rows"]) for row in rows if row["kind"] in ("r", "m"))
    return Checked(len(found), int(rows_in_all), tuple(notes))
