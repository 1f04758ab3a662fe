"""Making a server's data directory, and what can be wrong with one that is there.

Not here: where it lies, and starting and stopping the server in it (embedded).
"""

import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from herald_pipelines.errors import UsageError
from herald_pipelines.resources.commands import run
from herald_pipelines.resources.home import write_whole
from herald_pipelines.resources.server_host import ServerBinaries

SUPERUSER = "postgres"
INITDB_SECONDS = 300
BUILTIN_COLLATION_MAJOR = 17

# Small, because a laptop also runs the rest; an operator changes them with ALTER SYSTEM.
SETTINGS = """
# Written once by herald when this data directory was made.
shared_preload_libraries = 'pg_stat_statements'
unix_socket_directories = ''
max_connections = 200
shared_buffers = '128MB'
maintenance_work_mem = '64MB'
max_wal_size = '1GB'
timezone = 'UTC'
log_timezone = 'UTC'
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%a.log'
log_truncate_on_rotation = on
log_rotation_age = '1d'
log_rotation_size = 0
"""


@dataclass(frozen=True)
class ServerPrograms:
    """The programs of a server, and the system user that they run as; none: the present one."""

    binaries: ServerBinaries
    user: str | None

    def run(
        self,
        program: str,
        *arguments: str,
        seconds: float,
        cwd: Path = Path("/"),
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Run one of them to its end, in a clean environment: no PG* variable of the operator, messages in English.

        Raises:
            CommandFailed: it failed.
            CommandTimeout: it did not end in time.
        """
        run(
            [self.binaries.folder / program, *arguments],
            timeout_seconds=seconds,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **(env or {})},
            cwd=cwd,
            as_user=self.user,
        )


def make_data_directory(data: Path, programs: ServerPrograms, password: str, *, durable: bool) -> None:
    """Make a data directory whose superuser has a password.

    It is made beside its place and moved there when whole: an interrupted initdb is never taken for a server, and
    one that outlived its parent works on in a folder that is not ours.

    Raises:
        CommandFailed: initdb failed.
    """
    for leftover in data.parent.glob("new-*"):
        if leftover.is_dir():
            # An initdb that outlived its parent may still write into it; what stays goes with the next start.
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
    fresh = data.with_name(f"new-{secrets.token_hex(4)}")
    password_file = data.with_name(f"{fresh.name}.password")
    fresh.mkdir(mode=0o700)
    try:
        write_whole(password_file, password, mode=0o600)
        if programs.user is not None:
            shutil.chown(fresh, programs.user)
            shutil.chown(password_file, programs.user)
        # The built-in collation does not change under an index when the C library is upgraded.
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
            if programs.binaries.major >= BUILTIN_COLLATION_MAJOR
            else ["--locale=C.UTF-8"]
        )
        programs.run(
            "initdb",
            "--pgdata", str(fresh), "--username", SUPERUSER, "--pwfile", str(password_file),
            "--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions",
            *locale,
            *([] if durable else ["--no-sync"]),
            seconds=INITDB_SECONDS,
        )  # fmt: skip
    finally:
        password_file.unlink(missing_ok=True)
    with (fresh / "postgresql.conf").open("a") as configuration:
        configuration.write(SETTINGS)
    fresh.rename(data)


def check_data_directory(data: Path, binaries: ServerBinaries) -> None:
    """Refuse a data directory that these programs cannot serve.

    Raises:
        UsageError: it is of another major version, is none, or belongs to somebody else.
    """
    try:
        found = (data / "PG_VERSION").read_text().strip()
    except PermissionError as error:
        raise foreign_owner(data) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{data} is no data directory of PostgreSQL", hint="move it away") from error
    if found != str(binaries.major):
        raise UsageError(
            f"{data} holds data of PostgreSQL {found}, and the server programs in"
            f" {binaries.folder} are PostgreSQL {binaries.major}",
            hint=f"install PostgreSQL {found}, use pg_upgrade, or name another folder with HERALD_HOME",
        )


def foreign_owner(data: Path) -> UsageError:
    """Return the error for a data directory that we may not read."""
    return UsageError(
        f"the data directory {data} belongs to another user",
        hint="run this as its owner or as root, or name another folder with HERALD_HOME",
    )
