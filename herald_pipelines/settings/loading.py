"""Finding herald.yaml, loading it, and `herald config check`. Every mistake is told at once, one a line."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from herald_pipelines.errors import UsageError
from herald_pipelines.settings.document import Document, parse_document
from herald_pipelines.settings.files import MOST_YAML_BYTES, explain, read_text_file, show_file
from herald_pipelines.settings.mistakes import (
    NOT_IN_FILE,
    Mistake,
    known_keys,
    show_path,
    show_value,
    translate,
    unknown_key,
)
from herald_pipelines.settings.models import Settings
from herald_pipelines.settings.secrets import resolve_url
from herald_pipelines.settings.urls import CapabilityUrls, SecretRef

DEFAULT_FILE = "herald.yaml"
DEFAULT_HOME = ".herald"
VERSIONS = (1,)


def load_settings(environ: Mapping[str, str], cwd: Path, *, tasks: Collection[str] | None = None) -> Settings:
    """Read the file that HERALD_CONFIG names, else herald.yaml in the current folder, else take the defaults.

    Secrets stay references. HERALD_HOME, else .herald in the current folder, is where our own files go.

    Args:
        environ: the environment of the process.
        cwd: the current folder.
        tasks: names of the tasks there are; when given, an entry for another one is a mistake.

    Raises:
        UsageError: the file cannot be read, or holds mistakes: each is one line of the text.
    """
    home = (cwd / (environ.get("HERALD_HOME") or DEFAULT_HOME)).absolute()
    file = _read_file(environ, cwd)
    if file is None:
        return Settings(home=home)
    path, text = file
    document = parse_document(text, str(path))
    mistakes = list(_version_mistakes(document))
    if mistakes:
        # what another version's keys mean is not known, so they are not judged
        raise _usage_error(path, document, mistakes)
    settings, mistakes = _validate(document, path, home)
    mistakes += [Mistake(each, "is given twice") for each in document.duplicates]
    mistakes += _task_mistakes(document, tasks)
    if mistakes or settings is None:
        raise _usage_error(path, document, mistakes)
    return settings


def describe(settings: Settings) -> dict[str, Any]:
    """Return the settings as they hold, for JSON: defaults and overrides resolved, secrets as references."""
    said = settings.model_dump(mode="json", exclude_none=True)
    for name in settings.names():
        target = said["databases"][name] if name in said["databases"] else said["ops"]
        target["indexes"] = settings.indexes_of(name).model_dump(mode="json")
        target["performance"] = settings.performance_of(name).model_dump(mode="json")
    return said | {"embedded": settings.embedded}


def check_config(
    environ: Mapping[str, str], cwd: Path, *, tasks: Collection[str] | None = None
) -> dict[str, Any]:
    """Load the settings and resolve every secret, and return what `describe` does. No server is asked.

    Raises:
        UsageError: there are mistakes, or secrets that cannot be resolved: each is one line of the text.
    """
    settings = load_settings(environ, cwd, tasks=tasks)
    problems: list[str] = []
    for path, secret in _secrets(settings):
        try:
            resolve_url(secret, environ)
        except UsageError as error:
            hint = f"; {error.hint}" if error.hint else ""
            problems.append(f"{settings.source}: {show_path(path)}: {error.message}{hint}")
    if problems:
        raise UsageError("\n".join(problems))
    return describe(settings)


def find_calendar(environ: Mapping[str, str], cwd: Path) -> Path | None:
    """Return the calendar that the file names, whatever else is wrong with the file; None: the shipped one.

    Raises:
        UsageError: the file cannot be read.
    """
    file = _read_file(environ, cwd)
    if file is None:
        return None
    path, text = file
    named = parse_document(text, str(path)).data.get("calendar")
    if not isinstance(named, str):
        return None
    try:
        read_text_file(path.parent / named, MOST_YAML_BYTES)
    except OSError:
        return None
    return path.parent / named


def _read_file(environ: Mapping[str, str], cwd: Path) -> tuple[Path, str] | None:
    """Return the path and the text of the file that holds; None where there is none and none is named."""
    named = environ.get("HERALD_CONFIG")
    path = (cwd / (named or DEFAULT_FILE)).absolute()
    try:
        return path, read_text_file(path, MOST_YAML_BYTES).text
    except FileNotFoundError:
        if not named and not path.is_symlink():
            return None
        reason = "no such file" + (": HERALD_CONFIG names it" if named else "")
    except OSError as error:
        reason = explain(error)
    raise UsageError(f"{show_file(path)} cannot be read: {reason}")


def _version_mistakes(document: Document) -> Iterator[Mistake]:
    known = ", ".join(str(each) for each in VERSIONS)
    version = document.data.get("version")
    if version is None:
        yield Mistake(("version",), f"is missing: write `version: {VERSIONS[-1]}` (known: {known})")
    elif type(version) is not int or version not in VERSIONS:
        yield Mistake(("version",), f"unknown version {show_value(version)} (known: {known})")


def _validate(document: Document, path: Path, home: Path) -> tuple[Settings | None, list[Mistake]]:
    hidden = NOT_IN_FILE & set(document.data)
    data = {key: value for key, value in document.data.items() if key not in NOT_IN_FILE}
    mistakes = [Mistake((key,), unknown_key(key, known_keys(()))) for key in sorted(hidden)]
    try:
        settings = Settings.model_validate(
            data | {"home": home, "source": path}, context={"folder": path.parent}
        )
    except ValidationError as error:
        return None, mistakes + translate(error)
    return settings, mistakes


def _task_mistakes(document: Document, tasks: Collection[str] | None) -> Iterator[Mistake]:
    if tasks is None:
        return
    databases = document.data.get("databases")
    places = {("ops",): document.data.get("ops")}
    if isinstance(databases, dict):
        places |= {("databases", name): entry for name, entry in cast("dict[str, Any]", databases).items()}
    for path, entry in places.items():
        named = cast("dict[str, Any]", entry).get("tasks") if isinstance(entry, dict) else None
        for task in cast("dict[str, Any]", named) if isinstance(named, dict) else ():
            if task not in tasks:
                yield Mistake((*path, "tasks", str(task)), unknown_key(str(task), tasks, "unknown task"))


def _usage_error(path: Path, document: Document, mistakes: Collection[Mistake]) -> UsageError:
    found = sorted({(document.line_of(each.path), show_path(each.path), each.text) for each in mistakes})
    return UsageError("\n".join(f"{path}:{line}: {key}: {text}" for line, key, text in found))


def _secrets(settings: Settings) -> Iterator[tuple[tuple[str, ...], SecretRef]]:
    """Yield every reference to a secret with the path of its key."""
    for name in settings.names():
        target = settings.database(name)
        top = ("ops",) if name not in settings.databases else ("databases", name)
        if isinstance(target.url, CapabilityUrls):
            values = [(("url", each), getattr(target.url, each)) for each in CapabilityUrls.model_fields]
        else:
            values = [(("url",), target.url)]
        values += [(("replicas", each), url) for each, url in target.replicas.items()]
        yield from ((top + path, value) for path, value in values if isinstance(value, SecretRef))
