"""What the documents say exists, exists."""

import re
from pathlib import Path

import pytest

from command_tree import walk
from herald_pipelines.cli import herald

ROOT = Path(__file__).parents[2]
EXAMPLES = {
    "herald.yaml",
    "verb_noun.sql",
    "sql/queries/indexes/read_shared_buffers.sql",
    "sql/migrations/NNNN_what.sql",
}
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist(document: Path):
    commands = {words for words, _ in walk(herald)}
    lines = re.findall(
        r"(?:^|`)\s*(?:\.venv/bin/)?herald ([a-z][^\n`#]*)", document.read_text(), re.MULTILINE
    )
    for line in lines:
        words = line.split()
        assert (words[0],) in commands or tuple(words[:2]) in commands, f"{document.name}: herald {line}"


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_files_that_are_named_exist(document: str):
    package = ROOT / "herald_pipelines"
    rooms = [ROOT, package, package / "backup", package / "database" / "indexes", package / "partitions"]
    for name in re.findall(r"`((?:[\w.]+/)*[\w]+\.(?:py|yaml|sql|md|toml))`", (ROOT / document).read_text()):
        if name in EXAMPLES:
            continue
        assert any((room / name).exists() for room in rooms), f"{document} names {name}"


def test_make_targets_of_the_readme_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE)) <= targets
