"""Restores killed for real: a tree is as it was or as it becomes, and whoever comes next finishes or undoes."""

import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from trees import back_up, litter, look, restore

from herald_pipelines.backup.files_restore import recover_restores, undo_restore_files
from herald_pipelines.backup.repository import Repository
from herald_pipelines.errors import PermanentFailure
from herald_processes import start_python

HERE = Path(__file__).parent
# Kills itself before the n-th step that changes anything, once the journal says that trees are put into place.
DYING = """
import os, signal, sys
from pathlib import Path
from herald_pipelines.backup import files_journal, files_swap
import trees

count, most = -1, int(sys.argv[1])

def step(event, arguments=()):
    global count
    if event in ("os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "exchange", "exchanged"):
        if count >= 0:
            count += 1
        if count > most:
            os.kill(os.getpid(), signal.SIGKILL)

write, exchange = files_journal.JournalFolder.write, files_swap.exchange

def begin(folder, journal):
    global count
    if journal.phase.value in ("swapping", "undoing"):
        count = 0
    return write(folder, journal)

def exchange_slowly(*names):
    step("exchange")
    done = {exchange}(*names)
    step("exchanged")
    return done

files_journal.JournalFolder.write, files_swap.exchange = begin, exchange_slowly
sys.addaudithook(step)
trees.main(Path(sys.argv[2]), *sys.argv[3:])
print("alive")
"""


def run_dying(step: int, tmp_path: Path, *arguments: str, can_exchange: bool = True) -> bool:
    """Run a restore or an undo that kills itself at a step; false when it has fewer steps."""
    code = DYING.replace("{exchange}", "exchange" if can_exchange else "(lambda *_: False)")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = start_python("-c", code, str(step), str(tmp_path), *arguments, env=env)
    _, said = process.communicate(120)
    assert process.returncode in (0, -signal.SIGKILL), said
    return process.returncode != 0


def say(_text: str) -> None:
    """Hear nothing."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Path]:
    """Give a folder with trees and single files."""
    folder = tmp_path / "world"
    for name in ("app/bin/run", "app/data/a", "app/data/b", "etc/one.conf", "etc/two.conf"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name} as backed up")
    return folder


def break_world(world: Path) -> None:
    """Change it as if something had gone wrong."""
    for path in list(world.rglob("*")):
        if path.is_file():
            path.write_text("broken")
    (world / "app/data/b").unlink()
    (world / "app/since").write_text("since")
    (world / "etc/two.conf").unlink()


def states(world: Path) -> dict[str, Any]:
    """Return each of the roots by itself, without times."""
    return {
        "app": look(world / "app", times=False) if (world / "app").exists() else {},
        "one": look_file(world / "etc/one.conf"),
        "two": look_file(world / "etc/two.conf"),
    }


def look_file(path: Path) -> str | None:
    """Return the content of a file, or None."""
    return path.read_text() if path.exists() else None


def left_of_extracting(world: Path) -> list[str]:
    """Return what must not be left once a restore is over."""
    return [path for path in litter(world) if ".herald-restore-" in path]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_killed_at_each_step_of_putting_into_place(
    repo: Repository, tmp_path: Path, world: Path, *, can_exchange: bool
) -> None:
    backup = back_up(repo, world / "app", world / "etc/one.conf", world / "etc/two.conf")
    saved = states(world)
    break_world(world)
    broken = states(world)
    steps = 0
    while run_dying(steps, tmp_path, "restore", can_exchange=can_exchange):
        found = states(world)
        for root, state in found.items():
            # Between two renames a tree may be missing for a moment, where no exchange is possible.
            moment = not can_exchange and state == {}
            assert state in (broken[root], saved[root]) or moment, (steps, root)
        # Whoever comes next: finishes what was begun, or finds that nothing was.
        done = [each for each in recover_restores(repo, say=say) if each["phase"] == "done"]
        assert left_of_extracting(world) == []
        # Before the first step the journal does not say yet that all is extracted.
        assert bool(done) == (steps > 0)
        assert states(world) == (saved if done else broken), steps
        if done:
            undo_restore_files(repo, None, say=say)
        assert states(world) == broken, steps
        steps += 1
    assert steps > 12
    assert states(world) == saved
    assert backup.manifest.files is not None


def test_killed_at_each_step_of_undoing(repo: Repository, tmp_path: Path, world: Path) -> None:
    backup = back_up(repo, world / "app", world / "etc/one.conf", world / "etc/two.conf")
    saved = states(world)
    break_world(world)
    broken = states(world)
    steps = 0
    while True:
        restore(repo, backup)
        assert states(world) == saved
        if not run_dying(steps, tmp_path, "undo"):
            break
        for root, state in states(world).items():
            assert state in (broken[root], saved[root]), (steps, root)
        recover_restores(repo, say=say)
        if states(world) == saved:  # killed before it began
            undo_restore_files(repo, None, say=say)
        assert states(world) == broken, steps
        steps += 1
    assert steps > 8
    assert states(world) == broken


def test_killed_at_each_step_of_a_part(repo: Repository, tmp_path: Path, world: Path) -> None:
    back_up(repo, world / "app")
    saved = look(world / "app", times=False)
    break_world(world)
    (world / "app/data/a").unlink()
    (world / "app/data").rmdir()
    broken = look(world / "app", times=False)
    wanted = [f"{world}/app/data", f"{world}/app/bin/run"]
    after = {**broken, **{path: facts for path, facts in saved.items() if path.startswith(("data", "bin"))}}
    steps = 0
    while run_dying(steps, tmp_path, "restore", *wanted):
        for path, facts in look(world / "app", times=False).items():
            # A folder that was missing is made before it gets its mode, a file may have two names meanwhile.
            old, new = broken.get(path, ()), after[path]
            assert path in ("data", "data/.") or facts[-1] in (old[-1:] + new[-1:]), (steps, path)
        recover_restores(repo, say=say)
        if steps > 0:
            assert look(world / "app", times=False) == after, steps
            undo_restore_files(repo, None, say=say)
        assert look(world / "app", times=False) == broken, steps
        steps += 1
    assert steps > 12


def test_a_step_that_fails_takes_all_back(
    repo: Repository, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = back_up(repo, world / "app", world / "etc/one.conf", world / "etc/two.conf")
    break_world(world)
    broken = states(world)
    rename, count, failing = os.rename, 0, 0

    def fail(*arguments: Any, **options: Any) -> None:
        nonlocal count
        count += 1
        if count == failing:
            raise OSError(5, "Input/output error")
        rename(*arguments, **options)

    monkeypatch.setattr(os, "rename", fail)
    for failing in range(1, 20):
        count = 0
        try:
            restore(repo, backup)
        except PermanentFailure as error:
            assert "input/output error" in error.message, failing  # noqa: PT017 - until none fails
            assert states(world) == broken, failing
            assert litter(world) == [], failing
            assert recover_restores(repo, say=say) == []
        else:
            break
    assert 3 < failing < 19


def test_killed_at_any_moment(repo: Repository, tmp_path: Path, world: Path) -> None:
    for number in range(300):
        (world / f"app/data/{number:03}").write_bytes(os.urandom(20_000))
    back_up(repo, world / "app", world / "etc/one.conf", world / "etc/two.conf")
    saved = states(world)
    break_world(world)
    broken = states(world)
    chance = random.Random(4)
    argv = [str(HERE / "trees.py"), str(tmp_path), "restore"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    started = time.monotonic()
    assert start_python(*argv, env=env).wait() == 0
    took = time.monotonic() - started
    undo_restore_files(repo, None, say=say)
    for _ in range(8):
        process = start_python(*argv, env=env)
        time.sleep(chance.uniform(0.3 * took, took))
        process.kill()
        process.wait()
        for root, state in states(world).items():
            assert state in (broken[root], saved[root]), root
        known = [each for each in recover_restores(repo, say=say) if each["phase"] == "done"]
        assert left_of_extracting(world) == []
        assert states(world) == (saved if known else broken)
        if known:
            undo_restore_files(repo, None, say=say)
