"""Which partition is meant by a name: one within its grace, else one in the store. Pure."""

from collections.abc import Iterable, Mapping

from herald_pipelines.backup.facts import Scope
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.errors import UsageError, unknown_value
from herald_pipelines.partitions.facts import Lifecycle, Relation
from herald_pipelines.partitions.returning import Return

SHOWN = 12


def find_return(
    wanted: str,
    lifecycles: Iterable[Lifecycle],
    relations: Mapping[int, Relation],
    archives: Iterable[Backup],
) -> Return:
    """Return what is to be brought back.

    Args:
        wanted: schema.name of a partition, its name alone where that is plain, what it is called since it was detached, or
            the id of an archive.
        lifecycles: of the database.
        relations: tables that once were partitions, by oid.
        archives: of the database, oldest first.

    Raises:
        UsageError: there is none of that name, or several.
    """
    detached = [_detached(each, relations[each.oid]) for each in lifecycles if each.detach and each.oid in relations
                and not each.is_over and not relations[each.oid].is_partition]  # fmt: skip
    archived = [found for each in archives if (found := _archived(each)) is not None]
    by_id = [each for each in archived if each.backup and each.backup.manifest.id == wanted]
    if by_id:
        return by_id[0]
    for group in (detached, archived):
        matches = [each for each in group if wanted in _names(each)]
        names = sorted({each.name for each in matches})
        if len(names) > 1:
            raise UsageError(
                f"{wanted!r} may be several partitions (known: {', '.join(names)})", hint="say its schema too"
            )
        if matches:
            return matches[-1]
    known = list(dict.fromkeys(each.name for each in (*detached, *archived)))
    raise unknown_value(
        "detached or archived partition",
        wanted,
        known[-SHOWN:],
        hint="`herald partitions plan` shows the detached ones, `herald backup list` the archives",
    )


def _names(found: Return) -> set[str]:
    relation = found.relation
    return {found.name, found.own_name, *((relation.label, relation.name) if relation else ())}


def _detached(lifecycle: Lifecycle, relation: Relation) -> Return:
    said = lifecycle.detach or {}
    return Return(
        name=lifecycle.name,
        parent=said["parent"],
        bound=said["bound"],
        relation=relation,
        lifecycle=lifecycle,
        backup=None,
        rows=(lifecycle.archive or {}).get("rows"),
    )


def _archived(backup: Backup) -> Return | None:
    facts = backup.manifest.partition
    if facts is None or backup.missing or backup.proof(Scope.RESTORED) is None:
        return None
    return Return(
        name=f"{facts.schema_name}.{facts.attached_name}",
        parent=f"{facts.parent_schema}.{facts.parent_name}",
        bound=facts.bound,
        relation=None,
        lifecycle=None,
        backup=backup,
        rows=facts.rows,
    )
