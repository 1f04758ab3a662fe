"""A restore that is killed, at whatever statement: the live database is the old one or the new one, and open again."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from restoring import Victim, address, cursor, databases, restore, rows, tidy

from herald_pipelines.backup.facts import Manifest
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_database import list_before
from herald_pipelines.backup.restore_journal import Step, new_restore_id, read_entries, read_entry
from herald_pipelines.resources.commands import LEASH_GRACE_SECONDS
from herald_pipelines.settings.conninfo import with_database
from servers import TestServer

Backer = Callable[..., Manifest]
NAME = "till"


@pytest.fixture
def till(server: TestServer) -> Iterator[str]:
    """Give the url of a tiny database of our own."""
    drop_all(server)
    with cursor(server.url("postgres")) as opened:
        opened.execute(f"create database {NAME}")
        opened.execute(f"comment on database {NAME} is 'the till'")
    url = server.url(NAME)
    rows(url, "create table t as select 'backed up' as state")
    yield url
    drop_all(server)


@pytest.fixture
def victim(till: str, tmp_path: Path) -> Iterator[Victim]:
    """Give what restores and dies."""
    made = Victim(tmp_path, till, NAME)
    yield made
    made.close()


def drop_all(server: TestServer) -> None:
    """Drop what belongs to the restores of this test."""
    with cursor(server.url("postgres")) as opened:
        for name in databases(server.url("postgres")):
            if name.startswith(NAME):
                opened.execute(f'drop database "{name}" with (force)')


def state(url: str) -> str:
    """Return which database has the name."""
    return rows(url, "select state from t")[0][0]


def require_order(repo: Repository, till: str) -> None:
    """Check that nothing of a dead restore is left."""
    found = databases(till)
    assert found[NAME], "the live database is closed"
    assert [name for name in found if "restoring" in name] == []
    assert all(found.values())
    assert all(each.step is Step.DONE for each in read_entries(repo))
    archives = repo.work_folder / "archives"
    assert not archives.exists() or list(archives.iterdir()) == []
    comments = rows(
        till,
        f"select datname, shobj_description(oid, 'pg_database') from pg_database where datname = '{NAME}'",
    )
    assert comments == [(NAME, "the till")]
    marks = rows(
        till, "select shobj_description(oid, 'pg_database') from pg_database where datname <> 'till'"
    )
    assert not any('"fenced":' in (mark or "") and '"fenced":null' not in mark for (mark,) in marks)


@pytest.mark.parametrize(
    ("doing", "numbers"), [("restore", range(0, 300, 6)), ("create", range(4)), ("swap", range(100))]
)
def test_a_killed_restore_leaves_the_old_database_or_the_new_one(
    server: TestServer,
    till: str,
    victim: Victim,
    repo: Repository,
    back_up: Backer,
    doing: str,
    numbers: range,
) -> None:
    back_up(till)
    outcomes: list[str] = []
    for number in numbers:
        rows(till, "update t set state = 'later'")
        killed = victim.run(doing, number)
        assert NAME in databases(till)

        tidy(repo, till, NAME)

        require_order(repo, till)
        outcomes.append(state(till))
        # Whichever it is, the other is there too: kept, or in the store.
        assert kept_states(till) == (["later"] if outcomes[-1] == "backed up" else [])
        drop_kept(till)
        if not killed:
            break

    assert outcomes.count("later") >= 4
    if doing == "swap":
        # Killed when the names had changed already.
        assert outcomes.count("backed up") > 1
    wait_for_orphans()


def test_a_restore_killed_at_any_moment_leaves_nothing(
    server: TestServer, till: str, victim: Victim, repo: Repository, back_up: Backer
) -> None:
    """Between statements too: while the archive is fetched, and while pg_restore works."""
    rows(till, "create table more as select n, repeat('x', 100) as t from generate_series(1, 20000) as n")
    rows(till, "create index on more (t)")
    back_up(till)
    outcomes: list[str] = []
    for milliseconds in range(60, 1400, 90):
        rows(till, "update t set state = 'later'")
        victim.run("moment", milliseconds)
        assert NAME in databases(till)

        tidy(repo, till, NAME)

        require_order(repo, till)
        outcomes.append(state(till))
        assert kept_states(till) == (["later"] if outcomes[-1] == "backed up" else [])
        drop_kept(till)

    assert set(outcomes) <= {"later", "backed up"}
    assert "later" in outcomes
    wait_for_orphans()


def test_a_killed_undo_leaves_one_or_the_other(
    server: TestServer, till: str, victim: Victim, repo: Repository, back_up: Backer
) -> None:
    manifest = back_up(till)
    outcomes: list[str] = []
    killed = True
    while killed:
        if not list_before(address(till), NAME):
            drop_kept(till)
            rows(till, "update t set state = 'later'")
            restore(repo, manifest, till, NAME)
        killed = victim.run("undo", len(outcomes))

        tidy(repo, till, NAME)

        require_order(repo, till)
        outcomes.append(state(till))
        assert kept_states(till) == (["later"] if outcomes[-1] == "backed up" else [])

    assert outcomes[-1] == "later"
    assert outcomes.count("backed up") > 10


def test_a_caller_that_was_killed_does_nothing_twice(
    server: TestServer, till: str, repo: Repository, back_up: Backer
) -> None:
    manifest = back_up(till)
    restore_id = new_restore_id()
    first = restore(repo, manifest, till, NAME, restore_id=restore_id)
    again = restore(repo, manifest, till, NAME, restore_id=restore_id)

    assert again.kept_as == first.kept_as
    assert again.notes == ("it was done already",)
    entry = read_entry(repo, restore_id)
    assert entry is not None
    assert entry.step is Step.DONE
    assert len(list_before(address(till), NAME)) == 1


def kept_states(url: str) -> list[str]:
    """Return the states of the databases that were put aside."""
    return [state(with_database(url, each.database)) for each in list_before(address(url), NAME)]


def drop_kept(url: str) -> None:
    """Drop all of ours but the live one."""
    with cursor(with_database(url, "postgres")) as opened:
        for name in databases(url):
            if name.startswith(f"{NAME}_"):
                opened.execute(f'drop database "{name}" with (force)')


def wait_for_orphans() -> None:
    """Wait until no pg_restore of ours runs on: the watcher of a dead parent's stays for its grace time."""
    until = time.monotonic() + 3 * LEASH_GRACE_SECONDS
    while found := orphans():
        assert time.monotonic() < until, found
        time.sleep(0.1)


def orphans() -> list[str]:
    """Return pg_restore's of ours that run on."""
    found = [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    return [each for each in found if "pg_restore" in each and f"'{NAME}_" in each]
