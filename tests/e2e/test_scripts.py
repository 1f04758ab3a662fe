"""`make lint` checks the definitions whatever `make demo` left behind."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from herald_pipelines.resources.dagster_home import prepare_dagster_home, write_dotenv

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Give a copy of the checkout whose .env leads to a server that does not run."""
    for name in ("herald_pipelines", "sql", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("pyproject.toml", "dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    prepare_dagster_home(tmp_path / ".herald")
    write_dotenv(tmp_path, tmp_path / ".herald", "postgresql://postgres@127.0.0.1:1/dagster")
    return tmp_path


def check(checkout: Path) -> subprocess.CompletedProcess[str]:
    command = ["sh", "scripts/check-definitions"]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=240, check=False)


def test_definitions_are_checked_without_a_database(checkout: Path):
    run = check(checkout)
    assert run.returncode == 0, run.stderr
    assert "All definitions loaded successfully" in run.stdout + run.stderr


def test_broken_definitions_are_found(checkout: Path):
    with (checkout / "herald_pipelines" / "definitions.py").open("a") as module:
        module.write('\nraise RuntimeError("broken")\n')
    run = check(checkout)
    assert run.returncode != 0
    assert "broken" in run.stdout + run.stderr
