"""The time of a restore on a server: its lock, and what killed restores left, put right before and after.

Not here: the marks and what they call for (restore_swap.py), the journal's files (restore_journal.py).
"""

from collections.abc import Generator
from contextlib import contextmanager, suppress

from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_facts import maintenance_session
from herald_pipelines.backup.restore_journal import Entry, Step, read_entries, remove_entry, write_entry
from herald_pipelines.backup.restore_names import Stage
from herald_pipelines.backup.restore_swap import Marked, drop_database, list_marked, recover, restore_lock
from herald_pipelines.errors import GuardRefusal, HeraldError
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.values import Say

LOCK_SECONDS = 15.0
"""How long the session of a killed restore may take to go."""


@contextmanager
def working(repository: Repository, target: Postgres, name: str, say: Say) -> Generator[Session]:
    """Hold the lock of a name for a block, with what killed restores left put right, as what the block leaves when it fails.

    Raises:
        GuardRefusal: another restore of that name is running.
        HeraldError: of the kind that fits.
    """
    with maintenance_session(target, name) as session:
        if not session.wait_for_lock(restore_lock(name), LOCK_SECONDS):
            raise GuardRefusal(f"another restore of {name!r} is running", hint="wait for its end, or end it")
        _tidy(repository, session, name, say)
        try:
            yield session
        except BaseException:
            # What cannot be put right now is, by the next call.
            try:
                _tidy(repository, session, name, say)
            except HeraldError:
                with suppress(HeraldError), maintenance_session(target, name) as fresh:
                    if fresh.wait_for_lock(restore_lock(name), LOCK_SECONDS):
                        _tidy(repository, fresh, name, say)
            raise


def _tidy(repository: Repository, session: Session, name: str, say: Say) -> None:
    settle_journals(repository, session, name)
    recover(session, name, say)


def settle_journals(repository: Repository, session: Session, name: str) -> None:
    """Write down what became of restores that are not known to be done; of those whose lock is free or ours.

    Raises:
        PermanentFailure: a journal cannot be read or written.
        HeraldError: of the kind that fits what the server said.
    """
    identifier = session.fetch_one("backup/read_restorer")["system_identifier"]
    for entry in read_entries(repository):
        if entry.system_identifier != identifier or entry.step is Step.DONE:
            continue
        if entry.name != name and not session.try_lock(restore_lock(entry.name)):
            continue
        try:
            _settle(repository, session, entry)
        finally:
            if entry.name != name:
                session.unlock(restore_lock(entry.name))


def _settle(repository: Repository, session: Session, entry: Entry) -> None:
    rows = session.fetch("backup/list_databases")
    if any(row["oid"] == entry.oid and row["name"] == entry.name for row in rows):
        kept = [each.name for each in list_before_marks(session, entry.name) if each.mark.restore == entry.id]
        for other in read_entries(repository):
            if other.step is Step.DONE and (other.name, other.system_identifier) == (
                entry.name,
                entry.system_identifier,
            ):
                remove_entry(repository, other.id)
        kept_as = kept[0] if kept else None
        write_entry(repository, entry.model_copy(update={"step": Step.DONE, "kept_as": kept_as}))
        return
    for row in rows:
        # Made by us, and killed before it was marked.
        if row["name"] == entry.database and row["comment"] is None:
            drop_database(session, row["name"])
    remove_entry(repository, entry.id)


def list_before_marks(session: Session, name: str) -> list[Marked]:
    """Return what restores of a name have put aside, the newest first."""
    found = [
        each for each in list_marked(session) if (each.mark.name, each.mark.stage) == (name, Stage.BEFORE)
    ]
    return sorted(found, key=lambda each: (each.mark.at, each.oid), reverse=True)
