"""A process that is kept running: started again when it ended, later each time, with its output in a log.

Not here: which processes there are, and when they all end (supervisor).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from herald_pipelines.resources.commands import ChildProcess, CommandFailed, start

STOP_GRACE_SECONDS = 15
FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 30.0
CALM_SECONDS = 60
"""A process that lived this long starts with the first backoff again."""
LOG_LINES = 8
LONGEST_LOG_BYTES = 16 * 1024**2
"""A log larger than this is set aside at the next start; one older one is kept."""


@dataclass
class Service:
    """One supervised process."""

    name: str
    argv: Sequence[str]
    log: Path
    child: ChildProcess | None = None
    started_at: float = 0.0
    start_again_at: float | None = None
    backoff_seconds: float = FIRST_BACKOFF_SECONDS
    former: list[ChildProcess] = field(default_factory=list[ChildProcess])
    """Ended ones that left something in their groups (runs in flight): it is ended only with everything else."""

    def start(self, environ: Mapping[str, str], cwd: Path) -> None:
        """Start it, its output appended to its log."""
        if self.log.exists() and self.log.stat().st_size > LONGEST_LOG_BYTES:
            self.log.rename(self.log.with_suffix(".log.1"))
        self.child = start(self.argv, env=environ, cwd=cwd, log=self.log, end_with_parent=True)
        self.started_at = time.monotonic()
        self.start_again_at = None

    def look_after(self, environ: Mapping[str, str], cwd: Path) -> str | None:
        """Start it again when it ended and its time has come; returns what there is to say."""
        now = time.monotonic()
        if self.start_again_at is not None:
            if now < self.start_again_at:
                return None
            try:
                self.start(environ, cwd)
            except CommandFailed as error:
                return f"{error.message}; {self._wait_for_restart(now)}"
            return None
        code = None if self.child is None else self.child.poll()
        if code is None or self.child is None:
            return None
        if now - self.started_at > CALM_SECONDS:
            self.backoff_seconds = FIRST_BACKOFF_SECONDS
        if self.child.has_company():
            self.former.append(self.child)
        else:
            self.child.terminate(0)
        self.child = None
        ending = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"the {self.name} ended ({ending}); {self._wait_for_restart(now)} (log: {self.log})"

    def _wait_for_restart(self, now: float) -> str:
        seconds = self.backoff_seconds
        self.start_again_at = now + seconds
        self.backoff_seconds = min(seconds * 2, LONGEST_BACKOFF_SECONDS)
        return f"starting it again in {seconds:g} s"

    def has_ended(self) -> bool:
        """Return whether it does not run, though it was started."""
        return self.child is None or self.child.poll() is not None

    def stop(self) -> None:
        """End it, and what is left of those before it."""
        for child in (self.child, *self.former):
            if child is not None:
                child.terminate(STOP_GRACE_SECONDS)
        self.child = None
        self.former.clear()

    def last_words(self) -> str:
        """Return the last lines of its log, indented."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"    {line}" for line in lines[-LOG_LINES:])
