import time
import uuid

import psycopg2
import pytest
from sqlalchemy import make_url

from herald_pipelines.database.guards import read_busyness, wait_until_quiet
from herald_pipelines.errors import GuardRefusal
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.settings.models import Guards


def connect(url: str, name: str) -> psycopg2.extensions.connection:
    connection = psycopg2.connect(url, application_name=name)
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    return connection


def refusal(url: str, guards: Guards) -> str:
    with pytest.raises(GuardRefusal) as caught:
        wait_until_quiet(Postgres(url, "platform", task="index_rebuild"), guards, say=[].append)
    return str(caught.value)


def test_a_quiet_database_lets_maintenance_begin(database_url: str):
    said: list[str] = []
    wait_until_quiet(Postgres(database_url, "platform"), Guards(), say=said.append)
    assert said == []


def test_an_open_transaction_is_named(database_url: str):
    holder = connect(database_url, "monthly report")
    text = refusal(database_url, Guards(max_transaction_seconds=0.0, wait_seconds=0.0))
    holder.close()
    assert "monthly report" in text
    assert "idle in transaction" in text


def test_too_many_active_sessions_are_counted(database_url: str):
    holders = [connect(database_url, "app") for _ in range(3)]
    text = refusal(database_url, Guards(max_active_sessions=2, wait_seconds=0.0))
    for holder in holders:
        holder.close()
    assert "sessions are active, at most 2 may be" in text


def test_our_own_sessions_do_not_count(database_url: str):
    holder = connect(database_url, "herald:table_stats")
    with Postgres(database_url, "platform").session() as session:
        assert read_busyness(session).transaction_seconds is None
    holder.close()


@pytest.mark.parametrize("name", ["pg_dump", "herald:database_backup"])
def test_a_dump_is_no_reason_for_its_length(database_url: str, name: str):
    dump = connect(database_url, name)
    said: list[str] = []
    guards = Guards(max_transaction_seconds=0.0, wait_seconds=0.0)
    wait_until_quiet(Postgres(database_url, "platform"), guards, say=said.append)
    dump.close()
    assert said == []


def test_a_role_that_cannot_see_the_others_is_refused(database_url: str):
    role = "blind_" + uuid.uuid4().hex
    with psycopg2.connect(database_url) as setup, setup.cursor() as cursor:
        cursor.execute(f"create role {role} login password 'x'")
    url = make_url(database_url).set(username=role, password="x").render_as_string(hide_password=False)
    text = refusal(url, Guards(wait_seconds=0.0))
    with setup, setup.cursor() as cursor:
        cursor.execute(f"grant pg_monitor to {role}")
    setup.close()
    wait_until_quiet(Postgres(url, "platform"), Guards(wait_seconds=0.0), say=[].append)
    assert "may not see" in text
    assert "pg_monitor" in text


def test_it_waits_and_goes_on_when_the_database_becomes_quiet(database_url: str):
    holder = connect(database_url, "app")
    said: list[str] = []
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        holder.close()
        time.sleep(0.5)

    guards = Guards(max_transaction_seconds=0.0, wait_seconds=60.0)
    wait_until_quiet(Postgres(database_url, "platform"), guards, say=said.append, sleep=sleep)
    assert naps
    assert "waiting until platform is quiet" in said[0]
