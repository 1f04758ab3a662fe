"""Real PostgreSQL servers for the tests, in throw-away homes that end with the tests, however these end."""

import subprocess
import tempfile
import time
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg2

from herald_pipelines.resources.embedded import EmbeddedServer

# Reads its standard input until the tests' end closes it, also when they are killed. Then it ends the server
# of the home and removes everything. A shell, because it must not depend on what is being tested.
REAPER = """
cat >/dev/null
data=$(cat "$1/postgres/location" 2>/dev/null || echo "$1/postgres/data")
if pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) && [ "$(readlink "/proc/$pid/cwd")" = "$data" ]; then
  kill -QUIT "$pid"
  while [ "$(readlink "/proc/$pid/cwd")" = "$data" ]; do sleep 0.05; done
fi
case "$data" in "$1"/*) ;; /var/lib/herald/homes/*) rm -rf "$(dirname "$data")" ;; esac
rm -rf "$1"
"""


class TestServer:
    """A running server with as many fresh databases as tests want."""

    __test__ = False

    def __init__(self, embedded: EmbeddedServer) -> None:
        self.embedded = embedded
        self.major = embedded.major
        self._created: list[str] = []

    def url(self, database: str) -> str:
        """Return the superuser's URL of a database."""
        return self.embedded.url(database)

    def create_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.embedded.create_database(name)
        self._created.append(name)
        return self.url(name)

    def drop_databases(self) -> None:
        """Drop what was created, whoever is connected: fresh files go at once, old ones only from the disk."""
        if not self._created:
            return
        with _autocommit(self.url("postgres")) as cursor:
            while self._created:
                cursor.execute(f"drop database if exists {self._created.pop()} with (force)")


@contextmanager
def temporary_home() -> Generator[Path]:
    """Yield an empty HERALD_HOME; at the end its server is stopped and everything is removed."""
    home = Path(tempfile.mkdtemp(prefix="herald-test-")).resolve()
    home.chmod(0o711)  # as root, the server's system user passes through
    reaper = subprocess.Popen(
        ["/bin/sh", "-c", REAPER, "reaper", str(home)],
        stdin=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
    )
    try:
        yield home
    finally:
        assert reaper.stdin is not None
        reaper.stdin.close()
        reaper.wait(timeout=300)


@contextmanager
def running_server(
    binaries: Path | None = None, *, options: Mapping[str, str] | None = None
) -> Generator[TestServer]:
    """Yield a server in a home of its own; its data is not safe, and it is fast. Options are settings of the server."""
    with temporary_home() as home:
        embedded = EmbeddedServer(home, binaries=binaries, durable=False, options=options)
        embedded.ensure_started()
        yield TestServer(embedded)


def wait_until(url: str, condition: str) -> None:
    """Ask a database until an SQL condition holds: before 15 statistics arrive up to a second late."""
    deadline = time.monotonic() + 30
    with _autocommit(url) as cursor:
        while time.monotonic() < deadline:
            cursor.execute(f"select {condition}")
            if cursor.fetchall() == [(True,)]:
                return
            time.sleep(0.05)
    raise AssertionError(f"never came true: {condition}")


@contextmanager
def _autocommit(url: str) -> Generator[psycopg2.extensions.cursor]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()
