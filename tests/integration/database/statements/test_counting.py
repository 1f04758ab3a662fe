"""What is counted between readings of real servers: resets, rights, odd names, texts."""

import uuid

import psycopg2
import pytest
from bank import as_role, execute
from looking import KEPT, READ, ask, calls_of, kept_calls, look, prepare, prepare_table, row_of

from herald_pipelines.database.statements.checks import check_regressions, check_slow, check_tracking
from herald_pipelines.database.statements.deltas import diff_readings
from herald_pipelines.database.statements.history import read_last_reading, record_reading
from herald_pipelines.database.statements.report import describe_analysis
from herald_pipelines.database.statements.store import COUNTS_NOTHING, read_statements
from herald_pipelines.errors import PermanentFailure
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import quote_identifier
from server_programs import server_programs
from servers import TestServer, temporary_home

on_18 = pytest.mark.parametrize("server", ["pg18"], indirect=True)
ODD = 'Ligne "Une" d\'été 100 %'


def test_each_window_holds_what_was_counted_since_the_one_before(database_url: str, ops: Postgres) -> None:
    prepare(database_url)
    ask(database_url, 5)
    first = look(database_url, ops, "2026-11-24")
    assert calls_of(first) == 5
    assert any("first reading" in note for note in first.notes)
    ask(database_url, 3)
    second = look(database_url, ops, "2026-11-25")
    assert calls_of(second) == 3
    assert second.activity is not None
    assert first.reading is not None
    assert second.activity.since == first.reading.taken_at
    # Nothing happened, and then a window is looked at twice: what came in between is added to it.
    assert calls_of(look(database_url, ops, "2026-11-26")) == 0
    ask(database_url, 2)
    assert calls_of(look(database_url, ops, "2026-11-26")) == 2
    assert kept_calls(ops) == [("2026-11-24", 5), ("2026-11-25", 3), ("2026-11-26", 2)]


@on_18
def test_looking_without_recording_leaves_everything_as_it_was(database_url: str, ops: Postgres) -> None:
    prepare(database_url)
    ask(database_url, 5)
    assert calls_of(look(database_url, None, None)) == 5
    assert calls_of(look(database_url, ops, record=False)) == 5
    assert kept_calls(ops) == []
    look(database_url, ops, "2026-11-24")
    ask(database_url, 4)
    # `herald queries`: the newest window and what came since.
    assert calls_of(look(database_url, ops, None, record=False)) == 9
    assert calls_of(look(database_url, ops, None, record=False)) == 9
    assert calls_of(look(database_url, ops, "2026-11-25")) == 4


def test_a_reset_of_all_counts_what_came_after_it(database_url: str, ops: Postgres) -> None:
    prepare(database_url)
    ask(database_url, 5)
    look(database_url, ops, "2026-11-24")
    ask(database_url, 100)
    execute(database_url, "select pg_stat_statements_reset()")
    ask(database_url, 7)
    analysis = look(database_url, ops, "2026-11-25")
    assert calls_of(analysis) == 7
    assert any("began anew" in note for note in analysis.notes)
    assert analysis.delta is not None
    assert analysis.delta.since > analysis.delta.until.replace(year=2020)
    ask(database_url, 1)
    assert calls_of(look(database_url, ops, "2026-11-26")) == 1


def test_a_reset_of_one_entry_counts_what_came_after_it(database_url: str, ops: Postgres) -> None:
    prepare(database_url)
    ask(database_url, 6)
    ask(database_url, 6, "select count(*) from public.t")
    look(database_url, ops, "2026-11-24")
    reset = (
        f"select pg_stat_statements_reset(0, 0, queryid) from pg_stat_statements(true) where query = '{KEPT}'"
    )
    execute(
        database_url, f"{reset} and dbid = (select oid from pg_database where datname = current_database())"
    )
    ask(database_url, 2)
    ask(database_url, 2, "select count(*) from public.t")
    analysis = look(database_url, ops, "2026-11-25")
    assert calls_of(analysis) == 2
    assert calls_of(analysis, "select count(*) from public.t") == 2
    assert analysis.delta is not None
    assert analysis.delta.begun_anew == 1


RESET_WHILE_READ = """
alter function kept.pg_stat_statements(boolean) rename to real;
create function kept.pg_stat_statements(showtext boolean) returns setof kept.pg_stat_statements language plpgsql as $$
begin
    if not exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and objid = 4711) then
        perform pg_advisory_lock(4711), kept.pg_stat_statements_reset();
    end if;
    return query select * from kept.real(showtext);
end $$
"""


@on_18
def test_a_reset_while_the_entries_are_read_begins_the_reading_anew(database_url: str) -> None:
    execute(database_url, "create schema kept; create extension pg_stat_statements schema kept")
    execute(database_url, RESET_WHILE_READ)
    with Postgres(database_url, "platform").session(autocommit=True) as session:
        reading = read_statements(session).reading
    assert reading is not None
    assert execute(database_url, "select stats_reset from kept.pg_stat_statements_info") == [
        (reading.stats_reset_at,)
    ]
    assert reading.taken_at > reading.stats_reset_at


@on_18
def test_an_update_of_the_extension_counts_nothing_twice(database_url: str, ops: Postgres) -> None:
    execute(database_url, "create extension pg_stat_statements version '1.10'")
    prepare_table(database_url)
    ask(database_url, 5)
    assert calls_of(look(database_url, ops, "2026-11-24")) == 5
    execute(database_url, "alter extension pg_stat_statements update")
    ask(database_url, 2)
    assert calls_of(look(database_url, ops, "2026-11-25")) == 2


@on_18
def test_after_a_failover_nothing_is_called_well(database_url: str, ops: Postgres) -> None:
    prepare(database_url)
    ask(database_url, 5)
    look(database_url, ops, "2026-11-24")
    # The new server has counted since long before the reading.
    execute(ops.url, "update herald.statement_reading set stats_reset_at = stats_reset_at - interval '1 day'")
    look(database_url, ops, "2026-11-25")
    analysis = look(database_url, ops, "2026-11-25")
    for check in (check_regressions(analysis), check_slow(analysis, 60)):
        assert not check.passed
        assert check.summary.startswith("not known: the server was exchanged")
    assert analysis.activity is not None
    assert analysis.activity.is_cut
    assert check_slow(look(database_url, ops, "2026-11-26"), 60).passed


@on_18
def test_texts_of_another_encoding_cost_the_texts_alone(server: TestServer, ops: Postgres) -> None:
    utf8 = server.create_database()
    found: dict[str, str] = {}
    for encoding in ("LATIN1", "SQL_ASCII"):
        name = f"{encoding.lower()}_{uuid.uuid4().hex[:8]}"
        execute(
            server.url("postgres"),
            f"create database {name} encoding '{encoding}' locale 'C' template template0",
        )
        url = found[encoding] = server.url(name)
        execute(url, "create extension pg_stat_statements; create table public.t (id int, v int)")
    try:
        ask(found["LATIN1"], 3)
        execute(utf8, 'create extension pg_stat_statements; select 1 as "😀"')
        analysis = look(found["LATIN1"], ops, name="latin")
        assert sum(row["calls"] for row in describe_analysis(analysis)["queries"]) >= 3
        assert any("texts of statements cannot be read: character with" in note for note in analysis.notes)
        connection = psycopg2.connect(found["SQL_ASCII"], options="-c client_encoding=SQL_ASCII")
        connection.cursor().execute(b'select 1 as "caf\xe9"')
        connection.close()
        analysis = look(found["SQL_ASCII"], ops, name="ascii")
        assert analysis.reading is not None
        assert any("cannot be read: invalid byte sequence" in note for note in analysis.notes)
    finally:
        # Nobody else on this server could read a text.
        execute(utf8, "select pg_stat_statements_reset()")
        for url in found.values():
            execute(
                server.url("postgres"),
                f"drop database {url.rpartition('/')[2].partition('?')[0]} with (force)",
            )


def test_counters_survive_a_restart(server: TestServer, ops: Postgres, pg18: TestServer) -> None:
    url = server.create_database()
    prepare(url)
    ask(url, 5)
    look(url, ops, "2026-11-24")
    ask(url, 2)
    server.embedded.stop()
    server.embedded.ensure_started()
    ask(url, 1)
    assert calls_of(look(url, ops, "2026-11-25")) == 3


def test_roles_and_levels_are_apart_and_judged_together(database_url: str, ops: Postgres) -> None:
    prepare(database_url)
    role = f'Röle "{uuid.uuid4().hex}" {"x" * 20}'
    execute(database_url, f"create role {quote_identifier(role)} login password 'geheim'")
    execute(database_url, f"grant select on public.t to {quote_identifier(role)}")
    execute(database_url, f"grant pg_read_all_settings to {quote_identifier(role)}")
    try:
        ask(as_role(database_url, role, "geheim"), 4)
        ask(database_url, 1)
        execute(
            database_url,
            "create function f() returns int language plpgsql as $$ declare x int; begin"
            " select v into x from public.t where id = 7; return x; end $$",
        )
        execute(database_url, "set pg_stat_statements.track = 'all'; select f()")
        analysis = look(database_url, ops)
        row = row_of(analysis)
        assert (row["calls"], row["users"]) == (5, [role, "postgres"])
        assert execute(
            ops.url,
            "select user_name, calls from herald.statement_delta where user_name like 'R%' order by calls desc limit 1",
        ) == [(role, 4)]
        # The same query within a function: never a part of the other, or its time would count twice.
        assert calls_of(analysis) == 6
    finally:
        execute(database_url, f"drop owned by {quote_identifier(role)}")
        execute(database_url, f"drop role {quote_identifier(role)}")


@on_18
def test_an_odd_database_and_an_odd_schema(server: TestServer, ops: Postgres) -> None:
    name = f"{ODD} {uuid.uuid4().hex[:8]}"
    server.embedded.create_database(name)
    url = server.url(name)
    try:
        execute(url, f"create schema {quote_identifier(ODD)}")
        execute(url, f"create extension pg_stat_statements schema {quote_identifier(ODD)}")
        execute(url, "create table public.t (id int, v int)")
        ask(url, 3)
        assert calls_of(look(url, ops)) == 3
    finally:
        execute(server.url("postgres"), f"drop database {quote_identifier(name)} with (force)")


@on_18
def test_other_databases_are_left_out(server: TestServer, ops: Postgres) -> None:
    url, other = server.create_database(), server.create_database()
    prepare(url)
    prepare(other)
    ask(url, 2)
    ask(other, 9)
    assert calls_of(look(url, ops)) == 2
    assert calls_of(look(other, ops, name="other")) == 9


def test_no_secret_of_a_text_is_kept(database_url: str, ops: Postgres) -> None:
    prepare(database_url)
    role = f"role_{uuid.uuid4().hex}"
    execute(database_url, f"create role {role} password 'hunter2'")
    execute(database_url, f"drop role {role}")
    execute(database_url, "select /* user=hunter2 */ id from public.t where id::text = 'hunter2'")
    execute(database_url, "set application_name = 'hunter2'")
    analysis = look(database_url, ops)
    kept = execute(ops.url, "select query from herald.statement_text")
    assert "hunter2" not in str(kept) + str(analysis.details.texts)
    assert ("CREATE ROLE ...",) in kept
    assert ("select id from public.t where id::text = $1",) in kept


def test_what_hinders_is_said_with_what_to_do(database_url: str, ops: Postgres) -> None:
    role = f"Watcher {uuid.uuid4().hex}"
    execute(database_url, f"create role {quote_identifier(role)} login password 'geheim'")
    watcher = as_role(database_url, role, "geheim")
    try:
        missing = look(watcher, ops).hindrance
        assert missing is not None
        assert "run create extension pg_stat_statements there as a superuser" in missing
        execute(
            database_url, "create schema kept; create extension pg_stat_statements schema kept version '1.8'"
        )
        old = look(watcher, ops).hindrance
        assert old is not None
        assert old.startswith("the extension pg_stat_statements is of version 1.8")
        assert old.endswith("run alter extension pg_stat_statements update")
        execute(database_url, "alter extension pg_stat_statements update")
        assert look(watcher, ops).hindrance == (
            "the role may not use the schema of pg_stat_statements: run grant usage on schema"
            f' "kept" to {quote_identifier(role)}'
        )
        execute(database_url, f"grant usage on schema kept to {quote_identifier(role)}")
        assert look(watcher, ops).hindrance == (
            f"the role sees its own statements alone: run grant pg_monitor to {quote_identifier(role)}"
        )
        execute(database_url, f"grant pg_monitor to {quote_identifier(role)}")
        execute(database_url, "revoke all on function kept.pg_stat_statements(boolean) from public")
        refused = look(watcher, ops).hindrance
        assert refused is not None
        assert "permission denied for function pg_stat_statements" in refused
        execute(database_url, "grant execute on function kept.pg_stat_statements(boolean) to public")
        assert execute(ops.url, "select count(*) from herald.statement_reading") == [(0,)]
        analysis = look(watcher, ops)
        assert analysis.hindrance is None
        assert "public.t" not in str(analysis.details.texts)
    finally:
        execute(database_url, f"drop owned by {quote_identifier(role)}")
        execute(database_url, f"drop role {quote_identifier(role)}")


@on_18
def test_counting_that_is_switched_off_is_told_of(server: TestServer, ops: Postgres) -> None:
    url = server.create_database()
    prepare(url)
    role = f"watcher_{uuid.uuid4().hex}"
    execute(url, f"create role {role} login password 'geheim' in role pg_monitor")
    try:
        # The watcher leaves himself out of what is counted, which is well.
        execute(url, f"alter role {role} set pg_stat_statements.track = 'none'")
        ask(url, 2)
        watched = look(as_role(url, role, "geheim"), ops)
        assert calls_of(watched) == 2
        assert COUNTS_NOTHING not in watched.notes
        name = execute(url, "select current_database()")[0][0]
        execute(url, f"alter database {name} set pg_stat_statements.track = 'none'")
        analysis = look(url, ops, "2026-11-25")
        off = check_tracking(analysis)
        assert (off.passed, off.summary.startswith("nothing is counted: ")) == (False, True)
        for check in (check_regressions(analysis), check_slow(analysis, 60)):
            assert (check.passed, check.summary) == (False, "not known: nothing is counted")
    finally:
        execute(url, f"drop role {role}")


@on_18
def test_query_ids_that_others_make_are_well_as_long_as_something_is_counted(
    server: TestServer, ops: Postgres
) -> None:
    url = server.create_database()
    prepare(url)
    name = execute(url, "select current_database()")[0][0]
    execute(url, f"alter database {name} set compute_query_id = off")
    execute(url, f"set compute_query_id = on; {READ}")
    assert not look(url, ops, "2026-11-24").counts_nothing
    idle = look(url, ops, "2026-11-25")
    assert idle.counts_nothing
    assert COUNTS_NOTHING in idle.notes
    assert not check_tracking(idle).passed


@pytest.mark.parametrize("major", [15, 18])
def test_a_server_that_does_not_load_it(major: int) -> None:
    with temporary_home() as home:
        server = EmbeddedServer(
            home,
            binaries=server_programs(major),
            durable=False,
            options={"shared_preload_libraries": "auto_explain"},
        )
        server.ensure_started()
        server.create_database("shop")
        how = "run alter system set shared_preload_libraries = 'auto_explain', 'pg_stat_statements', and restart the server"
        before = look(server.url("shop"), None).hindrance
        assert before == (
            f"the server does not load pg_stat_statements: {how},"
            " then run create extension pg_stat_statements in this database"
        )
        execute(server.url("shop"), "create extension pg_stat_statements")
        assert (
            look(server.url("shop"), None).hindrance == f"the server does not load pg_stat_statements: {how}"
        )
        # What is told is what helps.
        execute(server.url("shop"), how.removeprefix("run ").partition(", and restart")[0])
        server.stop()
        again = EmbeddedServer(home, binaries=server_programs(major), durable=False)
        again.ensure_started()
        assert look(again.url("shop"), None).hindrance is None
        assert execute(again.url("shop"), "show shared_preload_libraries") == [
            ("auto_explain, pg_stat_statements",)
        ]


@on_18
def test_two_readings_never_follow_the_same_one(database_url: str, ops: Postgres) -> None:
    """A killed run whose commit arrives late must not be counted beside its successor."""
    prepare(database_url)
    ask(database_url, 1)
    look(database_url, ops)
    target = Postgres(database_url, "platform")
    identity = target.identity()
    ask(database_url, 3)
    with target.session(autocommit=True) as session:
        statements = read_statements(session)
    assert statements.reading is not None

    def record() -> None:
        with ops.session() as session:
            record_reading(
                session, identity, "2026-11-24", last, statements.reading, delta, statements.user_names, {},
                keep_days=90,
            )  # fmt: skip

    with ops.session() as session:
        last = read_last_reading(session, identity)
    assert last is not None
    delta = diff_readings(last.reading, statements.reading)
    record()
    with pytest.raises(PermanentFailure, match="statement_reading_follows_once") as caught:
        record()
    assert isinstance(caught.value.__cause__, psycopg2.errors.UniqueViolation)
    assert kept_calls(ops, KEPT) == [("2026-11-24", 4)]
    assert READ not in str(execute(ops.url, "select query from herald.statement_text"))


@on_18
def test_what_is_older_than_is_kept_goes_with_its_texts(database_url: str, ops: Postgres) -> None:
    prepare(database_url)
    ask(database_url, 3)
    look(database_url, ops, "2026-07-01")
    execute(database_url, "select pg_stat_statements_reset()")
    look(database_url, ops, "2026-07-02")
    execute(
        ops.url,
        "update herald.statement_reading set taken_at = taken_at - interval '91 days';"
        "update herald.statement_text set seen_at = seen_at - interval '91 days'",
    )
    ask(database_url, 1, "select max(v) from public.t")
    look(database_url, ops, "2026-11-24")
    assert kept_calls(ops) == []
    assert execute(ops.url, "select window_key from herald.statement_reading order by id") == [
        ("2026-11-24",)
    ]
    assert (KEPT,) not in execute(ops.url, "select query from herald.statement_text")
    assert ("select max(v) from public.t",) in execute(ops.url, "select query from herald.statement_text")
