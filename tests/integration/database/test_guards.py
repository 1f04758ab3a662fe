import shutil
import subprocess
import time
from pathlib import Path

import psycopg2
import pytest

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


def test_a_dump_is_a_backup_that_is_running(database_url: str):
    with psycopg2.connect(database_url) as setup, setup.cursor() as cursor:
        cursor.execute("create table t ()")
    setup.close()
    blocker = psycopg2.connect(database_url)
    with blocker.cursor() as cursor:
        cursor.execute("lock table t in access exclusive mode")
    dump = _start_dump(database_url)
    target = Postgres(database_url, "platform")
    end = time.monotonic() + 30
    backups: tuple[str, ...] = ()
    while not backups and time.monotonic() < end:
        with target.session() as session:
            backups = read_busyness(session).backups
        time.sleep(0.1)
    text = refusal(database_url, Guards(wait_seconds=0.0))
    dump.terminate()
    dump.wait()
    blocker.close()
    assert backups[0].startswith("pg_dump (pid ")
    assert "a backup is running: pg_dump" in text


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


def _start_dump(url: str) -> subprocess.Popen[bytes]:
    """Start a real pg_dump where there is one for every server, which waits for the locked table."""
    found = shutil.which("pg_dump")
    embedded = list(Path(psycopg2.__file__).parents[1].rglob("bin/pg_dump"))
    command = str(embedded[0]) if embedded else found
    assert command is not None, "no pg_dump found"
    return subprocess.Popen([command, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
