"""Whether a database is quiet enough for maintenance, and waiting for it. Not here: the maintenance.

A task that changes its target asks first; whoever holds it up is named, so that a person can judge it. Dumps are no
reason: they take hours, and a task waits for them where they are in the way of an object.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from herald_pipelines.errors import GuardRefusal
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.settings.models import Guards
from herald_pipelines.values import format_bytes, format_seconds

POLL_SECONDS = 5.0


@dataclass(frozen=True)
class Busyness:
    """How busy a server is, apart from our own sessions."""

    active_sessions: int
    """Client backends of the whole server that are not idle."""
    transaction_seconds: float | None
    """Age of the oldest transaction of a client in the database, dumps left out; null when there is none."""
    transaction_holder: str | None
    """Whose it is."""
    lag_seconds: float | None
    """Replay lag of the slowest standby; null without standbys, or when all have caught up."""
    lag_bytes: int | None


def require_sight(session: Session) -> None:
    """Refuse to go on where the role does not see what other roles' sessions do: not visible is not quiet.

    Raises:
        GuardRefusal: it does not.
        HeraldError: of the kind that fits what the server said.
    """
    row = session.fetch_one("guards/read_sight")
    if not row["sees_all"]:
        raise GuardRefusal(
            f"role {row['role']!r} may not see whether other sessions keep {session.database} busy",
            hint="grant it pg_monitor",
        )


def read_busyness(session: Session) -> Busyness:
    """Ask a server how busy it is.

    Raises:
        GuardRefusal: the role may not see what other roles' sessions do.
        HeraldError: of the kind that fits what the server said.
    """
    require_sight(session)
    row = session.fetch_one("guards/read_busyness")
    return Busyness(
        active_sessions=row["active_sessions"],
        transaction_seconds=row["transaction_seconds"],
        transaction_holder=row["transaction_holder"],
        lag_seconds=row["lag_seconds"],
        lag_bytes=row["lag_bytes"],
    )


def find_reasons(busyness: Busyness, guards: Guards) -> tuple[str, ...]:
    """Return why maintenance should not begin now; nothing when it may.

    >>> find_reasons(Busyness(80, None, None, None, None), Guards())
    ('80 sessions are active, at most 50 may be',)
    """
    reasons: list[str] = []
    if busyness.active_sessions > guards.max_active_sessions:
        reasons.append(
            f"{busyness.active_sessions} sessions are active, at most {guards.max_active_sessions} may be"
        )
    if (busyness.transaction_seconds or 0) > guards.max_transaction_seconds:
        reasons.append(
            f"a transaction is open for {format_seconds(busyness.transaction_seconds or 0)}"
            f" ({busyness.transaction_holder}),"
            f" at most {format_seconds(guards.max_transaction_seconds)} are allowed"
        )
    if (busyness.lag_seconds or 0) > guards.max_replication_lag_seconds:
        reasons.append(
            f"a standby lags by {format_seconds(busyness.lag_seconds or 0)}"
            f" ({format_bytes(busyness.lag_bytes or 0)}),"
            f" at most {format_seconds(guards.max_replication_lag_seconds)} are allowed"
        )
    return tuple(reasons)


def wait_until_quiet(
    target: Postgres,
    guards: Guards,
    *,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Return as soon as a database is quiet, waiting for `guards.wait_seconds` at most.

    Args:
        target: where to look; a session is opened for each look.
        guards: what counts as busy, and how long to wait.
        say: told once, when the waiting begins, what it waits for.
        sleep: waits for a number of seconds.
        clock: seconds that only grow.

    Raises:
        GuardRefusal: it is still busy after that time, and names every reason; or that cannot be seen.
        HeraldError: the server could not be asked.
    """
    give_up_at = clock() + guards.wait_seconds
    has_said = False
    while True:
        with target.session() as session:
            reasons = find_reasons(read_busyness(session), guards)
        if not reasons:
            return
        left_seconds = give_up_at - clock()
        if left_seconds <= 0:
            raise GuardRefusal(
                f"database {target.database!r} is too busy for {target.task}: {'; '.join(reasons)}",
                hint="the window is tried again later; guards in herald.yaml say what counts as busy",
            )
        if not has_said:
            say(f"waiting until {target.database} is quiet: {'; '.join(reasons)}")
            has_said = True
        sleep(min(POLL_SECONDS, left_seconds))
