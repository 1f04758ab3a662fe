"""Mistakes in settings as sentences for people: the key's path, the bad value, the known ones."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from herald_pipelines.settings.fields import Model
from herald_pipelines.settings.models import Settings
from herald_pipelines.settings.urls import CapabilityUrls, SecretRef

NOT_IN_FILE = frozenset({"home", "source"})
"""Fields of Settings that are not keys of herald.yaml."""

_SHOWN_CHARACTERS = 60
_TAGS = frozenset({"[key]", "<url>", "<SecretRef>", "<CapabilityUrls>"})
_HIDDEN = "a value that is not shown, since it may hold a secret"
_TYPES = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "path_type": "must be the path of a file",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of names",
    "mapping_type": "must be a mapping of names",
}


@dataclass(frozen=True)
class Mistake:
    """One mistake in a file."""

    path: tuple[str, ...]
    text: str


def translate(error: ValidationError) -> list[Mistake]:
    """Return pydantic's errors on Settings as mistakes, in the order in which the models are written."""
    return [_mistake(each) for each in error.errors(include_url=False)]


def show_path(path: tuple[str, ...]) -> str:
    """Write a key's path for people.

    >>> show_path(("databases", "shop", "guards"))
    'databases.shop.guards'
    >>> show_path(("databases", "postgresql://role:word@host/shop"))
    'databases.(a name that is not shown)'
    """
    return ".".join(_show_key(part) for part in path)


def _show_key(key: str) -> str:
    if "://" in key:
        return "(a name that is not shown)"
    key = key if len(key) <= _SHOWN_CHARACTERS else key[:_SHOWN_CHARACTERS] + "..."
    return key if key.isprintable() else repr(key)


def unknown_key(key: str, known: Collection[str], what: str = "unknown key") -> str:
    """Say that a key is not known, which ones are, and which one was probably meant.

    >>> unknown_key("sinse", ["mode", "since"])
    "unknown key (known: mode, since); did you mean 'since'?"
    """
    close = difflib.get_close_matches(key, known, 1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    return f"{what} (known: {', '.join(sorted(known)) or 'none'}){meant}"


def _mistake(error: ErrorDetails) -> Mistake:
    parts = error["loc"]
    # what pydantic puts in of its own; an unknown key may look the same
    own = parts[:-1] if error["type"] == "extra_forbidden" else parts
    path = [str(part) for part in own if part not in _TAGS] + [str(part) for part in parts[len(own) :]]
    return Mistake(tuple(path), _sentence(error, parts))


def _sentence(error: ErrorDetails, parts: tuple[int | str, ...]) -> str:  # noqa: PLR0911 - one sentence a kind
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown_key(str(parts[-1]), known_keys(parts[:-1]))
    if kind == "missing":
        return "is missing"
    if kind == "invalid_key" or (parts and parts[-1] == "[key]" and kind == "string_type"):
        return "a key must be text: put it in quotes"
    if kind == "value_error":
        text = str(context["error"])
        return f"{text}, not {show_value(value)}" if text.startswith("must be") else text
    if kind == "enum":
        known = [each.strip(" '") for each in str(context["expected"]).replace(" or ", ",").split(",")]
        return unknown_key(str(value), known, f"unknown value {show_value(value)}")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return f"must be a url, {{env: NAME}} or {{file: PATH}}, not {show_value(value)}"
    text = _TYPES.get(kind, error["msg"][:1].lower() + error["msg"][1:])
    return f"{text}, not {show_value(value)}"


def show_value(value: object) -> str:
    """Write a bad value for people: shortened, and not at all where it may hold a secret.

    >>> show_value("ten"), show_value(["a"]), show_value(True), show_value({})
    ("'ten'", 'a list', 'true', 'a mapping')
    """
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "an empty value"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    if _may_hold_secret(text):
        return _HIDDEN
    if len(text) > _SHOWN_CHARACTERS:
        text = text[:_SHOWN_CHARACTERS] + "..."
    return repr(text) if isinstance(value, str) else text


def _may_hold_secret(text: str) -> bool:
    return "://" in text or "password" in text.lower()


def known_keys(parts: tuple[int | str, ...]) -> list[str]:
    """Return the keys that may stand at a place; `parts` is pydantic's loc, with its tags of unions."""
    annotation: Any = Settings
    for part in parts:
        annotation = next((each for each in _below(annotation, part) if each is not None), Settings)
    keys = [key for model in _models(annotation) for key in model.model_fields]
    if annotation is CapabilityUrls:
        # an unknown key does not say whether a secret or a capability was meant
        keys += SecretRef.model_fields
    return [key for key in keys if key not in NOT_IN_FILE or annotation is not Settings]


def _below(annotation: Any, part: int | str) -> Iterator[Any]:  # noqa: ANN401 - annotations are of any type
    """Yield what the annotation says about one part of a path."""
    origin = get_origin(annotation)
    if origin is Mapping:
        yield get_args(annotation)[1]
    elif origin in (Annotated, Union, UnionType):
        for each in get_args(annotation):
            yield from _below(each, part)
    elif isinstance(annotation, type) and issubclass(annotation, Model):
        if part == f"<{annotation.__name__}>":
            yield annotation
        elif part in annotation.model_fields:
            yield annotation.model_fields[str(part)].annotation


def _models(annotation: Any) -> Iterator[type[Model]]:  # noqa: ANN401 - annotations are of any type
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    for each in get_args(annotation):
        yield from _models(each)
