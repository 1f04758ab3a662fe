"""The `herald` process at its edges: signals, streams that cannot be written, folders that are gone, servers that go away."""

import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psycopg2
import pytest
from bank import COMMAND, Bank, execute

from herald_pipelines.environment import Environment
from herald_pipelines.errors import DatabaseUnavailable
from herald_pipelines.launch import dagster_instance

# Nothing here depends on the server's version.
on_one_server = pytest.mark.parametrize("server", ["pg18"], indirect=True)


def herald(
    words: Sequence[str], cwd: Path, *, through: str = '"$@"', **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command by a shell, which redirects its streams as `through` says."""
    return subprocess.run(
        ["/bin/sh", "-c", through, "sh", *COMMAND, *words],
        cwd=cwd,
        env={**os.environ, "HERALD_HOME": str(cwd / "herald-home"), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@on_one_server
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_a_signal_interrupts_a_run_and_closes_its_row(bank: Bank, number: signal.Signals) -> None:
    bank.write(ops=True, mode="apply", guards={"max_transaction_seconds": 0, "wait_seconds": 600})
    bank.migrate()
    busy = psycopg2.connect(bank.url)
    try:
        busy.cursor().execute("select 1")
        run = bank.start("run", "index_rebuild", "--json")
        bank.wait_until_at_work(run)
        run.send_signal(number)
        stdout, stderr = run.communicate(timeout=60)
    finally:
        busy.close()
    assert (run.returncode, stdout) == (128 + number, ""), stderr
    assert stderr.splitlines()[-1] == "herald: interrupted"
    assert "Traceback" not in stderr
    # The ops database, next in line, is not begun with.
    assert bank.windows_of_rebuild() == ["interrupted"]
    assert execute(bank.environ["HERALD_DAGSTER_URL"], "select status from runs") == [("FAILURE",)]


@on_one_server
def test_what_is_started_to_survive_a_hang_up_does(bank: Bank) -> None:
    bank.write(ops=True, mode="apply", guards={"max_transaction_seconds": 0, "wait_seconds": 600})
    bank.migrate()
    busy = psycopg2.connect(bank.url)
    busy.cursor().execute("select 1")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does; the child inherits it
    try:
        run = bank.start("run", "index_rebuild", "--database", "bank")
    finally:
        signal.signal(signal.SIGHUP, before)
    bank.wait_until_at_work(run)
    run.send_signal(signal.SIGHUP)
    busy.close()
    _, stderr = run.communicate(timeout=120)
    assert run.returncode == 0, stderr
    assert bank.windows_of_rebuild() == ["done"]


@on_one_server
def test_a_killed_run_is_over_for_the_next_command_and_a_living_one_is_not(bank: Bank) -> None:
    bank.write(ops=True, mode="apply", guards={"max_transaction_seconds": 0, "wait_seconds": 600})
    bank.migrate()
    busy = psycopg2.connect(bank.url)
    try:
        busy.cursor().execute("select 1")
        run = bank.start("run", "index_rebuild", "--database", "bank")
        bank.wait_until_at_work(run)
        for status in ("STARTED", "FAILURE"):
            shown = bank.command("windows")
            assert shown.returncode == 0, shown.stderr
            assert execute(bank.environ["HERALD_DAGSTER_URL"], "select status from runs") == [(status,)]
            run.kill()
            run.communicate()
    finally:
        busy.close()


@on_one_server
def test_dagster_storage_that_goes_away_is_told_in_one_sentence(bank: Bank) -> None:
    bank.write(ops=True)
    bank.migrate()
    storage = bank.environ["HERALD_DAGSTER_URL"].rpartition("/")[2].partition("?")[0]

    def lose_it() -> None:
        with dagster_instance(Environment.load(bank.environ, bank.home)) as instance:
            execute(bank.url, f'drop database "{storage}" with (force)')
            instance.get_runs()

    with pytest.raises(
        DatabaseUnavailable, match=rf'^dagster\'s storage went away: .*"{storage}" does not exist'
    ):
        lose_it()


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    done = herald(["windows"], folder, through='rmdir "$PWD" && "$@"')
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "herald: the current folder does not exist any more"


@pytest.mark.parametrize("words", [["config", "check"], ["config", "check", "--json"]], ids=" ".join)
def test_a_full_disk_under_stdout_is_a_failure(tmp_path: Path, words: Sequence[str]) -> None:
    done = herald(words, tmp_path, through='"$@" >/dev/full')
    assert (done.returncode, done.stderr) == (
        1, "herald: the result could not be written: no space left on device\n",
    )  # fmt: skip


def test_help_needs_room_too(tmp_path: Path) -> None:
    done = herald(["--help"], tmp_path, through='"$@" >/dev/full')
    assert (done.returncode, done.stderr) == (
        1, "herald: input or output failed: no space left on device\n",
    )  # fmt: skip


@on_one_server
def test_nothing_depends_on_stderr(bank: Bank) -> None:
    bank.write(ops=False)
    words = ["indexes", "--database", "bank", "--json"]
    for redirection in ("2>/dev/full", "2>&-"):
        done = herald(words, bank.home, through=f'"$@" {redirection}', **bank.environ)
        assert done.returncode == 0
        assert '"accounts_by_balance"' in done.stdout
        failed = herald(["run", "nothing"], bank.home, through=f'"$@" {redirection}', **bank.environ)
        assert (failed.returncode, failed.stdout) == (2, "")


def test_a_reader_that_goes_away_is_no_failure(tmp_path: Path) -> None:
    for words in (["config", "check"], ["config", "check", "--json"]):
        done = herald(words, tmp_path, through='{ "$@"; echo $? >code; } | true')
        assert (done.stderr, (tmp_path / "code").read_text()) == ("", "0\n")
        done = herald(words, tmp_path, through='"$@" >&-')
        assert (done.returncode, done.stderr) == (0, "")


@on_one_server
def test_names_are_shown_as_they_are_in_any_encoding(bank: Bank) -> None:
    # What rich would take for markup and an emoji, and what ASCII lacks.
    execute(
        bank.url,
        'create index "été [/x] :tada: ☃" on bank.pgbench_accounts (bid); update pg_index set indisvalid = false'
        " where indexrelid = 'bank.\"été [/x] :tada: ☃\"'::regclass",
    )
    bank.write(ops=False)
    shown = herald(["indexes", "--database", "bank"], bank.home, **bank.environ)
    assert shown.returncode == 0, shown.stderr
    assert "bank.été [/x] :tada: ☃ is invalid: " in shown.stdout
    ascii_only = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    shown = herald(["indexes", "--database", "bank"], bank.home, **bank.environ, **ascii_only)
    assert shown.returncode == 0, shown.stderr
    assert r"bank.\xe9t\xe9 [/x] :tada: \u2603 is invalid: " in shown.stdout
    unknown = herald(["indexes", "--database", "☃"], bank.home, **bank.environ, **ascii_only)
    assert (unknown.returncode, "Traceback" in unknown.stderr) == (2, False)


@on_one_server
def test_progress_is_lines_with_the_time_and_never_on_stdout(bank: Bank) -> None:
    bank.write(ops=False)
    done = bank.command("indexes", "--database", "bank", "--json")
    assert json.loads(done.stdout)["database"] == "bank"
    lines = done.stderr.splitlines()
    assert [line for line in lines if not re.fullmatch(r"\d\d:\d\d:\d\d \S.*", line)] == []
    assert re.search(r"\d+ indexes, ", done.stderr)


@on_one_server
def test_progress_on_a_terminal_has_a_spinner(bank: Bank) -> None:
    bank.write(ops=False)
    ours, theirs = pty.openpty()
    run = subprocess.Popen(
        [*COMMAND, "indexes", "--database", "bank", "--json"],
        cwd=bank.home,
        env={**os.environ, **bank.environ, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    # Linux ends a terminal whose other side is closed with an error.
    with suppress(OSError):
        while more := os.read(ours, 4096):
            shown += more
    os.close(ours)
    stdout, _ = run.communicate(timeout=60)
    assert (run.returncode, json.loads(stdout)["database"]) == (0, "bank")
    assert "⠋" in shown.decode()
    assert re.search(r"\d\d:\d\d:\d\d.* indexes, ", shown.decode())


def test_herald_alone_prints_its_help(tmp_path: Path) -> None:
    done = herald([], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "Usage: herald [OPTIONS] COMMAND [ARGS]..."
    assert "HINT" not in done.stderr
