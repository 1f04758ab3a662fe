"""The adapter to PostgreSQL: sessions with timeouts, notices, read-only on the server's side, and advisory locks.

SQLAlchemy 2.0 engines over psycopg2 give the connections. Statements go through the driver's own cursor, because
text() reads `:name` and exec_driver_sql `%` inside SQL that means them literally. Not here: what to ask or to do.
"""

import hashlib
import os
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import quote

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import sqlalchemy as sa
import sqlalchemy.exc
from sqlalchemy.pool import NullPool

from herald_pipelines.errors import (
    DatabaseUnavailable,
    HeraldError,
    LockTimeout,
    PermanentFailure,
    StatementTimeout,
    TransientFailure,
    UsageError,
)
from herald_pipelines.resources.queries import load_query
from herald_pipelines.settings.conninfo import SECRETS, parse_url
from herald_pipelines.values import DatabaseIdentity

Row = Mapping[str, Any]

OLDEST_MAJOR, NEWEST_MAJOR = 14, 18
CONNECT_TIMEOUT_SECONDS = 10
# client_connection_check_interval (14+): a backend whose client was killed stops by itself instead of working on unseen.
DEAD_CLIENT_CHECK_SECONDS = 2
LOCK_POLL_SECONDS = 0.5
FIRST_WITH_TRANSACTION_TIMEOUT = 170000
# SQLSTATEs, by their beginning: the server is gone, going or full of clients; and what a later try may not meet again
# (deadlock, serialization, object in use, disk or memory full). psycopg2's classes put all of them into one.
OUTAGE_STATES = ("08", "57P", "53300", "25P03", "25P04")
PASSING_STATES = ("40", "53", "55006")
OUTAGE_ERRORS = (psycopg2.OperationalError, psycopg2.InterfaceError)
# Of what the driver says of a refused connection, the words; and the length below which a secret is a piece of words.
REFUSAL = "connection to server at port failed: FATAL: password authentication failed for user"
SHORTEST_MASKED = 4
# Environment variables of libpq that are not PG and the parameter's name.
_VARIABLES = {"dbname": "PGDATABASE"}
LOCK_NAMESPACE = 0x48524C44  # "HRLD": the first key of our two-key advisory locks


def lock_key(task: str) -> int:
    """Return the second key of the advisory lock of a task: a signed 32-bit number.

    Advisory locks belong to a database, so its name in some settings is not a part of the key: two installations, or two
    names for one database, meet each other's locks.

    >>> lock_key("index_rebuild") == lock_key("index_rebuild") != lock_key("index_analysis")
    True
    """
    return int.from_bytes(hashlib.sha256(task.encode()).digest()[:4], "big", signed=True)


def translate_error(error: BaseException, doing: str, *, mask: Callable[[str], str] = str) -> HeraldError:
    """Return the error of our tree for one of the driver's; the text never holds a connection string.

    Args:
        error: what SQLAlchemy or psycopg2 raised.
        doing: what was being done, for the sentence: "connecting to platform".
        mask: takes out of the driver's text what must not show.
    """
    origin = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig is not None else error
    sqlstate = getattr(origin, "pgcode", None) or ""
    # Before there is a session, libpq says a sentence a line.
    lines = [" ".join(line.split()) for line in str(origin).splitlines() if line.strip()]
    message = mask((" " if sqlstate else "; ").join(lines)) or type(origin).__name__
    sentence = f"{doing}: {message}"
    # libpq's own errors, from before there is a session, have no SQLSTATE.
    refused = not sqlstate and ("password" in message or "does not exist" in message.rpartition("FATAL:")[2])
    result: HeraldError = PermanentFailure(sentence)
    if isinstance(origin, psycopg2.errors.LockNotAvailable):
        result = LockTimeout(sentence)
    elif isinstance(origin, psycopg2.errors.QueryCanceled):
        result = StatementTimeout(sentence)
    elif refused or sqlstate.startswith(("28", "3D")):
        result = PermanentFailure(sentence, hint="check the url, the role and its secret in herald.yaml")
    elif isinstance(origin, psycopg2.errors.InsufficientPrivilege):
        hint = "grant the role what is named (sql/roles shows the least rights)"
        result = PermanentFailure(sentence, hint=hint)
    elif sqlstate.startswith(OUTAGE_STATES) or (not sqlstate and isinstance(origin, OUTAGE_ERRORS)):
        result = DatabaseUnavailable(sentence)
    elif sqlstate.startswith(PASSING_STATES):
        result = TransientFailure(sentence)
    return result


@dataclass
class Session:
    """One connection to a server, open for the time of a `with` block."""

    database: str
    """Name of the target database in the settings."""
    connection: Any = field(repr=False)
    """The psycopg2 connection."""
    notices: list[str] = field(default_factory=list[str])
    """What the server said beside its answers, oldest first: "WARNING:  skipping ..."."""

    def fetch(self, query: str, /, **parameters: object) -> list[Row]:
        """Run sql/queries/<query>.sql and return its rows as mappings.

        Raises:
            HeraldError: of the kind that fits what the server said.
        """
        return self._run(load_query(query), parameters, f"{query} on {self.database}")

    def fetch_one(self, query: str, /, **parameters: object) -> Row:
        """Run a query that gives exactly one row, and return it.

        Raises:
            PermanentFailure: it gave none, or several.
        """
        rows = self.fetch(query, **parameters)
        if len(rows) != 1:
            raise PermanentFailure(f"{query} on {self.database}: {len(rows)} rows where one was expected")
        return rows[0]

    def execute(self, statement: str, parameters: Mapping[str, object] | None = None, /) -> list[Row]:
        """Run a statement put together in code (utility statements take no parameters); identifiers are quoted already.

        Raises:
            HeraldError: of the kind that fits what the server said.
        """
        return self._run(
            statement, parameters, f"{statement.split(maxsplit=1)[0].lower()} on {self.database}"
        )

    def try_lock(self, task: str) -> bool:
        """Take the advisory lock of (database, task) for as long as this session lives, without waiting.

        The session that works is the one that holds the lock: when its client is killed, the lock stays until the
        server has really stopped working.
        """
        row = self.execute(
            "select pg_try_advisory_lock(%(space)s::int, %(key)s::int) as locked",
            {"space": LOCK_NAMESPACE, "key": lock_key(task)},
        )[0]
        return bool(row["locked"])

    def wait_for_lock(self, task: str, seconds: float) -> bool:
        """Take the advisory lock as `try_lock` does, waiting for it at most `seconds`.

        Needs an autocommit session, in which the failed wait leaves nothing behind.
        """
        give_up_at = time.monotonic() + seconds
        while not self.try_lock(task):
            left_seconds = give_up_at - time.monotonic()
            if left_seconds <= 0:
                return False
            time.sleep(min(LOCK_POLL_SECONDS, left_seconds))
        return True

    def unlock(self, task: str) -> None:
        """Give back the advisory lock of (database, task)."""
        self.execute(
            "select pg_advisory_unlock(%(space)s::int, %(key)s::int)",
            {"space": LOCK_NAMESPACE, "key": lock_key(task)},
        )

    def take_notices(self) -> list[str]:
        """Return the notices since the last call, and forget them."""
        taken = [" ".join(each.split()) for each in self.notices]
        self.notices.clear()
        return taken

    def _run(self, statement: str, parameters: Mapping[str, object] | None, doing: str) -> list[Row]:
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                if cursor.description is None:
                    return []
                names = [column.name for column in cursor.description]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except psycopg2.Error as error:
            raise translate_error(error, doing) from error


@dataclass(frozen=True)
class Postgres:
    """How to reach one database for one task. Cheap to make; nothing is opened before `session`."""

    url: str = field(repr=False)
    """libpq URL, `postgresql://...`; may hold a password, so it is never shown."""
    database: str
    """Name of the target database in the settings."""
    task: str = "herald"
    statement_timeout_seconds: float = 60.0
    lock_timeout_seconds: float = 2.0
    read_only: bool = True

    def writable(self, *, statement_timeout_seconds: float | None = None) -> "Postgres":
        """Return the same address for sessions that may change something."""
        return replace(
            self,
            read_only=False,
            statement_timeout_seconds=statement_timeout_seconds or self.statement_timeout_seconds,
        )

    @contextmanager
    def session(self, *, autocommit: bool = False) -> Generator[Session]:
        """Open a connection; commit at the end of the block, roll back when it raises.

        Args:
            autocommit: for statements that cannot run in a transaction (REINDEX CONCURRENTLY, VACUUM).

        Raises:
            DatabaseUnavailable: the server cannot be reached.
            UsageError: the url is no url, or the server's major version is not supported.
            PermanentFailure: the server refused the role or the database.
        """
        pooled = self._open()
        connection: Any = pooled.driver_connection
        try:
            _check_major(connection.server_version, self.database)
            connection.autocommit = True
            if connection.server_version >= FIRST_WITH_TRANSACTION_TIMEOUT:
                # Servers before it refuse a connection that names it; it would end a rebuild in one of its phases.
                Session(self.database, connection).execute("set transaction_timeout = 0")
            connection.autocommit = autocommit
            session = Session(self.database, connection)
            connection.notices = session.notices
            yield session
            if not autocommit:
                try:
                    connection.commit()
                except psycopg2.Error as error:
                    raise translate_error(error, f"commit on {self.database}") from error
        finally:
            # Closing without a commit rolls back; the connection may be gone already.
            pooled.invalidate()

    def identity(self) -> DatabaseIdentity:
        """Ask the server which database this is.

        Raises:
            UsageError: it is a standby.
        """
        with self.session() as session:
            return read_identity(session)

    @cached_property
    def _parameters(self) -> dict[str, str]:
        """The connection parameters that the url stands for.

        Raises:
            UsageError: it is no url.
        """
        try:
            # Dagster's storage may be named as SQLAlchemy does
            return parse_url(self.url.replace("postgresql+psycopg2://", "postgresql://", 1))
        except ValueError as error:
            raise UsageError(
                f"the url of {self.database} {error}", hint="write postgresql://role@host:5432/database"
            ) from None

    @cached_property
    def engine(self) -> sa.Engine:
        """What makes the connections, and keeps none: so there is nothing to dispose of."""
        # quoted by the driver, so that no name is taken for more parameters
        dsn = psycopg2.extensions.make_dsn(**self._parameters, **self._session_parameters())
        return sa.create_engine(
            "postgresql+psycopg2://",
            creator=lambda: psycopg2.connect(dsn),
            poolclass=NullPool,
            use_native_hstore=False,
        )

    def _open(self) -> sa.PoolProxiedConnection:
        try:
            return self.engine.raw_connection()
        except (sqlalchemy.exc.DBAPIError, psycopg2.Error) as error:
            failure = translate_error(error, f"connecting to {self.database}", mask=self.mask)
        raise failure  # out here, so that it does not carry the driver's own text along as its context

    def mask(self, text: str) -> str:
        """Return a text without the url and its secrets, as they stand in the url and as they are meant.

        What is a piece of a name or a word that shows anyway stays: a gap would tell that it is the password, too.
        """
        shown = [value for key, value in self._parameters.items() if key not in SECRETS]
        shown.append(REFUSAL)
        secrets = [self._parameters[key] for key in SECRETS & self._parameters.keys()]
        hidden = [
            each
            for each in secrets
            if len(each) >= SHORTEST_MASKED and not any(each in name for name in shown)
        ]
        forms = {self.url, *hidden, *(quote(each, safe="") for each in hidden)}
        for each in sorted(forms, key=len, reverse=True):
            text = text.replace(each, "***")
        return text

    @property
    def dbname(self) -> str:
        """The database's name on its server."""
        return self._parameters["dbname"]

    def client_environment(self, *, options: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the whole environment for a program of PostgreSQL that connects as our sessions do; nothing goes into argv.

        Args:
            options: settings of the server for its sessions, beside the url's; none may have white space.

        Raises:
            UsageError: the url is no url, or holds what a program can only be told in clear.
        """
        given = dict(self._parameters)
        if given.pop("sslpassword", None) is not None:
            raise UsageError(
                f"the url of {self.database} has an sslpassword, which programs of PostgreSQL take from no variable",
                hint="use a key file without a passphrase for backups",
            )
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        environ |= {
            _VARIABLES.get(name, f"PG{name.upper()}".replace("_", "")): value for name, value in given.items()
        }
        # Terminals that ask for a password would wait for ever, and messages are read by us.
        return environ | {
            "PGAPPNAME": f"herald:{self.task}"[:63],
            "PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT_SECONDS),
            "PGCLIENTENCODING": "UTF8",
            "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in (options or {}).items()),
            "LC_ALL": "C.UTF-8",
        }

    def _session_parameters(self) -> dict[str, Any]:
        options = {
            "statement_timeout": round(self.statement_timeout_seconds * 1000),
            "lock_timeout": round(self.lock_timeout_seconds * 1000),
            "default_transaction_read_only": "on" if self.read_only else "off",
            "client_connection_check_interval": DEAD_CLIENT_CHECK_SECONDS * 1000,
            "timezone": "UTC",
            "datestyle": "ISO",
            "standard_conforming_strings": "on",
            "client_encoding": "UTF8",
            "idle_session_timeout": 0,
            "search_path": "pg_catalog",
        }
        return {
            "application_name": f"herald:{self.task}"[:63],
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        }


def read_identity(session: Session, *, standby: bool = False) -> DatabaseIdentity:
    """Ask the server which database a session is in.

    Args:
        session: any session.
        standby: whether the server may be one, which shares the primary's identity and not its locks and counters.

    Raises:
        UsageError: it is a standby and may not be.
    """
    row = session.fetch_one("server/read_identity")
    if row["is_standby"] and not standby:
        raise UsageError(
            f"the url of {session.database} leads to a standby",
            hint="let url lead to the primary, and name standbys under replicas",
        )
    return DatabaseIdentity(
        name=session.database,
        datname=row["datname"],
        system_identifier=str(row["system_identifier"]),
        database_oid=row["database_oid"],
        server_version=row["server_version"],
    )


def _check_major(server_version: int, database: str) -> None:
    major = server_version // 10000
    if not OLDEST_MAJOR <= major <= NEWEST_MAJOR:
        raise UsageError(
            f"database {database!r} runs PostgreSQL {major} (known: {OLDEST_MAJOR} to {NEWEST_MAJOR})",
            hint="upgrade the server, or leave the database out of herald.yaml",
        )
