"""The ops database of the tests of indexes."""

import pytest

from herald_pipelines.migrations import migrate
from herald_pipelines.resources.postgres import Postgres


@pytest.fixture
def ops_url(pg18) -> str:
    """Give the URL of a migrated ops database."""
    url = pg18.create_database()
    migrate(Postgres(url, "ops"))
    return url
