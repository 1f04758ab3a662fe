"""The adapter on real servers: what it refuses, how it translates, and when its lock is free again."""

import logging
import os
import subprocess
import sys
import time
import traceback
import uuid
from urllib.parse import quote

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

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
from herald_pipelines.resources.postgres import Postgres, translate_error
from herald_pipelines.settings import SecretRef, resolve_url
from herald_pipelines.values import quote_identifier


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


def test_a_transaction_timeout_of_the_database_ends_no_session(database, database_url):
    name = database_url.rpartition("/")[2].partition("?")[0]
    with database.writable().session(autocommit=True) as session:
        if session.connection.server_version < 170000:
            return
        session.execute(f'alter database "{name}" set transaction_timeout = 100')
    for autocommit in (True, False):
        with database.session(autocommit=autocommit) as session:
            assert session.execute("select pg_sleep(0.3)")


def test_a_name_that_is_no_text_is_told_of(server):
    name = f"ascii_{uuid.uuid4().hex[:8]}"
    with Postgres(server.url("postgres"), "platform").writable().session(autocommit=True) as session:
        session.execute(f"create database {name} encoding sql_ascii locale 'C' template template0")
        try:
            with Postgres(server.url(name), "platform").writable().session() as inside:
                assert inside.execute("select 'größe' as word") == [{"word": "größe"}]
                with pytest.raises(PermanentFailure, match="invalid byte sequence"):
                    inside.execute("select E'gr\\xf6\\xdfe' as word")
        finally:
            session.execute(f"drop database {name} with (force)")


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


@pytest.mark.parametrize(
    "name",
    ["my db", 'it\'s "quoted"', "100%", "a%20b", "sp\xe9cial \u6f22", "a/b?c#d@e:f&g=h+i", "x host=gone"],
)
def test_a_name_means_itself_whatever_it_is_made_of(server, name):
    with Postgres(server.url("postgres"), "server").writable().session(autocommit=True) as session:
        session.execute(f"drop database if exists {quote_identifier(name)}")
        session.execute(f"create database {quote_identifier(name)} template template0 encoding 'UTF8'")
    url = server.url(name)
    assert Postgres(url, "odd").identity().datname == name
    with pytest.raises(PermanentFailure, match="does not exist") as caught:
        Postgres(url + "x", "odd").identity()
    assert f'"{name}x"' in str(caught.value)


# signs of which no four in a row stand in what a server or the driver says
PASSWORDS = st.text(alphabet="QXZ7!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ \t\xa7\u20ac", min_size=4, max_size=20)


def connect(url: str) -> None:
    """Use a url as the settings do."""
    Postgres(resolve_url(SecretRef(env="URL"), {"URL": url}), "platform").identity()


def said_by(caught: BaseException) -> str:
    """Return all that any log of it could show."""
    chain = ""
    link: BaseException | None = caught
    while link is not None:
        chain += repr(link) + str(link)
        link = link.__cause__ or link.__context__
    return chain + "".join(traceback.format_exception(caught))


@given(
    password=PASSWORDS, escaped=st.booleans(), host=st.sampled_from(["refusing", "closed", "gone", "socket"])
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_piece_of_a_password_shows(server, caplog, password, escaped, host):
    port = make_url(server.url("postgres")).port
    address = {
        "refusing": f"127.0.0.1:{port}",
        "closed": "127.0.0.1:1",
        "gone": "no-such-host.invalid",
        "socket": "%2Fno%2Fsuch%2Ffolder",
    }[host]
    url = f"postgresql://postgres:{quote(password, safe='') if escaped else password}@{address}/postgres"
    with caplog.at_level(logging.DEBUG), pytest.raises(HeraldError) as caught:
        connect(url)
    if escaped:
        # the driver was asked, and refused
        assert str(caught.value).startswith("connecting to platform: ")
    said = said_by(caught.value) + repr(Postgres(url, "platform")) + caplog.text
    said = said.replace(__file__, "")
    assert not [piece for at in range(len(password) - 3) if (piece := password[at : at + 4]) in said]
    assert quote(password, safe="") not in said


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://postgres:wOrd-0f-ours@a@127.0.0.1:1/postgres",
        "postgresql://postgres@127.0.0.1:1/postgres?sslmode=wOrd-0f-ours",
        "postgresql://postgres@127.0.0.1:1/postgres?service=wOrd-0f-ours",
        "postgresql://postgres@127.0.0.1:wOrd-0f-ours/postgres",
        "postgresql://postgres:12/wOrd-0f-ours@127.0.0.1:1/postgres",
        "wOrd-0f-ours",
    ],
)
def test_a_url_that_is_none_is_not_tried(url):
    with pytest.raises(UsageError, match=r"^the url of platform ") as caught:
        Postgres(url, "platform").identity()
    assert "wOrd" not in said_by(caught.value) + repr(Postgres(url, "platform"))


def test_what_the_driver_says_is_masked():
    url = "postgresql://role:w%40rd-of-ours@role-host:5432/shop?sslpassword=an%20other"
    target = Postgres(url, "shop")
    said = f"{url} w@rd-of-ours, w%40rd-of-ours, an other, an%20other; role of role-host"
    error = translate_error(psycopg2.OperationalError(said), "connecting to shop", mask=target.mask)
    assert error.message == "connecting to shop: *** ***, ***, ***, ***; role of role-host"
    # a gap in a name would tell that the password is the same
    for word in ("role", "password"):
        named = Postgres(f"postgresql://role:{word}@db/shop", "shop")
        assert named.mask("password of role") == "password of role"


def test_sessions_of_one_address_share_an_engine_that_keeps_no_connection(database):
    with database.session() as session:
        pid = session.execute("select pg_backend_pid() as pid")[0]["pid"]
    engine = database.engine
    with database.session() as session:
        assert database.engine is engine
        assert session.execute("select pg_backend_pid() as pid")[0]["pid"] != pid
        # an operator's view of what is left: only this one
        counted = "select count(*) as sessions from pg_stat_activity where application_name = 'herald:index_rebuild'"
        assert session.execute(counted)[0]["sessions"] == 1
    assert session.connection.closed


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
