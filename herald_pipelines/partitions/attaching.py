"""Attaches a table as a partition, briefly: what attaching would look for is proven first, on the table alone.

Attaching reads the whole table where no check says what its bound says, and proves the parent's foreign keys that it lacks,
while nobody can use the default partition. Not here: where the table comes from (returning.py).
"""

from functools import partial

from herald_pipelines.errors import PermanentFailure
from herald_pipelines.partitions.bounds import split_bound
from herald_pipelines.partitions.content import CONTENT_SECONDS
from herald_pipelines.partitions.facts import Parent
from herald_pipelines.partitions.work import BRIEF_SECONDS, Work
from herald_pipelines.values import quote_identifier

CHECK = "herald_bound"
"""Name of the constraint that is on the table meanwhile."""


def attach(work: Work, parent: Parent, oid: int, name: str, bound: str) -> None:
    """Give a table its name as a partition, and attach it.

    Args:
        work: the session and its patience.
        parent: to what.
        oid: of the table.
        name: schema-less name that it is to have.
        bound: FOR VALUES ...

    Raises:
        LockTimeout: others hold one of them.
        StatementTimeout: the default partition is too large to be looked through.
        PermanentFailure: the server refused it.
        HeraldError: of the kind that fits.
    """
    row = work.session.fetch_one("partitions/read_attachment", oid=oid)
    table, attached = (quote_identifier(row["schema"], each) for each in (row["name"], name))

    def change() -> None:
        if table != attached:
            _run(work, f"alter table {table} rename to {quote_identifier(name)}")
        _run(work, f"alter table {parent.sql} attach partition {attached} {bound}")
        _run(work, f"alter table {attached} drop constraint if exists {CHECK}")

    lock_seconds, statement_seconds = work.target.lock_timeout_seconds, work.target.statement_timeout_seconds
    with work.timeouts(lock_seconds=lock_seconds, statement_seconds=CONTENT_SECONDS):
        work.attempt(lambda: _add_check(work, parent, table, bound), f"checking {name}")
        _add_foreign_keys(work, parent, oid, table)
    seconds = min(statement_seconds, BRIEF_SECONDS) if parent.default_oid else CONTENT_SECONDS
    with work.timeouts(lock_seconds=lock_seconds, statement_seconds=seconds):
        work.attempt(change, f"attaching {name}")


def _add_check(work: Work, parent: Parent, table: str, bound: str) -> None:
    """Say in a check what being a partition would, its parent's own bounds included."""
    limits = split_bound(bound)
    if limits is None or parent.key is None or parent.why_manual is not None:
        return
    key = quote_identifier(parent.key)
    says = [f"{key} is not null"]
    says += [
        f"{key} {sign} {limit}::pg_catalog.{parent.type_name}"
        for sign, limit in zip((">=", "<"), limits, strict=True)
        if limit not in ("MINVALUE", "MAXVALUE")
    ]
    above = work.session.fetch_one("partitions/read_constraint", oid=parent.oid)["definition"]
    says += [f"({above})"] if above else []
    _run(work, f"alter table {table} drop constraint if exists {CHECK}")
    _run(work, f"alter table {table} add constraint {CHECK} check ({' and '.join(says)})")


def _add_foreign_keys(work: Work, parent: Parent, oid: int, table: str) -> None:
    """Give the table the foreign keys of its parent; proving them so keeps nobody from writing to what they refer to."""
    for row in work.session.fetch("partitions/list_foreign_keys", parent=parent.oid, oid=oid):
        name = quote_identifier(row["name"])
        drop = [f"alter table {table} drop constraint {name}"] if row["is_left"] else []
        add = [*drop, f"alter table {table} add constraint {name} {row['definition']} not valid"]
        try:
            work.attempt(partial(_run, work, *add), f"adding foreign key {name}")
        except PermanentFailure:
            # A right is missing that attaching does not ask for: it proves them itself.
            continue
        validate = f"alter table {table} validate constraint {name}"
        work.attempt(partial(_run, work, validate), f"validating foreign key {name}")


def _run(work: Work, *statements: str) -> None:
    for each in statements:
        work.session.execute(each)
