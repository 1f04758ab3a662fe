"""The only place that starts processes: argv lists, timeouts that reach the whole group, allowed exit codes.

Secrets never go into argv: pass them through `input_text`, a file of mode 0600 or `env`.
Not here: what a program means.
"""

import grp
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from herald_pipelines.errors import PermanentFailure, TransientFailure, UsageError

LEASH_GRACE_SECONDS = 10
LEASH_PROCESSES = 2
KILL_GRACE_SECONDS = 2.0
"""How long a process group may tidy up after SIGTERM when its time is over."""
TAIL_LINES = 5

# Runs a program in place of this shell, beside a watcher in the same group: when the pipe on standard input
# closes, which happens however the parent ends, the watcher ends the group.
LEASH = """
exec 3<&0 </dev/null
(
  cat <&3
  trap '' TERM
  kill -TERM -$$
  sleep "$0"
  kill -KILL -$$
) >/dev/null 2>&1 &
exec 3<&-
exec "$@"
"""


@dataclass(frozen=True)
class CommandResult:
    """A finished program."""

    argv: tuple[str, ...]
    code: int
    """Exit code; negative is the number of the signal that ended it."""
    stdout: str
    stderr: str
    seconds: float


class CommandFailed(PermanentFailure):
    """A program ended with an exit code that was not allowed, or could not be started."""

    def __init__(self, message: str, *, result: CommandResult | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.result = result


class CommandTimeout(TransientFailure):
    """A program did not end in time; its whole process group was stopped."""


def require_program(name: str, *, hint: str) -> str:
    """Return the full path of a program on PATH.

    Raises:
        UsageError: there is none; `hint` says how to get it.
    """
    path = shutil.which(name)
    if path is None:
        raise UsageError(f"program {name!r} was not found on PATH", hint=hint)
    return path


def run(
    argv: Sequence[str | Path],
    *,
    timeout_seconds: float,
    ok_codes: Sequence[int] = (0,),
    input_text: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    as_user: str | None = None,
) -> CommandResult:
    """Run a program to its end and return what it said.

    Args:
        argv: the program (a name on PATH or a path) and its arguments; no shell is involved.
        timeout_seconds: after it, the program and everything in its process group is stopped.
        ok_codes: exit codes that are no failure.
        input_text: its standard input; nothing to read when left out.
        env: its whole environment; ours when left out.
        cwd: where it runs.
        as_user: a system user to run as; needs root unless it is the present one.

    Raises:
        UsageError: the program is missing, or the user is.
        CommandFailed: another exit code, or it could not be started.
        CommandTimeout: it did not end in time.
    """
    words = _words(argv)
    started = time.monotonic()
    process = _popen(
        words,
        env=env,
        cwd=cwd,
        as_user=as_user,
        stdin=subprocess.DEVNULL if input_text is None else subprocess.PIPE,
        output=subprocess.PIPE,
        complaint=subprocess.PIPE,
    )
    try:
        output, complaint = process.communicate(
            None if input_text is None else input_text.encode(), timeout_seconds
        )
    except subprocess.TimeoutExpired as error:
        raise CommandTimeout(
            f"{_name(words)} did not end within {timeout_seconds:g} s and was stopped"
        ) from error
    finally:
        # A no-op after a normal end, unless the program left something of its group behind.
        _end_group(process, grace_seconds=KILL_GRACE_SECONDS)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    result = CommandResult(
        argv=tuple(words),
        code=process.returncode,
        stdout=output.decode(errors="replace"),
        stderr=complaint.decode(errors="replace"),
        seconds=time.monotonic() - started,
    )
    if result.code not in ok_codes:
        raise CommandFailed(f"{_name(words)} {_ending(result.code)}{_tail(result)}", result=result)
    return result


class PipedProcess:
    """A program whose output is read, or whose input is written, while it runs; pipes.py has what is done with it."""

    def __init__(self, process: subprocess.Popen[bytes], name: str) -> None:
        self._process = process
        self.name = name

    @property
    def output(self) -> IO[bytes] | None:
        """The end of the pipe of its standard output."""
        return self._process.stdout

    @property
    def input(self) -> IO[bytes] | None:
        """The end of the pipe of its standard input; None where a leash has it."""
        return self._process.stdin

    def wait(self, timeout_seconds: float, complaint: Callable[[], str]) -> None:
        """Wait for its end.

        Raises:
            CommandFailed: another exit code than 0.
            CommandTimeout: it did not end in time.
        """
        try:
            code = self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise CommandTimeout(
                f"{self.name} did not end within {timeout_seconds:g} s and was stopped"
            ) from error
        if code != 0:
            result = CommandResult((self.name,), code, "", complaint(), 0.0)
            raise CommandFailed(f"{self.name} {_ending(code)}{_tail(result)}", result=result)

    def stop(self) -> None:
        """End it and its whole group."""
        _end_group(self._process, grace_seconds=KILL_GRACE_SECONDS)

    def end(self) -> None:
        """End it and its whole group, and close the pipes."""
        self.stop()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def start_piped(
    argv: Sequence[str | Path],
    complaint: IO[bytes],
    *,
    env: Mapping[str, str] | None = None,
    as_user: str | None = None,
    takes_input: bool,
) -> PipedProcess:
    """Start a program with pipes. Without input it is ended when this process ends; with it, by the end of its input.

    Args:
        argv: the program and its arguments.
        complaint: a file that its standard error goes to.
        env: its whole environment; ours when left out.
        as_user: a system user to run as.
        takes_input: whether its standard input is written by us.

    Raises:
        UsageError: the program is missing, or the user is.
        CommandFailed: it could not be started.
    """
    words = _words(argv)
    name = _name(words)
    if not takes_input:
        words = ["/bin/sh", "-c", LEASH, str(LEASH_GRACE_SECONDS), *words]
    process = _popen(
        words,
        env=env,
        cwd=None,
        as_user=as_user,
        stdin=subprocess.PIPE,
        output=subprocess.PIPE,
        complaint=complaint,
    )
    return PipedProcess(process, name)


class ChildProcess:
    """A program that runs beside us, in a session of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its group."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return its exit code (negative: the signal), or None while it runs."""
        return self._process.poll()

    def has_company(self) -> bool:
        """Return whether its group holds more than the program itself, which may have ended, and its leash."""
        return _members(self.pid) - (self.poll() is None) > (LEASH_PROCESSES if self._process.stdin else 0)

    def terminate(self, grace_seconds: float) -> int:
        """End it and its whole group: SIGTERM, time to tidy up, then SIGKILL. Returns its exit code."""
        _end_group(self._process, grace_seconds=grace_seconds)
        if self._process.stdin is not None:
            self._process.stdin.close()
        return self._process.wait()


def start(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
    as_user: str | None = None,
    end_with_parent: bool = False,
) -> ChildProcess:
    """Start a program that runs on beside us.

    Args:
        argv: the program (a name on PATH or a path) and its arguments.
        env: its whole environment; ours when left out.
        cwd: where it runs.
        log: a file that its output is appended to; thrown away when left out.
        as_user: a system user to run as; needs root unless it is the present one.
        end_with_parent: when this process ends, even by a SIGKILL, the program's whole group is ended too.

    Raises:
        UsageError: the program is missing, or the user is.
        CommandFailed: it could not be started.
    """
    words = _words(argv)
    if end_with_parent:
        words = ["/bin/sh", "-c", LEASH, str(LEASH_GRACE_SECONDS), *words]
    with (Path(os.devnull) if log is None else log).open("ab") as sink:
        process = _popen(
            words,
            env=env,
            cwd=cwd,
            as_user=as_user,
            stdin=subprocess.PIPE if end_with_parent else subprocess.DEVNULL,
            output=sink,
            complaint=sink,
        )
    return ChildProcess(process)


def _words(argv: Sequence[str | Path]) -> list[str]:
    words = [str(word) for word in argv]
    if "/" not in words[0]:
        words[0] = require_program(
            words[0], hint="install the package that brings it, or put its folder on PATH"
        )
    elif not Path(words[0]).exists():
        raise UsageError(f"program {words[0]!r} does not exist", hint="install the package that brings it")
    return words


def _popen(
    words: list[str],
    *,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    as_user: str | None,
    stdin: int,
    output: int | IO[bytes],
    complaint: int | IO[bytes],
) -> subprocess.Popen[bytes]:
    user, group, extra_groups = _identity(as_user)
    try:
        return subprocess.Popen(
            words,
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=stdin,
            stdout=output,
            stderr=complaint,
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=extra_groups,
        )
    except FileNotFoundError as error:
        missing = error.filename or words[0]
        raise UsageError(f"{missing!r} was not found", hint="the program or its folder is missing") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise CommandFailed(f"{_name(words)} could not be started: {error}") from error


def _identity(as_user: str | None) -> tuple[int | None, int | None, list[int] | None]:
    if as_user is None:
        return None, None, None
    try:
        entry = pwd.getpwnam(as_user)
    except KeyError as error:
        raise UsageError(
            f"system user {as_user!r} does not exist", hint="create it, or name another"
        ) from error
    if entry.pw_uid == os.geteuid():
        return None, None, None
    if os.geteuid() != 0:
        raise UsageError(
            f"only root can run a program as {as_user!r}", hint=f"run this as root or as {as_user}"
        )
    groups = [each.gr_gid for each in grp.getgrall() if as_user in each.gr_mem]
    return entry.pw_uid, entry.pw_gid, groups


def _end_group(process: subprocess.Popen[bytes], *, grace_seconds: float) -> None:
    """Stop a process group that we lead; the leader is reaped, its group gone when this returns."""
    deadline, number = time.monotonic() + grace_seconds, int(signal.SIGTERM)
    while _signal_group(process.pid, number):
        late = time.monotonic() - deadline
        # Where nobody reaps orphans at once (a container without an init) dead members stay visible.
        if late > KILL_GRACE_SECONDS or (process.poll() is not None and not _members(process.pid)):
            break
        number = signal.SIGKILL if late > 0 else 0
        time.sleep(0.02)
    process.wait()


def _members(group: int) -> int:
    return sum(_is_member(process, group) for process in psutil.process_iter(["status"]))


def _is_member(process: psutil.Process, group: int) -> bool:
    try:
        return process.info["status"] != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) == group
    except ProcessLookupError:
        return False


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a group; false when nothing of it is left that could take one."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _name(words: Sequence[str]) -> str:
    return Path(words[0]).name


def _ending(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _tail(result: CommandResult) -> str:
    said = (result.stderr.strip() or result.stdout.strip()).splitlines()
    lines = [line.strip() for line in said if line.strip()]
    return f": {' / '.join(lines[-TAIL_LINES:])}" if lines else ""
