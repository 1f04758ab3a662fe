"""SQL that lives in files: one statement a file, named `<domain>/verb_noun`, found in a checkout and in a wheel alike.

Parameters are psycopg2's `%(name)s`; a literal per cent sign is therefore written `%%`. Identifiers never come in as
text: `values.quote_identifier` is the only way.
"""

from functools import cache
from pathlib import Path

from herald_pipelines.errors import PermanentFailure

_PACKAGE = Path(__file__).resolve().parent.parent


@cache
def sql_root() -> Path:
    """Return the folder of SQL files: inside the package when installed from a wheel, beside it in a checkout."""
    for folder in (_PACKAGE / "sql", _PACKAGE.parent / "sql"):
        if (folder / "queries").is_dir():
            return folder
    raise PermanentFailure(
        f"no sql folder in or beside {_PACKAGE}",
        hint="the installation is incomplete: install the package again",
    )


@cache
def load_query(name: str) -> str:
    """Return the text of sql/queries/<name>.sql.

    Raises:
        PermanentFailure: no such file.
    """
    path = sql_root() / "queries" / f"{name}.sql"
    if not path.is_file():
        raise PermanentFailure(f"no query {name!r} in {sql_root() / 'queries'}")
    return path.read_text(encoding="utf-8")
