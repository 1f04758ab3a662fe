"""The database that the scans are tested on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from scanning import roles
from shop import ROLE, Shop, open_shop

from servers import TestServer


@pytest.fixture
def shop(home: Path, server: TestServer, pg18: TestServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Give a database of an operator's own, on each server in turn, and a role to be made weak."""
    # The commands leave Dagster's variables in the process.
    for name in ("DAGSTER_HOME", "HERALD_HOME", "HERALD_DAGSTER_URL"):
        monkeypatch.setenv(name, "")
    found = open_shop(home, server, pg18)
    with roles(found.url, ROLE):
        yield found
