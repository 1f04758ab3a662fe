"""Which partition is meant by a name: one within its grace, else one in the store. Pure."""

from collections.abc import Iterable, Mapping

from herald_pipelines.backup.facts import Scope
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.errors import GuardRefusal, UsageError, unknown_value
from herald_pipelines.partitions.facts import Lifecycle, Relation
from herald_pipelines.partitions.returning import Return

SHOWN = 12


def find_detached(
    wanted: str, lifecycles: Iterable[Lifecycle], relations: Mapping[int, Relation]
) -> Return | None:
    """Return the detached table that is to be attached again; None: there is none of that name.

    Args:
        wanted: schema.name of a partition, its name alone where that is plain, or what it is called since it was detached.
        lifecycles: of the database.
        relations: tables that once were partitions, by oid.

    Raises:
        UsageError: there are several.
    """
    return _newest(wanted, [each for each in list_detached(lifecycles, relations) if wanted in _names(each)])


def list_detached(lifecycles: Iterable[Lifecycle], relations: Mapping[int, Relation]) -> list[Return]:
    """Return what is detached and there still."""
    return [_detached(each, relations[each.oid]) for each in lifecycles if each.detach and each.oid in relations
            and not each.is_over and not relations[each.oid].is_partition]  # fmt: skip


def find_archived(
    wanted: str, archives: Iterable[Backup], system_identifier: str, detached: Iterable[Return] = ()
) -> Return:
    """Return what is to be restored.

    Args:
        wanted: schema.name of a partition, its name alone where that is plain, or the id of an archive.
        archives: of the database, oldest first.
        system_identifier: of its server.
        detached: what could have been meant too, for the error.

    Raises:
        UsageError: there is none of that name, several, or one of another server alone: then an id says which.
        GuardRefusal: the archive of that id is not proven.
    """
    archives = list(archives)
    for each in archives:
        if each.manifest.id == wanted:
            return _of_id(each)
    archived = [
        _archived(each) for each in archives if not each.missing and each.proof(Scope.RESTORED) is not None
    ]
    matches = [each for each in archived if wanted in _names(each)]
    own = [each for each in matches if _system(each) == system_identifier]
    if matches and not own:
        raise UsageError(
            f"the archives of {wanted!r} are of another server: {_list(matches)}", hint="name one by its id"
        )
    found = _newest(wanted, own)
    if found is None:
        known = list(dict.fromkeys(each.name for each in (*detached, *archived)))
        raise unknown_value(
            "detached or archived partition",
            wanted,
            known[-SHOWN:],
            hint="`herald partitions plan` shows the detached ones, `herald backup list` the archives",
        )
    if len({_oid(each) for each in own}) > 1:
        raise UsageError(
            f"there were several partitions {wanted!r}: {_list(own)}", hint="name the archive by its id"
        )
    return found


def _newest(wanted: str, matches: list[Return]) -> Return | None:
    names = sorted({each.name for each in matches})
    if len(names) > 1:
        raise UsageError(
            f"{wanted!r} may be several partitions (known: {', '.join(names)})", hint="say its schema too"
        )
    return matches[-1] if matches else None


def _of_id(backup: Backup) -> Return:
    if backup.manifest.partition is None:
        raise UsageError(f"{backup.manifest.id} is no archive of a partition")
    if backup.missing or backup.proof(Scope.RESTORED) is None:
        failed = next((each.reason for each in reversed(backup.proofs) if not each.passed), None)
        why = f"it lacks {backup.missing[0]}" if backup.missing else failed or "it was never restored"
        raise GuardRefusal(
            f"{backup.manifest.id} is not proven: {why}",
            hint=f"`herald backup verify {backup.manifest.id} --kind partition --deep` looks again",
        )
    return _archived(backup)


def _list(found: Iterable[Return]) -> str:
    return ", ".join(
        f"{each.backup.manifest.id} ({each.rows} rows, {each.backup.manifest.started_at:%Y-%m-%d %H:%M})"
        for each in found
        if each.backup
    )


def _system(found: Return) -> str | None:
    database = found.backup.manifest.database if found.backup else None
    return database.system_identifier if database else None


def _oid(found: Return) -> int | None:
    facts = found.backup.manifest.partition if found.backup else None
    return facts.oid if facts else None


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


def _archived(backup: Backup) -> Return:
    facts = backup.manifest.partition
    assert facts is not None  # noqa: S101 - archives of partitions have them
    return Return(
        name=f"{facts.schema_name}.{facts.attached_name}",
        parent=f"{facts.parent_schema}.{facts.parent_name}",
        bound=facts.bound,
        relation=None,
        lifecycle=None,
        backup=backup,
        rows=facts.rows,
    )
