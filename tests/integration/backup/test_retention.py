"""Backups deleted by a plan: a kill at any moment leaves whole ones and what sweeping removes, and never loses the newest."""

import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tiny import NOW, SETTINGS, kill_sometime, put_backup, put_proof, start_worker

from herald_pipelines.backup.catalog import BackupGone, read_catalog, write_document
from herald_pipelines.backup.facts import LEASE, Lease, Scope
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.removal import delete_backup, lift_hold, place_hold
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.retention import plan_retention
from herald_pipelines.backup.selection import find_backup
from herald_pipelines.backup.sweep import sweep
from herald_pipelines.errors import GuardRefusal

KILLS = 25


def delete(repo: Repository, backup: Backup) -> int:
    """Delete now."""
    return delete_backup(repo, backup, run_id=None, now=NOW)


def doomed(repo: Repository) -> list[Backup]:
    """Return what the plan would delete."""
    return [each.backup for each in plan_retention(read_catalog(repo), SETTINGS, NOW).doomed]


def keys(repo: Repository) -> list[str]:
    """Return all that lies in the store, but for its clock."""
    return [each.key for each in repo.store.list("v1/")]


def test_all_of_a_backup_goes(repo: Repository) -> None:
    put_backup(repo, 1, Scope.FULL)
    old = put_backup(repo, 40, Scope.FULL, Scope.RESTORED)
    put_backup(repo, 2, Scope.RESTORED)

    (backup,) = doomed(repo)
    assert backup.manifest.id == old.id
    assert delete(repo, backup) == 5
    assert not any(key.startswith(old.prefix) for key in keys(repo))
    assert doomed(repo) == []


def test_a_hold_that_came_after_the_plan_is_respected(repo: Repository) -> None:
    put_backup(repo, 1, Scope.FULL)
    put_backup(repo, 40, Scope.FULL)
    (backup,) = doomed(repo)
    place_hold(repo, backup, "case 4711", now=NOW)

    with pytest.raises(GuardRefusal, match="is held"):
        delete(repo, backup)
    assert doomed(repo) == []
    lift_hold(repo, backup)
    assert delete(repo, doomed(repo)[0]) == 4


def test_nothing_is_held_that_is_gone(repo: Repository) -> None:
    put_backup(repo, 1, Scope.FULL)
    put_backup(repo, 40, Scope.FULL)
    (backup,) = doomed(repo)
    delete(repo, backup)

    with pytest.raises(BackupGone, match="was deleted meanwhile"):
        place_hold(repo, backup, "case 4711", now=NOW)
    assert not any(key.startswith(backup.manifest.prefix) for key in keys(repo))


def test_a_hold_beside_somebody_who_may_be_deleting_is_not_called_certain(repo: Repository) -> None:
    backup = put_backup(repo, 40, Scope.FULL)
    lease = Lease(backup=backup.id, host="other", pid=1, run_id=None, started_at=NOW, beat=0)
    write_document(repo, backup.prefix + LEASE, lease, replace=False)

    with pytest.raises(GuardRefusal, match="has a lease"):
        place_hold(repo, find_backup(read_catalog(repo), backup.id), "case 4711", now=NOW)
    assert read_catalog(repo).backups[0].is_held


def test_what_somebody_is_at_is_left(repo: Repository) -> None:
    put_backup(repo, 1, Scope.FULL)
    old = put_backup(repo, 40, Scope.FULL)
    lease = Lease(backup=old.id, host="other", pid=1, run_id=None, started_at=NOW, beat=3)
    write_document(repo, old.prefix + LEASE, lease, replace=False)

    with pytest.raises(GuardRefusal, match="has a lease"):
        delete(repo, doomed(repo)[0])
    assert len(read_catalog(repo).backups) == 2


def test_another_backup_under_the_same_id_is_left(repo: Repository) -> None:
    put_backup(repo, 1, Scope.FULL)
    put_backup(repo, 40, Scope.FULL)
    (backup,) = doomed(repo)

    with pytest.raises(GuardRefusal, match="another backup than"):
        delete(repo, replace(backup, content_sha256="0" * 64))
    assert len(read_catalog(repo).backups) == 2


def test_deleted_twice(repo: Repository) -> None:
    put_backup(repo, 1, Scope.FULL)
    put_backup(repo, 40, Scope.FULL)
    (backup,) = doomed(repo)
    delete(repo, backup)

    with pytest.raises(BackupGone, match="deleted meanwhile by somebody else"):
        delete(repo, backup)
    assert len(keys(repo)) == 4


def test_killed_at_random_moments(repo: Repository, tmp_path: Path) -> None:
    """Each round deletes some twenty; whoever is killed at it leaves whole backups, and the proven ones always."""
    chance = random.Random(4)
    stay = {
        put_backup(repo, 35, Scope.RESTORED).id,
        put_backup(repo, 1).id,
        put_backup(repo, 32, Scope.FULL).id,
    }
    cut_short = half_deleted = 0
    took = 0.0
    for _ in range(KILLS + 1):
        for number in range(25 - len(read_catalog(repo).backups)):
            put_backup(repo, 40 + number, Scope.FULL, now=NOW + timedelta(seconds=number))
        worker = start_worker("retain", tmp_path)
        is_cut, took = kill_sometime(worker, chance, took)
        cut_short += is_cut
        catalog = read_catalog(repo)
        assert catalog.problems == ()
        assert [each.missing for each in catalog.backups if each.missing] == []
        assert stay <= {each.manifest.id for each in catalog.backups}
        half_deleted += len(catalog.unfinished)
        left = sweep(
            repo,
            catalog,
            now=NOW,
            known=(),
            say=lambda _text: None,
            pause=lambda _seconds: None,
            grace=timedelta(0),
        )
        assert {each.removed > 0 for each in left} <= {True}
        catalog = read_catalog(repo)
        assert (catalog.unfinished, [each.extra for each in catalog.backups if each.extra]) == ((), [])
    assert cut_short > KILLS / 3
    assert half_deleted > 0


def test_a_proof_that_failed_lately_changes_which_one_stays(repo: Repository) -> None:
    put_backup(repo, 1)
    newer = put_backup(repo, 40, Scope.RESTORED)
    older = put_backup(repo, 41, Scope.RESTORED)
    assert [each.manifest.id for each in doomed(repo)] == [older.id]
    put_proof(repo, newer, Scope.RESTORED, passed=False)

    assert find_backup(read_catalog(repo), newer.id).proof(Scope.STORED) is None
    assert [each.manifest.id for each in doomed(repo)] == [newer.id]
