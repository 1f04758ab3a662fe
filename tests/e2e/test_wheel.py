"""The built wheel, installed on its own and used far from the checkout: what a stranger gets from pip."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from herald_pipelines.resources.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(built)


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the wheel and what it asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "--disable-pip-version-check",
    ]
    subprocess.run([*pip, "--constraint", ROOT / "constraints.txt", wheel], check=True)
    return folder / "bin"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "herald-home"
    yield folder
    EmbeddedServer(folder).stop()


def execute(
    program: Path, *arguments: str, cwd: Path, **variables: str
) -> "subprocess.CompletedProcess[str]":
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HERALD", "DAGSTER", "PYTHON"))
    }
    return subprocess.run(
        [program, *arguments],
        cwd=cwd,
        env=environ | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def files_below(folder: Path, *suffixes: str) -> set[str]:
    found = (path for suffix in suffixes for path in folder.rglob(f"*{suffix}"))
    return {path.relative_to(folder).as_posix() for path in found if "__pycache__" not in path.parts}


def test_wheel_carries_every_file_the_code_reads(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        carried = set(archive.namelist())
    wanted = {
        f"herald_pipelines/{name}" for name in files_below(ROOT / "herald_pipelines", ".py", ".yaml", ".sql")
    }
    wanted |= {
        f"herald_pipelines/sql/{name}"
        for name in files_below(ROOT / "sql", "")
        if (ROOT / "sql" / name).is_file()
    }
    assert wanted - carried == set()
    assert {name.split("/")[0] for name in carried} == {
        "herald_pipelines",
        "herald_pipelines-0.1.0.dist-info",
    }


def test_commands_explain_themselves(programs: Path, tmp_path: Path) -> None:
    done = execute(programs / "herald", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


def test_roles_are_printed_for_psql(programs: Path, tmp_path: Path) -> None:
    for path in sorted((ROOT / "sql" / "roles").glob("*.sql")):
        done = execute(programs / "herald", "roles", path.stem, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, path.read_text()), done.stderr
    unknown = execute(programs / "herald", "roles", "report", cwd=tmp_path)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert (
        unknown.stderr == "herald: unknown role 'report' (known: backup, maintain, observe, ops, restore)\n"
    )


COUNT_ASSETS = """
from herald_pipelines.definitions import defs
print(len(defs.resolve_asset_graph().get_all_asset_keys()))
"""


def test_definitions_load_with_no_database_in_reach(programs: Path, tmp_path: Path) -> None:
    home = tmp_path / "home-never-made"
    done = execute(programs / "python", "-c", COUNT_ASSETS, cwd=tmp_path, HERALD_HOME=str(home))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
    assert not home.exists()


def test_demo_runs_from_any_directory(programs: Path, tmp_path: Path, home: Path) -> None:
    done = execute(
        programs / "herald", "demo", "--scale", "0.2", "--json", cwd=tmp_path, HERALD_HOME=str(home)
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["done"]["rebuilt"] == len(document["rebuilt"]) > 0
    assert (
        document["done"]["reclaimed_bytes"] == sum(row["achieved_bytes"] for row in document["rebuilt"]) > 0
    )
    assert {"unused", "duplicate", "redundant"} >= {row["kind"] for row in document["proposed"]} != set()
