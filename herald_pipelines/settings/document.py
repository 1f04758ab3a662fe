"""The text of herald.yaml as plain data, with the line of every key. Not here: what the keys mean.

Plain values are YAML 1.2's: only `true` and `false` are booleans, a date stays text, `10:00` is not 600.
"""

import re
from dataclasses import dataclass
from typing import Any, cast

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from herald_pipelines.errors import UsageError

KeyPath = tuple[str, ...]

MOST_VALUES = 250_000
"""Keys and values that a text may stand for, each alias (`*name`) counted as all that it repeats.

10,000 databases with ten keys each; reading so many takes some ten seconds.
"""
_TOO_MANY = f"stands for more than {MOST_VALUES} keys and values, with what aliases (*name) repeat"


@dataclass(frozen=True)
class Document:
    """What a YAML text says."""

    data: dict[str, Any]
    lines: dict[KeyPath, int]
    """Line, counted from 1, of each key by its path."""
    duplicates: tuple[KeyPath, ...]
    """Paths of keys that are given a second time."""

    def line_of(self, path: KeyPath) -> int:
        """Return the line of a key, or of the nearest key above it that the text holds."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _Unfit(Exception):
    """YAML that no settings need: its line, counted from 0, and what is wrong."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own way
    values = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Read a key or a value, and stop where they become too many."""
        self.values += 1
        node = super().compose_node(parent, index)
        if self.values > MOST_VALUES:
            raise _Unfit(node.start_mark.line if node else 0, _TOO_MANY)
        return node


for _kind, _pattern, _first in (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", list("tf")),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,17})", list("-+0123456789")),
    ("float", r"[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]{1,3})?", list("-+0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(  # pyright: ignore[reportUnknownMemberType]
        f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), _first
    )


def parse_document(text: str, name: str) -> Document:
    """Read a YAML text whose top level is a mapping.

    Args:
        text: the YAML.
        name: the file's name, for errors.

    Raises:
        UsageError: it is not one YAML document with a mapping; the error never repeats values of the file.
    """
    problem = ""
    lines: dict[KeyPath, int] = {}
    duplicates: list[KeyPath] = []
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is not None:
            # before the data is made, which resolves merge keys within the nodes
            _measure(root, {})
            _walk(root, (), lines, duplicates, set())
        data = loader.construct_document(root) if root is not None else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    except _Unfit as error:
        problem = f"{name}:{error.args[0] + 1}: {error.args[1]}"
    except yaml.YAMLError as error:
        problem = _explain(error, name)
    except (ValueError, RecursionError):
        problem = f"{name}: is not YAML that can be read"
    else:
        if data is None:
            raise UsageError(f"{name}: is empty", hint="write at least `version: 1`")
        if not isinstance(data, dict):
            raise UsageError(f"{name}:1: must be a mapping of keys, such as `version: 1`")
        return Document(cast("dict[str, Any]", data), lines, tuple(duplicates))
    # Raised out here, so that the parser's error, which quotes the file, is not carried along as the context.
    raise UsageError(problem)


def _measure(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Return how many keys and values a node stands for; `sizes` holds those of the nodes that were measured.

    Raises:
        _Unfit: they are too many, an alias repeats what it stands in, or a text is none.
    """
    line: int = node.start_mark.line
    if isinstance(node, yaml.ScalarNode):
        if re.search(r"[\ud800-\udfff]", node.value):
            raise _Unfit(line, "holds an escape that stands for no character")
        return 1
    if id(node) not in sizes:
        sizes[id(node)] = 0
        below = cast("list[Any]", node.value)
        parts = [part for pair in below for part in pair] if isinstance(node, yaml.MappingNode) else below
        sizes[id(node)] = 1 + sum(_measure(part, sizes) for part in parts)
    size = sizes[id(node)]
    if not size:
        raise _Unfit(line, "holds an alias (*name) of itself")
    if size > MOST_VALUES:
        raise _Unfit(line, _TOO_MANY)
    return size


def _walk(
    node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], duplicates: list[KeyPath], seen: set[int]
) -> None:
    """Note the line of each key below a node, and the keys that stand twice; an alias is walked once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        here: set[str] = set()
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            below = (*path, str(key.value))
            if str(key.value) in here:
                duplicates.append(below)
            here.add(str(key.value))
            lines[below] = key.start_mark.line + 1
            _walk(value, below, lines, duplicates, seen)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(cast("list[yaml.Node]", node.value)):
            _walk(value, (*path, str(position)), lines, duplicates, seen)


def _is_syntax(quoted: str) -> bool:
    return len(quoted) <= 3 or quoted.startswith("'<")  # noqa: PLR2004 - quotes and one character


def _explain(error: yaml.YAMLError, name: str) -> str:
    """Return a sentence that says where the text is wrong, without quoting it: a secret may stand there."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return f"{name}: holds a character that YAML does not allow"
    mark = error.problem_mark or error.context_mark
    where = f"{name}:{mark.line + 1}" if mark else name
    problem = error.problem or "cannot be read"
    if isinstance(error, ComposerError) and "document" in problem:
        problem = "more than one document"
    elif isinstance(error, ComposerError):
        problem = "an alias (*name) without its anchor; quote a value that begins with *"
    elif isinstance(error, ConstructorError) and "key" in problem:
        problem = "a key must be plain text"
    elif isinstance(error, ConstructorError) and "merging" in problem:
        problem = "<< takes a mapping"
    elif isinstance(error, ConstructorError):
        problem = "a tag (!name) is not allowed; quote a value that begins with !"
    else:
        # one character and the names of tokens ('<stream end>') tell; anything longer is the file's
        problem = re.sub(r"'[^']*'", lambda found: found[0] if _is_syntax(found[0]) else "...", problem)
    return f"{where}: not valid YAML: {problem}"
