"""One function for each command on partitions: takes the environment and what was asked, gives a JSON-able document.

Not here: parsing (cli_partitions.py), printing (console_partitions.py).
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

from herald_pipelines import console
from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.facts import Kind
from herald_pipelines.bootstrap import running
from herald_pipelines.environment import Environment
from herald_pipelines.errors import GuardRefusal, HeraldError, UsageError
from herald_pipelines.ledger import Ledger
from herald_pipelines.operations_backup import Bench, opened
from herald_pipelines.partitions.analysis import analyze_partitions
from herald_pipelines.partitions.finding import find_archived, find_detached, list_detached
from herald_pipelines.partitions.history import read_lifecycles
from herald_pipelines.partitions.report import describe_items, describe_tables, summarize
from herald_pipelines.partitions.returning import Return, bring_back, find_refusals
from herald_pipelines.partitions.rules import fit_rules
from herald_pipelines.partitions.store import find_relations, read_inventory
from herald_pipelines.partitions.work import at_work
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.settings import Settings
from herald_pipelines.values import Capability, DatabaseIdentity, utc_now

Environ = Mapping[str, str]
Document = dict[str, Any]
TASK = "partitions"
RESTORE_TASK, CLEANUP_TASK = "partition_restore", "partition_cleanup"


def plan(environ: Environ, cwd: Path, *, database: str | None) -> Document:
    """Say what becomes of every partition of a database, or of all that have rules; reads only.

    Raises:
        UsageError: no such database, or a rule that does not fit.
        HeraldError: a database could not be read.
    """
    environment = Environment.load(environ, cwd)
    settings, now = environment.settings, utc_now()
    if database is not None:
        settings.database(database)
    ruled = [name for name in settings.names() if settings.database(name).partitions]
    names = [database] if database is not None else ruled or list(settings.names())
    embedded = any(settings.database(name).url is None for name in names)
    at = datetime.combine(now.date(), time(), UTC)
    with (
        console.progress() as say,
        nullcontext() if not embedded and not environment.is_set_up else running(environment, say),
    ):
        notes: list[str] = []
        ops = reachable_ops(environment, notes)
        found: list[Document] = []
        for name in names:
            observe = environment.targets.postgres(name, Capability.OBSERVE, TASK)
            identity = observe.identity()
            rules = settings.database(name).partitions
            analysis = analyze_partitions(observe, ops, identity, rules, at=at)
            found.append(
                {
                    "database": name,
                    "server_version": identity.server_version,
                    "summary": summarize(analysis),
                    "tables": describe_tables(analysis),
                    "partitions": describe_items(analysis.items),
                }
            )
    return {"planned_for": at.date().isoformat(), "databases": found, "notes": notes}


def restore(
    environ: Environ, cwd: Path, *, wanted: str, database: str | None, yes: bool
) -> tuple[Document, int]:
    """Say how a partition would be brought back; with `yes`, do it. Returns the exit code too.

    Raises:
        UsageError: no such database or partition.
        GuardRefusal: with `yes`: it cannot be brought back as things are.
        HeraldError: of the kind that fits.
    """
    with opened(environ, cwd, server=True, check=False) as bench:
        environment, settings = bench.environment, bench.environment.settings
        name = _choose_database(settings, database)
        observe = environment.targets.postgres(name, Capability.OBSERVE, RESTORE_TASK)
        maintain = environment.targets.postgres(name, Capability.MAINTAIN, RESTORE_TASK)
        identity, ops = observe.identity(), environment.targets.ops(RESTORE_TASK)
        with ops.session() as session:
            lifecycles = read_lifecycles(session, identity)
            begun = session.fetch("partitions/list_begun_restores", **_about(identity))
        with replace(maintain, read_only=True).session() as session:
            inventory = read_inventory(session)
            rules = fit_rules(inventory, settings.database(name).partitions, name)
            detached = [each.oid for each in lifecycles.values() if each.detach and not each.is_over]
            relations = find_relations(session, detached)
            # One that is only detached needs no store.
            found = find_detached(wanted, lifecycles.values(), relations) or _find_archived(
                bench, wanted, identity, list_detached(lifecycles.values(), relations)
            )
            is_left = found.backup is not None and any(
                row["backup"] == found.backup.manifest.id for row in begun
            )
            refusals = find_refusals(session, found, inventory, rules, is_left=is_left)
        document: Document = {
            "database": name,
            "partition": found.name,
            "table": found.parent,
            "bound": found.bound,
            "rows": found.rows,
            "from": "detached" if found.backup is None else found.backup.manifest.id,
            "steps": list(found.steps()),
            "refused": list(refusals),
            "done": False,
        }
        if not yes:
            return document, GuardRefusal.exit_code if refusals else 0
        if refusals:
            raise GuardRefusal(
                f"{found.name} cannot be brought back: {'; '.join(refusals)}",
                hint="nothing was changed; without --yes the plan is printed",
            )
        parent = next(each for each in inventory.parents if each.label == found.parent)
        ledger = Ledger(ops)
        # Nobody detaches or drops meanwhile.
        with at_work(
            maintain.writable(),
            identity,
            ledger,
            task=CLEANUP_TASK,
            window=f"{utc_now():%Y-%m-%d}",
            now=utc_now(),
            budget_seconds=settings.budget_of(name, CLEANUP_TASK),
            say=bench.say,
        ) as work:
            ledger.close_interrupted(identity, RESTORE_TASK)
            bring_back(replace(work, task=RESTORE_TASK), found, parent, bench.place, settings.backup.programs)
        return {**document, "done": True}, 0


def _find_archived(
    bench: Bench, wanted: str, identity: DatabaseIdentity, detached: Sequence[Return]
) -> Return:
    bench.place.store.check()
    mine = [
        each
        for each in read_catalog(bench.place).of_host(bench.place.host)
        if (each.manifest.kind, each.manifest.name) == (Kind.PARTITION, identity.name)
    ]
    return find_archived(wanted, mine, identity.system_identifier, detached)


def _choose_database(settings: Settings, database: str | None) -> str:
    if database is not None:
        settings.database(database)
        return database
    ruled = [name for name in settings.names() if settings.database(name).partitions]
    if len(ruled) != 1:
        known = ", ".join(ruled or settings.names())
        raise UsageError(f"which database? (known: {known})", hint="say it: --database NAME")
    return ruled[0]


def _about(identity: DatabaseIdentity) -> dict[str, object]:
    return {
        "database": identity.name,
        "system_identifier": identity.system_identifier,
        "database_oid": identity.database_oid,
    }


def reachable_ops(environment: Environment, notes: list[str]) -> Postgres | None:
    """Return the ops database, or None with a note when it cannot be reached or holds no schema of ours yet."""
    try:
        ops = environment.targets.ops(TASK, read_only=True)
        with ops.session() as session:
            if session.fetch("ledger/find_schema"):
                return ops
    except HeraldError as error:
        notes.append(f"nothing is known of archives and detached partitions: {error.message}")
        return None
    notes.append(
        "nothing is known of archives: the ops database holds no schema of ours (herald migrate creates it)"
    )
    return None
