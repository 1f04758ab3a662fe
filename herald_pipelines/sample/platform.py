"""Makes the sample platform in an empty database: once, completely, and the same for the same seed and day.

Each statement commits by itself, because VACUUM and CREATE INDEX CONCURRENTLY allow nothing else. A mark on
the table users, set with the first table and replaced at the very end, tells a complete sample from an
interrupted one. Not here: the server (resources.embedded), the maintenance of what was made.
"""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Self

from herald_pipelines.errors import GuardRefusal, PermanentFailure, UsageError
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.resources.queries import sql_root
from herald_pipelines.sample.shape import (
    DETAIL_MONTHS,
    EXPIRED_MONTH,
    MONTHS_BACK,
    SEED,
    SMALLEST_SCALE,
    Shape,
)
from herald_pipelines.sample.workload import run_workload
from herald_pipelines.values import Say, quote_identifier

TABLES = (
    "match_events",
    "match_participants",
    "matches",
    "player_ratings",
    "riot_sync_queue",
    "seasons",
    "tickets",
    "user_sessions",
    "users",
)
MARK = "herald sample: "
BUILDING = MARK + "building"

RATING_ROUNDS = 2
WORKLOAD_ROUNDS = 10
STEP_SECONDS = 6 * 3600.0  # a single statement at the largest scales
LOCK_SECONDS = 10.0  # a killed client's server process is gone within client_connection_check_interval
MAKER_SECONDS = 600.0
"""How long another process that makes the sample is waited for."""

SETTINGS = (
    "synchronous_commit = off",
    "jit = off",
    "maintenance_work_mem = '128MB'",
    "work_mem = '64MB'",
    "enable_indexonlyscan = off",  # counting rows would otherwise be a scan of an index that nobody uses
)


@dataclass(frozen=True)
class SampleReport:
    """What the sample holds."""

    seed: int
    scale: float
    day: str
    """The date that it was made for, `2026-11-24`: everything in it happened before."""
    rows: Mapping[str, int]
    """Rows of each table, the partitions' rows under their parent."""
    size_bytes: int
    """Tables, indexes and TOAST together, when it was made."""
    seconds: float
    """How long it took to make."""
    created: bool = True
    """False when it was there already."""

    def mark(self) -> str:
        """Return the comment that says that the sample is complete."""
        return MARK + json.dumps({name: value for name, value in asdict(self).items() if name != "created"})

    @classmethod
    def from_mark(cls, mark: str) -> Self:
        """Read a complete sample's mark.

        >>> report = SampleReport(1, 0.5, "2026-11-24", {"users": 3}, 8192, 0.1)
        >>> SampleReport.from_mark(report.mark()) == replace(report, created=False)
        True
        """
        return cls(**json.loads(mark.removeprefix(MARK)), created=False)


def create_sample(
    postgres: Postgres, *, scale: float = 1.0, seed: int = SEED, now: datetime, say: Say
) -> SampleReport:
    """Make the sample platform, unless it is there.

    A complete sample is left alone whatever its scale, seed and day. One that was interrupted is made anew.

    Args:
        postgres: the database, as its owner; a superuser where the extensions are still missing.
        scale: 1 is about 100 MB and some seconds; rows, bytes and time grow with it.
        seed: decides every value.
        now: the same seed, scale and UTC date make the same rows.
        say: takes a sentence for each step.

    Raises:
        GuardRefusal: the database holds other tables, or another process is making the sample.
        UsageError: the scale is too small.
    """
    if scale < SMALLEST_SCALE:
        raise UsageError(f"scale {scale:g} is too small (known: {SMALLEST_SCALE:g} and more)")
    started = time.monotonic()
    writable = replace(postgres, task="sample", lock_timeout_seconds=LOCK_SECONDS).writable(
        statement_timeout_seconds=STEP_SECONDS
    )
    with writable.session(autocommit=True) as session:
        _take_lock(session, say)
        there = _find_complete(session)
        if there:
            _say_what_is_there(there, scale, seed, say)
            return there
        shape = Shape.plan(scale=scale, seed=seed, now=now)
        _create_tables(session, shape, say)
        _fill_tables(session, shape, say)
        _churn_tables(session, shape, say)
        _vacuum_tables(session, say)
        with suppress(PermanentFailure):  # a superuser may, and it is only for looks
            session.fetch("sample/forget_statements")
        say("workload: running the platform's queries")
        run_workload(writable, rounds=range(WORKLOAD_ROUNDS), seed=seed)
        report = SampleReport(
            seed=seed,
            scale=scale,
            day=shape.day.date().isoformat(),
            rows={row["table_name"]: row["rows"] for row in session.fetch("sample/count_rows")},
            size_bytes=session.fetch_one("sample/read_size")["size_bytes"],
            seconds=round(time.monotonic() - started, 3),
        )
        # Commits are not waited for above: this one is, and the server writes them in order.
        session.execute("set synchronous_commit = on")
        session.execute("comment on table public.users is %(mark)s", {"mark": report.mark()})
        return report


def _take_lock(session: Session, say: Say) -> None:
    if session.try_lock("sample"):
        return
    say("waiting for another process that makes the sample")
    if not session.wait_for_lock("sample", MAKER_SECONDS):
        raise GuardRefusal(
            f"another process has been making the sample in database {session.database!r} for {MAKER_SECONDS:g} s"
        )


def _find_complete(session: Session) -> SampleReport | None:
    """Return the report of a complete sample; remove an interrupted one."""
    state = session.fetch_one("sample/read_state")
    mark = str(state["mark"] or "")
    if mark.startswith(MARK + "{"):
        return SampleReport.from_mark(mark)
    ours = {f"public.{table}" for table in TABLES} if mark == BUILDING else set[str]()
    others = [table for table in state["tables"] if table not in ours]
    if others:
        named = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")  # noqa: PLR2004
        raise GuardRefusal(
            f"database {session.database!r} is not empty: it holds {named}",
            hint="the sample is only made in a database of its own",
        )
    if mark == BUILDING:
        names = ", ".join(quote_identifier("public", table) for table in TABLES)
        session.execute(f"drop table if exists {names}")
    return None


def _say_what_is_there(there: SampleReport, scale: float, seed: int, say: Say) -> None:
    wanted = (
        ""
        if (there.scale, there.seed) == (scale, seed)
        else f"; scale {scale:g} and seed {seed} were not used"
    )
    say(f"sample of scale {there.scale:g}, seed {there.seed}, made for {there.day}, is there{wanted}")


def _create_tables(session: Session, shape: Shape, say: Say) -> None:
    for setting in SETTINGS:
        session.execute(f"set {setting}")
    for extension in ("pg_stat_statements", "pgstattuple"):
        session.execute(f"create extension if not exists {extension} with schema public")
    session.fetch("sample/create_roll", seed=shape.seed)
    _run_script(session, "create_tables")
    for offset in range(-MONTHS_BACK, 2):
        _create_partition(session, "matches", shape, offset)
    for offset in (-EXPIRED_MONTH, *range(-DETAIL_MONTHS, 2)):
        _create_partition(session, "match_events", shape, offset)
    session.execute("create table public.match_events_default partition of public.match_events default")
    say(f"tables: {len(TABLES)}, matches by month since {shape.month(-MONTHS_BACK):%Y-%m}")


def _create_partition(session: Session, table: str, shape: Shape, offset: int) -> None:
    lower, upper = shape.month(offset), shape.month(offset + 1)
    name = quote_identifier("public", f"{table}_{lower:%Y_%m}")
    session.execute(
        f"create table {name} partition of {quote_identifier('public', table)} "
        f"for values from ('{lower.isoformat()}') to ('{upper.isoformat()}')"
    )


def _fill_tables(session: Session, shape: Shape, say: Say) -> None:
    for query, sentence in (
        ("sample/fill_users", f"users: {shape.users:,} players"),
        ("sample/fill_seasons", "seasons: the last years"),
        ("sample/fill_matches", f"matches: {shape.matches:,} over {MONTHS_BACK + 1} months"),
        (
            "sample/fill_match_participants",
            f"match_participants: the players of every match since {shape.month(-2):%Y-%m}",
        ),
        ("sample/fill_match_events", "match_events: the timelines of the same matches"),
        ("sample/fill_user_sessions", f"user_sessions: {shape.sessions:,} sign-ins"),
        ("sample/fill_player_ratings", f"player_ratings: two queues for {shape.users:,} players"),
        ("sample/fill_tickets", "tickets: what players wrote to support"),
    ):
        say(sentence)
        session.fetch(query, **shape.parameters)
    say("indexes: the useful ones and what the years have left")
    _run_script(session, "create_indexes")
    _leave_invalid_index(session)


def _leave_invalid_index(session: Session) -> None:
    """Fail at a unique index, because two players have the same name: what is left of it is invalid."""
    try:
        session.execute(
            "create unique index concurrently users_riot_id_idx on public.users (game_name, tag_line)"
        )
    except PermanentFailure:
        session.fetch_one("sample/find_invalid_index")
    else:
        raise PermanentFailure("the sample's players all have different names, so no invalid index was left")


def _churn_tables(session: Session, shape: Shape, say: Say) -> None:
    """Make bloat as production does: an import undone, sessions ended, ratings moved, a backlog drained."""
    parameters = shape.parameters
    partition = quote_identifier("public", f"matches_{shape.month(-1):%Y_%m}")
    say(f"churn: matches of {shape.month(-1):%Y-%m} imported wrongly and removed again")
    session.execute(f"alter table {partition} set (autovacuum_enabled = off)")
    session.fetch("sample/import_wrong_matches", **parameters)
    session.fetch("sample/delete_wrong_matches", **parameters)
    session.execute(f"alter table {partition} reset (autovacuum_enabled)")
    say("churn: ended sessions deleted")
    session.fetch("sample/delete_ended_sessions", **parameters)
    for number in range(1, RATING_ROUNDS + 1):
        say(f"churn: player_ratings recalculated ({number} of {RATING_ROUNDS})")
        session.fetch("sample/update_ratings", salt=100 * number)
    say(f"churn: riot_sync_queue filled with {shape.jobs:,} jobs and drained")
    session.fetch("sample/fill_riot_sync_queue", **parameters)
    session.fetch("sample/peek_sync_queue")
    session.fetch("sample/drain_sync_queue")
    session.execute("vacuum (index_cleanup on) public.riot_sync_queue")
    session.fetch("sample/fill_riot_sync_queue", **parameters | {"jobs": shape.jobs // 100})


def _vacuum_tables(session: Session, say: Say) -> None:
    for table in TABLES:
        say(f"vacuum: {table}")
        session.execute(f"vacuum (analyze, index_cleanup on) {quote_identifier('public', table)}")
    _run_script(session, "finish_tables")


def _run_script(session: Session, name: str) -> None:
    """Run the statements of sql/sample/<name>.sql in one transaction."""
    session.execute((sql_root() / "sample" / f"{name}.sql").read_text(encoding="utf-8"))
