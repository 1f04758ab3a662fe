"""Fixtures for all tests. In CI a part that is missing fails; elsewhere the summary names what was not run."""

import ctypes
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from s3_server import S3Server, running_s3_server
from server_programs import MAJORS, MissingServerError, has_clients, server_programs
from servers import TestServer, running_server, temporary_home

RUNNING: list[TestServer] = []
LEFT_OUT = pytest.StashKey[list[str]]()
USUAL_SERVERS = ("15", "18")
TEST_SERVERS = os.environ.get("HERALD_TEST_SERVERS", ",".join(USUAL_SERVERS)).split(",")
"""What the fixture `server` stands for."""
NOT_ON_TARGETS = (
    "tests/integration/resources/",
    "tests/integration/test_migrations.py",
    "tests/integration/test_sample.py",
    "tests/integration/backup/",
)
"""Tests of what is no work on a target database, and of backups, for which npm's builds lack pg_dump: they take the usual
servers alone."""


def pytest_configure(config: pytest.Config) -> None:
    """Tear fixtures down on SIGTERM as on Ctrl-C, and keep the operator's environment out of the tests."""
    if unknown := set(TEST_SERVERS) - {str(major) for major in MAJORS}:
        known = ", ".join(map(str, MAJORS))
        raise pytest.UsageError(f"HERALD_TEST_SERVERS names {', '.join(unknown)} (known: {known})")
    config.addinivalue_line("markers", "root: what only root does, such as running a server as a system user")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # nohup and a shell's background jobs have these ignored, by whatever the tests start as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # Who starts workers runs no test, and they are to read this as it did.
    starts_workers = not hasattr(config, "workerinput") and config.getoption("numprocesses", default=None)
    kept = {"HERALD_TEST_SERVERS"} if starts_workers else set[str]()
    for name in list(os.environ):
        if name.startswith(("AWS_", "PG", "HERALD_", "DAGSTER_")) and name not in kept:
            del os.environ[name]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what another server would only repeat, and what cannot be run here: missing parts, root's ways."""
    repeated = [
        item
        for item in items
        if item.nodeid.startswith(NOT_ON_TARGETS)
        and _servers(item) - {f"pg{major}" for major in USUAL_SERVERS}
    ]
    no_browser = [item for item in items if _may_miss_browser() and "chromium" in _fixtures(item)]
    no_root = [item for item in items if os.geteuid() != 0 and item.get_closest_marker("root")]
    no_clients = [item for item in items if os.environ.get("CI") != "true" and _may_lack_clients(item)]
    groups = [
        *_without_server([item for item in items if item not in repeated]),
        (no_browser, "in a browser (not installed; root can: apt-get install chromium libatomic1)"),
        (no_root, "of what only root does"),
        (no_clients, "of backups on PostgreSQL 15 (its pg_dump is not installed)"),
    ]
    config.stash[LEFT_OUT] = [f"{len(group)} tests {reason}" for group, reason in groups if group]
    left_out = [*repeated, *(item for group, _ in groups for item in group)]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
    _spread(items)


def _spread(items: list[pytest.Item]) -> None:
    """Spread the files with whole platforms, each the load of several others, over the first half: none meets all others,
    and none is begun when nothing else is left."""
    files = dict.fromkeys(item.path for item in items)
    heavy = [path for path in files if path.parent.name == "e2e" or path.name == "test_supervisor.py"]
    others = [path for path in files if path not in heavy]
    places = {path: number / len(others) for number, path in enumerate(others)}
    places |= {path: number / len(heavy) / 2 for number, path in enumerate(heavy)}
    items.sort(key=lambda item: places[item.path])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let the process that started this one know what was left out, where several run tests side by side."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["left_out"] = session.config.stash.get(LEFT_OUT, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what one of several processes left out; all of them leave out the same."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name in one line what was left out."""
    if left_out := config.stash.get(LEFT_OUT, []):
        terminalreporter.write_line(f"not run here: {'; '.join(left_out)}")


def _without_server(items: Sequence[pytest.Item]) -> Iterator[tuple[list[pytest.Item], str]]:
    """Yield for each version that cannot be had the tests that need it, and why; none in CI: there they fail."""
    for major in MAJORS:
        group = [item for item in items if f"pg{major}" in _servers(item)]
        if group and os.environ.get("CI") != "true":
            try:
                server_programs(major)
            except MissingServerError as error:
                yield group, f"on PostgreSQL {major} ({error})"


def _servers(item: pytest.Item) -> set[str]:
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return {f"pg{major}" for major in MAJORS} & {
        name for name in (*_fixtures(item), *parameters) if isinstance(name, str)
    }


def _may_lack_clients(item: pytest.Item) -> bool:
    on_15 = "pg15" in _servers(item) or "[15" in item.name
    return item.nodeid.startswith("tests/integration/backup/") and on_15 and not has_clients(15)


def _fixtures(item: pytest.Item) -> Sequence[str]:
    return getattr(item, "fixturenames", ())


def _may_miss_browser() -> bool:
    return not _has_browser() and os.environ.get("CI") != "true" and os.geteuid() != 0


def _has_browser() -> bool:
    with suppress(OSError):
        return shutil.which("chromium") is not None and bool(ctypes.CDLL("libatomic.so.1"))
    return False


@pytest.fixture(scope="session")
def chromium() -> str:
    """Give the path of the browser."""
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("no chromium on PATH: apt-get install chromium libatomic1", pytrace=False)
    return path


def _session_server(major: int) -> Callable[[], Iterator[TestServer]]:
    @pytest.fixture(scope="session", name=f"pg{major}")
    def running() -> Iterator[TestServer]:
        try:
            programs = server_programs(major)
        except MissingServerError as error:
            pytest.fail(f"no PostgreSQL {major}: {error}", pytrace=False)
        with running_server(programs) as server:
            if server.major != major:
                pytest.fail(f"PostgreSQL {server.major} was found instead of {major}", pytrace=False)
            RUNNING.append(server)
            yield server

    return running


pg14, pg15, pg16, pg17, pg18 = (_session_server(major) for major in MAJORS)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Give an S3 service; each test makes its own buckets."""
    with running_s3_server() as server:
        yield server


@pytest.fixture(params=[f"pg{major}" for major in TEST_SERVERS])
def server(request: pytest.FixtureRequest) -> TestServer:
    """Give each of the servers in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def _drop_databases() -> Iterator[None]:
    """Leave no database of a test behind: hundreds are slow to remove at the end."""
    yield
    for server in RUNNING:
        server.drop_databases()


@pytest.fixture
def database_url(server: TestServer) -> str:
    """Give the superuser's URL of a fresh, empty database."""
    return server.create_database()


@pytest.fixture
def home() -> Iterator[Path]:
    """Give an empty HERALD_HOME; a server that was started in it is stopped at the end."""
    with temporary_home() as folder:
        yield folder
