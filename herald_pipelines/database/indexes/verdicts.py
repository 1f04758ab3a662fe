"""Pure: what is wrong with each index, why, and the DDL that a person may run. Nothing here is ever executed.

Not here: reading the facts (store.py), how much of an index is waste (bloat.py), what is rebuilt and when
(plan.py).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from herald_pipelines.database.indexes.bloat import BloatEstimate
from herald_pipelines.database.indexes.btree_build import PAGE_BYTES
from herald_pipelines.database.indexes.ddl import (
    create_statement,
    drop_statement,
    is_leftover_name,
    reindex_statement,
)
from herald_pipelines.database.indexes.facts import IndexFacts
from herald_pipelines.database.indexes.overlaps import Overlap, find_overlaps, protection
from herald_pipelines.settings.models import IndexSettings
from herald_pipelines.values import format_bytes

# A scan that returns a tenth of a table costs about as much as reading all of it: random_page_cost is 4 and
# the rows of one value are spread over the pages. An index of so few values cannot do better on average.
FEW_VALUES = 10
LARGE_SHARE = 0.1
# What our own confirmations of bloat add to an index's block reads: at most two analyses a day read it twice each
# (pgstatindex, pgstattuple), and no counter tells them from the reads of others.
OWN_READS_PER_DAY = 4
# Less than a day is no sample of what a database does.
SHORTEST_SAMPLE_DAYS = 1
TOO_YOUNG = "too young to judge its use"


class VerdictKind(StrEnum):
    """What can be wrong with an index."""

    UNUSED = "unused"
    DUPLICATE = "duplicate"
    REDUNDANT = "redundant"
    INEFFICIENT = "inefficient"
    INVALID = "invalid"
    BLOATED = "bloated"


@dataclass(frozen=True)
class UsageWindow:
    """What happened to an index on the primary and every replica, in the time that our snapshots cover."""

    scans: int
    days: float
    """Length of that time; it begins anew when a server loses its counters."""
    blocks_hit: int
    blocks_read: int
    tuples_read: int
    table_scans: int
    """Scans of the table by whatever way."""
    was_reset: bool
    """Its own counters could not be compared over that time, so the window is shorter than that of the others."""


@dataclass(frozen=True)
class Verdict:
    """One thing that is wrong with an index."""

    kind: VerdictKind
    reason: str
    covered_by: str | None = None
    """Duplicate and redundant: the qualified name of the index that stays."""
    ddl: str | None = None
    """What a person may run; null when no single statement mends it."""
    inverse_ddl: str | None = None
    """What undoes the DDL; null when there is nothing to undo."""


@dataclass(frozen=True)
class IndexVerdicts:
    """All that was found out about one index."""

    oid: int
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    """Why something was not judged or not proposed: too young, protected, nobody reads the table."""

    @property
    def is_too_young(self) -> bool:
        """Whether no scan of it is known, and it may be called unused once its use is known for long enough."""
        return any(note.startswith(TOO_YOUNG) for note in self.notes)


def judge(
    facts: Sequence[IndexFacts],
    usage: Mapping[int, UsageWindow],
    bloat: Mapping[int, BloatEstimate],
    settings: IndexSettings,
    now: datetime,
    *,
    building: AbstractSet[int] = frozenset(),
) -> tuple[IndexVerdicts, ...]:
    """Judge every index of a database.

    Args:
        facts: all its indexes; partitions of an index are judged with their parent.
        usage: by oid; an index without an entry has no history yet.
        bloat: by oid; an index without an entry was not estimated.
        settings: thresholds.
        now: the time of the facts.
        building: oids of indexes that CREATE INDEX or REINDEX is working on: not valid yet, and not to be
            judged.

    Returns:
        One entry per index, in the order of the facts. Dropping everything that is proposed leaves each
        scan that was seen with an index for it, because an index that covers a dropped one is not proposed
        itself.
    """
    overlaps = {overlap.victim.oid: overlap for overlap in find_overlaps(facts, ignored=frozenset(building))}
    keepers = _keepers(facts, overlaps.values())
    leaves = _leaves(facts)
    judged: list[IndexVerdicts] = []
    for index in facts:
        if index.oid in building:
            judged.append(IndexVerdicts(index.oid, (), ("it is being built",)))
            continue
        if not index.is_valid:
            judged.append(IndexVerdicts(index.oid, (_find_invalid(index),), ()))
            continue
        unused, note = _find_unused(index, leaves.get(index.oid, ()), usage, settings, now)
        if unused is not None and index.oid in keepers:
            victim = _name(keepers[index.oid])
            unused, note = None, f"unused, but it serves the scans of {victim} once that is dropped"
        found = (
            _find_overlap(index, overlaps.get(index.oid)),
            unused,
            _find_inefficient(index, usage.get(index.oid), settings),
            _find_bloat(index, bloat.get(index.oid), settings),
        )
        verdicts = tuple(verdict for verdict in found if verdict is not None)
        judged.append(IndexVerdicts(index.oid, verdicts, (note,) if note else ()))
    return tuple(judged)


def is_bloated(index: IndexFacts, estimate: BloatEstimate | None, settings: IndexSettings) -> bool:
    """Whether more of an index is waste than the threshold allows, and the index is worth the trouble."""
    return (
        estimate is not None
        and index.size_bytes >= settings.min_size_bytes
        and estimate.ratio > settings.bloat_threshold
    )


def _find_invalid(index: IndexFacts) -> Verdict:
    if index.is_partitioned:
        reason = "a partition has no valid index attached to it: make one there and ATTACH it"
        return Verdict(VerdictKind.INVALID, reason)
    cost = "every write still maintains it" if index.is_ready else "it takes up space"
    if is_leftover_name(index.name):
        reason = f"named as an interrupted REINDEX CONCURRENTLY leaves its copy: no query uses it and {cost}"
        return Verdict(VerdictKind.INVALID, reason, None, drop_statement(index), create_statement(index))
    reason = f"its build did not finish: no query uses it and {cost}"
    if index.is_unique:
        reason += "; rows that are not unique may be the cause"
    return Verdict(VerdictKind.INVALID, reason, None, reindex_statement(index))


def _find_overlap(index: IndexFacts, overlap: Overlap | None) -> Verdict | None:
    if overlap is None:
        return None
    name = _name(overlap.keeper)
    if overlap.is_duplicate:
        kind, reason = VerdictKind.DUPLICATE, f"{name} has the same keys and columns"
    elif index.key_signature == overlap.keeper.key_signature:
        kind, reason = VerdictKind.REDUNDANT, f"{name} has the same keys and further columns"
    else:
        kind, reason = VerdictKind.REDUNDANT, f"its keys are the first keys of {name}"
    return Verdict(kind, reason + _drop_warning(index), name, drop_statement(index), create_statement(index))


def _find_unused(  # noqa: PLR0911 - one return a rule
    index: IndexFacts,
    leaves: Sequence[IndexFacts],
    usage: Mapping[int, UsageWindow],
    settings: IndexSettings,
    now: datetime,
) -> tuple[Verdict | None, str | None]:
    """Return the verdict, or why there is none although no scan was seen; neither when the index is in use.

    A single scan counts as use, although planning alone can cause one: EXPLAIN of a range may look up the
    end of an index.
    """
    members = leaves if index.is_partitioned else (index,)
    windows = [usage[member.oid] for member in members if member.oid in usage]
    if any(window.scans for window in windows):
        return None, None
    protected = protection(index) or (
        "it enforces uniqueness"
        if index.is_unique
        else f"the foreign key {index.supports_foreign_key} needs it when referenced rows change"
        if index.supports_foreign_key
        else None
    )
    own = usage.get(index.oid)
    # A partition made last week shortens nobody's window; one whose counters were reset does.
    days = min((own.days if own else 0.0, *(each.days for each in windows if each.was_reset)))
    if len(windows) < len(members) or days < settings.usage_window_days:
        if protected or any(member.usage.scans for member in members):
            return None, None
        return None, f"{TOO_YOUNG}: {days:.1f} of {settings.usage_window_days} days are known"
    since = now - timedelta(days=days)
    # Uses that the difference of two snapshots misses: one that the server dates itself, and those of a partition
    # from before its first snapshot.
    if any(
        (each.usage.last_scan_at and each.usage.last_scan_at >= since)
        or (each.usage.scans and usage[each.oid].days < days)
        for each in members
    ):
        return None, None
    if not any(window.table_scans for window in windows):
        return None, "not judged: nobody read its table either"
    if protected:
        return None, f"not scanned in {days:.0f} days, and not proposed: {protected}"
    size = format_bytes(sum(member.size_bytes for member in members))
    reason = (
        f"not scanned in {days:.0f} days on the primary or a named replica, while its table was read;"
        f" it takes {size}"
    )
    return (
        Verdict(
            VerdictKind.UNUSED,
            reason + _drop_warning(index),
            None,
            drop_statement(index),
            create_statement(index),
        ),
        None,
    )


def _find_inefficient(
    index: IndexFacts, window: UsageWindow | None, settings: IndexSettings
) -> Verdict | None:
    """Return a verdict for an index that is mostly read from disk, or whose scans return much of the table.

    idx_tup_fetch / idx_tup_read, the seed's hit rate, is not used: it tells how many entries were fetched
    by plain index scans, so it is 0 for an index that serves bitmap or index-only scans perfectly. The
    seed's thresholds fit block reads: below half of them in shared buffers, the index is too large or too
    seldom used to stay there. No DDL follows: more memory, a rebuild, a partial index or another query may
    be the cure.
    """
    scans, tuples_read = index.usage.scans, index.usage.tuples_read
    hit, read, days = index.usage.blocks_hit, index.usage.blocks_read, 0.0
    since = "since the last reset"
    if window is not None and window.days >= SHORTEST_SAMPLE_DAYS:
        scans, tuples_read, hit, read = (
            window.scans,
            window.tuples_read,
            window.blocks_hit,
            window.blocks_read,
        )
        days, since = window.days, f"in {window.days:.0f} days"
    read -= round(OWN_READS_PER_DAY * (days + 1) * index.size_bytes / PAGE_BYTES)
    reasons: list[str] = []
    if (
        scans
        and read > settings.inefficient_min_blocks
        and hit / (hit + read) < settings.inefficient_hit_ratio
    ):
        reasons.append(
            f"{hit / (hit + read):.0%} of its blocks were found in shared buffers, with {read} reads {since}"
        )
    values = index.keys[0].n_distinct if len(index.keys) == 1 and not index.predicate else None
    if (
        values is not None
        and 0 < values <= FEW_VALUES
        and not index.is_unique
        and scans
        and index.table_tuples
    ):
        share = tuples_read / scans / index.table_tuples
        if share >= LARGE_SHARE:
            reasons.append(
                f"a scan returns {min(share, 1):.0%} of the table on average, its key has {values:.0f} values"
            )
    return Verdict(VerdictKind.INEFFICIENT, "; ".join(reasons)) if reasons else None


def _find_bloat(index: IndexFacts, estimate: BloatEstimate | None, settings: IndexSettings) -> Verdict | None:
    if estimate is None or not is_bloated(index, estimate, settings):
        return None
    sure = "" if estimate.confirmed else ", not confirmed"
    waste = f"{estimate.ratio:.0%} of it ({format_bytes(estimate.bloat_bytes)})"
    reason = f"{waste} is waste by {estimate.method}{sure}"
    return Verdict(VerdictKind.BLOATED, reason, None, reindex_statement(index))


def _drop_warning(index: IndexFacts) -> str:
    warnings: list[str] = []
    if any(key.attnum == 0 for key in index.keys):
        warnings.append("dropping it also drops the statistics on its expression")
    if index.is_partitioned:
        warnings.append("dropping it locks the table and its partitions, for it cannot be done concurrently")
    return "".join(f"; {warning}" for warning in warnings)


def _keepers(facts: Sequence[IndexFacts], overlaps: Iterable[Overlap]) -> dict[int, IndexFacts]:
    """Return a victim by the oid of each index that must stay for it: the keeper, and what it is part of."""
    parents = {index.oid: index.parent_oid for index in facts}
    keepers: dict[int, IndexFacts] = {}
    for overlap in overlaps:
        oid: int | None = overlap.keeper.oid
        while oid is not None:
            keepers[oid] = overlap.victim
            oid = parents.get(oid)
    return keepers


def _leaves(facts: Sequence[IndexFacts]) -> dict[int, list[IndexFacts]]:
    """Return the indexes that hold the data of each partitioned index, below sub-partitions too."""
    children: dict[int, list[IndexFacts]] = defaultdict(list)
    for index in facts:
        if index.parent_oid is not None:
            children[index.parent_oid].append(index)

    def below(oid: int) -> list[IndexFacts]:
        return [
            leaf
            for child in children.get(oid, ())
            for leaf in (below(child.oid) if child.is_partitioned else [child])
        ]

    return {index.oid: below(index.oid) for index in facts if index.is_partitioned}


def _name(index: IndexFacts) -> str:
    return f"{index.schema}.{index.name}"
