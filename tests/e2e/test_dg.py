"""`dg` works on the checkout with the .env that `make` writes."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from herald_pipelines.calendar import load_calendar
from herald_pipelines.registry import TASKS
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.targets import EMBEDDED_OPS_DATABASE
from herald_pipelines.slots import last_opening, window_key
from herald_pipelines.values import utc_now

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent


@pytest.fixture
def checkout(home: Path, tmp_path: Path) -> Path:
    """Give a copy of the checkout with its .env, and the embedded server of its home running."""
    for name in ("herald_pipelines", "sql"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("pyproject.toml", "dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    environment = {**os.environ, "HERALD_HOME": str(home), "HERALD_DOTENV": "."}
    # What `make demo` and `make up` do before there is anything to see.
    for command in ("migrate", "windows"):
        run = subprocess.run(
            [TOOLS / "herald", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert run.returncode == 0, run.stderr
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    EmbeddedServer(home).ensure_started()
    return tmp_path


def dg(checkout: Path, *words: str) -> str:
    run = subprocess.run(
        [TOOLS / "dg", *words], cwd=checkout, capture_output=True, text=True, timeout=240, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_dg_checks_lists_and_launches(checkout: Path, home: Path):
    dg(checkout, "check", "defs")
    listed = json.loads(dg(checkout, "list", "defs", "--json"))
    # One source of the names: the tasks; a sensor tells of one more. tests/unit/test_definitions.py spells them out.
    assert {asset["asset_key"] for asset in listed["assets"]} == {
        "herald/health_status",
        *(f"herald/{asset.name}" for task in TASKS.values() for asset in task.assets),
    }
    slot = load_calendar(None, TASKS).slot("maintenance")
    window = window_key(slot, last_opening(slot, utc_now()))
    dg(checkout, "launch", "--assets", "herald/index_stats", "--partition", f"ops|{window}")
    with closing(psycopg2.connect(EmbeddedServer(home).url(EMBEDDED_OPS_DATABASE))) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "select outcome from herald.maintenance_log"
            " where (database, task, window_key) = ('ops', 'index_analysis', %s) and object_name is null",
            (window,),
        )
        assert cursor.fetchall() == [("done",)]
