"""Fills a new database from a backup: archive, roles, pg_restore, settings, rights, statistics, comparison.

The database has a name that nobody uses; the caller made it and drops it when this fails. Not here: whether it may be
(restore_plan.py), and what name it gets in the end (restore_database.py, scratch.py).
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from herald_pipelines.backup.facts import DatabaseFacts, Manifest
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_archive import (
    archive_folder,
    choose_jobs,
    clear_archives,
    fast_settings,
    list_archive,
    path_of,
    restore_archive,
    show_entries,
)
from herald_pipelines.backup.restore_check import Checked, analyze_tables, check_restored
from herald_pipelines.backup.restore_facts import reach
from herald_pipelines.backup.restore_listing import (
    Chosen,
    Entry,
    choose,
    choose_rows,
    find_owners,
    find_publications_of_all,
    find_superuser_entries,
    write_list,
)
from herald_pipelines.backup.restore_refusals import Refusal, Selection, ServerFacts, against_owners, shown
from herald_pipelines.backup.restore_statements import (
    Globals,
    Statement,
    right_statements,
    role_statements,
    setting_statements,
)
from herald_pipelines.errors import GuardRefusal, PermanentFailure
from herald_pipelines.resources.clients import ClientPrograms
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.values import Say, format_bytes, format_seconds, quote_identifier

SAY_SECONDS = 15.0


@dataclass(frozen=True)
class Source:
    """What is restored, by what, to where."""

    repository: Repository
    manifest: Manifest
    facts: DatabaseFacts
    content: Globals
    clients: ClientPrograms
    target: Postgres
    server: ServerFacts
    new_roles: tuple[str, ...]
    missing_tablespaces: tuple[str, ...]
    selection: Selection


@dataclass(frozen=True)
class Filled:
    """What became of it."""

    checked: Checked
    notes: tuple[str, ...]
    seconds: dict[str, float]
    """Of each step."""


def fill_database(
    session: Session,
    source: Source,
    database: str,
    oid: int,
    say: Say,
    *,
    statistics_target: int | None = None,
) -> Filled:
    """Restore a backup into an empty database.

    Args:
        session: autocommit, in another database of the server.
        source: what is restored.
        database: name of the empty one.
        oid: its oid.
        say: told of each step.
        statistics_target: of ANALYZE, see `analyze_tables`.

    Raises:
        GuardRefusal: the archive holds what the role of the restore may not make; nothing was restored yet.
        CommandFailed: pg_restore failed.
        PermanentFailure: what was restored is not what was backed up.
        HeraldError: of the kind that fits.
    """
    clock = _Clock(say)
    notes: list[str] = []
    facts, selection = source.facts, source.selection
    target = reach(source.target, database)
    jobs = choose_jobs()
    with clear_archives(source.repository, source.manifest, say) as archives:
        clock.lap("fetch")
        entries = list_archive(source.clients, archives[0])
        _require_rights(entries, source, archives[0])
        notes += _list_subscriptions(entries)
        statements, role_notes = role_statements(source.content, source.new_roles, source.server)
        notes += role_notes
        run_statements(session, statements, notes)
        session.execute(
            f"alter database {quote_identifier(database)} owner to {quote_identifier(facts.owner)}"
        )
        clock.lap("roles")
        chosen = _choose(source, entries, notes)
        for archive, options in _passes(source, archives, entries, chosen):
            restore_archive(
                source.clients,
                archive,
                target,
                database,
                jobs=jobs,
                settings=fast_settings(jobs, is_local=source.server.free_bytes is not None),
                options=options,
                watch=_watch(session, oid, database, say),
            )
    expected = tuple(
        each for each in facts.tables if not selection or selection.takes(each.schema_name, each.name)
    )
    clock.lap("restore")
    if not selection:
        run_statements(session, setting_statements(database, facts), notes)
        run_statements(session, right_statements(database, facts), notes)
    analyze_tables(target, jobs, statistics_target=statistics_target)
    clock.lap("analyze")
    checked = check_restored(target, expected, is_whole=not selection)
    clock.lap("check")
    return Filled(checked, (*notes, *checked.notes), clock.seconds)


def run_statements(session: Session, statements: Iterable[Statement], notes: list[str]) -> None:
    """Run statements; one that says what it is about may fail, and is noted then.

    Raises:
        HeraldError: another failed.
    """
    for each in statements:
        try:
            session.execute(each.sql, dict(each.parameters) or None)
        except PermanentFailure as error:
            if not each.about:
                raise
            notes.append(f"{each.about} was not carried over: {error.message}")


def _require_rights(entries: tuple[Entry, ...], source: Source, archive: Path) -> None:
    """Refuse what a role that is no superuser would fail at late."""
    if source.server.is_superuser:
        return
    owners = find_owners(entries, source.facts.roles)
    refusals = list(against_owners(owners, source.server))
    special = find_superuser_entries(entries) + _find_publications(entries, source, archive)
    if special:
        refusals.append(
            Refusal(
                f"only a superuser can restore {shown(special)}",
                "let the url of the capability restore name a superuser",
            )
        )
    if refusals:
        raise GuardRefusal(
            f"{source.manifest.id} cannot be restored: {'; '.join(each.reason for each in refusals)}",
            hint="; ".join(each.hint for each in refusals),
        )


def _find_publications(entries: tuple[Entry, ...], source: Source, archive: Path) -> tuple[str, ...]:
    """Return the publications that take a superuser: of what they are is in their definition alone."""
    ids = frozenset(each.id for each in entries if each.kind == "PUBLICATION")
    if not ids:
        return ()
    with TemporaryFile("w", encoding="utf-8", dir=archive_folder(source.repository)) as file:
        file.write(write_list(entries, ids))
        file.flush()
        return find_publications_of_all(show_entries(source.clients, archive, path_of(file)))


def _list_subscriptions(entries: Iterable[Entry]) -> list[str]:
    names = tuple(each.rest for each in entries if each.kind == "SUBSCRIPTION")
    return [f"subscriptions are not restored, make them anew: {shown(names)}"] if names else []


def _choose(source: Source, entries: tuple[Entry, ...], notes: list[str]) -> Chosen | None:
    """Return what the selection takes of the dump; None: all of it."""
    if not source.selection:
        return None
    chosen = choose(
        entries,
        source.selection,
        {(each.schema_name, each.name) for each in source.facts.tables},
        source.facts.roles,
    )
    if chosen.missing:
        raise PermanentFailure(f"the archive does not hold the tables {shown(chosen.missing)}")
    if chosen.without_rows:
        notes.append(f"tables that others need came without rows: {shown(chosen.without_rows)}")
    if chosen.left_out:
        notes.append(f"foreign keys to tables that are not selected: {shown(chosen.left_out)}")
    return chosen


def _passes(
    source: Source,
    archives: tuple[Path, ...],
    entries: tuple[Entry, ...],
    chosen: Chosen | None,
) -> Iterator[tuple[Path, list[str | Path]]]:
    """Yield pg_restore's runs, each with its archive and arguments: indexes and keys come after the rows of all archives."""
    dump, *others = archives
    options: list[str | Path] = ["--no-tablespaces"] if source.missing_tablespaces else []
    with ExitStack() as stack:

        def use_list(text: str) -> str:
            # Without a name, as the archives.
            file = stack.enter_context(
                TemporaryFile("w", encoding="utf-8", dir=archive_folder(source.repository))
            )
            file.write(text)
            file.flush()
            return f"--use-list={path_of(file)}"

        own = options if chosen is None else [*options, use_list(write_list(entries, chosen.ids))]
        if not others:
            yield dump, own
            return
        yield dump, ["--section=pre-data", *own]
        yield dump, ["--section=data", *own]
        for archive in others:
            rows = list_archive(source.clients, archive)
            if ids := choose_rows(rows, entries, chosen):
                yield archive, ["--section=data", use_list(write_list(rows, ids))]
        yield dump, ["--section=post-data", *own]


def _watch(session: Session, oid: int, database: str, say: Say) -> Callable[[], None]:
    told = time.monotonic()

    def watch() -> None:
        # Asked each time: when the session that holds the lock is gone, the restore ends.
        nonlocal told
        size = session.fetch_one("backup/read_database_size", oid=oid)["size_bytes"]
        if time.monotonic() - told >= SAY_SECONDS:
            told = time.monotonic()
            say(f"restoring into {database}: {format_bytes(size)}")

    return watch


class _Clock:
    """Takes the time of steps, and tells of each."""

    def __init__(self, say: Say) -> None:
        self._say, self._last = say, time.monotonic()
        self.seconds: dict[str, float] = {}

    def lap(self, step: str) -> None:
        now = time.monotonic()
        self.seconds[step] = round(now - self._last, 3)
        self._last = now
        self._say(f"{step}: {format_seconds(self.seconds[step])}")
