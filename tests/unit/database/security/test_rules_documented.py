"""The reference names every rule, and no other."""

import re
from pathlib import Path

from herald_pipelines.database.security.rules import DATABASE_RULES, HOST_RULES

TEXT = (Path(__file__).resolve().parents[4] / "docs" / "security.md").read_text()


def test_every_rule_is_explained_once() -> None:
    rules = [rule.name for rule in (*DATABASE_RULES, *HOST_RULES)]
    rows = re.findall(r"^\| `(\w+)` \|", TEXT.partition("## Rules")[2], re.MULTILINE)
    assert rows == rules
    assert len(set(rules)) == len(rules)


def test_references_are_those_of_the_rules() -> None:
    for rule in (*DATABASE_RULES, *HOST_RULES):
        (row,) = re.findall(rf"^\| `{rule.name}` \|.*$", TEXT, re.MULTILINE)
        number = re.search(r"CIS PostgreSQL 18 v1\.0\.0, ([\d.]+)", rule.reference or "")
        assert (
            (f"CIS {number[1]}" in row) if number else "CIS" not in row.rpartition("|")[0].rpartition("|")[2]
        )
