"""Decides which windows were missed and what to request for them. Pure: histories and `now` in, a plan out.

    expected windows - complete - in flight - opened within the grace - given up - backing off = to request

A schedule may start a window within half the grace after its opening and catch-up begins after the whole of
it, so no window is requested by both. Not here: reading the histories (window_history), making runs of requests
(scheduling).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from herald_pipelines.settings import CatchUpSettings
from herald_pipelines.slots import CatchUpPolicy, Slot, next_opening, openings, window_key


class State(StrEnum):
    """What became of a window on a database."""

    COMPLETE = "complete"
    IN_FLIGHT = "in_flight"
    NOT_DUE = "not_due"
    """Opened so recently that its schedule may still start it."""
    MISSING = "missing"
    """Never tried."""
    FAILED = "failed"
    """Tried and failed; tried again after a pause."""
    GIVEN_UP = "given_up"
    """Failed so often that it is left to people."""


MISSED = frozenset({State.MISSING, State.FAILED, State.GIVEN_UP})


@dataclass(frozen=True)
class Failures:
    """The failed attempts at one window."""

    count: int
    last: datetime
    """When the newest of them ended."""


@dataclass(frozen=True)
class SlotHistory:
    """What is known of the windows of one slot on one database."""

    slot: Slot
    database: str
    since: datetime | None
    """No window before it is missed; None: nothing is missed, the database was never seen."""
    tasks: tuple[str, ...]
    """The slot's tasks that are enabled on the database, in order."""
    done: Mapping[str, frozenset[str]]
    """By window: the tasks that completed it."""
    in_flight: frozenset[str]
    """Windows that an unfinished run covers."""
    failures: Mapping[str, Failures]
    late_runs: int
    """Unfinished runs that make up for missed windows."""


@dataclass(frozen=True)
class WindowState:
    """What became of one window of a slot on one database."""

    database: str
    slot: str
    window: str
    opened_at: datetime
    state: State
    open_tasks: tuple[str, ...]
    """The tasks that have not completed it, in order."""
    attempts: int
    """Failed attempts."""
    retry_at: datetime | None
    """When a failed window is tried again at the earliest."""

    @property
    def missed(self) -> bool:
        """Whether the window should be complete and is not, with nothing under way."""
        return self.state in MISSED


@dataclass(frozen=True)
class CatchUpRequest:
    """One run that makes up for windows that follow each other without a gap."""

    slot: str
    database: str
    windows: tuple[str, ...]
    """Oldest first."""
    tasks: tuple[str, ...]
    """Those that have not completed these windows, in order."""
    attempt: int
    """From 1."""


@dataclass(frozen=True)
class Waiting:
    """Missed windows of a slot on a database for which nothing is requested now, and why."""

    slot: str
    database: str
    windows: int
    reason: str


@dataclass(frozen=True)
class CatchUpPlan:
    """What to request now, and what waits."""

    requests: tuple[CatchUpRequest, ...]
    waiting: tuple[Waiting, ...]


def judge_windows(history: SlotHistory, now: datetime, limits: CatchUpSettings) -> tuple[WindowState, ...]:
    """Return the state of every window within the look-back, oldest first.

    A window before `since` is left out unless something happened to it: the run that sees a database for the
    first time opened its window a moment earlier.
    """
    judged: list[WindowState] = []
    for opened_at in openings(history.slot, now - timedelta(days=limits.look_back_days), now):
        window = window_key(history.slot, opened_at)
        done = history.done.get(window, frozenset())
        open_tasks = tuple(task for task in history.tasks if task not in done)
        failures = history.failures.get(window)
        due_at = opened_at + timedelta(seconds=limits.grace_seconds)
        state = _judge(history, window, open_tasks, failures, limits, is_due=due_at < now)
        expected = history.since is not None and opened_at >= history.since
        if expected or state is not State.MISSING:
            judged.append(
                WindowState(
                    database=history.database,
                    slot=history.slot.name,
                    window=window,
                    opened_at=opened_at,
                    state=state,
                    open_tasks=open_tasks,
                    attempts=failures.count if failures else 0,
                    retry_at=max(due_at, _retry_at(failures, limits))
                    if failures and state is State.FAILED
                    else None,
                )
            )
    return tuple(judged)


def plan_catch_up(histories: Iterable[SlotHistory], now: datetime, limits: CatchUpSettings) -> CatchUpPlan:
    """Return what to request now: at most limits.max_requests_per_tick runs, the databases taking turns."""
    queues: dict[str, list[tuple[datetime, CatchUpRequest]]] = {}
    waiting: list[Waiting] = []
    for history in histories:
        open_windows = [
            each
            for each in judge_windows(history, now, limits)
            if each.state in (State.MISSING, State.FAILED)
        ]
        if not open_windows:
            continue
        reason = _reason_to_wait(history, open_windows, now, limits)
        if reason:
            waiting.append(Waiting(history.slot.name, history.database, len(open_windows), reason))
            continue
        queues.setdefault(history.database, []).extend(_requests(history, open_windows, limits))
    ordered = _take_turns(queues)
    requests, rest = ordered[: limits.max_requests_per_tick], ordered[limits.max_requests_per_tick :]
    waiting.extend(
        Waiting(each.slot, each.database, len(each.windows), "others come first in this tick")
        for each in rest
    )
    return CatchUpPlan(tuple(requests), tuple(waiting))


def _judge(
    history: SlotHistory,
    window: str,
    open_tasks: Collection[str],
    failures: Failures | None,
    limits: CatchUpSettings,
    *,
    is_due: bool,
) -> State:
    if not open_tasks:
        return State.COMPLETE
    if window in history.in_flight:
        return State.IN_FLIGHT
    if failures:
        return State.GIVEN_UP if failures.count >= limits.max_attempts else State.FAILED
    return State.MISSING if is_due else State.NOT_DUE


def _retry_at(failures: Failures, limits: CatchUpSettings) -> datetime:
    return failures.last + timedelta(seconds=limits.backoff_seconds * 2 ** (failures.count - 1))


def _reason_to_wait(
    history: SlotHistory, open_windows: Sequence[WindowState], now: datetime, limits: CatchUpSettings
) -> str | None:
    policy = history.slot.catch_up
    if policy is CatchUpPolicy.NONE:
        return "the slot's catch_up is none"
    if policy is CatchUpPolicy.LATEST and history.in_flight:
        return "a run of the slot is in flight"
    if history.late_runs >= limits.max_requests_per_tick:
        return f"{history.late_runs} runs are in flight"
    # What failed on one window of a database would fail on the next: the whole slot pauses on that database.
    retry_at = max((each.retry_at for each in open_windows if each.retry_at), default=now)
    return f"tried again from {retry_at:%Y-%m-%d %H:%M:%S} UTC on" if retry_at > now else None


def _requests(
    history: SlotHistory, open_windows: Sequence[WindowState], limits: CatchUpSettings
) -> list[tuple[datetime, CatchUpRequest]]:
    """Return one request for the newest range, or one for each window; each with its first opening."""
    if history.slot.catch_up is CatchUpPolicy.LATEST:
        groups = [_newest_range(history.slot, open_windows)]
    else:
        room = limits.max_requests_per_tick - history.late_runs
        groups = [[each] for each in open_windows[:room]]
    return [
        (
            group[0].opened_at,
            CatchUpRequest(
                slot=history.slot.name,
                database=history.database,
                windows=tuple(each.window for each in group),
                tasks=group[0].open_tasks,
                attempt=max(each.attempts for each in group) + 1,
            ),
        )
        for group in groups
    ]


def _newest_range(slot: Slot, open_windows: Sequence[WindowState]) -> list[WindowState]:
    """Return the windows up to the newest that follow each other and lack the same tasks.

    A run over a gap, or of more tasks, would do something twice.
    """
    newest = [open_windows[-1]]
    for each in reversed(open_windows[:-1]):
        if (
            next_opening(slot, each.opened_at) != newest[-1].opened_at
            or each.open_tasks != newest[0].open_tasks
        ):
            break
        newest.append(each)
    return newest[::-1]


def _take_turns(queues: Mapping[str, list[tuple[datetime, CatchUpRequest]]]) -> list[CatchUpRequest]:
    """Return the first request of every database, then the second of each; in a round, the oldest first."""
    turns = [
        (turn, opened_at, database, position, request)
        for database, queue in queues.items()
        for turn, (position, (opened_at, request)) in enumerate(
            sorted(enumerate(queue), key=lambda each: (each[1][0], each[0]))
        )
    ]
    return [turn[-1] for turn in sorted(turns, key=lambda turn: turn[:4])]
