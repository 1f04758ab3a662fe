"""What the host that maintains tells: modes of keys and settings, what git has of them, secrets in clear.

No secret is read: of their files, the mode alone; of the settings, on which line something looks like one.
Not here: judging (rules_host.py), the server's own files, which PostgreSQL guards by itself.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from herald_pipelines.database.security.facts import FileFacts, HostFacts, PackageAudit, TextSecret
from herald_pipelines.database.security.findings import Unreadable
from herald_pipelines.errors import HeraldError
from herald_pipelines.resources.commands import run
from herald_pipelines.resources.dagster_home import DOTENV_VARIABLE
from herald_pipelines.settings import SecretRef, Settings
from herald_pipelines.settings.files import MOST_YAML_BYTES, explain, read_text_file

DEFAULT_KEY, DEFAULT_STORE = "backup.key", "store"
"""In the home: of the embedded default's backups (backup.ring, backup.repository)."""
GIT_SECONDS = 30
TRACKED, NOT_TRACKED = 0, 1
"""Exit codes of git ls-files --error-unmatch."""

_CALLED = """(?: pass(?:word|wd|phrase) | secret(?:_access_key)? | token | api_?key ) s? ['"]?"""
_FIRST = r"""(?![{\[~/|>&*\#'"])"""
CLEAR = {
    "a url with a password": re.compile(r"://[^\s:/@'\"]*:[^\s@/'\"]+@"),
    "a password": re.compile(
        # a value alone on its line or quoted, one between braces, a word of a command: prose has more words, a reference
        # begins with a brace
        rf"""(?ix) {_CALLED} (?: \s*:\s+ (?: {_FIRST} [^\s'"]{{6,}} | (?P<quote>['"]) {_FIRST} [^'"]{{4,}} (?P=quote) )
                \s* (?:\#.*)? $
            | = [^\s,'"\]}}]{{4,}} )
        | \{{ [^{{}}]* {_CALLED} \s*:\s* (?: (?<=\s) {_FIRST} [^\s,'"{{}}]+ | (?P<mark>['"]) {_FIRST} [^'"]+ (?P=mark) )
            \s* [,}}]"""
    ),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "an access key of AWS": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
}
"""What a secret looks like, by what it is called."""


def read_host_facts(
    settings: Settings, environ: Mapping[str, str], packages: PackageAudit | Unreadable
) -> HostFacts:
    """Read what the rules on the host ask for.

    Args:
        settings: which files hold secrets, and where the store is.
        environ: of the process.
        packages: what is known of the installed ones (dependencies.py).
    """
    secrets = _secret_files(settings, environ)
    said = {path: "the settings" for path in (settings.source,) if path} | {
        path: "the calendar" for path in (settings.calendar,) if path
    }
    return HostFacts(
        secrets=tuple(
            FileFacts(str(path), what, _mode(path), _is_tracked(path)) for path, what in secrets.items()
        ),
        key_folders=tuple(
            FileFacts(str(path), "gpg's folder of keys", _mode(path))
            for path in (settings.backup.gnupg_home,)
            if path is not None
        ),
        open_folders=tuple(_open_folders((*secrets, *said))),
        settings=tuple(
            FileFacts(str(path), what, _mode(path), _is_tracked(path)) for path, what in said.items()
        ),
        store=_store(settings),
        text_secrets=_text_secrets(_texts(settings, environ)),
        packages=packages,
    )


def find_clear(path: str, text: str) -> tuple[TextSecret, ...]:
    """Return which lines of a text look as if they held a secret in clear.

    >>> find_clear("f", "url: postgresql://a:b@c/d")
    (TextSecret(path='f', kind='a url with a password', lines=(1,)),)
    >>> find_clear("f", "# no password: ~/.pgpass or a certificate")
    ()
    """
    lines = text.splitlines()
    found = {
        kind: tuple(number for number, line in enumerate(lines, start=1) if pattern.search(line))
        for kind, pattern in CLEAR.items()
    }
    return tuple(TextSecret(path, kind, numbers) for kind, numbers in found.items() if numbers)


def _secret_files(settings: Settings, environ: Mapping[str, str]) -> dict[Path, str]:
    """Return the files that hold secrets, with what is in them; those that need not be there, where they are."""
    found = dict.fromkeys(_references(settings), "a secret of the settings")
    home = settings.home.absolute()
    optional = {home / "postgres" / "password": "the embedded server's password"}
    if settings.backup.store is None:
        optional[home / DEFAULT_KEY] = "the key of the backups"
    folders = [environ.get(DOTENV_VARIABLE), settings.source.parent if settings.source else None]
    optional |= {Path(folder).absolute() / ".env": "variables with secrets" for folder in folders if folder}
    return {path: what for path, what in optional.items() if os.path.lexists(path)} | found


def _references(value: object) -> Iterator[Path]:
    """Yield the file of every reference to a secret, wherever in the settings it stands."""
    match value:
        case SecretRef():
            if value.file is not None:
                yield value.file.absolute()
        case BaseModel():
            for name in type(value).model_fields:
                yield from _references(getattr(value, name))
        case Mapping():
            for each in cast("Mapping[Any, Any]", value).values():
                yield from _references(each)
        case tuple():
            for each in cast("tuple[Any, ...]", value):
                yield from _references(each)
        case _:
            pass


def _mode(path: Path) -> int | Unreadable:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        return Unreadable(explain(error))


def _open_folders(paths: tuple[Path, ...]) -> Iterator[FileFacts]:
    """Yield the folders above files in which everybody may exchange what is there: writable, and not sticky."""
    above = {folder for path in paths for form in (path, path.resolve()) for folder in form.parents}
    for folder in sorted(above):
        mode = _mode(folder)
        if isinstance(mode, Unreadable) or (mode & stat.S_IWOTH and not mode & stat.S_ISVTX):
            yield FileFacts(str(folder), "a folder", mode)


def _store(settings: Settings) -> FileFacts | Unreadable:
    url = settings.backup.store
    if url is None:
        path = settings.home.absolute() / DEFAULT_STORE
        if isinstance(_mode(path), Unreadable) and not os.path.lexists(path):
            return Unreadable(f"there is no store of backups, or no way to it: {path}")
    elif url.startswith("file:"):
        path = Path(unquote(urlsplit(url).path))
    else:
        return Unreadable(f"what others may do with {url} is its service's to tell")
    return FileFacts(str(path), "the store of backups", _mode(path))


def _texts(settings: Settings, environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files that people write settings into."""
    yield from (path for path in (settings.source, settings.calendar) if path)
    if home := environ.get("DAGSTER_HOME"):
        paths = [Path(home).absolute() / name for name in ("dagster.yaml", "workspace.yaml")]
        yield from (path for path in paths if os.path.lexists(path))


def _text_secrets(paths: Iterable[Path]) -> tuple[TextSecret, ...] | Unreadable:
    found: list[TextSecret] = []
    for path in paths:
        try:
            found += find_clear(str(path), read_text_file(path, MOST_YAML_BYTES).text)
        except OSError as error:
            return Unreadable(f"{path}: {explain(error)}")
    return tuple(found)


def _is_tracked(path: Path) -> bool | Unreadable:
    """Ask git whether it has a file, as it is named or where its links lead; outside of a repository it has none."""
    answers = [_ask_git(each) for each in dict.fromkeys((path, path.resolve()))]
    unread = [each for each in answers if isinstance(each, Unreadable)]
    return True if True in answers else unread[0] if unread else False


def _ask_git(path: Path) -> bool | Unreadable:
    try:
        if not any((folder / ".git").exists() for folder in path.parents):
            return False
        result = run(
            # A repository may be somebody else's: nothing of its configuration is run.
            ["git", "--literal-pathspecs", "-c", "core.fsmonitor=", "ls-files", "--error-unmatch", "--", path.name],
            timeout_seconds=GIT_SECONDS,
            ok_codes=(TRACKED, NOT_TRACKED),
            env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {"LC_ALL": "C"},
            cwd=path.parent,
        )  # fmt: skip
    except OSError as error:
        return Unreadable(explain(error))
    except HeraldError as error:
        return Unreadable(error.message)
    return result.code == TRACKED
