"""Puts reading and judging together: all that is found weak about a database at one moment, and what of it is new.

The assets and `herald security` use the same functions, so they never disagree. Not here: any rule, what is shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from herald_pipelines.database.security.acceptance import Weighed, check_accepted, unused, weigh
from herald_pipelines.database.security.dependencies import audit_packages
from herald_pipelines.database.security.findings import Judgement, judge
from herald_pipelines.database.security.history import History, Remembered, read_history, record_scan
from herald_pipelines.database.security.hosts import read_host_facts
from herald_pipelines.database.security.rules import DATABASE_RULES, HOST_RULES
from herald_pipelines.database.security.store import read_database_facts
from herald_pipelines.errors import HeraldError
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.settings import OPS, AcceptedRisk, Settings
from herald_pipelines.values import DatabaseIdentity, Say


@dataclass(frozen=True)
class Scan:
    """What was found about one database."""

    judgement: Judgement
    weighed: tuple[Weighed, ...]
    """Every finding, with what the operator accepts."""
    unused: tuple[AcceptedRisk, ...]
    """What is accepted for this database and is not there."""
    at: datetime
    accepted: tuple[AcceptedRisk, ...] = ()
    """Of the settings."""


@dataclass(frozen=True)
class Past:
    """What a scan means beside those before it."""

    history: History
    new: frozenset[str]
    """Ids of findings that were not there at the task's last window."""
    resolved: tuple[Remembered, ...]
    """What was resolved since that."""
    unseen: tuple[Weighed, ...] = ()
    """Open findings that could not be looked at again: as they were last seen, with what is accepted now."""


def scan_database(
    observe: Postgres,
    settings: Settings,
    environ: Mapping[str, str],
    *,
    now: datetime,
    say: Say,
) -> Scan:
    """Ask all rules about a database; with `ops`, those about the maintaining host as well. Reads only.

    Args:
        observe: the database; what its role may not see is told as not visible.
        settings: what is accepted; files of keys.
        environ: of the process.
        now: the time of the scan.
        say: told of progress.

    Raises:
        UsageError: the settings accept what does not exist.
        HeraldError: the database could not be read at all.
    """
    check_accepted(settings)
    database = observe.database
    is_embedded = settings.database(database).url is None
    say(f"reading roles, grants, functions and settings of {database}")
    with observe.session(autocommit=True) as session:
        judgement = judge(DATABASE_RULES, read_database_facts(session, is_embedded=is_embedded), now)
    if database == OPS:
        say("asking about known weaknesses of the installed Python packages")
        judgement += judge(HOST_RULES, read_host_facts(settings, environ, audit_packages()), now)
    accepted = settings.security.accepted
    weighed = weigh(judgement.findings, accepted, database, now.date())
    return Scan(
        judgement, weighed, unused(weighed, accepted, database, judgement.hidden_rules), now, accepted
    )


def keep(
    ops: Postgres, identity: DatabaseIdentity, scan: Scan, *, task: str, window: str, run_id: str
) -> Past:
    """Write a scan to the ops database, all of it or nothing, and return what is new in its window.

    Raises:
        HeraldError: it could not be written.
    """
    with ops.session() as session:
        unseen = _unseen(read_history(session, identity, task=task, window=window), scan, identity)
        record_scan(
            session,
            identity,
            task=task,
            window=window,
            judgement=scan.judgement,
            weighed=scan.weighed,
            unseen=unseen,
            run_id=run_id,
        )
        history = read_history(session, identity, task=task, window=window)
    return Past(history, _new(history), history.closed, unseen)


def compare(
    ops: Postgres, identity: DatabaseIdentity, scan: Scan, *, task: str, window: str | None = None
) -> Past | HeraldError:
    """Return what `keep` would, reading only; or why that is not known.

    Args:
        ops: the ops database.
        identity: of the database.
        scan: of it.
        task: whose last window is compared with.
        window: the window that is made; None: none is, and the last is compared with.
    """
    try:
        with ops.session() as session:
            history = read_history(session, identity, task=task, window=window)
    except HeraldError as error:
        return error
    found = {each.finding.id for each in scan.weighed}
    unseen = _unseen(history, scan, identity)
    there = found | {each.finding.id for each in unseen}
    gone = tuple(
        each
        for each in history.open.values()
        if each.id not in there and each.finding.rule in scan.judgement.rules
    )
    gone_ids = {each.id for each in gone}
    return Past(
        history,
        new=(_new(history) - gone_ids) | (found - history.open.keys()),
        resolved=(*history.closed, *gone),
        unseen=unseen,
    )


def _new(history: History) -> frozenset[str]:
    return frozenset(each.id for each in history.open.values() if history.is_since(each.first_seen_at))


def _unseen(history: History, scan: Scan, identity: DatabaseIdentity) -> tuple[Weighed, ...]:
    found = {each.finding.id for each in scan.weighed}
    findings = [
        each.finding
        for each in history.open.values()
        if each.id not in found and scan.judgement.hides(each.finding)
    ]
    return weigh(findings, scan.accepted, identity.name, scan.at.date())
