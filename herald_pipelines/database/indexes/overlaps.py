"""Pure: which indexes another index of the same table makes superfluous. Not here: whether anybody uses them.

An index is covered when another one holds the same entries in the same order (duplicate), or its keys are
the first keys of another b-tree (redundant). Out of indexes that cover each other exactly one is kept, so
that dropping every victim at once still leaves the keys of each one covered.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from herald_pipelines.database.indexes.facts import IndexFacts


@dataclass(frozen=True)
class Overlap:
    """One superfluous index and the one to keep in its place."""

    victim: IndexFacts
    keeper: IndexFacts
    is_duplicate: bool
    """Same keys and columns; otherwise the victim is a prefix, or lacks INCLUDE columns that the keeper
    has.
    """


def protection(index: IndexFacts) -> str | None:
    """Return why an index must not be proposed for dropping, or None when it may be."""
    reasons = (
        (index.is_primary, "it is the primary key"),
        (index.is_exclusion, "it enforces an exclusion constraint"),
        (index.constraint is not None, f"it enforces the constraint {index.constraint}"),
        (index.is_replica_identity, "it is the replica identity of its table"),
        (index.is_clustered, "its table is clustered on it"),
        (index.referenced_by_foreign_key, "a foreign key refers to it"),
        (index.parent_oid is not None, "it belongs to a partitioned index, which is judged as a whole"),
        (not (index.is_valid and index.is_ready), "it is not valid"),
        (index.definition is None, "its table is locked, so that its definition could not be read"),
    )
    return next((reason for applies, reason in reasons if applies), None)


def find_overlaps(
    facts: Iterable[IndexFacts], *, ignored: frozenset[int] = frozenset()
) -> tuple[Overlap, ...]:
    """Return every superfluous index with the index that stays in its place.

    Args:
        facts: the indexes of one database.
        ignored: oids that take no part, for instance because they are being built.

    Returns:
        Each victim once, ordered by its oid. No keeper is a victim, and no protected index is a victim.
    """
    groups: dict[tuple[object, ...], list[IndexFacts]] = defaultdict(list)
    for index in facts:
        if index.is_valid and index.is_ready and index.oid not in ignored:
            groups[(index.table_oid, index.access_method, index.predicate, index.key_signature[:1])].append(
                index
            )
    found = [overlap for group in groups.values() if len(group) > 1 for overlap in _overlaps_of_group(group)]
    return tuple(sorted(found, key=lambda overlap: overlap.victim.oid))


def covers(keeper: IndexFacts, victim: IndexFacts) -> bool:
    """Whether the keeper serves every scan, and enforces every rule, that the victim does.

    A scan in the other direction is not counted: (a DESC) beside (a) could serve it, but not next to
    further keys. The relation is transitive, which `find_overlaps` relies on.
    """
    if (keeper.table_oid, keeper.access_method, keeper.predicate) != (
        victim.table_oid,
        victim.access_method,
        victim.predicate,
    ):
        return False
    same_keys = keeper.key_signature == victim.key_signature
    if keeper.access_method == "btree":
        if keeper.key_signature[: len(victim.keys)] != victim.key_signature:
            return False
    elif not same_keys or _storage(keeper) != _storage(victim):
        # Operator class parameters and storage parameters make a GiST, GIN or BRIN index another index.
        return False
    columns = {*keeper.included, *(key.definition for key in keeper.keys if key.attnum)}
    if not columns.issuperset(victim.included):
        return False
    if not victim.is_unique:
        return True
    return (
        same_keys
        and keeper.is_unique
        and keeper.is_immediate
        and keeper.nulls_not_distinct == victim.nulls_not_distinct
    )


def _overlaps_of_group(group: list[IndexFacts]) -> Iterable[Overlap]:
    beaten_by = {
        victim.oid: [keeper for keeper in group if _beats(keeper, victim)]
        for victim in group
        if protection(victim) is None
    }
    victims = {oid for oid, keepers in beaten_by.items() if keepers}
    for victim in group:
        if victim.oid in victims:
            # Beating is a strict order, so its maxima are no victims and one of them covers each victim.
            stay = [keeper for keeper in beaten_by[victim.oid] if keeper.oid not in victims]
            keeper = min(stay, key=lambda each: (not _is_duplicate(each, victim), _rank(each)))
            yield Overlap(victim, keeper, _is_duplicate(keeper, victim))


def _beats(keeper: IndexFacts, victim: IndexFacts) -> bool:
    if keeper.oid == victim.oid or not covers(keeper, victim):
        return False
    return not covers(victim, keeper) or _rank(keeper) < _rank(victim)


def _rank(index: IndexFacts) -> tuple[bool, bool, int, int]:
    """Order of preference for staying: what cannot be dropped, what enforces uniqueness, few columns, age."""
    return (protection(index) is None, not index.is_unique, len(index.keys) + len(index.included), index.oid)


def _is_duplicate(keeper: IndexFacts, victim: IndexFacts) -> bool:
    return keeper.key_signature == victim.key_signature and set(keeper.included) == set(victim.included)


def _storage(index: IndexFacts) -> str:
    """Everything after USING in the definition: keys with their parameters, INCLUDE, WITH, WHERE."""
    return (index.definition or "").partition(" USING ")[2]
