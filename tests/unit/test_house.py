"""Rules of the house that no linter knows. Each test names the files that break its rule."""

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {".git", ".venv", ".herald", ".cache", "__pycache__", "dist", "build", "node_modules"}
BINARY = {".png", ".jpg", ".gif", ".ico", ".whl", ".gz"}

# A checkout says which versions it wants, never where they come from: that is the machine's configuration.
REGISTRY = re.compile(
    r"[p]ypi\.org|python[h]osted\.|registry\.[n]pmjs|(deb|security|snapshot)\.[d]ebian\.org|archive\.ubuntu\.com"
    r"|--(extra-)?index-url|--find-links|--trusted-host",
    re.IGNORECASE,
)
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|home/\w+)/(?=\w)")

# Comments, quoted strings and identifiers, dollar-quoted bodies: a semicolon inside them ends nothing.
NOT_SQL = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(?P<tag>\$\w*\$).*?(?P=tag)", re.DOTALL
)


def own_files(folder: Path = ROOT) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if (
            path.name in NOT_OURS
            or path.name.endswith(("_cache", ".egg-info", ".hypothesis"))
            or path.suffix in BINARY
        ):
            continue
        if path.is_dir():
            yield from own_files(path)
        elif path.name != ".env" and path.is_file():
            yield path


def package_modules() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text("utf-8")) for path in (ROOT / "herald_pipelines").rglob("*.py")}


def string_literals() -> set[str]:
    return {
        node.value
        for tree in package_modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def query_names() -> set[str]:
    folder = ROOT / "sql" / "queries"
    return {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.sql")}


@pytest.mark.parametrize("pattern", [REGISTRY, MACHINE_PATH], ids=["registry", "path of one machine"])
def test_no_file_names(pattern: re.Pattern[str]) -> None:
    found = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in own_files()
        if path != Path(__file__).resolve()
        for match in pattern.finditer(path.read_text("utf-8"))
    }
    assert not found


def test_query_files_hold_one_statement_each() -> None:
    wrong = {
        name
        for name in query_names()
        if ";"
        in NOT_SQL.sub("''", (ROOT / "sql" / "queries" / f"{name}.sql").read_text("utf-8"))
        .strip()
        .removesuffix(";")
    }
    assert not wrong


def test_query_files_are_named_domain_and_verb_noun() -> None:
    assert {name for name in query_names() if not re.fullmatch(r"[a-z]+/[a-z]+(_[a-z0-9]+)+", name)} == set()


def test_every_query_file_is_used() -> None:
    assert query_names() - string_literals() == set()


def test_every_query_that_code_names_exists() -> None:
    folders = "|".join(sorted({name.split("/")[0] for name in query_names()}))
    named = {text for text in string_literals() if re.fullmatch(rf"({folders})/[a-z0-9_]+", text)}
    assert named - query_names() == set()


def test_modules_stay_readable_in_one_sitting() -> None:
    long = {path.name for path in package_modules() if len(path.read_text("utf-8").splitlines()) > 400}
    assert not long


def normalized(requirement: str) -> str:
    """Return the name of a requirement as indexes compare names: lower case, one dash for a run of `-_.`."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()


def project_table() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def imported_names(tree: ast.Module) -> Iterator[str]:
    """Yield what is imported when it runs: types are for pyright alone, so they may come from a development tool."""
    for_types = {
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for statement in branch.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_every_third_party_import_is_a_declared_dependency() -> None:
    """What another package happens to bring today may be gone with its next release."""
    # pydantic-core is the other half of pydantic, which pins it exactly.
    ours = {"herald-pipelines", "pydantic-core"}
    declared = {normalized(text) for text in project_table()["dependencies"]} | ours
    distributions = packages_distributions()
    undeclared = {
        f"{path.name}: {name}"
        for path, tree in package_modules().items()
        for name in imported_names(tree)
        if name in distributions and not {normalized(text) for text in distributions[name]} & declared
    }
    assert not undeclared


def test_constraints_pin_every_dependency_to_one_version_and_name_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.+!]+", line)] == []
    pinned = {normalized(line) for line in lines}
    project = project_table()
    extras = [text for extra in project["optional-dependencies"].values() for text in extra]
    wanted = {normalized(text) for text in [*project["dependencies"], *extras]}
    assert wanted - pinned == {"herald-pipelines"}
