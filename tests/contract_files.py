"""Compares what a real run gave with the files of tests/contracts, on which people and scripts rely."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "contracts"
KINDS: Mapping[type, str] = {
    bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null", dict: "mapping",
}  # fmt: skip


def explain(name: str, differences: Sequence[str]) -> str:
    """Return the text of a failure, which says how a contract is changed."""
    return "\n".join(
        [
            f"what tests/contracts/{name} promises is not what a run gave:",
            *(f"  {difference}" for difference in differences),
            "where the change is meant: write it there, and name it in CHANGELOG.md under Changed",
        ]
    )


def check_text(name: str, found: str) -> None:
    """Fail where a text differs from its contract; lines of the contract that begin with # are remarks."""
    lines = (FOLDER / name).read_text().splitlines()
    promised = [line for line in lines if not line.startswith("#")]
    given = found.splitlines()
    differences = [f"- {line}" for line in promised if line not in given]
    differences += [f"+ {line}" for line in given if line not in promised]
    assert promised == given, explain(name, differences or ["the order of the lines"])


def check_documents(name: str, documents: Mapping[str, Sequence[Any]]) -> None:
    """Fail where documents differ from their contract in a field or its type, or never had a promised one."""
    contract = yaml.safe_load((FOLDER / name).read_text())
    differences: list[str] = []
    for title, given in documents.items():
        promised, seen = contract.get(title, {}), set[str]()
        for document in given:
            differences += _differences(promised, document, title, seen)
        differences += [f"{path}: no run gave it" for path in _required(promised, title) if path not in seen]
    assert not differences, explain(name, list(dict.fromkeys(differences)))


def _differences(promised: Any, found: Any, path: str, seen: set[str]) -> Iterator[str]:
    seen.add(path)
    match promised, found:
        case dict(), dict():
            for key, value in found.items():
                known = next((each for each in (key, f"{key}?", "*") if each in promised), None)
                if known is None:
                    yield f"{path}.{key}: not promised"
                else:
                    yield from _differences(promised[known], value, f"{path}.{known}", seen)
            yield from (
                f"{path}.{key}: missing"
                for key in promised
                if key != "*" and not key.endswith("?") and key not in found
            )
        case list(), list():
            for value in found:
                yield from _differences(promised[0], value, f"{path}[]", seen)
        case str(), _:
            kind, kinds = KINDS.get(type(found), "list"), promised.split(" or ")
            if kind not in kinds and not (kind == "integer" and "number" in kinds):
                yield f"{path}: {kind} where {promised} was promised"
        case _:
            yield f"{path}: of another shape"


def _required(promised: Any, path: str) -> Iterator[str]:
    yield path
    match promised:
        case dict():
            for key, value in promised.items():
                if not key.endswith("?"):
                    yield from _required(value, f"{path}.{key}")
        case list():
            yield from _required(promised[0], f"{path}[]")
        case _:
            pass
