"""Runs checks beside one another, each with a timeout of its own. A hung one harms no other; whatever is raised is a result.

A thread cannot be ended from outside. So one that does not answer is left alone, and its check is not asked again before
it has come back: there is never more than one for each check. Not here: what is asked, what is kept.
"""

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from queue import Empty, SimpleQueue
from threading import Thread

from herald_pipelines.errors import HeraldError, PermanentFailure, UsageError
from herald_pipelines.health.results import (
    Executed,
    HealthCheck,
    HealthResult,
    Key,
    Previous,
    Status,
    key_of,
)
from herald_pipelines.records import describe_error

AT_ONCE = 16
"""Checks that are asked at the same time."""
MOST_TEXT = 2000
"""Characters of a message."""


@dataclass
class Runner:
    """Keeps what hangs from one run to the next. One for a process."""

    at_once: int = AT_ONCE
    _hanging: dict[Key, Thread] = field(default_factory=dict[Key, Thread])

    def run(
        self,
        checks: Sequence[HealthCheck],
        previous: Mapping[Key, Previous],
        now: datetime,
        *,
        within_seconds: float = float("inf"),
    ) -> list[Executed]:
        """Ask all checks, and return what each said, in the order in which they answered.

        Args:
            checks: each is asked once.
            previous: what they said before.
            now: the time, UTC, that their results carry.
            within_seconds: when to stop waiting; what was not begun by then has no result.
        """
        self._hanging = {key: thread for key, thread in self._hanging.items() if thread.is_alive()}
        ends_at = time.monotonic() + within_seconds
        answers: SimpleQueue[tuple[Key, HealthResult]] = SimpleQueue()
        waiting, done = deque(checks), list[Executed]()
        running: dict[Key, tuple[HealthCheck, float, Thread]] = {}
        while waiting or running:
            while waiting and len(running) < self.at_once and time.monotonic() < ends_at:
                check = waiting.popleft()
                if key_of(check) in self._hanging:
                    done.append(
                        Executed(check, _silent(check, now, "has not come back from an earlier time"))
                    )
                    continue
                thread = Thread(
                    target=_ask, args=(check, previous.get(key_of(check)), now, answers), daemon=True
                )
                running[key_of(check)] = check, time.monotonic(), thread
                thread.start()
            if not running:
                break
            first = min(began + check.timeout_seconds for check, began, _ in running.values())
            try:
                key, result = answers.get(timeout=max(0.0, min(first, ends_at) - time.monotonic()))
            except Empty:
                pass
            else:
                # One that was given up already says nothing any more.
                if key in running:
                    done.append(Executed(running.pop(key)[0], result))
                continue
            over = time.monotonic()
            for key, (check, began, thread) in list(running.items()):
                if over >= min(began + check.timeout_seconds, ends_at):
                    del running[key]
                    self._hanging[key] = thread
                    done.append(
                        Executed(check, _silent(check, now, f"no answer within {over - began:.1f} s"))
                    )
        return done


def _ask(
    check: HealthCheck,
    previous: Previous | None,
    now: datetime,
    answers: "SimpleQueue[tuple[Key, HealthResult]]",
) -> None:
    began = time.monotonic()
    try:
        result = _writable(check.execute(now, previous))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a result
        # What is refused or wrongly set tells nothing of the subject's health; nor does a defect of ours.
        unknown = not isinstance(error, HeraldError) or isinstance(error, (PermanentFailure, UsageError))
        status = Status.UNKNOWN if unknown else Status.UNHEALTHY
        result = _writable(HealthResult(status, describe_error(error), {}, now, time.monotonic() - began))
    answers.put((key_of(check), result))


def _writable(result: HealthResult) -> HealthResult:
    """Return a result that the ops database takes, whatever a server or a check of somebody else said."""
    message = result.message.encode("utf-8", "replace").decode()[:MOST_TEXT]
    metrics = {name: float(value) for name, value in result.metrics.items() if math.isfinite(value)}
    return replace(result, message=message, metrics=metrics)


def _silent(check: HealthCheck, now: datetime, message: str) -> HealthResult:
    return HealthResult(Status.UNHEALTHY, message, {}, now, check.timeout_seconds)
