"""The embedded server: reused, recovered and refused, with processes killed for real."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable

import psycopg2
import pytest

from herald_pipelines.errors import UsageError
from herald_pipelines.resources import server_host
from herald_pipelines.resources.commands import start
from herald_pipelines.resources.embedded import EmbeddedServer
from server_programs import server_programs
from servers import temporary_home

START = (
    "import sys; from pathlib import Path; from herald_pipelines.resources.embedded import EmbeddedServer\n"
    "EmbeddedServer(Path(sys.argv[1]), durable=False).ensure_started()\n"
)


@pytest.fixture
def server(home):
    """An embedded server that was not started yet."""
    return EmbeddedServer(home, durable=False)


def ask(server: EmbeddedServer, statement: str, database: str = "postgres"):
    connection = psycopg2.connect(server.url(database))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0] if cursor.description else None
    finally:
        connection.close()


def test_starts_reuses_stops_and_keeps_data_and_port(server):
    server.ensure_started()
    first = server.status()
    assert first.running
    ask(server, "create table kept as select 42 as answer")

    server.ensure_started()
    assert server.status() == first

    server.stop()
    server.stop()
    assert not server.status().running

    server.ensure_started()
    assert server.status().port == first.port
    assert ask(server, "select answer from kept") == 42


def test_is_set_up_as_promised(server):
    server.ensure_started()
    assert server.major == 18
    assert ask(server, "show shared_preload_libraries") == "pg_stat_statements"
    assert ask(server, "show listen_addresses") == "127.0.0.1"
    assert ask(server, "show unix_socket_directories") == ""
    assert ask(server, "show server_encoding") == "UTF8"
    assert ask(server, "select datlocale from pg_database where datname = 'postgres'") == "C.UTF-8"
    assert (server.home / "postgres" / "password").stat().st_mode & 0o777 == 0o600
    port = server.status().port
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(f"postgresql://postgres:wrong@127.0.0.1:{port}/postgres")
    with pytest.raises(psycopg2.OperationalError, match="no password supplied"):
        psycopg2.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", passfile="/dev/null")


def test_creates_databases_of_any_name_once(server):
    server.ensure_started()
    for name in ('odd "name" é', "plain"):
        server.create_database(name)
        ask(server, "create table kept ()", name)
        server.create_database(name)
        assert ask(server, "select current_database()", name) == name
        assert ask(server, "select count(*) from kept", name) == 0


def test_status_and_stop_change_nothing_before_the_first_start(server):
    assert not server.status().running
    server.stop()
    assert list(server.home.iterdir()) == []
    with pytest.raises(UsageError, match="there is no embedded database"):
        server.url("postgres")


def test_recovers_from_a_killed_postmaster_with_a_busy_backend(home):
    server = EmbeddedServer(home)
    server.ensure_started()
    ask(server, "create table kept as select 1 as answer")
    script = (
        "import os, psycopg2; psycopg2.connect(os.environ['URL']).cursor().execute("
        "'select count(*) from generate_series(1, 1e10::bigint)')"
    )
    environment = {**os.environ, "URL": server.url("postgres")}
    busy = subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.DEVNULL)
    running = "select count(*) from pg_stat_activity where query like '%1e10%' and pid <> pg_backend_pid()"
    while ask(server, running) == 0:
        time.sleep(0.05)
    killed = server.status().pid
    os.kill(killed, signal.SIGKILL)

    server.ensure_started()
    assert server.status().pid != killed
    assert ask(server, "select answer from kept") == 1
    assert ask(server, running) == 0
    busy.wait(timeout=60)


def test_reuses_what_a_killed_parent_left(server):
    script = START + "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    parent = subprocess.run([sys.executable, "-c", script, str(server.home)], check=False)
    assert parent.returncode == -signal.SIGKILL
    left = server.status()
    assert left.running

    server.ensure_started()
    assert server.status() == left


def test_starts_over_an_interrupted_initdb(server):
    started = subprocess.Popen([sys.executable, "-c", START, str(server.home)])
    while not list(server.home.glob("postgres/new-*/*")):
        time.sleep(0.001)
    started.kill()
    started.wait()
    server.ensure_started()
    assert ask(server, "select 1") == 1


def test_processes_that_start_at_once_share_one_server(server):
    starts = [subprocess.Popen([sys.executable, "-c", START, str(server.home)]) for _ in range(3)]
    assert [each.wait(timeout=120) for each in starts] == [0, 0, 0]
    logs = server.data_directory / "start.log"
    assert logs.exists()
    assert ask(server, "select 1") == 1


def test_homes_do_not_collide(server):
    with temporary_home() as second_home:
        second = EmbeddedServer(second_home, durable=False)
        server.ensure_started()
        second.ensure_started()
        identifier = "select system_identifier from pg_control_system()"
        assert server.status().port != second.status().port
        assert ask(server, identifier) != ask(second, identifier)
        second.stop()
        assert server.status().running


def test_moves_to_another_port_when_its_own_is_taken(server):
    server.ensure_started()
    taken = server.status().port
    server.stop()
    with socket.socket() as intruder:
        intruder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        intruder.bind(("127.0.0.1", taken))
        intruder.listen()
        server.ensure_started()
        assert server.status().port != taken
        assert ask(server, "select 1") == 1


def test_pid_file_whose_pid_is_somebody_elses_does_not_stop_it(server):
    server.ensure_started()
    pid_file = server.data_directory / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop()
    owner = server.data_directory.owner()
    other = start(["sleep", "600"], as_user=owner)
    try:
        pid_file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        shutil.chown(pid_file, owner)
        assert not server.status().running
        server.ensure_started()
        assert other.poll() is None
    finally:
        other.terminate(grace_seconds=5)


def test_data_of_another_major_is_refused_by_name(server):
    server.ensure_started()
    server.stop()
    (server.data_directory / "PG_VERSION").write_text("17\n")
    with pytest.raises(UsageError, match=r"holds data of PostgreSQL 17, .* are PostgreSQL 18") as caught:
        server.ensure_started()
    assert "pg_upgrade" in str(caught.value)


def test_a_server_that_cannot_start_says_why(server):
    server.ensure_started()
    server.stop()
    with (server.data_directory / "postgresql.conf").open("a") as configuration:
        configuration.write("shared_buffers = 'plenty'\n")
    with pytest.raises(Exception, match=r'did not start: .*"shared_buffers": "plenty"'):
        server.ensure_started()


@pytest.mark.usefixtures("pg15")
def test_falls_back_to_the_programs_of_the_machine(home, monkeypatch):
    monkeypatch.setattr(server_host, "packaged_binaries", lambda: None)
    monkeypatch.setattr(server_host, "_on_path", lambda: None)
    monkeypatch.setattr(server_host, "_debian", lambda: [server_programs(15)])
    server = EmbeddedServer(home, durable=False)
    server.ensure_started()
    assert server.major == 15
    assert ask(server, "show lc_collate") == "C.UTF-8"


def test_no_programs_are_named_with_what_to_install(home, monkeypatch):
    monkeypatch.setattr(server_host, "packaged_binaries", lambda: None)
    monkeypatch.setattr(server_host, "_on_path", lambda: None)
    monkeypatch.setattr(server_host, "_debian", list)
    with pytest.raises(UsageError, match="no server programs of PostgreSQL 14 to 18 were found"):
        EmbeddedServer(home).ensure_started()


@pytest.mark.root
def test_closed_home_keeps_its_data_where_the_system_user_can_go(home, monkeypatch, tmp_path_factory):
    home.chmod(0o700)
    with temporary_home() as state:
        monkeypatch.setattr(server_host, "STATE_DIRECTORY", state)
        server = EmbeddedServer(home, durable=False)
        server.ensure_started()
        assert server.data_directory.is_relative_to(state)
        assert server.data_directory.owner() == "herald"
        assert EmbeddedServer(home, durable=False).status() == server.status()
        server.stop()


@pytest.mark.root
def test_closed_programs_are_copied_for_the_system_user(home, monkeypatch):
    with temporary_home() as closed, temporary_home() as state:
        package = server_host.find_binaries().folder.parents[1]
        for folder in (package, package.with_name(f"{package.name}.libs")):
            (closed / folder.name).symlink_to(folder)
        closed.chmod(0o700)
        monkeypatch.setattr(server_host, "STATE_DIRECTORY", state)
        server = EmbeddedServer(home, binaries=closed / package.name / "pginstall" / "bin", durable=False)
        server.ensure_started()
        assert ask(server, "select 1") == 1
        assert len(list(state.glob("servers/*/*/pginstall/bin/postgres"))) == 1
        server.stop()


@pytest.mark.root
def test_ordinary_user_needs_nobodys_help(home):
    user = pwd.getpwnam("nobody")
    binaries = server_host.reachable_by("nobody", server_host.find_binaries()).folder
    os.chown(home, user.pw_uid, user.pw_gid)

    def start_and_stop() -> None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        server = EmbeddedServer(home, binaries=binaries, durable=False)
        server.ensure_started()
        server.ensure_started()
        assert ask(server, "select 1") == 1
        assert server.data_directory == home / "postgres" / "data"
        os.kill(server.status().pid, signal.SIGKILL)
        server.ensure_started()

    assert _in_fork(start_and_stop) == 0

    # Root goes on with what the user began, as that user.
    server = EmbeddedServer(home, binaries=binaries, durable=False)
    server.ensure_started()
    assert server.status().running
    server.stop()
    server.ensure_started()
    assert server.data_directory.owner() == "nobody"


@pytest.mark.root
def test_what_root_began_is_refused_to_a_user_with_a_sentence(server):
    server.ensure_started()
    user = pwd.getpwnam("nobody")

    def try_it() -> None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        with pytest.raises(UsageError, match="belongs to"):
            EmbeddedServer(server.home).ensure_started()

    assert _in_fork(try_it) == 0


def _in_fork(body: Callable[[], None]) -> int:
    """Run a body in a forked child: the user it becomes may have no right to import from here."""
    child = os.fork()
    if child == 0:
        try:
            body()
        except BaseException:  # noqa: BLE001 - whatever it is, it is printed and the child ends
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
