"""How much room a server has for a second copy of an index and for the WAL of writing it. Reads only.

PostgreSQL does not tell free disk space. It is measured where the server's processes and folders are this
machine's; anywhere else it is unknown, and the plan then takes no more than a fixed size for granted.
"""

import os
from pathlib import Path

from herald_pipelines.resources.postgres import Session
from herald_pipelines.values import format_bytes

# A slot that keeps so much WAL has lost its consumer; rebuilding would fill the disk faster.
MAX_RETAINED_WAL_BYTES = 10 * 1024**3


def read_free_disk(session: Session, index_oid: int | None = None) -> int | None:
    """Return the free bytes where the server keeps its data, or an index; null when that cannot be known.

    The smaller of the data directory's and the tablespace's file system counts, for WAL goes to the one and
    the index to the other. That a path exists here proves nothing (a tunnel, a container), so the session's
    own server process must be visible here as well.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    row = session.fetch_one("indexes/read_disk", index_oid=index_oid)
    if not row["is_local"] or not row["data_directory"] or not _is_server_process(row["pid"]):
        return None
    free: list[int] = []
    for folder in (row["data_directory"], row["tablespace"]):
        if folder:
            try:
                status = os.statvfs(folder)
            except OSError:
                return None
            free.append(status.f_bavail * status.f_frsize)
    return min(free)


def find_wal_problem(session: Session, wal_bytes: int) -> str | None:
    """Return why writing so much WAL would do harm, or None.

    Args:
        session: any session on the server; a role without pg_monitor sees the slots all the same.
        wal_bytes: about as much as the index that is rebuilt.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    for row in session.fetch("indexes/read_retained_wal"):
        slot, retained, safe = row["slot"], row["retained_bytes"] or 0, row["safe_bytes"]
        if safe is not None and safe < wal_bytes:
            left = format_bytes(max(safe, 0))
            return f"replication slot {slot} would be lost: it may keep {left} more of WAL"
        if retained > MAX_RETAINED_WAL_BYTES:
            limit = format_bytes(MAX_RETAINED_WAL_BYTES)
            return f"replication slot {slot} keeps {format_bytes(retained)} of WAL already, more than {limit}"
    return None


def _is_server_process(pid: int) -> bool:
    """Whether a process of this machine is a PostgreSQL backend; Linux lets everyone read its title."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"postgres: ")
    except OSError:
        return False
