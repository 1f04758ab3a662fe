"""`herald restore` as an operator uses it: with nothing but the store, the key and a server; killed and gone on with."""

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from operating import Platform

from servers import TestServer

OLD, NEW = (5000, "first", "first"), (10, "second", "second")


@pytest.fixture
def platform(tmp_path: Path, pg18: TestServer) -> Platform:
    """Give a platform of its own."""
    tmp_path.chmod(0o755)
    return Platform(tmp_path, pg18)


def make_backup(platform: Platform) -> None:
    """Back up the database alone: ops is not there, and has none."""
    done = platform.herald("backup", "create", "--database", "shop")
    assert done.returncode == 0, done.stderr
    assert "the ops database was not told" in done.stderr


def test_the_store_the_key_and_a_server_are_enough(platform: Platform) -> None:
    """Neither the database nor our own is left."""
    make_backup(platform)
    platform.execute(f"drop database {platform.name} with (force)", url=platform.server.url("postgres"))

    plan = platform.herald("restore", "latest", "--mode", "database", "--database", "shop")
    assert plan.returncode == 0, plan.stderr
    assert "nothing was done: --yes does it" in plan.stdout
    done = platform.document("restore", "latest", "--mode", "database", "--database", "shop", "--yes")

    assert done["done"] is True
    assert platform.execute("select count(*), sum(length(note)) from matches") == [(5000, 1_000_000)]


def test_the_one_before_is_kept_and_comes_back(platform: Platform) -> None:
    make_backup(platform)
    platform.execute("delete from matches where id > 10")

    done = platform.document("restore", "latest", "--mode", "database", "--yes")
    assert platform.execute("select count(*) from matches") == [(5000,)]
    kept = done["results"][0]["kept_as"]
    assert platform.execute("select count(*) from matches", url=platform.server.url(kept)) == [(10,)]

    platform.document("restore", "--undo", "--mode", "database", "--database", "shop", "--yes")
    assert platform.execute("select count(*) from matches") == [(10,)]


def test_everything_is_recovered_with_the_services_stopped(platform: Platform) -> None:
    make_backup(platform)
    for kind in ("application", "configuration"):
        assert platform.herald("backup", "create", "--kind", kind).returncode == 0
    platform.change_all()
    assert platform.state() == NEW

    done = platform.document("restore", "latest", "--mode", "full", "--yes")

    assert [each["kind"] for each in done["results"]] == ["database", "application", "configuration"]
    assert platform.state() == OLD
    assert not (platform.application / "new").exists()
    assert platform.services.read_text().split("\n") == [
        "stop front",
        "stop back",
        "start back",
        "start front",
        "",
    ]


def test_services_are_started_when_a_part_fails(platform: Platform) -> None:
    """The second part cannot be put in place: its folder may not be written."""
    make_backup(platform)
    assert platform.herald("backup", "create", "--kind", "application").returncode == 0
    for part in (platform.folder / "store").rglob("files*"):
        content = bytearray(part.read_bytes())
        content[len(content) // 2] ^= 1
        part.write_bytes(content)
    assert platform.herald("backup", "create", "--kind", "configuration").returncode == 0
    platform.change_all()

    done = platform.herald("restore", "latest", "--mode", "full", "--yes")

    assert done.returncode == 1, done.stderr
    assert "damaged" in done.stderr
    assert platform.services.read_text().split() == [
        "stop",
        "front",
        "stop",
        "back",
        "start",
        "back",
        "start",
        "front",
    ]
    assert platform.state() == (5000, "second", "second")


def test_services_are_started_where_the_store_is_gone(platform: Platform) -> None:
    """A killed recovery left them stopped, and what it needs to go on is not there."""
    make_backup(platform)
    work = platform.folder / "home" / "work"
    (work / "recovery.json").write_text(
        json.dumps(
            {
                "mode": "database",
                "started_at": "2026-11-24T02:30:00Z",
                "parts": [{"kind": "database", "name": "shop", "backup": "x", "restore_id": "1"}],
                "stopped": ["front", "back"],
            }
        )
    )
    (platform.folder / "store").rename(platform.folder / "elsewhere")

    done = platform.herald("restore", "--resume")
    assert (done.returncode, "cannot be used: there is no such folder" in done.stderr) == (1, True), (
        done.stderr
    )
    assert platform.services.read_text().split("\n") == ["start back", "start front", ""]

    assert platform.document("restore", "--discard")["done"] is False
    assert not (work / "recovery.json").exists()


def test_services_are_stopped_for_what_they_use_alone(platform: Platform) -> None:
    """Not for a copy beside; for an undoing, whose plan says what it gives back."""
    make_backup(platform)
    copy = f"{platform.name}_copy"
    done = platform.document("restore", "latest", "--mode", "database", "--as", copy, "--yes")
    assert (done["services"], platform.services.exists()) == ([], False)
    platform.execute(f"drop database {copy}", url=platform.server.url("postgres"))

    nothing = platform.herald("restore", "--undo", "--mode", "database", "--database", "shop")
    assert (nothing.returncode, "no database from before a restore of shop" in nothing.stderr) == (2, True)
    platform.execute("delete from matches where id > 10")
    kept = platform.document("restore", "latest", "--mode", "database", "--yes")["results"][0]["kept_as"]
    undo = ("restore", "--undo", "--mode", "database", "--database", "shop")
    plan = platform.herald(*undo)
    assert f"give the name '{platform.name}' back to '{kept}'" in plan.stdout
    assert "nothing was done" in plan.stdout
    assert platform.execute("select count(*) from matches") == [(5000,)]
    platform.services.unlink()
    platform.document(*undo, "--yes")
    assert platform.execute("select count(*) from matches") == [(10,)]
    assert platform.services.read_text().split("\n") == [
        "stop front",
        "stop back",
        "start back",
        "start front",
        "",
    ]


def test_killed_at_any_moment_a_recovery_is_gone_on_with(platform: Platform) -> None:
    make_backup(platform)
    for kind in ("application", "configuration"):
        assert platform.herald("backup", "create", "--kind", kind).returncode == 0
    chance = random.Random(7)
    resumed = 0
    for _ in range(6):
        platform.change_all()
        work = subprocess.Popen(
            platform.command("restore", "latest", "--mode", "full", "--yes"),
            cwd=platform.folder,
            env=platform.environ(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        journal = platform.folder / "home" / "work" / "recovery.json"
        while work.poll() is None and not journal.exists():
            time.sleep(0.02)
        time.sleep(chance.uniform(0.0, 2.5))
        work.send_signal(signal.SIGKILL)
        work.wait()
        rows, application, configuration = platform.state()
        assert rows in (10, 5000)
        assert {application, configuration} <= {"first", "second"}
        again = platform.herald("restore", "--resume")
        if again.returncode == 2:
            # Killed before it had begun, or after its end.
            assert "no recovery was interrupted" in again.stderr
            assert platform.state() in (OLD, NEW)
        else:
            assert again.returncode == 0, again.stderr
            assert platform.state() == OLD
            resumed += 1
        log = platform.services.read_text().split() if platform.services.exists() else []
        assert log[-2:] in ([], ["start", "front"])
    assert resumed >= 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("latest", "--mode", "everything"), 2, "'everything' is not one of"),
        (("latest",), 2, "which mode"),
        (("--mode", "database"), 2, "which backup"),
        (("yesterday", "--mode", "database"), 2, "'yesterday' is no backup"),
        (("shop-20200101T000000Z-aaaaaa", "--mode", "database"), 2, "unknown backup"),
        (("latest", "--mode", "application"), 2, "there is no backup of application"),
        (
            ("latest", "--mode", "database", "--database", "shap"),
            2,
            "unknown database with a backup 'shap' (known: shop)",
        ),
        (("latest-proven", "--mode", "database"), 2, "there is no proven backup"),
        (("2020-01-01", "--mode", "database"), 2, "there is no backup before 2020-01-01"),
        (("latest", "--mode", "full"), 2, "there is no backup of application"),
        (("latest", "--mode", "database", "--only", "/etc"), 2, "--only names files"),
        (("--resume",), 2, "no recovery was interrupted"),
        (("latest", "--mode", "database", "--yes", "--dry-run"), 2, "say the opposite"),
        (("--undo", "--mode", "database", "--database", "shop", "--yes"), 2, "before a restore"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_stopped(
    platform: Platform, arguments: tuple[str, ...], code: int, words: str
) -> None:
    make_backup(platform)

    done = platform.herald("restore", *arguments)

    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert words in done.stderr
    assert not platform.services.exists()
    assert platform.execute("select count(*) from matches") == [(5000,)]


def test_another_key_is_refused(platform: Platform) -> None:
    make_backup(platform)
    (platform.folder / "key").write_text("Zt5w1HnYb3VcMx9KqLs7DjFg2RpUaE8i\n")

    done = platform.herald("restore", "latest", "--mode", "database", "--yes")

    assert done.returncode == 2, done.stderr
    assert "there is no backup of" in done.stderr
    assert "not trusted" in done.stderr
    assert "not in the ring" in done.stderr
    listed = platform.herald("backup", "list")
    assert "signed by a key that is not in the ring" in listed.stdout
    (backup_id,) = {each.parent.name for each in platform.folder.rglob("manifest.json")}
    named = platform.herald("restore", backup_id, "--mode", "database")
    assert named.returncode == 1
    assert f"backup {backup_id} cannot be used: its manifest is signed by a key" in named.stderr
