"""The ops database of the tests of tables: one for all of a file, because migrating takes longer than most of them."""

from collections.abc import Iterator

import pytest
from maintaining import run_sql

from herald_pipelines.migrations import migrate
from herald_pipelines.resources.postgres import Postgres
from servers import TestServer


@pytest.fixture(scope="module")
def migrated_url(pg18: TestServer, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"ops_of_{request.module.__name__.rpartition('.')[2]}"
    pg18.embedded.create_database(name)
    migrate(Postgres(pg18.url(name), "ops"))
    yield pg18.url(name)
    run_sql(pg18.url("postgres"), f"drop database {name} with (force)")


@pytest.fixture
def ops_url(migrated_url: str) -> str:
    """Give the URL of a migrated ops database whose ledger is empty."""
    run_sql(migrated_url, "delete from herald.maintenance_log")
    return migrated_url
