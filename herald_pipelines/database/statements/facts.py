"""Frozen facts about statements, as pg_stat_statements counts them. Not here: judging them, reading them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class Counters(NamedTuple):
    """What one or several statements did. Ten thousands are held at once, so these are tuples."""

    calls: int
    rows: int
    exec_seconds: float
    plan_seconds: float
    """0 unless pg_stat_statements.track_planning is on."""
    blocks_hit: int
    blocks_read: int
    read_seconds: float
    """Waiting for blocks; 0 unless track_io_timing is on."""
    temp_blocks: int
    """Read from and written to temporary files."""
    wal_bytes: int

    @property
    def mean_seconds(self) -> float | None:
        """Execution time of a call; None without calls."""
        return self.exec_seconds / self.calls if self.calls else None

    @property
    def hit_percent(self) -> float | None:
        """Share of blocks found in shared_buffers, 0 to 100 (the seed's column); None where none was needed."""
        blocks = self.blocks_hit + self.blocks_read
        return 100.0 * self.blocks_hit / blocks if blocks else None


NOTHING = Counters(0, 0, 0.0, 0.0, 0, 0, 0.0, 0, 0)


class StatementKey(NamedTuple):
    """What pg_stat_statements keeps an entry for, within one database."""

    user_oid: int
    query_id: int
    toplevel: bool


class Entry(NamedTuple):
    """An entry of pg_stat_statements: its counters, and when it began to count."""

    counters: Counters
    since: datetime | None
    """stats_since, of version 1.11 (PostgreSQL 17) and later."""


@dataclass(frozen=True, slots=True)
class StatementReading:
    """All entries of one database at a moment."""

    taken_at: datetime
    """By the server's clock, before the entries were read."""
    stats_reset_at: datetime
    """When all entries were discarded last: by hand, by a crash, or by the first start with the library."""
    deallocations: int
    """How often entries were evicted since then, because there were more than pg_stat_statements.max."""
    entries: Mapping[StatementKey, Entry]


class QueryKey(NamedTuple):
    """A query, whoever asked it: what is judged, because roles come and go."""

    query_id: int
    toplevel: bool


@dataclass(frozen=True, slots=True)
class Activity:
    """What the queries of a database did within a time."""

    since: datetime
    until: datetime
    queries: Mapping[QueryKey, Counters]
    is_cut: bool = False
    """Counters began anew or were evicted in it: that a query is missing says nothing."""
    is_another_servers: bool = False
    """The server was exchanged in it (a failover): what is missing was not seen."""

    @property
    def exec_seconds(self) -> float:
        """Execution time of all; nested statements are within those that called them."""
        return sum((counters.exec_seconds for key, counters in self.queries.items() if key.toplevel), 0.0)


@dataclass(frozen=True, slots=True)
class Usual:
    """What a query usually does."""

    counters: Counters
    highest_mean_seconds: float | None
    """Mean of its slowest window among those with calls enough to judge, of twenty or more the 95th percentile; None when
    there is none."""
    windows: int
    """In how many windows it was seen."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the queries of a database usually do: what a window is compared with."""

    since: datetime
    until: datetime
    windows: int
    queries: Mapping[QueryKey, Usual]
    window: str | None
    """Window that made it; None: provisional, of the windows that there are as long as no baseline was made."""

    @property
    def exec_seconds(self) -> float:
        """Execution time of all, as `Activity.exec_seconds`."""
        return sum((usual.counters.exec_seconds for key, usual in self.queries.items() if key.toplevel), 0.0)
