"""A process's own folders: gone at the end, those of the dead too, and never those of the living."""

import subprocess
import sys
from pathlib import Path

import pytest

from herald_pipelines.errors import PermanentFailure
from herald_pipelines.resources.own_folder import own_folder

HOLDER = """
import sys, time
from pathlib import Path
from herald_pipelines.resources.own_folder import own_folder
with own_folder(Path(sys.argv[1]), "a-") as folder:
    (folder / "inner").mkdir()
    (folder / "inner" / "file").write_text("x")
    (folder / "inner").chmod(0)
    print(folder, flush=True)
    time.sleep(600)
"""


def test_it_is_private_and_goes(tmp_path: Path) -> None:
    with own_folder(tmp_path, "a-") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "deep" / "deeper").mkdir(parents=True)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    (tmp_path / "b-other").mkdir()
    (tmp_path / "a-link").symlink_to(tmp_path / "b-other")
    holders = [
        subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        folders = [Path(each.stdout.readline().strip()) for each in holders if each.stdout]
        with own_folder(tmp_path, "a-"):
            assert all(each.exists() for each in folders)
        holders[0].kill()
        holders[0].wait()
        assert folders[0].exists()
        with own_folder(tmp_path, "a-") as own:
            kept = {own.name, folders[1].name, "a-link", "b-other"}
            assert {each.name for each in tmp_path.iterdir()} == kept
    finally:
        for each in holders:
            each.kill()
            each.communicate()


def test_a_parent_that_is_none_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(PermanentFailure, match=r"no folder can be made in .*/gone: no such file"),
        own_folder(tmp_path / "gone", "a-"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
