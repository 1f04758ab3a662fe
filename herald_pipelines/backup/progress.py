"""Tells how far a long stream is: bytes, rate, and how long it may still take."""

import time
from collections.abc import Callable

from herald_pipelines.values import Say, format_bytes, format_seconds

EVERY_SECONDS = 5.0


class Progress:
    """The progress of one stream.

    Args:
        doing: what is being done: "backing up shop".
        expected_bytes: how many clear bytes are expected; an upper bound will do.
        say: told every few seconds.
    """

    def __init__(self, doing: str, expected_bytes: int, say: Say) -> None:
        self._doing, self._expected_bytes, self._say = doing, expected_bytes, say
        self._started = self._told = time.monotonic()

    def update(self, clear_bytes: int, stored_bytes: int) -> None:
        """Take note of how much has passed; tells of it now and then."""
        now = time.monotonic()
        if now - self._told < EVERY_SECONDS:
            return
        self._told = now
        rate = clear_bytes / (now - self._started)
        text = f"{self._doing}: {format_bytes(clear_bytes)} read, {format_bytes(stored_bytes)} stored, {format_bytes(rate)}/s"
        left = self._expected_bytes - clear_bytes
        if rate > 0 and left > 0:
            text += f", at most {format_seconds(left / rate)} left"
        self._say(text)

    def end(self, clear_bytes: int, stored_bytes: int, seconds: float) -> None:
        """Tell the result."""
        self._say(
            f"{self._doing}: {format_bytes(clear_bytes)} in {format_seconds(seconds)}, stored as {format_bytes(stored_bytes)}"
        )


class SharedProgress:
    """The progress of streams that go on at once: their sum.

    Args:
        progress: of all of them.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._counts: dict[str, tuple[int, int]] = {}

    def of(self, name: str) -> Callable[[int, int], None]:
        """Return what one of them tells its (clear bytes, stored bytes)."""
        self._counts[name] = (0, 0)

        def update(clear_bytes: int, stored_bytes: int) -> None:
            self._counts[name] = (clear_bytes, stored_bytes)
            counts = list(self._counts.values())
            self._progress.update(sum(each[0] for each in counts), sum(each[1] for each in counts))

        return update
