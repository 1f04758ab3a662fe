"""One function for `herald restore` and `herald drill`: takes the environment and what was asked, gives a document.

They work where the ops database is gone too: the store, the key and a server are enough. Not here: parsing (cli_backup.py).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.drill import Drilled, drill_backup, write_report
from herald_pipelines.backup.facts import Kind
from herald_pipelines.backup.recovery import recover, resume_recovery, undo_recovery
from herald_pipelines.backup.recovery_plan import Mode, Wish, plan_recovery, plan_undo, reach_of
from herald_pipelines.backup.selection import LATEST, select_backup
from herald_pipelines.console_backup import describe_plan
from herald_pipelines.errors import GuardRefusal, UsageError, unknown_value
from herald_pipelines.operations_backup import opened
from herald_pipelines.values import utc_now

Environ = Mapping[str, str]
Document = dict[str, Any]


def restore(environ: Environ, cwd: Path, wish: Wish, *, yes: bool) -> tuple[Document, int]:
    """Plan a recovery, and do it when `yes`. Returns the document and the exit code: 3 where the plan refuses.

    Raises:
        HeraldError: it could not be planned, or a part of it failed.
    """
    with opened(environ, cwd, server=True) as bench:
        settings, now = bench.environment.settings.backup, utc_now()
        reach = reach_of(bench.environment.settings, bench.environment.targets)
        plan = plan_recovery(bench.place, wish, reach, settings, now=now)
        document: Document = {**plan.document(), "done": False, "results": []}
        if plan.refusals:
            return document, GuardRefusal.exit_code
        if not yes:
            return document, 0
        for line in describe_plan(document):
            bench.say(line)
        results = recover(bench.place, plan, reach, settings, now=now, say=bench.say)
        return {**document, "done": True, "results": results["parts"]}, 0


def resume(environ: Environ, cwd: Path, *, discard: bool) -> Document:
    """Go on with an interrupted recovery, or start its services and forget it: that works without the store."""
    with opened(environ, cwd, server=True, check=False) as bench:
        settings = bench.environment.settings
        reach = reach_of(settings, bench.environment.targets)
        done = resume_recovery(
            bench.place, reach, settings.backup, now=utc_now(), say=bench.say, discard=discard
        )
    return {"mode": done["mode"], "done": not discard, "results": done["parts"]}


def undo(environ: Environ, cwd: Path, *, mode: Mode, database: str | None, yes: bool) -> Document:
    """Give a database, or a tree of files, back what a restore had replaced; the store is not asked."""
    with opened(environ, cwd, server=True, check=False) as bench:
        settings, place = bench.environment.settings, bench.place
        reach = reach_of(settings, bench.environment.targets)
        document: Document = {
            "mode": mode.value,
            "done": yes,
            "undoes": plan_undo(place, reach, mode, database),
            "results": [],
        }
        if yes:
            done = undo_recovery(place, reach, settings.backup, mode, database, now=utc_now(), say=bench.say)
            document["results"] = [done]
        return document


def drill(environ: Environ, cwd: Path, *, database: str | None, dry_run: bool) -> tuple[Document, int]:
    """Drill with the newest backups now, beside the calendar; returns the report and the exit code.

    A dry run says which ones it would be.
    """
    with opened(environ, cwd, server=True) as bench:
        settings, place, now = bench.environment.settings, bench.place, utc_now()
        catalog = read_catalog(place)
        mine = catalog.of_host(place.host)
        names = {each.manifest.name for each in mine if each.manifest.kind is Kind.DATABASE}
        if database is not None and database not in names:
            raise unknown_value("database with a backup", database, names)
        wanted = sorted(
            {(each.manifest.kind, each.manifest.name) for each in mine},
            key=lambda each: (list(Kind).index(each[0]), each[1]),
        )
        if database is not None:
            wanted = [(Kind.DATABASE, database)]
        if not wanted:
            raise UsageError("there is no backup to drill with", hint="make one: herald backup create")
        backups = [select_backup(catalog, LATEST, kind, name, host=place.host) for kind, name in wanted]
        drilled: list[Drilled] = []
        for backup in () if dry_run else backups:
            drilled.append(drill_backup(place, backup, settings.backup, now=now, say=bench.say))
            bench.record(backup.manifest, drilled[-1].proof)
        report = None
        if not dry_run:
            report = write_report(
                place, drilled, settings.backup.objectives, window="", name=database or "all", now=now
            )
        document: Document = {
            "done": not dry_run,
            "planned": [each.manifest.id for each in backups],
            "report": report,
            "objectives": settings.backup.objectives.model_dump(),
            "backups": [each.document() for each in drilled],
        }
        passed = all(each.proof.passed for each in drilled)
        return document, 0 if passed else 1
