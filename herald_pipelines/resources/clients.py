"""Programs of PostgreSQL of one major version: pg_dump, pg_restore, and those of a server where they are beside them.

A dump is restored by the version that made it: 18's pg_restore sets parameters that 15 does not know, and 15's does not
read 18's archives. Not here: what is done with them.
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from herald_pipelines.errors import UsageError
from herald_pipelines.resources.commands import run
from herald_pipelines.resources.server_host import NEEDED, packaged_binaries

CLIENTS = ("pg_dump", "pg_restore")
FOLDERS = ("/usr/lib/postgresql/{major}/bin", "/usr/pgsql-{major}/bin", "/usr/local/pgsql-{major}/bin")
"""Debian's, PGDG's for Red Hat, and one's own."""
VERSION_SECONDS = 30


@dataclass(frozen=True)
class ClientPrograms:
    """A folder of programs of one major version."""

    folder: Path
    major: int
    version: str
    """Of pg_dump: "18.6"."""

    @property
    def pg_dump(self) -> Path:
        """Path of pg_dump."""
        return self.folder / "pg_dump"

    @property
    def pg_restore(self) -> Path:
        """Path of pg_restore."""
        return self.folder / "pg_restore"

    @property
    def has_server(self) -> bool:
        """Whether a server can be made with what lies beside them."""
        return all((self.folder / name).is_file() for name in NEEDED)


def find_clients(major: int, named: Mapping[int, Path], *, with_server: bool = False) -> ClientPrograms:
    """Return the programs of a major version: the folder that the settings name, else the first on this machine.

    Args:
        major: of the server.
        named: folders by major version, of the settings.
        with_server: whether initdb, pg_ctl and postgres must be there too.

    Raises:
        UsageError: there are none.
    """
    looked: list[str] = []
    for folder in _candidates(major, named):
        looked.append(str(folder))
        if not all((folder / name).is_file() for name in CLIENTS):
            continue
        version = _version(folder / "pg_dump")
        found = ClientPrograms(folder, int(version.split(".")[0]), version)
        if found.major == major and (found.has_server or not with_server):
            return found
    what = "pg_dump, pg_restore and a server" if with_server else "pg_dump and pg_restore"
    package = f"postgresql-{major}" if with_server else f"postgresql-client-{major}"
    raise UsageError(
        f"no {what} of PostgreSQL {major} were found (looked in: {', '.join(dict.fromkeys(looked))})",
        hint=f"install {package}, or name their folder at backup.programs.{major}",
    )


def _candidates(major: int, named: Mapping[int, Path]) -> Iterator[Path]:
    if major in named:
        yield named[major]
        return
    if (packaged := packaged_binaries()) is not None:
        yield packaged
    yield from (Path(each.format(major=major)) for each in FOLDERS)
    if (on_path := shutil.which("pg_dump")) is not None:
        yield Path(on_path).resolve().parent


def _version(program: Path) -> str:
    answer = run([program, "--version"], timeout_seconds=VERSION_SECONDS).stdout
    found = re.search(r"\b(\d+(?:\.\d+|devel|beta\d+|rc\d+)?)", answer)
    if found is None:
        raise UsageError(f"{program} gives no version: {answer.strip()!r}")
    return re.sub(r"(devel|beta|rc).*", "", found.group(1))
