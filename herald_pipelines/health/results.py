"""Pure: what a health check is and says. Not here: running one (runner.py), what any of them asks."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

Metrics = Mapping[str, float]
"""Numbers by name; the name ends with the unit: `_ms`, `_seconds`, `_bytes`, `_ratio`, or is a count."""
STANDS_FOR = 3
"""A result says something for so many times its check's frequency; after that nobody knows."""


class Status(StrEnum):
    """How something is; the values of herald.health_snapshot.status."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"
    """Nobody could tell: not well, and not ill."""


BADNESS = (Status.HEALTHY, Status.UNKNOWN, Status.DEGRADED, Status.UNHEALTHY)


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst of some statuses.

    >>> worst([Status.HEALTHY, Status.DEGRADED, Status.UNKNOWN]).value, worst([]).value
    ('degraded', 'healthy')
    """
    return max(statuses, key=BADNESS.index, default=Status.HEALTHY)


@dataclass(frozen=True)
class Verdict:
    """What a check found."""

    status: Status
    message: str
    metrics: Metrics = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class HealthResult:
    """A verdict with its time."""

    status: Status
    message: str
    metrics: Metrics
    timestamp: datetime
    """When the check began, UTC."""
    duration_seconds: float


@dataclass(frozen=True)
class Previous:
    """What a check said the time before: counters that only grow are judged by how much they grew since."""

    timestamp: datetime
    metrics: Metrics


class HealthCheck(Protocol):
    """One thing that is asked again and again."""

    @property
    def subject(self) -> str:
        """What it is about: a database of the settings, `host`, `dagster`, `riot` or `endpoints`."""
        ...

    @property
    def name(self) -> str:
        """Unique within its subject."""
        ...

    @property
    def frequency_seconds(self) -> float:
        """How often it is asked."""
        ...

    @property
    def timeout_seconds(self) -> float:
        """How long it is waited for."""
        ...

    @property
    def critical(self) -> bool:
        """Whether the platform is down where it is unhealthy."""
        ...

    def execute(self, now: datetime, previous: Previous | None) -> HealthResult:
        """Ask. What it raises becomes a result as well.

        Args:
            now: the time, UTC.
            previous: its last result that had metrics, or None.
        """
        ...


Key = tuple[str, str]
"""Subject and name."""


def key_of(check: HealthCheck) -> Key:
    """Return what a check is known by."""
    return check.subject, check.name


@dataclass(frozen=True)
class Executed:
    """A check and its result."""

    check: HealthCheck
    result: HealthResult


@dataclass(frozen=True)
class Probe:
    """A health check made of one function."""

    subject: str
    name: str
    frequency_seconds: float
    ask: Callable[[datetime, Previous | None], Verdict] = field(repr=False)
    timer: Callable[[], float] = field(repr=False)
    """Seconds that only grow."""
    critical: bool = False
    timeout_seconds: float = 10.0

    def execute(self, now: datetime, previous: Previous | None) -> HealthResult:
        """Ask, and take the time."""
        began = self.timer()
        verdict = self.ask(now, previous)
        return HealthResult(verdict.status, verdict.message, verdict.metrics, now, self.timer() - began)


@dataclass(frozen=True)
class State:
    """How a check stands: its newest result, and since when it has been so."""

    status: Status
    at: datetime
    since: datetime
    """When the status began."""
    down_since: datetime | None
    """When it became unhealthy, while it has not recovered."""
    frequency_seconds: float
    metrics: Metrics


@dataclass(frozen=True)
class Step:
    """What a result makes of the state before it."""

    state: State
    changed: bool
    """Whether the status is another one."""
    recovered_after_seconds: float | None
    """How long it was unhealthy, where this result ends that and all of it was watched."""


def advance(before: State | None, result: HealthResult, frequency_seconds: float) -> Step:
    """Return the state after a result.

    An unknown one neither ends nor begins a time of being unhealthy. After a gap (nothing for longer than a result
    stands) everything begins anew: how long it was ill is then not known. So it does where the clock was put back.
    """
    at, status = result.timestamp, result.status
    seen = (
        before
        if before is not None and before.at <= at <= before.at + stands(before.frequency_seconds)
        else None
    )
    down_since = seen.down_since if seen is not None else None
    recovered = None
    if status is Status.UNHEALTHY:
        down_since = down_since or at
    elif status is not Status.UNKNOWN and down_since is not None:
        recovered, down_since = (at - down_since).total_seconds(), None
    changed = before is None or before.status is not status
    since = seen.since if seen is not None and not changed else at
    metrics = result.metrics or (before.metrics if before is not None else {})
    return Step(State(status, at, since, down_since, frequency_seconds, metrics), changed, recovered)


def stands(frequency_seconds: float) -> timedelta:
    """Return how long a result of a check says something."""
    return timedelta(seconds=STANDS_FOR * frequency_seconds)


def is_due(check: HealthCheck, state: State | None, now: datetime) -> bool:
    """Whether a check is to be asked again; a clock that was put back makes it due as well."""
    if state is None or state.at > now:
        return True
    return (now - state.at).total_seconds() >= check.frequency_seconds
