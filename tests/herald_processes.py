"""Programs in processes of their own that need not load our modules again: that takes longer than most of them work.

A server, one for each process of the tests, has loaded everything and forks. What a child has of it are modules alone: it has
its own environment, folder, streams and exit code, and is killed like any other. Tests of starting, signals and streams start
a real one instead.
"""

import array
import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

LARGEST_REQUEST = 1 << 20


class Forked:
    """A running process; what it says is kept as text."""

    def __init__(self, words: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        (out, out_end), (err, err_end), (status, status_end) = os.pipe(), os.pipe(), os.pipe()
        self.words, self.returncode = list(words), None
        self._said = [_Reader(out), _Reader(err)]
        self._status = os.fdopen(status)
        with Path(os.devnull).open() as nothing:
            ends = [nothing.fileno(), out_end, err_end, status_end]
            request = json.dumps({"words": words, "cwd": str(cwd), "env": dict(env)}).encode()
            socket.send_fds(_server()[0], [request], ends)
        for end in ends[1:]:
            os.close(end)
        self.pid = int(self._status.readline())

    returncode: int | None

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        """Return the exit code once it has ended; negative is the number of a signal."""
        if self.returncode is None:
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def kill(self) -> None:
        """End it at once, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait_for(self, line: str, timeout: float) -> None:
        """Wait until it has said a line on stdout."""
        until = time.monotonic() + timeout
        while line not in self._said[0].so_far().splitlines():
            assert time.monotonic() < until, (line, [each.so_far() for each in self._said])
            time.sleep(0.005)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Wait for its end, and return what it said on stdout and stderr.

        Raises:
            TimeoutExpired: it took too long, and was killed.
        """
        if self.returncode is None and not select.select([self._status], [], [], timeout)[0]:
            self.kill()
            self.wait()
            raise subprocess.TimeoutExpired(self.words, timeout)
        self.wait()
        out, err = (reader.text() for reader in self._said)
        return out, err


def start_python(*words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Forked:
    """Start what `python WORDS` runs: a script with its arguments, or -c and the text of one."""
    return Forked(words, cwd or Path.cwd(), os.environ if env is None else env)


def run_herald(
    *words: str, cwd: Path, env: Mapping[str, str], timeout: float
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, as subprocess.run does.

    Raises:
        TimeoutExpired: it took too long, and was killed.
    """
    process = Forked(["-m", "herald_pipelines.cli", *words], cwd, env)
    out, err = process.communicate(timeout)
    return subprocess.CompletedProcess(process.words, process.wait(), out, err)


class _Reader(threading.Thread):
    """Reads a pipe to its end beside the others."""

    def __init__(self, end: int) -> None:
        super().__init__(daemon=True)
        self._end, self._text = end, ""
        self.start()

    def run(self) -> None:
        with os.fdopen(self._end) as file:
            for line in file:
                self._text += line

    def so_far(self) -> str:
        return self._text

    def text(self) -> str:
        self.join()
        return self._text


@cache
def _server() -> "tuple[socket.socket, subprocess.Popen[bytes]]":
    """Start the server, which ends with the process that started it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST_REQUEST)
    with theirs:
        server = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return ours, server


def _serve(requests: socket.socket) -> None:
    from herald_pipelines.cli import COMMANDS

    for name in sorted(set(COMMANDS.values())):
        import_module(f"herald_pipelines.{name}")
    assert threading.active_count() == 1, "a thread would not live on in a child"
    # What is there stays there: no child collects, and so copies, it.
    gc.freeze()
    # Children are waited for by the system.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, ends, _, _ = socket.recv_fds(requests, LARGEST_REQUEST, 4)
        if not request:
            return
        if os.fork() == 0:
            requests.close()
            _handle(json.loads(request), ends)
        for end in ends:
            os.close(end)


def _handle(request: Mapping[str, Any], ends: "list[int] | array.array[int]") -> NoReturn:
    """Fork the command, and tell its process id and exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, status = ends
    pid = os.fork()
    if pid == 0:
        os.close(status)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        _run(request["words"])
    for stream in streams:
        os.close(stream)
    os.write(status, f"{pid}\n".encode())
    _, ended = os.waitpid(pid, 0)
    os.write(status, f"{os.waitstatus_to_exitcode(ended)}\n".encode())
    os._exit(0)


def _run(words: Sequence[str]) -> NoReturn:
    """Run a program as a fresh interpreter does, but for what that does with its modules at the end."""
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    code: object = None
    try:
        match words:
            case ["-m", module, *arguments]:
                sys.argv = [module, *arguments]
                import_module(module).main()
            case ["-c", text, *arguments]:
                sys.argv = ["-c", *arguments]
                exec(compile(text, "<string>", "exec"), {"__name__": "__main__"})
            case [script, *arguments]:
                sys.argv = [script, *arguments]
                sys.path.insert(0, str(Path(script).parent))
                runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - what raises is a failure of the test that ran it
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        _serve(requests)
