"""Programs that stream: their output read, or their input written, while they run; neither may stall for ever.

Not here: starting and ending them (commands).
"""

import fcntl
import os
import select
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from herald_pipelines.resources.commands import CommandTimeout, PipedProcess, start_piped

PIPE_BYTES = 1024 * 1024
"""What Linux lets an unprivileged pipe hold."""
MOST_COMPLAINT_BYTES = 64 * 1024


class Pipe:
    """A program that is running."""

    def __init__(self, process: PipedProcess, complaint: IO[bytes], stall_seconds: float) -> None:
        self._process, self._complaint, self._stall_seconds = process, complaint, stall_seconds

    def chunks(self, size: int = PIPE_BYTES) -> Iterator[bytes]:
        """Yield its output to the end.

        Raises:
            CommandTimeout: it gave nothing for too long.
        """
        handle = _handle(self._process.output)
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        while True:
            if not poll.poll(self._stall_seconds * 1000):
                raise self._stalled("gave")
            chunk = os.read(handle, size)
            if not chunk:
                return
            yield chunk

    def write(self, chunk: bytes) -> bool:
        """Give it input; false once it reads no more.

        Raises:
            CommandTimeout: it took nothing for too long.
        """
        handle = _handle(self._process.input)
        poll = select.poll()
        poll.register(handle, select.POLLOUT)
        rest = memoryview(chunk)
        while rest:
            if not poll.poll(self._stall_seconds * 1000):
                raise self._stalled("took")
            try:
                rest = rest[os.write(handle, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                return False
        return True

    def close_input(self) -> None:
        """Tell it that there is no more input."""
        if self._process.input is not None:
            with suppress(BrokenPipeError):
                self._process.input.close()

    def stop(self) -> None:
        """End it; whoever reads its output comes to an end. For another thread than the one that reads."""
        self._process.stop()

    def finish(self, *, timeout_seconds: float) -> str:
        """Wait for its end, and return what it said on standard error.

        Raises:
            CommandFailed: another exit code than 0.
            CommandTimeout: it did not end in time.
        """
        self._process.wait(timeout_seconds, self._said)
        return self._said()

    def _said(self) -> str:
        size = self._complaint.seek(0, os.SEEK_END)
        self._complaint.seek(max(0, size - MOST_COMPLAINT_BYTES))
        return self._complaint.read().decode(errors="replace")

    def _stalled(self, verb: str) -> CommandTimeout:
        return CommandTimeout(
            f"{self._process.name} {verb} nothing for {self._stall_seconds:g} s and was stopped"
        )


@contextmanager
def piping(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    as_user: str | None = None,
    stall_seconds: float,
    takes_input: bool = False,
) -> Generator[Pipe]:
    """Run a program beside a block that reads its output or writes its input; it has ended when this returns.

    Args:
        argv: the program and its arguments.
        env: its whole environment; ours when left out.
        as_user: a system user to run as.
        stall_seconds: how long it may give or take nothing.
        takes_input: its input is written by `write`, and it ends with it. Without, it is ended when this process ends.

    Raises:
        UsageError: the program is missing, or the user is.
        CommandFailed: it could not be started.
    """
    with tempfile.TemporaryFile() as complaint:
        process = start_piped(argv, complaint, env=env, as_user=as_user, takes_input=takes_input)
        try:
            if takes_input:
                os.set_blocking(_handle(process.input), False)
            with suppress(OSError):
                # Fuller pipes let both ends wait for each other less often.
                fcntl.fcntl(_handle(process.output), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            yield Pipe(process, complaint, stall_seconds)
        finally:
            process.end()


def _handle(pipe: IO[bytes] | None) -> int:
    if pipe is None:
        raise ValueError("the program was started without this pipe")
    return pipe.fileno()
