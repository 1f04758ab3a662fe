"""A yard on each server in turn."""

from collections.abc import Callable
from pathlib import Path

import pytest
from yard import Yard, migrated_ops, open_yard

from servers import TestServer

Opener = Callable[..., Yard]


@pytest.fixture
def open_it(home: Path, server: TestServer, pg18: TestServer) -> Opener:
    """Give what makes a yard of some SQL."""
    return lambda *sql, **options: open_yard(home, server, migrated_ops(pg18), *sql, **options)


@pytest.fixture
def yard(open_it: Opener) -> Yard:
    """Give a yard with matches by month, of which two have expired."""
    return open_it()
