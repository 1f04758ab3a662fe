"""Pure: which indexes to rebuild, in what order, and why the others are left alone. Not here: doing it."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from typing import Any

from herald_pipelines.database.indexes.bloat import BloatEstimate
from herald_pipelines.database.indexes.ddl import reindex_statement
from herald_pipelines.database.indexes.facts import IndexFacts
from herald_pipelines.database.indexes.verdicts import is_bloated
from herald_pipelines.settings.models import IndexSettings
from herald_pipelines.values import format_bytes, format_seconds

# REINDEX CONCURRENTLY reads the table twice: to build, and to add what was written meanwhile.
TABLE_READS = 2
# Slow disks read and sort this much; an estimate that is too long only defers, one too short overruns the
# budget.
READ_BYTES_PER_SECOND = 32 * 1024**2


@dataclass(frozen=True)
class RebuildLimits:
    """What a rebuild must be worth, and what it may take."""

    settings: IndexSettings
    """Thresholds, and how much disk a rebuild needs."""
    budget_seconds: float
    """For all rebuilds of a window together; what does not fit is deferred to the next."""
    free_disk_bytes: int | None
    """On the server's data volume; null when it cannot be known, see `disk.read_free_disk`."""
    read_bytes_per_second: float = READ_BYTES_PER_SECOND
    """Assumed speed of reading and sorting, for the estimated seconds."""

    @property
    def usable_disk_bytes(self) -> int:
        """Free disk space as measured, else as assumed."""
        return self.settings.assumed_free_disk_bytes if self.free_disk_bytes is None else self.free_disk_bytes


@dataclass(frozen=True)
class RebuildStep:
    """One index to rebuild."""

    oid: int
    schema: str
    table: str
    index: str
    table_oid: int
    relfilenode: int
    """Of the life of the index that was judged."""
    tuples: float | None
    size_bytes: int
    promised_bytes: int
    """What the rebuild is expected to reclaim."""
    ratio: float
    """Share of the index that is waste."""
    method: str
    """Of the bloat estimate."""
    order_score: float
    """Reclaimed bytes per byte read; the plan is in descending order."""
    disk_bytes: int
    """Space that must be free on the server."""
    estimated_seconds: float
    statement: str

    @property
    def name(self) -> str:
        """The qualified name of the index."""
        return f"{self.schema}.{self.index}"

    def evidence(self) -> dict[str, Any]:
        """Return what the ledger keeps of why the index is rebuilt."""
        return {
            "size_bytes": self.size_bytes,
            "promised_bytes": self.promised_bytes,
            "bloat_ratio": self.ratio,
            "bloat_method": self.method,
            "estimated_seconds": self.estimated_seconds,
            "statement": self.statement,
        }


@dataclass(frozen=True)
class SkippedIndex:
    """One index that ought to be rebuilt, or mended, and is not."""

    oid: int
    schema: str
    table: str
    index: str
    size_bytes: int
    promised_bytes: int | None
    ratio: float | None
    method: str | None
    reason: str

    @property
    def name(self) -> str:
        """The qualified name of the index."""
        return f"{self.schema}.{self.index}"


@dataclass(frozen=True)
class RebuildPlan:
    """The rebuilds of one window, in order, and what was left out. Indexes that are well are in neither."""

    steps: tuple[RebuildStep, ...]
    skipped: tuple[SkippedIndex, ...]

    @property
    def promised_bytes(self) -> int:
        """What the whole plan is expected to reclaim."""
        return sum(step.promised_bytes for step in self.steps)

    @property
    def estimated_seconds(self) -> float:
        """How long the whole plan is expected to take."""
        return sum(step.estimated_seconds for step in self.steps)

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON-able values."""
        return asdict(self) | {
            "promised_bytes": self.promised_bytes,
            "estimated_seconds": self.estimated_seconds,
        }


def plan_rebuilds(
    facts: Sequence[IndexFacts],
    bloat: Mapping[int, BloatEstimate],
    limits: RebuildLimits,
    *,
    building: AbstractSet[int] = frozenset(),
) -> RebuildPlan:
    """Plan the rebuilds of a database: most reclaimed bytes per byte read first, while the budget lasts.

    A partitioned index holds no data; its partitions are planned one by one. Once an index does not fit the
    budget, smaller ones further down may still.

    Args:
        facts: all indexes of the database.
        bloat: by oid of the index; one without an entry was not estimated and is left alone.
        limits: thresholds, budget and disk space.
        building: oids of indexes that CREATE INDEX or REINDEX is working on.
    """
    wanted: list[tuple[RebuildStep, IndexFacts, BloatEstimate]] = []
    skipped: list[SkippedIndex] = []
    for index in facts:
        estimate = bloat.get(index.oid)
        if index.is_partitioned or (index.is_valid and not is_bloated(index, estimate, limits.settings)):
            continue
        reason = _refusal(index, estimate, limits, building)
        if reason is not None:
            skipped.append(_skip(index, estimate, reason))
        elif estimate is not None:
            wanted.append((_step(index, estimate, limits), index, estimate))
    steps: list[RebuildStep] = []
    left_seconds = limits.budget_seconds
    for step, index, estimate in sorted(wanted, key=lambda each: (-each[0].order_score, each[0].oid)):
        if step.estimated_seconds > left_seconds:
            skipped.append(_skip(index, estimate, _deferral(step, left_seconds, limits)))
            continue
        left_seconds -= step.estimated_seconds
        steps.append(step)
    return RebuildPlan(tuple(steps), tuple(sorted(skipped, key=lambda each: each.oid)))


def _refusal(
    index: IndexFacts, estimate: BloatEstimate | None, limits: RebuildLimits, building: AbstractSet[int]
) -> str | None:
    """Return why an index that needs attention is not rebuilt, or None."""
    if index.oid in building:
        return "it is being built"
    if not index.is_valid:
        return (
            "it is not valid: what a rebuild of ours left is dropped, anything else is for a person to mend"
        )
    if index.is_exclusion:
        return "it enforces an exclusion constraint, which PostgreSQL cannot rebuild concurrently"
    if (
        estimate is not None
        and not estimate.confirmed
        and estimate.ratio - estimate.error_bound <= limits.settings.bloat_threshold
    ):
        error = f"within {estimate.error_bound:.0%} by {estimate.method}"
        return f"its bloat is an estimate {error}, not confirmed"
    need = _disk_need(index, limits)
    if need > limits.usable_disk_bytes:
        known = (
            "free" if limits.free_disk_bytes is not None else "assumed to be free, for it cannot be measured"
        )
        return (
            f"it needs {format_bytes(need)} of disk and {format_bytes(limits.usable_disk_bytes)} are {known}"
        )
    return None


def _step(index: IndexFacts, estimate: BloatEstimate, limits: RebuildLimits) -> RebuildStep:
    read_bytes = TABLE_READS * index.table_bytes
    new_bytes = max(index.size_bytes - estimate.bloat_bytes, 0)
    return RebuildStep(
        oid=index.oid,
        schema=index.schema,
        table=index.table,
        index=index.name,
        table_oid=index.table_oid,
        relfilenode=index.relfilenode,
        tuples=index.tuples,
        size_bytes=index.size_bytes,
        promised_bytes=estimate.bloat_bytes,
        ratio=estimate.ratio,
        method=estimate.method,
        order_score=estimate.bloat_bytes / max(read_bytes, 1),
        disk_bytes=_disk_need(index, limits),
        # The new index is written once and read once more to find what it lacks.
        estimated_seconds=(read_bytes + 2 * new_bytes) / limits.read_bytes_per_second,
        statement=reindex_statement(index),
    )


def _skip(index: IndexFacts, estimate: BloatEstimate | None, reason: str) -> SkippedIndex:
    return SkippedIndex(
        oid=index.oid,
        schema=index.schema,
        table=index.table,
        index=index.name,
        size_bytes=index.size_bytes,
        promised_bytes=estimate.bloat_bytes if estimate else None,
        ratio=estimate.ratio if estimate else None,
        method=estimate.method if estimate else None,
        reason=reason,
    )


def _deferral(step: RebuildStep, left_seconds: float, limits: RebuildLimits) -> str:
    seconds = format_seconds(step.estimated_seconds)
    if step.estimated_seconds > limits.budget_seconds:
        budget = format_seconds(limits.budget_seconds)
        return f"it takes about {seconds}, more than the whole budget of {budget}"
    return f"deferred: it takes about {seconds} and {format_seconds(left_seconds)} of the budget are left"


def _disk_need(index: IndexFacts, limits: RebuildLimits) -> int:
    return round(index.size_bytes * limits.settings.free_disk_factor)
