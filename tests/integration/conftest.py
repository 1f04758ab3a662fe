"""Fixtures of what several integration tests start from."""

from pathlib import Path

import pytest
from bank import Bank, open_bank

from servers import TestServer


@pytest.fixture
def bank(home: Path, server: TestServer, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """Give a churned database of an operator's own, on each server in turn."""
    # The commands leave Dagster's variables in the process.
    for name in ("DAGSTER_HOME", "HERALD_HOME", "HERALD_DAGSTER_URL"):
        monkeypatch.setenv(name, "")
    return open_bank(home, server)
