"""The processes of a PostgreSQL data directory: which one leads, what a killed one left, what they said last.

Not here: starting and stopping a server (embedded).
"""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

PID_FILE = "postmaster.pid"
PATIENCE_SECONDS = 30
LOG_LINES = 5


@dataclass(frozen=True)
class Postmaster:
    """The leading process of a running server, from its pid file."""

    pid: int
    port: int


def read_postmaster(data_directory: Path) -> Postmaster | None:
    """Return the server of a data directory; none unless its process lives and works there.

    Raises:
        PermissionError: the data directory belongs to somebody else.
    """
    try:
        lines = (data_directory / PID_FILE).read_text().splitlines()
        postmaster = Postmaster(pid=int(lines[0]), port=int(lines[3]))
    except (FileNotFoundError, IndexError, ValueError):
        return None
    return postmaster if postmaster.pid in _processes(data_directory) else None


def end_orphans(data_directory: Path) -> None:
    """End what a killed postmaster left, and remove its pid file where the pid is somebody else's by now."""
    for number in (signal.SIGQUIT, signal.SIGKILL):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (orphans := _processes(data_directory)) and time.monotonic() < deadline:
            for pid in orphans:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(0.1)
    with suppress(FileNotFoundError, ValueError, IndexError):
        pid_file = data_directory / PID_FILE
        if psutil.pid_exists(int(pid_file.read_text().splitlines()[0])):
            pid_file.unlink()


def last_words(data_directory: Path) -> str:
    """Return the last lines of the server's newest logs, on one line."""
    logs = sorted((data_directory / "log").glob("*.log"), key=lambda each: each.stat().st_mtime)
    lines: list[str] = []
    for log in (data_directory / "start.log", *logs[-1:]):
        with suppress(FileNotFoundError):
            lines += log.read_text(errors="replace").splitlines()[-LOG_LINES:]
    return " / ".join(line.strip() for line in lines)


def _processes(data_directory: Path) -> list[int]:
    """Return the pids of PostgreSQL's processes on a data directory: it is where they all run."""
    wanted = str(data_directory.resolve())
    found: list[int] = []
    for process in psutil.process_iter(["name"]):
        if str(process.info["name"]).startswith("postgres"):
            with suppress(psutil.Error):
                if process.cwd() == wanted:
                    found.append(process.pid)
    return found
