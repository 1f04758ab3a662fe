"""The ops database of the tests of statements."""

import pytest

from herald_pipelines.migrations import migrate
from herald_pipelines.resources.postgres import Postgres
from servers import TestServer


@pytest.fixture
def ops(pg18: TestServer) -> Postgres:
    """Give a migrated ops database."""
    ops = Postgres(pg18.create_database(), "ops", read_only=False)
    migrate(ops)
    return ops
