"""Drops one detached partition, in the transaction that proves that its archive holds what it holds.

Not here: whether to (plan.py), whether the archive is in the store (cleanup.py), the ledger's rows (cleanup.py).
"""

from herald_pipelines.errors import PermanentFailure
from herald_pipelines.partitions.content import CONTENT_SECONDS, read_columns, read_content
from herald_pipelines.partitions.facts import Content, Relation
from herald_pipelines.partitions.store import find_relations
from herald_pipelines.partitions.work import Work


class Stale(PermanentFailure):
    """A table holds other rows than its archive."""


def drop(work: Work, relation: Relation, archived: Content | None) -> Content | None:
    """Drop a detached partition. Nothing is dropped with it: what depends on it hinders it.

    Args:
        work: the session and its patience.
        relation: the table as it was planned.
        archived: what its archive holds; None where its rule archives nothing.

    Returns:
        What it held; None where its rule archives nothing.

    Raises:
        Stale: it holds other rows than its archive.
        PermanentFailure: it is another table by now, or something depends on it.
        LockTimeout: others hold it.
        HeraldError: of the kind that fits.
    """
    found: list[Content] = []

    def change() -> None:
        work.session.execute(f"lock table {relation.sql} in access exclusive mode")
        now = find_relations(work.session, [relation.oid]).get(relation.oid)
        if now is None or now.label != relation.label or now.is_partition:
            raise PermanentFailure(f"{relation.label} is another table by now")
        if archived is not None:
            columns = [name for name, _ in read_columns(work.session, relation.oid)]
            content = read_content(work.session, relation.sql, columns, is_local=True)
            if content != archived:
                raise _stale(relation.label, content, archived)
            found.append(content)
        work.session.execute(f"drop table {relation.sql}")

    with work.timeouts(lock_seconds=work.target.lock_timeout_seconds, statement_seconds=CONTENT_SECONDS):
        work.attempt(change, f"dropping {relation.label}")
    return found[-1] if found else None


def require_unchanged(work: Work, oid: int, table: str, label: str, archived: Content) -> None:
    """Ask whether a table still holds what its archive does, before it is detached.

    Raises:
        Stale: it does not.
        HeraldError: of the kind that fits.
    """
    columns = [name for name, _ in read_columns(work.session, oid)]
    with work.timeouts(lock_seconds=work.target.lock_timeout_seconds, statement_seconds=CONTENT_SECONDS):
        content = read_content(work.session, table, columns, is_local=False)
    if content != archived:
        raise _stale(label, content, archived)


def _stale(label: str, content: Content, archived: Content) -> Stale:
    return Stale(f"{label} holds {content.rows} rows, and its archive {archived.rows} that are not the same")
