"""Looks at the statements of a database as the daily task does."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
from bank import execute

from herald_pipelines.database.statements.analysis import StatementAnalysis, analyze_statements
from herald_pipelines.database.statements.findings import Finding, FindingKind
from herald_pipelines.database.statements.history import write_findings
from herald_pipelines.database.statements.report import describe_analysis, finding_rows
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.settings import PerformanceSettings

READ = "select v from public.t where id = 7"
KEPT = "select v from public.t where id = $1"
TABLE = """
create table public.t (id int, v int) with (autovacuum_enabled = off);
insert into public.t select g, g from generate_series(1, 200000) g;
create index by_id on public.t (id);
analyze public.t;
"""


def prepare(url: str) -> None:
    execute(url, "create extension pg_stat_statements")
    prepare_table(url)


def prepare_table(url: str) -> None:
    execute(url, TABLE)
    own = "(select oid from pg_database where datname = current_database())"
    execute(url, f"select pg_stat_statements_reset(0, {own}, 0)")


def ask(url: str, times: int, statement: str = READ) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for _ in range(times):
            cursor.execute(statement)
    connection.close()


def look(
    url: str,
    ops: Postgres | None,
    window: str | None = "2026-11-24",
    *,
    record: bool = True,
    is_ours: bool = True,
    name: str = "platform",
    **settings: Any,
) -> StatementAnalysis:
    target = Postgres(url, name)
    analysis = analyze_statements(
        target,
        ops,
        target.identity(),
        PerformanceSettings(**settings),
        window=window,
        record=record and ops is not None,
        is_ours=is_ours,
        budget_seconds=60,
        now=datetime.now(UTC) + timedelta(seconds=1),
        say=[].append,
    )
    if record and ops is not None and analysis.hindrance is None:
        with ops.session() as session:
            rows = finding_rows(analysis)
            write_findings(
                session, target.identity(), window or "", rows, now=datetime.now(UTC), keep_days=90
            )
    return analysis


def row_of(analysis: StatementAnalysis, text: str = KEPT) -> dict[str, Any]:
    rows = describe_analysis(analysis)["queries"]
    [row] = [row for row in rows if row["query"] == text and row["toplevel"]]
    return row


def calls_of(analysis: StatementAnalysis, text: str = KEPT) -> int:
    return sum(row["calls"] for row in describe_analysis(analysis)["queries"] if row["query"] == text)


def found(analysis: StatementAnalysis, kind: FindingKind) -> dict[str | None, Finding]:
    """Return the findings of a kind by the query's text."""
    return {
        analysis.details.texts.get(each.query.query_id): each
        for each in analysis.findings
        if each.kind is kind
    }


def kept_calls(ops: Postgres, text: str = KEPT) -> list[tuple[str, int]]:
    """Return the calls of a query by window, as analysts see them."""
    return execute(
        ops.url,
        f"select window_key, calls from herald.query_history where query = '{text}' order by window_key",
    )
