"""A streaming standby of a test's own server, made as an operator makes one."""

import os
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg2

from herald_pipelines.resources.commands import run
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.server_host import find_binaries, reachable_by
from servers import TestServer, running_server, temporary_home

BACKUP_SECONDS = 120
# Often enough for a test to see its lag grow.
SETTINGS = "wal_receiver_status_interval = '1s'\n"


def programs_of(server: TestServer) -> Path:
    """Return the bin folder that a server runs from."""
    pid = server.embedded.status().pid
    assert pid is not None
    return Path(psutil.Process(pid).exe()).parent


@contextmanager
def own_server(like: TestServer) -> Generator[TestServer]:
    """Yield an empty server of the version of another."""
    with running_server(programs_of(like)) as server:
        yield server


@contextmanager
def standby_of(primary: TestServer) -> Generator[TestServer]:
    """Yield a standby that streams from a server, in a home of its own."""
    source, programs = primary.embedded, programs_of(primary)
    with temporary_home() as home:
        folder = home / "postgres"
        data = folder / "data"
        folder.mkdir(mode=0o711)
        data.mkdir(mode=0o700)
        password = source.home / "postgres" / "password"
        shutil.copy(password, folder)
        owner = source.data_directory.owner()
        shutil.chown(data, owner)
        address = psycopg2.extensions.parse_dsn(source.url("postgres"))
        # Not every build of a server brings it, and that of a newer version copies older servers too. What it would write
        # of the connection is its own version's, so the standby is told here.
        clients = find_binaries()
        clients = (reachable_by(owner, clients) if os.geteuid() == 0 else clients).folder
        run(
            [
                clients / "pg_basebackup", "--pgdata", data, "--checkpoint=fast", "--no-sync",
                "--host", address["host"], "--port", address["port"], "--username", address["user"],
            ],
            timeout_seconds=BACKUP_SECONDS,
            env={"PGPASSWORD": address["password"], "LC_ALL": "C"},
            cwd=Path("/"),
            as_user=owner,
        )  # fmt: skip
        (data / "standby.signal").touch()
        shutil.chown(data / "standby.signal", owner)
        address = {key: address[key] for key in ("host", "port", "user", "password")}
        with (data / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"primary_conninfo = '{psycopg2.extensions.make_dsn(**address)}'\n{SETTINGS}")
        embedded = EmbeddedServer(home, binaries=programs, durable=False)
        embedded.ensure_started()
        yield TestServer(embedded)


def fetch(url: str, sql: str) -> list[tuple]:
    """Run one statement, committed at once."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def wait_for_replay(primary: TestServer, standby: TestServer) -> None:
    """Return when a standby shows what its primary had when this began."""
    ((position,),) = fetch(primary.url("postgres"), "select pg_current_wal_flush_lsn()")
    end = time.monotonic() + 60
    while fetch(standby.url("postgres"), f"select pg_last_wal_replay_lsn() >= '{position}'") != [(True,)]:
        assert time.monotonic() < end
        time.sleep(0.02)
