"""How many rows the sample platform has, and on which days: pure. Not here: the statements that use it."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

SEED = 20260101
"""Decides every value of the sample, unless another one is asked for."""

# Rows at scale 1, chosen so that the whole is about 100 MB and several bloated indexes are well above 1 MiB.
USERS = 40_000
MATCHES = 45_000
SESSIONS = 140_000
JOBS = 140_000
WRONG_MATCHES = 36_000
SMALLEST_SCALE = 0.01

MONTHS_BACK = 15  # three months and more lie wholly behind the 365 days that a partition is kept
DETAIL_MONTHS = 2  # players and events are kept since the start of the month before last
EXPIRED_MONTH = 14  # the one old month that match_events still has


@dataclass(frozen=True)
class Shape:
    """How many rows, and when: the parameters of the queries."""

    seed: int
    day: datetime
    """Midnight UTC: nothing in the sample is later."""
    users: int
    matches: int
    sessions: int
    jobs: int
    wrong_matches: int

    @classmethod
    def plan(cls, *, scale: float, seed: int, now: datetime) -> Self:
        """Return the shape of a scale on the UTC date of `now`."""
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        counts = (max(1000, round(base * scale)) for base in (USERS, MATCHES, SESSIONS, JOBS, WRONG_MATCHES))
        return cls(seed, midnight, *counts)

    def month(self, offset: int) -> datetime:
        """Return the start of the month that many months after the day's."""
        months = self.day.year * 12 + self.day.month - 1 + offset
        return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)

    @property
    def parameters(self) -> dict[str, Any]:
        """What the queries take by name."""
        return {
            **asdict(self),
            "since": self.month(-MONTHS_BACK),
            "recent": self.month(-DETAIL_MONTHS),
            "expired": self.month(-EXPIRED_MONTH),
            "expired_end": self.month(1 - EXPIRED_MONTH),
            "month": self.month(-1),
            "month_end": self.month(0),
        }
