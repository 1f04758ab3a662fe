"""Which backup is meant: by id, `latest`, `latest-proven`, or a moment. Pure."""

from datetime import UTC, datetime

from herald_pipelines.backup.facts import MANIFEST, Kind, Scope, is_backup_id
from herald_pipelines.backup.inventory import Backup, Catalog
from herald_pipelines.errors import PermanentFailure, UsageError, unknown_value

LATEST, LATEST_PROVEN = "latest", "latest-proven"
SHOWN = 10


def select_backup(catalog: Catalog, wanted: str, kind: Kind, name: str | None, *, host: str) -> Backup:
    """Return the backup that is meant.

    Args:
        catalog: all there are.
        wanted: an id; `latest`; `latest-proven`: the newest that was restored and compared; or a moment, such as
            2026-11-24 or 2026-11-24T02:30 (UTC): the newest that began before it.
        kind: of what.
        name: of which database; needed where there are backups of several.
        host: whose backups come first: where it has some of these, those of others are not meant by anything but an id.

    Raises:
        PermanentFailure: what there is of it is not to be trusted.
        UsageError: there is none, several databases or hosts are meant, or the text is none of these.
    """
    found = [each for each in catalog.of(kind) if not each.missing]
    if is_backup_id(wanted):
        named = find_backup(catalog, wanted)
        if named.manifest.kind is not kind:
            raise UsageError(f"{wanted} is a backup of kind {named.manifest.kind}, not {kind}")
        if name not in (None, named.manifest.name):
            raise UsageError(f"{wanted} is a backup of {named.manifest.name}, not of {name}")
        return named
    moment = None if wanted in (LATEST, LATEST_PROVEN) else _read_moment(wanted)
    found = _of_one_host(found, kind, name, host)
    names = sorted({each.manifest.name for each in found})
    distrust = _say_distrust(catalog)
    if name is not None and name not in names:
        raise unknown_value("database with a backup", name, names, hint=distrust)
    if name is None and len(names) > 1:
        raise UsageError(
            f"{wanted!r} may be of several databases (known: {', '.join(names)})",
            hint="say which: --database NAME",
        )
    if wanted == LATEST:
        chosen, what = found, "backup"
    elif wanted == LATEST_PROVEN:
        chosen, what = [each for each in found if each.proof(Scope.RESTORED)], "proven backup"
    else:
        chosen, what = (
            [each for each in found if moment is not None and each.manifest.started_at <= moment],
            f"backup before {wanted}",
        )
    chosen = [each for each in chosen if name in (None, each.manifest.name)]
    if not chosen:
        raise UsageError(
            f"there is no {what} of {name or kind}",
            hint=distrust or "`herald backup list` shows all there are",
        )
    return chosen[-1]


def find_backup(catalog: Catalog, backup_id: str) -> Backup:
    """Return a backup by its id.

    Raises:
        PermanentFailure: what there is of it is not to be trusted.
        UsageError: there is none.
    """
    for backup in catalog.backups:
        if backup.manifest.id == backup_id:
            return backup
    for problem in catalog.problems:
        if problem.key.endswith(f"/{backup_id}/{MANIFEST}"):
            raise PermanentFailure(
                f"backup {backup_id} cannot be used: its manifest {problem.reason}",
                hint="the keys of all backups that are kept stay in the settings, behind the new one",
            )
    known = [each.manifest.id for each in catalog.backups[-SHOWN:]]
    raise unknown_value("backup", backup_id, known, hint="`herald backup list` shows all")


def _of_one_host(found: list[Backup], kind: Kind, name: str | None, host: str) -> list[Backup]:
    """Return those of a host; where it has none, those of the only other one that has.

    Raises:
        UsageError: several others have some. Another host's files or database are not restored by guessing.
    """
    hosts = sorted({each.manifest.host for each in found if name in (None, each.manifest.name)})
    if len(hosts) > 1 and host not in hosts:
        raise UsageError(
            f"backups of {name or kind} are of several hosts (known: {', '.join(hosts)}), and none of {host}",
            hint="say whose: backup.host in herald.yaml, or the id of a backup",
        )
    return [each for each in found if host not in hosts or each.manifest.host == host]


def _say_distrust(catalog: Catalog) -> str | None:
    """Return what keeps backups of the store from being seen, such as a key that is not the one of the settings."""
    untrusted = [each for each in catalog.problems if each.key.endswith(f"/{MANIFEST}")]
    if not untrusted:
        return None
    return (
        f"{len(untrusted)} manifests in the store are not trusted: {untrusted[-1].key} {untrusted[-1].reason}"
        " (`herald backup list` shows all)"
    )


def _read_moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is no backup (known: an id, {LATEST}, {LATEST_PROVEN}, or a moment)",
            hint="such as 2026-11-24T02:30; `herald backup list` shows the ids",
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
