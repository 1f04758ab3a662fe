"""Commands of `herald` in processes of their own that need not load its modules again: that takes longer than most work.

A server, one for each process of the tests, has loaded everything and forks. What a child has of it are modules alone: it has
its own environment, folder, streams and exit code, and is killed like any other. Tests of starting, signals and streams start
a real one instead.
"""

import array
import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any, NoReturn

LARGEST_REQUEST = 1 << 20


def run_herald(
    *words: str, cwd: Path, env: Mapping[str, str], timeout: float
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, as subprocess.run does.

    Raises:
        TimeoutExpired: it took too long, and was killed.
    """
    (out, out_end), (err, err_end), (status, status_end) = os.pipe(), os.pipe(), os.pipe()
    with os.fdopen(out) as out_file, os.fdopen(err) as err_file, os.fdopen(status) as status_file:
        with open(os.devnull) as nothing:
            ends = [nothing.fileno(), out_end, err_end, status_end]
            request = json.dumps({"words": words, "cwd": str(cwd), "env": dict(env)}).encode()
            socket.send_fds(_server()[0], [request], ends)
        for end in ends[1:]:
            os.close(end)
        said = {name: _Reader(file) for name, file in (("out", out_file), ("err", err_file))}
        pid = int(status_file.readline())
        killer = threading.Timer(timeout, os.kill, (pid, signal.SIGKILL))
        killer.start()
        try:
            code = int(status_file.readline())
            texts = {name: reader.text() for name, reader in said.items()}
        finally:
            is_over = killer.finished.is_set()
            killer.cancel()
    if is_over:
        raise subprocess.TimeoutExpired(["herald", *words], timeout, texts["out"], texts["err"])
    return subprocess.CompletedProcess(["herald", *words], code, texts["out"], texts["err"])


class _Reader(threading.Thread):
    """Reads a pipe to its end beside the others."""

    def __init__(self, file: IO[str]) -> None:
        super().__init__(daemon=True)
        self._file, self._text = file, ""
        self.start()

    def run(self) -> None:
        self._text = self._file.read()

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
            [sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()], start_new_session=True
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


def _run(words: list[str]) -> NoReturn:
    """Run the command as a fresh interpreter does, but for what that does with its modules at the end."""
    sys.argv = ["herald", *words]
    sys.stdin = open(0, closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    code: object = None
    try:
        import_module("herald_pipelines.cli").main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - a command that raises is a failure of the test that ran it
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        _serve(requests)
