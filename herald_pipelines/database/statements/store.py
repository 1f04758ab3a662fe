"""What the target database tells of its statements, through pg_monitor; and what hinders that, with what to do about it.

The columns are those of the extension's version, which an upgrade of the server leaves behind. Not here: what was counted
between two readings (deltas.py), plans (plans.py).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from herald_pipelines.database.statements.facts import Counters, Entry, StatementKey, StatementReading
from herald_pipelines.errors import HeraldError, PermanentFailure, TransientFailure
from herald_pipelines.resources.postgres import Row, Session
from herald_pipelines.values import quote_identifier

OLDEST_VERSION = (1, 9)
"""Of PostgreSQL 14: the first with toplevel and pg_stat_statements_info."""
FIRST_WITH_SINCE = (1, 11)
"""Of PostgreSQL 17: stats_since, and another name for the time of reading blocks."""
ATTEMPTS = 3
"""Readings, where a reset falls into each."""


COUNTS_NOTHING = (
    "nothing is counted: let pg_stat_statements.track be top or all, and compute_query_id be auto or on"
)


@dataclass(frozen=True)
class Statements:
    """What was read, or why nothing could be."""

    reading: StatementReading | None
    user_names: dict[int, str]
    """Of the roles of the entries, by oid; a role that was dropped has its oid for a name."""
    hindrance: str | None
    """Why there is no reading, and what to do about it."""
    notes: tuple[str, ...]
    """What makes the reading less than it could be."""
    counts_nothing: bool = False
    """The server is told to count no statement."""
    makes_no_ids: bool = False
    """The server itself is told to make no query ids, without which nothing is counted."""


def read_statements(session: Session) -> Statements:
    """Read the entries of the session's database.

    Args:
        session: of a role with pg_monitor, in autocommit.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    found = session.fetch_one("statements/find_extension")
    hindrance = _find_hindrance(found)
    if hindrance is not None:
        return Statements(None, {}, hindrance, ())
    session.execute(f"set search_path = pg_catalog, {quote_identifier(found['schema'])}")
    try:
        has_since = _version(found["version"]) >= FIRST_WITH_SINCE
        state = session.fetch_one("statements/read_state")
        for _ in range(ATTEMPTS):
            rows = session.fetch(
                "statements/read_counters_since" if has_since else "statements/read_counters"
            )
            after = session.fetch_one("statements/read_state")
            if after["stats_reset_at"] == state["stats_reset_at"]:
                break
            state = after  # else the next reading would count once more what is read here
        else:
            raise TransientFailure(f"pg_stat_statements on {session.database} is reset again and again")
        user_names = {row["oid"]: row["name"] for row in session.fetch("statements/list_users")}
    except PermanentFailure as error:
        # What may be done with an extension can be taken from PUBLIC.
        return Statements(None, {}, f"pg_stat_statements cannot be read: {error.message}", ())
    reading = StatementReading(
        taken_at=state["taken_at"],
        stats_reset_at=state["stats_reset_at"],
        deallocations=state["deallocations"],
        entries={_key(row): _entry(row) for row in rows},
    )
    oids = {key.user_oid for key in reading.entries}
    return Statements(
        reading,
        {oid: user_names.get(oid, str(oid)) for oid in oids},
        None,
        tuple(_notes(state)),
        state["counts_nothing"],
        state["makes_no_ids"],
    )


def read_texts(session: Session, query_ids: Collection[int]) -> tuple[dict[int, str], str | None]:
    """Return the texts of queries as they are kept by the server, by query id, and why there are none.

    Those that it has lost are left out. One text of any database that has no form in the encoding of this one, or of the
    client, keeps all of them from being read.

    The server reads its whole file of texts for it, so it is asked once.

    Args:
        session: after `read_statements`.
        query_ids: of the entries.
    """
    if not query_ids:
        return {}, None
    try:
        rows = session.fetch("statements/read_texts", query_ids=list(query_ids))
    except HeraldError as error:
        if session.connection.closed:
            raise
        return {}, f"the texts of statements cannot be read: {error.message.partition(': ')[2]}"
    return {row["query_id"]: row["query"] for row in rows if row["query"] is not None}, None


def _find_hindrance(found: Row) -> str | None:
    if not found["is_loaded"]:
        return _say_how_to_load(found)
    role, hindrance = quote_identifier(found["role"]), None
    if found["schema"] is None:
        hindrance = (
            f"the extension pg_stat_statements is not in the database {found['datname']}: run"
            " create extension pg_stat_statements there as a superuser"
        )
    elif _version(found["version"]) < OLDEST_VERSION:
        hindrance = (
            f"the extension pg_stat_statements is of version {found['version']}, from before an upgrade of the server:"
            " run alter extension pg_stat_statements update"
        )
    elif not found["may_use_schema"]:
        hindrance = (
            "the role may not use the schema of pg_stat_statements: run grant usage on schema"
            f" {quote_identifier(found['schema'])} to {role}"
        )
    elif not found["sees_all"]:
        hindrance = f"the role sees its own statements alone: run grant pg_monitor to {role}"
    return hindrance


def _say_how_to_load(found: Row) -> str:
    if not found["is_available"] and found["schema"] is None:
        return "pg_stat_statements is not installed on the server: install PostgreSQL's contrib package there"
    # Each library is a string of its own: ALTER SYSTEM takes one that holds a comma for one name.
    loaded = [each.strip(' "') for each in (found["preloaded"] or "").split(",") if each.strip()]
    libraries = ", ".join(f"'{each}'" for each in [*loaded, "pg_stat_statements"])
    how = (
        "add it to shared_preload_libraries"  # whoever may not see what is loaded is not told to replace it
        if found["preloaded"] is None
        else f"run alter system set shared_preload_libraries = {libraries}"
    )
    then = "" if found["schema"] else ", then run create extension pg_stat_statements in this database"
    return f"the server does not load pg_stat_statements: {how}, and restart the server{then}"


def _notes(state: Row) -> list[str]:
    notes: list[str] = []
    if state["track_io_timing"] == "off":
        notes.append("the time of reading blocks is not measured: track_io_timing is off")
    return notes


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())


def _key(row: Row) -> StatementKey:
    return StatementKey(row["user_oid"], row["query_id"], row["toplevel"])


def _entry(row: Row) -> Entry:
    since: datetime | None = row["since"]
    return Entry(
        Counters(
            row["calls"],
            row["rows"],
            row["exec_seconds"],
            row["plan_seconds"],
            row["blocks_hit"],
            row["blocks_read"],
            row["read_seconds"],
            row["temp_blocks"],
            row["wal_bytes"],
        ),
        since,
    )
