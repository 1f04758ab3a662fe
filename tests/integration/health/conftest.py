"""Fixtures of the tests of health."""

from pathlib import Path

import pytest
from clinic import Shop

from herald_pipelines.migrations import migrate
from herald_pipelines.resources.postgres import Postgres
from servers import TestServer


@pytest.fixture
def shop(home: Path, server: TestServer, pg18: TestServer, monkeypatch: pytest.MonkeyPatch) -> Shop:
    for name in ("DAGSTER_HOME", "HERALD_HOME", "HERALD_DAGSTER_URL"):
        monkeypatch.setenv(name, "")
    url, ops_url = server.create_database(), pg18.create_database()
    migrate(Postgres(ops_url, "ops"))
    environ = {
        "HERALD_HOME": str(home),
        "SHOP_URL": url,
        "OPS_URL": ops_url,
        "HERALD_DAGSTER_URL": pg18.create_database(),
    }
    found = Shop(home, url, ops_url, environ)
    found.write()
    return found
