"""The adapter on real servers: what it refuses, how it translates, and when its lock is free again."""

import os
import subprocess
import sys
import time

import pytest

from herald_pipelines.errors import (
    DatabaseUnavailable,
    HeraldError,
    LockTimeout,
    PermanentFailure,
    StatementTimeout,
    TransientFailure,
    UsageError,
)
from herald_pipelines.resources import postgres
from herald_pipelines.resources.postgres import Postgres


@pytest.fixture
def database(database_url):
    """The adapter to a fresh database, reading."""
    return Postgres(database_url, "platform", task="index_rebuild")


def test_reading_sessions_are_read_only_for_the_server(database):
    with pytest.raises(PermanentFailure, match="read-only transaction"), database.session() as session:
        session.execute("create table public.t ()")
    with database.writable().session() as session:
        session.execute("create table public.t ()")


def test_session_commits_at_its_end_and_rolls_back_when_it_raises(database):
    with database.writable().session() as session:
        session.execute("create table public.t (n int)")
    with pytest.raises(ZeroDivisionError), database.writable().session() as session:
        session.execute("insert into public.t values (%(n)s)", {"n": 1 // len(session.take_notices())})
    with database.session() as session:
        assert session.execute("select n from public.t") == []


def test_autocommit_runs_what_refuses_a_transaction(database):
    with pytest.raises(PermanentFailure, match="transaction block"), database.writable().session() as session:
        session.execute("vacuum")
    with database.writable().session(autocommit=True) as session:
        session.execute("vacuum")


def test_sessions_are_set_up_the_same_everywhere(database):
    with database.session() as session:
        shown = session.execute(
            "select current_setting('application_name') as application_name,"
            " current_setting('timezone') as timezone,"
            " current_setting('search_path') as search_path, current_setting('lock_timeout') as lock_timeout,"
            " current_setting('statement_timeout') as statement_timeout"
        )[0]
    assert shown == {
        "application_name": "herald:index_rebuild",
        "timezone": "UTC",
        "search_path": "pg_catalog",
        "lock_timeout": "2s",
        "statement_timeout": "1min",
    }


def test_values_are_bound(database):
    with database.session() as session:
        given = "it's 100 %(x)s :name"
        assert session.execute("select %(given)s as given", {"given": given}) == [{"given": given}]
        assert session.execute("select 5 % 3 as rest, '{a:b}' as colon") == [{"rest": 2, "colon": "{a:b}"}]


def test_statement_timeout_has_its_own_error(database_url):
    hasty = Postgres(database_url, "platform", statement_timeout_seconds=0.1)
    with (
        pytest.raises(StatementTimeout, match=r"^select on platform: .*statement timeout"),
        hasty.session() as session,
    ):
        session.execute("select pg_sleep(60)")


def test_lock_timeout_has_its_own_error(database_url):
    hasty = Postgres(database_url, "platform", lock_timeout_seconds=0.1).writable()
    with hasty.session() as session:
        session.execute("create table public.t ()")
    with hasty.session() as holder:
        holder.execute("lock table public.t")
        with (
            pytest.raises(LockTimeout, match=r"^lock on platform: .*lock timeout"),
            hasty.session() as session,
        ):
            session.execute("lock table public.t")


def test_notices_are_captured_once(database):
    with database.session() as session:
        session.execute("do $$ begin raise warning 'skipping \"t\"'; raise notice 'two'; end $$")
        assert session.take_notices() == ['WARNING: skipping "t"', "NOTICE: two"]
        assert session.take_notices() == []


def test_lock_belongs_to_one_session_per_database_and_task(database, database_url):
    with database.session() as first, database.session() as second:
        assert first.try_lock("index_rebuild")
        assert not second.try_lock("index_rebuild")
        assert second.try_lock("index_stats")
        with Postgres(database_url, "other").session() as other:
            assert not other.try_lock("index_rebuild")
    with database.session() as third:
        assert third.try_lock("index_rebuild")


def test_lock_of_a_killed_client_is_free_only_when_the_server_has_stopped_working(database, database_url):
    script = (
        "import os\n"
        "from herald_pipelines.resources.postgres import Postgres\n"
        "with Postgres(os.environ['URL'], 'platform', task='killed').session(autocommit=True) as session:\n"
        "    assert session.try_lock('index_rebuild')\n"
        "    session.execute('select pg_sleep(600)')\n"
    )
    client = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "URL": database_url})
    working = (
        "select exists (select from pg_stat_activity where application_name = 'herald:killed'"
        " and state = 'active' and query like '%pg_sleep%') as working"
    )
    with database.session(autocommit=True) as session:
        while not session.execute(working)[0]["working"]:
            assert client.poll() is None
            time.sleep(0.05)
        client.kill()
        client.wait()
        assert not session.try_lock("index_rebuild")
        while session.execute(working)[0]["working"]:
            time.sleep(0.05)
        assert session.try_lock("index_rebuild")


def test_identity_names_the_server_and_the_database(database, server, database_url):
    identity = database.identity()
    assert identity.name == "platform"
    assert identity.datname == database_url.rsplit("/", 1)[1]
    assert identity.major == server.major
    assert identity.system_identifier.isdigit()
    assert identity == Postgres(database_url, "platform").identity()


def test_unsupported_major_is_refused_by_name(database, server, monkeypatch):
    monkeypatch.setattr(postgres, "NEWEST_MAJOR", 14)
    with pytest.raises(
        UsageError, match=rf"database 'platform' runs PostgreSQL {server.major} \(known: 14 to 14\)"
    ):
        database.identity()


def test_no_error_shows_the_password(server):
    port = server.url("postgres").rsplit(":", 1)[1].split("/")[0]
    secret = "s3cr3t-of-ours"
    wrong = Postgres(f"postgresql://postgres:{secret}@127.0.0.1:{port}/postgres", "platform")
    closed = Postgres(f"postgresql://postgres:{secret}@127.0.0.1:1/postgres", "platform")
    broken = Postgres(f"postgres//{secret}", "platform")
    for address, kind in ((wrong, PermanentFailure), (closed, DatabaseUnavailable), (broken, UsageError)):
        with pytest.raises(kind) as caught:
            address.identity()
        assert secret not in str(caught.value)
        assert secret not in repr(address)


def test_unknown_database_is_permanent_and_lost_connection_is_not(server, database):
    with pytest.raises(PermanentFailure, match=r"^connecting to platform: .*does not exist"):
        Postgres(server.url("no_such_database"), "platform").identity()
    with database.session(autocommit=True) as session, database.session() as other:
        pid = session.execute("select pg_backend_pid() as pid")[0]["pid"]
        other.execute("select pg_terminate_backend(%(pid)s)", {"pid": pid})
        with pytest.raises(DatabaseUnavailable):
            session.execute("select 1")


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("40P01", TransientFailure), ("55006", TransientFailure), ("53100", TransientFailure),
        ("53300", DatabaseUnavailable), ("57P01", DatabaseUnavailable), ("08006", DatabaseUnavailable),
        ("55000", PermanentFailure), ("42P01", PermanentFailure),
    ],
)  # fmt: skip
def test_only_an_outage_counts_as_one(database_url: str, sqlstate: str, kind: type[HeraldError]):
    with pytest.raises(HeraldError) as caught, Postgres(database_url, "shop").session() as session:
        session.execute(f"do $$ begin raise exception 'made up' using errcode = '{sqlstate}'; end $$")
    assert type(caught.value) is kind
