"""One function for each command that deletes backups: takes the environment and what was asked, gives a document.

Deleting needs the ops database: each deletion is between two rows of its ledger. Not here: the rule (backup/retention.py).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.history import list_recorded
from herald_pipelines.backup.keeping import delete_recorded, describe_decisions
from herald_pipelines.backup.retention import (
    Decision,
    Group,
    Left,
    find_left,
    plan_forgetting,
    plan_retention,
)
from herald_pipelines.backup.sweep import find_skew
from herald_pipelines.errors import HeraldError
from herald_pipelines.ledger import Ledger
from herald_pipelines.operations_backup import Bench, opened
from herald_pipelines.values import utc_now

Environ = Mapping[str, str]
Document = dict[str, Any]


def retention(environ: Environ, cwd: Path, *, yes: bool) -> Document:
    """Say what becomes of every backup of the platform; with `yes`, delete what goes, each between two ledger rows.

    Those that could not be deleted are named, and the others go.

    Raises:
        HeraldError: the ops database cannot be reached, which nothing is deleted without.
    """
    with opened(environ, cwd, server=True) as bench:
        place, settings, now = bench.place, bench.environment.settings, utc_now()
        catalog = read_catalog(place)
        with bench.environment.targets.ops("backup_retention").session() as session:
            recorded = list_recorded(session, place.platform, place.store.url)
        known = {Group(each.kind, each.name, each.host) for each in recorded}
        plan = plan_retention(catalog, settings.backup.retention, now, known=known, skew=find_skew(place))
        failed = _delete(bench, plan.doomed, now) if yes else []
        return {
            "done": yes,
            "backups": describe_decisions(plan.decisions),
            "doubts": [{"group": str(group), "reason": reason} for group, reason in plan.doubts],
            "left": [_describe_left(each) for each in find_left(catalog, settings.names(), place.host)],
            "failed": failed,
        }


def forget(environ: Environ, cwd: Path, *, database: str, yes: bool) -> Document:
    """Say which backups there are of a database that left the settings; with `yes`, delete them all but the held ones.

    Raises:
        UsageError: it has no backup of this host.
        GuardRefusal: it is in the settings.
        HeraldError: the ops database cannot be reached, which nothing is deleted without.
    """
    with opened(environ, cwd, server=True) as bench:
        place, now = bench.place, utc_now()
        decisions = plan_forgetting(
            read_catalog(place), database, bench.environment.settings.names(), place.host
        )
        doomed = [each for each in decisions if not each.keep]
        failed = _delete(bench, doomed, now) if yes else []
        return {"done": yes, "backups": describe_decisions(decisions), "failed": failed}


def _delete(bench: Bench, doomed: Iterable[Decision], now: datetime) -> list[Document]:
    """Delete backups; returns those that could not be, and why."""
    ops = bench.environment.targets.ops("backup_retention")
    identity, ledger = ops.identity(), Ledger(ops.writable())
    failed: list[Document] = []
    for each in doomed:
        try:
            delete_recorded(bench.place, each, ledger, identity, f"{now:%Y-%m-%d}", now=now, say=bench.say)
        except HeraldError as error:
            failed.append({"id": each.backup.manifest.id, "reason": error.message})
    return failed


def _describe_left(left: Left) -> Document:
    return {
        "name": left.name,
        "backups": left.backups,
        "newest_at": left.newest_at.isoformat(),
        "stored_bytes": left.stored_bytes,
    }
