"""The embedded server in homes of odd names, and in homes that something happened to."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from herald_pipelines.errors import UsageError
from herald_pipelines.resources import embedded
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.home import LONGEST_HOME_BYTES
from herald_pipelines.resources.server_host import find_binaries, read_binaries


def starts_twice(home: Path) -> bool:
    server = EmbeddedServer(home, durable=False)
    try:
        server.ensure_started()
        server.stop()
        server.ensure_started()
        return server.status().running
    finally:
        server.stop()


@pytest.mark.parametrize(
    "name",
    [" a  b ", "quote \" and '", "$HOME ${HOME} $(touch ran)", "`touch ran`", "back\\slash\\", "-é日本 %s"],
)
def test_any_name_is_a_name_and_nothing_else(home, name):
    assert starts_twice(home / name)
    assert [each.name for each in home.iterdir()] == [name]
    assert (home / name / "postgres" / "data" / "PG_VERSION").exists()
    assert list(home.rglob("ran")) == []


def test_the_longest_home_that_is_allowed_works(home):
    while len(bytes(home)) < LONGEST_HOME_BYTES:
        left = LONGEST_HOME_BYTES - len(bytes(home)) - 1
        home /= "d" * (left if left <= 200 else 150)
    assert len(bytes(home)) == LONGEST_HOME_BYTES
    assert starts_twice(home)


@pytest.mark.parametrize("name", ["p$HOME", 'q"x', "r`id`"])
def test_programs_that_cannot_find_each_other_are_refused(tmp_path, name):
    folder = tmp_path / name / "bin"
    folder.parent.mkdir()
    folder.symlink_to(find_binaries().folder)
    with pytest.raises(UsageError, match="cannot find each other below a name with"):
        read_binaries(folder)


def test_a_lost_and_a_wrong_password_are_told_apart_from_a_server_that_was_never_started(home):
    server = EmbeddedServer(home, durable=False)
    server.ensure_started()
    (home / "postgres" / "password").rename(home / "kept")
    with pytest.raises(UsageError, match=r"password is missing, and without it nobody gets into .*data"):
        server.ensure_started()
    (home / "postgres" / "password").write_text("wrong")
    with pytest.raises(UsageError, match=r"does not let us in: .*authentication failed") as caught:
        server.ensure_started()
    assert str(home / "postgres" / "password") in str(caught.value)
    (home / "kept").rename(home / "postgres" / "password")
    server.ensure_started()


@pytest.mark.parametrize("text", ["", "plenty", "0"])
def test_a_spoilt_port_file_is_written_anew(home, text):
    server = EmbeddedServer(home, durable=False)
    server.ensure_started()
    server.stop()
    (home / "postgres" / "port").write_text(text)
    server.ensure_started()
    assert server.status().port == int((home / "postgres" / "port").read_text()) > 0


def test_a_data_directory_open_to_others_is_refused_in_the_servers_words(home):
    server = EmbeddedServer(home, durable=False)
    server.ensure_started()
    server.stop()
    server.data_directory.chmod(0o777)
    with pytest.raises(Exception, match=r"did not start: .*data directory .* has invalid permissions"):
        server.ensure_started()
    server.data_directory.chmod(0o700)
    server.ensure_started()


def test_a_server_that_cannot_write_its_last_checkpoint_is_stopped_all_the_same(home, monkeypatch):
    server = EmbeddedServer(home, durable=False)
    server.ensure_started()
    monkeypatch.setattr(embedded, "STOP_SECONDS", 8)  # PostgreSQL kills what does not quit after 5
    children = psutil.Process(server.status().pid).children()
    (checkpointer,) = [each for each in children if "checkpointer" in each.cmdline()[0]]
    os.kill(checkpointer.pid, signal.SIGSTOP)
    server.stop()
    assert not server.status().running
    server.ensure_started()
    assert server.status().running
