"""Programs end in time, with their whole group, and say what happened."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from herald_pipelines.errors import UsageError
from herald_pipelines.resources.commands import CommandFailed, CommandTimeout, require_program, run, start


def _gone(pid: int) -> bool:
    """A zombie that its new parent has not reaped yet is gone as well."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _wait_for(path: Path) -> str:
    while not (path.exists() and path.read_text().strip()):
        time.sleep(0.01)
    return path.read_text().strip()


def test_result_holds_what_the_program_said():
    result = run(
        ["sh", "-c", "cat; echo oops >&2; exit 3"], timeout_seconds=10, ok_codes=(0, 3), input_text="hé"
    )
    assert (result.code, result.stdout, result.stderr) == (3, "hé", "oops\n")


def test_other_exit_code_fails_with_the_last_lines():
    with pytest.raises(CommandFailed, match=r"^sh ended with exit code 4: first / last$") as caught:
        run(["sh", "-c", "echo first >&2; echo last >&2; exit 4"], timeout_seconds=10)
    assert caught.value.result is not None
    assert caught.value.result.code == 4


def test_signal_is_named():
    with pytest.raises(CommandFailed, match="ended by signal 9"):
        run(["sh", "-c", "kill -9 $$"], timeout_seconds=10)


def test_missing_program_is_wrong_usage():
    with pytest.raises(UsageError, match="'no-such-program' was not found on PATH"):
        run(["no-such-program"], timeout_seconds=10)
    with pytest.raises(UsageError, match="HINT: install the package gnupg"):
        require_program("no-such-program", hint="install the package gnupg")
    with pytest.raises(UsageError, match="'/no/such/program' does not exist"):
        run(["/no/such/program"], timeout_seconds=10)


def test_unknown_user_is_wrong_usage():
    with pytest.raises(UsageError, match="system user 'nobody-of-that-name' does not exist"):
        run(["true"], timeout_seconds=10, as_user="nobody-of-that-name")


@pytest.mark.root
def test_runs_as_another_user():
    assert run(["id", "-un"], timeout_seconds=10, as_user="nobody").stdout == "nobody\n"


def test_timeout_ends_grandchildren_too(tmp_path):
    mark = tmp_path / "pid"
    with pytest.raises(CommandTimeout, match=r"^sh did not end within 0\.5 s"):
        run(["sh", "-c", f"sh -c 'trap \"\" TERM; echo $$ > {mark}; sleep 100'"], timeout_seconds=0.5)
    assert _gone(int(_wait_for(mark)))


def test_arguments_are_not_read_by_a_shell():
    assert run(["echo", "$HOME; id"], timeout_seconds=10).stdout == "$HOME; id\n"


def test_environment_is_whole():
    assert run(["/usr/bin/env"], timeout_seconds=10, env={"ONLY": "this"}).stdout == "ONLY=this\n"


def test_child_writes_its_log_and_ends_when_told(tmp_path):
    log = tmp_path / "child.log"
    # The trap is set before anything is said, and the shell forks nothing while the signal comes.
    child = start(["sh", "-c", "trap 'echo bye; exit 0' TERM; sleep 100 & echo hello; wait"], log=log)
    assert _wait_for(log) == "hello"
    assert child.poll() is None
    assert child.terminate(grace_seconds=30) == 0
    assert log.read_text().splitlines()[-1] == "bye"
    assert child.poll() == 0


def test_child_that_ignores_sigterm_is_killed_with_its_group(tmp_path):
    mark = tmp_path / "pid"
    child = start(["sh", "-c", f"trap '' TERM; sleep 100 & echo $! > {mark}; wait"])
    grandchild = int(_wait_for(mark))
    assert child.terminate(grace_seconds=0.2) == -signal.SIGKILL
    assert _gone(grandchild)


def test_child_ends_with_a_killed_parent(tmp_path):
    mark = tmp_path / "pid"
    script = (
        "import os, signal, sys, time\n"
        "from pathlib import Path\n"
        "from herald_pipelines.resources.commands import start\n"
        "child = start(['sleep', '100'], end_with_parent=True)\n"
        f"Path({str(mark)!r}).write_text(str(child.pid))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with pytest.raises(CommandFailed, match="signal 9"):
        run([sys.executable, "-c", script], timeout_seconds=60, env=dict(os.environ))
    pid = int(_wait_for(mark))
    while not _gone(pid):
        time.sleep(0.01)
