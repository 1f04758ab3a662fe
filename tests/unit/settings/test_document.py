"""YAML made to hurt its reader: refused at once, with a line."""

import string
from pathlib import Path

import pytest

from herald_pipelines.errors import UsageError
from herald_pipelines.settings import document, load_settings
from herald_pipelines.settings.document import MOST_VALUES, parse_document
from herald_pipelines.settings.files import MOST_YAML_BYTES

TOO_MANY = f"stands for more than {MOST_VALUES} keys and values, with what aliases (*name) repeat"


def nested(first: str, each: str) -> str:
    """Return levels of which each repeats the one before nine times."""
    lines = [f"a: &a {first}"]
    for before, name in zip(string.ascii_lowercase[:12], string.ascii_lowercase[1:], strict=False):
        lines.append(f"{name}: &{name} {each.format(', '.join([f'*{before}'] * 9))}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (nested("[x, y]", "[{}]"), f"7: {TOO_MANY}"),
        (nested("{x: 1}", "{{<<: [{}]}}"), f"7: {TOO_MANY}"),
        (f"a: &a [{', '.join('x' * 1000)}]\nb: [{', '.join(['*a'] * 1000)}]", f"2: {TOO_MANY}"),
        ("a:\n  b: &b [*b]", "2: holds an alias (*name) of itself"),
        ("a: &a\n  <<: *a", "1: holds an alias (*name) of itself"),
        ('a: "\\ud800"', "1: holds an escape that stands for no character"),
        ('"\\udfff": a', "1: holds an escape that stands for no character"),
    ],
    ids=range(7),
)
def test_yaml_that_no_settings_need_is_refused(text: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_document(text, "f")
    assert caught.value.message == f"f:{problem}"


def test_reading_stops_where_values_become_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MOST_VALUES", 1000)
    with pytest.raises(UsageError, match=r"^f:998: stands for more than"):
        parse_document("a: [" + "x,\n" * 2000 + "]", "f")


def test_a_file_that_is_no_text_of_ours_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "herald.yaml"
    path.write_bytes(b"version: 1 #" + b"#" * MOST_YAML_BYTES)
    with pytest.raises(UsageError, match=f"cannot be read: larger than {MOST_YAML_BYTES} bytes"):
        load_settings({}, tmp_path)
    with pytest.raises(UsageError, match="/dev/zero cannot be read: not a regular file"):
        load_settings({"HERALD_CONFIG": "/dev/zero"}, tmp_path)


def test_thousands_of_databases_are_no_mistake_and_one_mistake_is_one_line(tmp_path: Path) -> None:
    lines = [f"  d{each}: {{url: postgresql://db/d{each}}}\n" for each in range(2000)]
    path = tmp_path / "herald.yaml"
    path.write_text(f"version: 1\ndatabases:\n{''.join(lines)}")
    assert len(load_settings({}, tmp_path).names()) == 2001
    path.write_text(f"version: 1\ndatabases:\n{''.join(lines)}  bad: {{}}\n")
    with pytest.raises(UsageError) as caught:
        load_settings({}, tmp_path)
    assert caught.value.message == f"{path}:2003: databases.bad.url: is missing"
