"""Reading and planning put together, so that the assets, `herald tables` and dry runs never disagree."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from herald_pipelines.database.tables.facts import DatabaseFacts, TableFacts
from herald_pipelines.database.tables.need import Scope, find_needs
from herald_pipelines.database.tables.plan import VacuumPlan, plan_vacuum
from herald_pipelines.database.tables.report import describe_needs
from herald_pipelines.database.tables.store import read_facts
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import format_bytes

KINDS = {"r": "table", "m": "materialized view", "p": "partitioned table"}


@dataclass(frozen=True)
class TableAnalysis:
    """The tables of a database as they are, and what is to be done about them."""

    facts: DatabaseFacts
    plan: VacuumPlan


def analyze_tables(
    observe: Postgres,
    scope: Scope,
    *,
    budget_seconds: float,
    say: Callable[[str], None],
    done: AbstractSet[int] = frozenset(),
) -> TableAnalysis:
    """Read every table of a database and plan its maintenance. Reads only.

    Args:
        observe: the database; a role with pg_monitor is enough.
        scope: how much counts as a need.
        budget_seconds: what the plan may take.
        say: told of progress.
        done: oids of what the window has done already.

    Raises:
        HeraldError: the database could not be read; what was not read is not guessed.
    """
    with observe.session(autocommit=True) as session:
        facts = read_facts(session)
    size = sum(table.size_bytes + table.toast_bytes for table in facts.tables)
    say(f"{len(facts.tables)} tables, {format_bytes(size)}")
    for note in facts.notes:
        say(note)
    return TableAnalysis(facts, plan_vacuum(facts, scope, budget_seconds=budget_seconds, done=done))


def describe_tables(analysis: TableAnalysis) -> list[dict[str, Any]]:
    """Return one JSON-able row a table: the contract of `herald tables --json`."""
    steps = {step.oid: step for step in analysis.plan.steps}
    skipped = {each.oid: each.reason for each in analysis.plan.skipped}
    rows: list[dict[str, Any]] = []
    for table in analysis.facts.tables:
        step = steps.get(table.oid)
        rows.append(
            {
                "schema": table.schema,
                "table": table.table,
                "kind": KINDS[table.kind],
                "size_bytes": table.size_bytes + table.toast_bytes,
                "rows": _rows(table),
                "dead_rows": table.dead_rows + table.toast_dead_rows,
                "inserted_rows": table.inserted_rows,
                "modified_rows": table.leaf_modified_rows if table.is_partitioned else table.modified_rows,
                "visible_share": _visible_share(table),
                "xid_age": max(table.xid_age, table.toast_xid_age),
                "multixact_age": max(table.multixact_age, table.toast_multixact_age),
                "vacuumed_at": _when(table.vacuumed_at),
                "analyzed_at": _when(table.analyzed_at),
                "needs": describe_needs(find_needs(table, analysis.facts.rules, analysis.plan.scope)),
                "statement": step.statement if step else None,
                "skipped": skipped.get(table.oid),
            }
        )
    return rows


def _rows(table: TableFacts) -> int:
    if table.is_partitioned:
        return round(table.leaf_rows)
    return table.live_rows if table.tuples is None else round(table.tuples)


def _visible_share(table: TableFacts) -> float | None:
    """Return the share of pages that index-only scans need not look up; null where nobody has counted them."""
    return round(min(table.visible_pages / table.pages, 1.0), 4) if table.pages else None


def _when(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
