"""DAGSTER_HOME of a HERALD_HOME: the folder, the instance file in it, and the environment that points to it.

Not here: the processes that work in it (supervisor), nor what they load (definitions).
"""

from collections.abc import Mapping
from pathlib import Path

from herald_pipelines.errors import PermanentFailure
from herald_pipelines.resources.home import write_whole
from herald_pipelines.values import Say

_PACKAGE = Path(__file__).resolve().parent.parent

DAGSTER_DATABASE = "dagster"
"""Name of Dagster's own database in the embedded server."""
DAGSTER_URL_VARIABLE = "HERALD_DAGSTER_URL"
DOTENV_VARIABLE = "HERALD_DOTENV"
DOTENV_NOTE = "# Written by herald for `dg` in this checkout; other lines are kept. It holds a password."


def instance_file() -> Path:
    """Return dagster.yaml: inside the package when installed from a wheel, beside it in a checkout."""
    for path in (_PACKAGE / "instance" / "dagster.yaml", _PACKAGE.parent / "dagster.yaml"):
        if path.is_file():
            return path
    raise PermanentFailure(
        f"no dagster.yaml in or beside {_PACKAGE}",
        hint="the installation is incomplete: install the package again",
    )


def prepare_dagster_home(home: Path) -> Path:
    """Make DAGSTER_HOME in a HERALD_HOME, with this version's dagster.yaml, and return it."""
    folder = home.absolute() / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "dagster.yaml", instance_file().read_text())
    return folder


def dagster_variables(home: Path, storage_url: str) -> dict[str, str]:
    """Return what a process needs in its environment to work in the Dagster instance of a home."""
    return {
        "DAGSTER_HOME": str(home.absolute() / "dagster"),
        "HERALD_HOME": str(home.absolute()),
        DAGSTER_URL_VARIABLE: storage_url,
    }


def write_dotenv(root: Path, home: Path, storage_url: str) -> Path:
    """Write the .env of a checkout, mode 0600, so that `dg` finds the instance of a home; returns its path.

    Lines that somebody else wrote are kept.
    """
    variables = dagster_variables(home, storage_url)
    path = root / ".env"
    kept = [line for line in _lines(path) if not _is_ours(line, variables)]
    ours = [DOTENV_NOTE, *(f"{name}={_quoted(value)}" for name, value in variables.items())]
    write_whole(path, "\n".join([*kept, *ours]) + "\n", mode=0o600)
    return path


def renew_dotenv(environ: Mapping[str, str], home: Path, storage_url: str, say: Say) -> None:
    """Write the .env of the folder that HERALD_DOTENV names, as `make` does; say so where it may not be written."""
    if folder := environ.get(DOTENV_VARIABLE):
        try:
            write_dotenv(Path(folder), home, storage_url)
        except OSError as error:
            say(
                f"`dg` will not find this home: {folder}/.env cannot be written: {(error.strerror or '').lower()}"
            )


def _lines(path: Path) -> list[str]:
    # of others, in whatever encoding: written back as it was
    return path.read_text("utf-8", "surrogateescape").splitlines() if path.is_file() else []


def _is_ours(line: str, variables: Mapping[str, str]) -> bool:
    return line == DOTENV_NOTE or line.partition("=")[0].strip().removeprefix("export ") in variables


def _quoted(value: str) -> str:
    r"""Quote a value as python-dotenv reads it: it fills in variables even between single quotes.

    >>> print(_quoted("it's ${HOME}"))
    'it\'s ${:-$}{HOME}'
    """
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("${", "${:-$}{")
    return f"'{escaped}'"
