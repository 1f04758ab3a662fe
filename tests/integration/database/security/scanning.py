"""Scans of real databases, for tests: settings with roles of one's own, and what is found by id."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa

from herald_pipelines.database.security.findings import Finding, Judgement, judge
from herald_pipelines.database.security.releases import KNOWN_ON
from herald_pipelines.database.security.rules import DATABASE_RULES
from herald_pipelines.database.security.store import read_database_facts
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.resources.queries import sql_root
from servers import TestServer

NOW = datetime.combine(KNOWN_ON, time(12), tzinfo=UTC)
"""The list of releases is fresh."""


def execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def as_role(url: str, role: str, password: str) -> str:
    return sa.make_url(url).set(username=role, password=password).render_as_string(hide_password=False)


def observer_of(url: str) -> str:
    """Return the url of the role with the least rights."""
    password = uuid.uuid4().hex
    execute(url, (sql_root() / "roles" / "observe.sql").read_text())
    execute(url, f"alter role herald_observe password '{password}'")
    return as_role(url, "herald_observe", password)


def judgement_of(url: str, *, is_embedded: bool = True, now: datetime = NOW) -> Judgement:
    with Postgres(url, "shop").session(autocommit=True) as session:
        return judge(DATABASE_RULES, read_database_facts(session, is_embedded=is_embedded), now)


def found(url: str, **options: Any) -> dict[str, Finding]:
    return {finding.id: finding for finding in judgement_of(url, **options).findings}


def hidden(url: str) -> dict[str, str]:
    return {each.rule: each.reason for each in judgement_of(url).hidden}


@contextmanager
def roles(url: str, *names: str) -> Iterator[None]:
    """Make roles for the time of a block; they belong to the server, whose other tests must not meet them."""
    try:
        execute(url, *(f"create role {name}" for name in names))
        yield
    finally:
        for name in names:
            execute(url, f"drop owned by {name} cascade", f"drop role {name}")


@contextmanager
def hba_lines(server: TestServer, *lines: str) -> Iterator[None]:
    """Have pg_hba.conf hold only these lines for the time of a block; the server goes on by what it read before."""
    file = server.embedded.data_directory / "pg_hba.conf"
    before = file.read_text()
    try:
        file.write_text("\n".join(lines) + "\n")
        yield
    finally:
        file.write_text(before)


one_server = pytest.mark.parametrize("server", ["pg18"], indirect=True)
