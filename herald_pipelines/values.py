"""Small frozen values and conversions that every room uses. Not here: I/O, except the one clock."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

Say = Callable[[str], None]
"""Takes a sentence of what happens, for whoever is waiting."""

KIB = 1024
SECONDS_PER_DAY = 86400
BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


class Outcome(StrEnum):
    """What became of an action on an object; the values of herald.maintenance_log.outcome."""

    RUNNING = "running"
    PLANNED = "planned"
    DONE = "done"
    SKIPPED = "skipped"
    REFUSED = "refused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Mode(StrEnum):
    """Whether a task may change its target: `observe` analyses, plans and records; `apply` also acts."""

    OBSERVE = "observe"
    APPLY = "apply"


class Capability(StrEnum):
    """What a connection to a target database is for; each may have its own role."""

    OBSERVE = "observe"
    MAINTAIN = "maintain"
    BACKUP = "backup"
    RESTORE = "restore"


@dataclass(frozen=True)
class DatabaseIdentity:
    """Which database a row speaks of, whatever its name or address becomes later."""

    name: str
    """The name in the settings."""
    datname: str
    system_identifier: str
    """pg_control_system(): set by initdb, kept by physical copies."""
    database_oid: int
    server_version: int
    """server_version_num: 180006 is 18.6."""

    @property
    def major(self) -> int:
        """The server's major version.

        >>> DatabaseIdentity("a", "a", "1", 5, 150018).major
        15
        """
        return self.server_version // 10000

    @property
    def parameters(self) -> dict[str, object]:
        """The parameters by which queries say whose rows they mean."""
        return {
            "database": self.name,
            "system_identifier": self.system_identifier,
            "database_oid": self.database_oid,
        }


def utc_now() -> datetime:
    """Read the clock. Called at the edge only: assets, automation, CLI."""
    return datetime.now(tz=UTC)


def format_bytes(count: float) -> str:
    """Write a number of bytes for people.

    >>> format_bytes(0), format_bytes(8192), format_bytes(5 * 1024**3), format_bytes(-2048)
    ('0 B', '8.0 KiB', '5.0 GiB', '-2.0 KiB')
    """
    amount = abs(float(count))
    unit = 0
    while amount >= KIB and unit < len(BYTE_UNITS) - 1:
        amount /= KIB
        unit += 1
    sign = "-" if count < 0 else ""
    return f"{sign}{amount:.0f} B" if unit == 0 else f"{sign}{amount:.1f} {BYTE_UNITS[unit]}"


def format_seconds(seconds: float) -> str:
    """Write a duration for people.

    >>> format_seconds(0.42), format_seconds(75), format_seconds(7320)
    ('0.4 s', '1 min 15 s', '2 h 2 min')
    """
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def quote_identifier(*parts: str) -> str:
    """Quote an identifier, qualified when several parts are given, as PostgreSQL's quote_ident would.

    >>> quote_identifier("public", 'odd"name')
    '"public"."odd""name"'

    Raises:
        ValueError: a part is empty or holds a NUL.
    """
    if not parts or any(not part or "\0" in part for part in parts):
        raise ValueError(f"not an identifier: {parts!r}")
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)
