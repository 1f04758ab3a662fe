"""Gives a restored database its name: the present one is closed, its sessions are ended, both are renamed at once.

    1  closed: nobody can connect to either; a mark on the new one says so, in the same transaction
    2  ended: the sessions that are left
    3  renamed: both in one transaction, with marks, comments and what else differs; open again

Killed before 3 has committed, the present database is only closed: `recover` opens it again. Not here: making the database
that is swapped in (restore_database.py).
"""

import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from herald_pipelines.backup.restore_facts import find_occupant, list_sessions
from herald_pipelines.backup.restore_names import (
    Mark,
    Stage,
    read_mark,
    stage_name,
    time_suffix,
    write_mark,
)
from herald_pipelines.backup.restore_refusals import Occupant, against_sessions, against_swap
from herald_pipelines.errors import GuardRefusal, HeraldError, TransientFailure
from herald_pipelines.resources.postgres import Session
from herald_pipelines.values import Say, quote_identifier

END_SECONDS = 30.0
"""How long the ended sessions may take to go: rolling back is quick, but a process may be deep in a read of a slow disk."""
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Marked:
    """A database that carries a mark."""

    oid: int
    name: str
    allows_connections: bool
    mark: Mark


@dataclass(frozen=True)
class Swapped:
    """What has which name now."""

    name: str
    kept_as: str | None
    """Of the database that had the name; None: nobody had it."""
    oid: int
    """Of the database that has the name now."""


def restore_lock(name: str) -> str:
    """Return the name of the advisory lock that a restore of a database holds while it lives."""
    return f"database_restore:{name}"


def list_marked(session: Session) -> tuple[Marked, ...]:
    """Return the databases of restores on a server.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    found: list[Marked] = []
    for row in session.fetch("backup/list_databases"):
        mark = read_mark(row["comment"])
        if mark is not None:
            found.append(Marked(row["oid"], row["name"], row["allows_connections"], mark))
    return tuple(found)


def swap(
    session: Session,
    incoming: Marked,
    stage: Stage,
    *,
    now: datetime,
    say: Say,
    finish: Iterable[str] = (),
) -> Swapped:
    """Give a marked database the name that its mark tells, and keep what has that name now under another.

    Args:
        session: autocommit, in neither; holds the lock of the name.
        incoming: what gets the name; its own comment is the mark's `comment`.
        stage: what the present one then is.
        now: for its new name.
        say: told of sessions that are ended.
        finish: statements on the new one by its new name, in the transaction that renames it.

    Raises:
        GuardRefusal: the present one cannot be renamed; it is as it was.
        HeraldError: of the kind that fits; the present one is as it was.
    """
    name = incoming.mark.name
    occupant = find_occupant(session, name)
    if occupant is not None:
        _require_free(occupant, session)
    with _closed(session, incoming, occupant):
        for oid in filter(None, (incoming.oid, occupant.oid if occupant else None)):
            _end_sessions(session, oid, name, say)
        kept_as = None
        if occupant is not None:
            taken = {each["name"] for each in session.fetch("backup/list_databases")}
            kept_as = stage_name(name, stage, time_suffix(now), taken)
        with _transaction(session):
            if occupant is not None and kept_as is not None:
                _rename(session, name, kept_as)
                mark = Mark(
                    restore=incoming.mark.restore,
                    name=name,
                    stage=stage,
                    backup=incoming.mark.backup,
                    host=incoming.mark.host,
                    at=now,
                    comment=occupant.comment,
                    allows_connections=occupant.allows_connections,
                )
                _comment(session, kept_as, write_mark(mark))
                _allow(session, kept_as, allowed=occupant.allows_connections)
            _rename(session, incoming.name, name)
            _comment(session, name, incoming.mark.comment)
            _allow(session, name, allowed=incoming.mark.allows_connections)
            for statement in finish:
                session.execute(statement)
    return Swapped(name, kept_as, incoming.oid)


def recover(session: Session, name: str, say: Say) -> tuple[str, ...]:
    """Put right what killed restores left on a server; return what was done, a sentence each.

    Closed databases are opened, half-filled ones are dropped. Those of a restore that lives are left alone: it holds the
    lock of its name.

    Args:
        session: autocommit; holds the lock of `name`.
        name: whose lock is ours already.
        say: told the same.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    done: list[str] = []
    marked = list_marked(session)
    for other in dict.fromkeys(each.mark.name for each in marked):
        if other != name and not session.try_lock(restore_lock(other)):
            continue
        try:
            # Read again: it may have been finished since.
            for each in list_marked(session):
                if each.mark.name == other:
                    done += _recover_one(session, each)
        finally:
            if other != name:
                session.unlock(restore_lock(other))
    for text in done:
        say(text)
    return tuple(done)


def set_mark(session: Session, name: str, mark: Mark) -> Marked:
    """Mark a database that was just made, and return it.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    _comment(session, name, write_mark(mark))
    return next(each for each in list_marked(session) if each.name == name)


def drop_database(session: Session, name: str) -> None:
    """Drop a database, whoever is connected to it.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    session.execute(f"drop database if exists {quote_identifier(name)} with (force)")


def _recover_one(session: Session, found: Marked) -> list[str]:
    done: list[str] = []
    mark = found.mark
    if mark.fenced is not None:
        with _transaction(session):
            occupant = find_occupant(session, mark.name)
            if occupant is not None and occupant.oid == mark.fenced and not occupant.allows_connections:
                _allow(session, mark.name, allowed=True)
                done.append(f"opened {mark.name!r} again, which an interrupted swap had closed")
            _allow(session, found.name, allowed=mark.allows_connections)
            _comment(session, found.name, write_mark(mark.model_copy(update={"fenced": None})))
    if mark.stage is Stage.RESTORING:
        drop_database(session, found.name)
        done.append(f"dropped {found.name!r}, which an interrupted restore had begun")
    return done


def _require_free(occupant: Occupant, session: Session) -> None:
    role = session.execute("select current_user::text as role")[0]["role"]
    refusals = (*against_swap(occupant), *against_sessions(occupant, role))
    if refusals:
        raise GuardRefusal(
            "; ".join(each.reason for each in refusals),
            hint="; ".join(dict.fromkeys(each.hint for each in refusals)),
        )


@contextmanager
def _closed(session: Session, incoming: Marked, occupant: Occupant | None) -> Generator[None]:
    """Let nobody connect to both for a block; when it fails, both are as they were."""
    closes = occupant is not None and occupant.allows_connections
    fenced = incoming.mark.model_copy(update={"fenced": occupant.oid if occupant and closes else 0})
    with _transaction(session):
        _comment(session, incoming.name, write_mark(fenced))
        _allow(session, incoming.name, allowed=False)
        if occupant is not None and closes:
            _allow(session, occupant.name, allowed=False)
    try:
        yield
    except BaseException:
        # Where this cannot be said any more, the next call's recovery says it.
        with suppress(HeraldError), _transaction(session):
            if occupant is not None and closes:
                _allow(session, occupant.name, allowed=True)
            _allow(session, incoming.name, allowed=incoming.mark.allows_connections)
            _comment(session, incoming.name, write_mark(incoming.mark))
        raise


def _end_sessions(session: Session, oid: int, name: str, say: Say) -> None:
    deadline = time.monotonic() + END_SECONDS
    told = False
    while sessions := list_sessions(session, oid):
        if stuck := [each for each in sessions if not each.may_end]:
            raise GuardRefusal(
                f"pid {stuck[0].pid} of {stuck[0].role} came in before the swap of {name!r}, and may not be ended",
                hint="end it, or restore as a superuser",
            )
        if not told:
            say(f"ending {len(sessions)} sessions")
            told = True
        for each in sessions:
            session.fetch("backup/end_session", pid=each.pid, oid=oid)
        if time.monotonic() > deadline:
            named = ", ".join(f"pid {each.pid} of {each.role}" for each in sessions)
            raise TransientFailure(
                f"sessions of {name!r} did not end within {END_SECONDS:g} s: {named}",
                hint="nothing was swapped; try again",
            )
        time.sleep(POLL_SECONDS)


@contextmanager
def _transaction(session: Session) -> Generator[None]:
    session.execute("begin")
    try:
        yield
    except BaseException:
        with suppress(HeraldError):
            session.execute("rollback")
        raise
    session.execute("commit")


def _rename(session: Session, name: str, new_name: str) -> None:
    session.execute(f"alter database {quote_identifier(name)} rename to {quote_identifier(new_name)}")


def _allow(session: Session, name: str, *, allowed: bool) -> None:
    session.execute(
        f"alter database {quote_identifier(name)} allow_connections {'true' if allowed else 'false'}"
    )


def _comment(session: Session, name: str, text: str | None) -> None:
    database = quote_identifier(name).replace("%", "%%")
    session.execute(f"comment on database {database} is %(text)s", {"text": text})
