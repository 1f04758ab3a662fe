"""What the dead left is removed, and nothing of the living: not even of those that look dead and wake up again."""

import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from making import file_repository
from tiny import NOW, file_of, kill_sometime, only_backup, put_backup, start_worker

from herald_pipelines.backup.catalog import read_catalog, write_document
from herald_pipelines.backup.facts import LEASE, MANIFEST, Kind, Lease, Manifest, Scope, backup_prefix
from herald_pipelines.backup.lease import Making, making
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.sweep import Swept, read_store_clock, sweep
from herald_pipelines.errors import PermanentFailure
from herald_pipelines.resources.gpg import keyless_gpg
from herald_pipelines.values import utc_now

PREFIX = backup_prefix("herald", "testhost", Kind.APPLICATION, "shop", "shop-20261124T000000Z-abcdef")
LEASE_OF_THE_DEAD = Lease(
    backup="shop-20261124T000000Z-abcdef", host="other", pid=1, run_id=None, started_at=NOW, beat=7
)


def run_sweep(
    repo: Repository,
    *,
    known: tuple[str, ...] = (),
    pause: Callable[[], object] = lambda: None,
    **more: timedelta,
) -> tuple[Swept, ...]:
    """Sweep, with what happens while it waits."""
    return sweep(
        repo,
        read_catalog(repo),
        now=NOW,
        known=known,
        say=lambda _text: None,
        pause=lambda _: pause(),
        **more,
    )


def age(tmp_path: Path, hours: float) -> None:
    """Make everything in the store older."""
    for path in (tmp_path / "store" / "v1").rglob("*"):
        os.utime(path, (time.time() - hours * 3600,) * 2)


def put_unfinished(repo: Repository, *, lease: bool = True) -> None:
    """Put what a killed maker leaves."""
    if lease:
        write_document(repo, PREFIX + LEASE, LEASE_OF_THE_DEAD, replace=False)
    repo.store.put(PREFIX + "dump", b"x")
    repo.store.put(PREFIX + "globals", b"x")


def put_parts(repo: Repository, manifest: Manifest) -> None:
    """Put objects as a manifest says into the folder of another backup."""
    for part in manifest.parts:
        repo.store.put(PREFIX + part.object, b"x" * part.stored_bytes)


def keys(repo: Repository) -> list[str]:
    """Return what lies in the folder, by name."""
    return [each.key.removeprefix(PREFIX) for each in repo.store.list(PREFIX)]


@pytest.mark.parametrize("lease", [True, False])
def test_what_was_never_finished_goes_after_an_hour(repo: Repository, tmp_path: Path, *, lease: bool) -> None:
    put_unfinished(repo, lease=lease)
    age(tmp_path, 0.9)
    assert [(each.removed, each.reason) for each in run_sweep(repo)] == [(0, "young")]
    age(tmp_path, 1.1)
    assert [(each.removed, each.reason) for each in run_sweep(repo)] == [
        (2 + lease, "was never finished, or deleted")
    ]
    assert keys(repo) == []


def test_the_hour_is_by_the_clock_of_the_store(repo: Repository) -> None:
    put_unfinished(repo)
    before = utc_now()
    assert before - timedelta(seconds=1) < read_store_clock(repo) < utc_now() + timedelta(seconds=1)
    assert [each.reason for each in run_sweep(repo)] == ["young"]


def test_a_lease_that_is_renewed_is_somebody_s(repo: Repository, tmp_path: Path) -> None:
    put_unfinished(repo)
    age(tmp_path, 5)
    pauses: list[None] = []

    def beat() -> None:
        pauses.append(None)
        lease = LEASE_OF_THE_DEAD.model_copy(update={"beat": 8})
        write_document(repo, PREFIX + LEASE, lease, replace=True)

    assert [each.reason for each in run_sweep(repo, pause=beat)] == ["in use"]
    assert len(pauses) == 1
    assert b'revoked": false' in repo.store.get(PREFIX + LEASE, most_bytes=10**4)
    assert keys(repo) == ["dump", "globals", LEASE]


def test_a_beat_that_overwrites_the_revocation_is_somebody_s(repo: Repository, tmp_path: Path) -> None:
    put_unfinished(repo)
    age(tmp_path, 5)
    pauses: list[None] = []

    def beat_in_the_second_pause() -> None:
        pauses.append(None)
        if len(pauses) == 2:
            write_document(repo, PREFIX + LEASE, LEASE_OF_THE_DEAD, replace=True)

    assert [each.reason for each in run_sweep(repo, pause=beat_in_the_second_pause)] == ["in use"]
    assert keys(repo) == ["dump", "globals", LEASE]


def test_a_lease_that_nobody_can_read_is_nobody_s(repo: Repository, tmp_path: Path) -> None:
    repo.store.put(PREFIX + LEASE, b"\x00nonsense")
    age(tmp_path, 5)

    assert [each.removed for each in run_sweep(repo)] == [1]


def test_a_maker_that_wakes_up_makes_nothing_visible(repo: Repository, tmp_path: Path) -> None:
    """It stood still for hours; what it wrote is gone, and it finds out before it publishes."""
    manifest = put_backup(repo, 1)

    def make() -> None:
        with making(repo, PREFIX, LEASE_OF_THE_DEAD.backup, run_id=None, now=NOW) as work:
            put_parts(repo, manifest)
            age(tmp_path, 5)
            reasons = {each.prefix: each.reason for each in run_sweep(repo)}
            assert reasons[PREFIX] == "was never finished, or deleted"
            put_parts(repo, manifest)  # as if they had been left
            work.publish(manifest.model_copy(update={"id": LEASE_OF_THE_DEAD.backup}))

    with pytest.raises(PermanentFailure, match="was revoked"):
        make()
    assert [each.manifest.id for each in read_catalog(repo).backups] == [manifest.id]
    assert keys(repo) == []


def test_a_maker_that_wakes_up_between_its_last_look_and_the_manifest_takes_it_back(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = put_backup(repo, 1)
    look = Making.require_lease
    looks: list[None] = []

    def look_and_stand_still(work: Making) -> None:
        look(work)
        looks.append(None)
        if len(looks) == 1:
            age(tmp_path, 5)
            run_sweep(repo)

    def make() -> None:
        with making(repo, PREFIX, LEASE_OF_THE_DEAD.backup, run_id=None, now=NOW) as work:
            put_parts(repo, manifest)
            work.publish(manifest.model_copy(update={"id": LEASE_OF_THE_DEAD.backup}))

    monkeypatch.setattr(Making, "require_lease", look_and_stand_still)
    with pytest.raises(PermanentFailure, match="was revoked"):
        make()
    assert [each.manifest.id for each in read_catalog(repo).backups] == [manifest.id]
    assert keys(repo) == []


def test_one_that_got_its_manifest_meanwhile_is_left(repo: Repository, tmp_path: Path) -> None:
    manifest = put_backup(repo, 1)
    path = file_of(tmp_path, manifest.prefix + MANIFEST)
    path.rename(tmp_path / "manifest")
    age(tmp_path, 5)
    catalog = read_catalog(repo)
    (tmp_path / "manifest").rename(path)

    left = sweep(repo, catalog, now=NOW, known=(), say=lambda _text: None, pause=lambda _seconds: None)
    assert [(each.removed, each.reason) for each in left] == [(0, "became a backup meanwhile")]
    assert only_backup(repo).missing == ()


def test_what_is_left_of_a_backup_that_nobody_deleted_is_left(repo: Repository, tmp_path: Path) -> None:
    """Its manifest is lost, its parts may be all that there is."""
    manifest = put_backup(repo, 1)
    repo.store.delete(manifest.prefix + MANIFEST)
    age(tmp_path, 5)

    assert [each.reason for each in run_sweep(repo, known=(manifest.id,))] == [
        "its manifest is gone, and nobody deleted it"
    ]
    assert [each.removed for each in run_sweep(repo)] == [2]


def test_a_folder_whose_manifest_cannot_be_trusted_is_left(repo: Repository, tmp_path: Path) -> None:
    manifest = put_backup(repo, 1)
    repo.store.put(manifest.prefix + MANIFEST, b"{}")
    age(tmp_path, 5)

    assert run_sweep(repo) == ()
    assert len(list(repo.store.list(manifest.prefix))) == 3


def test_beside_a_manifest_a_dead_lease_goes_and_nothing_else(repo: Repository, tmp_path: Path) -> None:
    manifest = put_backup(repo, 1, Scope.FULL)
    write_document(repo, manifest.prefix + LEASE, LEASE_OF_THE_DEAD, replace=False)
    repo.store.put(manifest.prefix + "notes.txt", b"somebody's")
    assert [each.reason for each in run_sweep(repo)] == ["young"]
    age(tmp_path, 5)

    assert [each.removed for each in run_sweep(repo)] == [1]
    names = sorted(each.key.removeprefix(manifest.prefix) for each in repo.store.list(manifest.prefix))
    assert [name.split("/")[0] for name in names] == [
        "files.zst.gpg",
        "listing.zst.gpg",
        "manifest.json",
        "notes.txt",
        "proofs",
    ]


def test_two_sweeps_at_once(repo: Repository, tmp_path: Path) -> None:
    put_unfinished(repo)
    backup = put_backup(repo, 1)
    write_document(repo, backup.prefix + LEASE, LEASE_OF_THE_DEAD, replace=False)
    age(tmp_path, 5)
    meet = threading.Barrier(2, timeout=30)

    def one(_number: int) -> object:
        return run_sweep(repo, pause=meet.wait)

    with ThreadPoolExecutor(2) as pool:
        assert len(list(pool.map(one, range(2)))) == 2
    assert keys(repo) == []
    assert only_backup(repo).extra == ()


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """Whole backups stay, and what is left goes the next time."""
    chance = random.Random(5)
    cut_short = 0
    took = 0.0
    with keyless_gpg() as gpg:
        repo = file_repository(tmp_path, gpg)
        stay = {put_backup(repo, day, Scope.FULL).id for day in range(3)}
        put_unfinished(repo)
        for _ in range(13):
            for number in range(40):  # by hand, since a store waits for the disk
                shutil.copytree(
                    file_of(tmp_path, PREFIX),
                    file_of(tmp_path, PREFIX.replace("abcdef", f"{number:06x}")),
                    dirs_exist_ok=True,
                )
            age(tmp_path, 5)
            worker = start_worker("sweep", tmp_path)
            is_cut, took = kill_sometime(worker, chance, took)
            cut_short += is_cut
            catalog = read_catalog(repo)
            assert ({each.manifest.id for each in catalog.backups}, catalog.problems) == (stay, ())
            if not keys(repo):
                put_unfinished(repo)
        run_sweep(repo, grace=timedelta(0))
        catalog = read_catalog(repo)
        assert ({each.manifest.id for each in catalog.backups}, catalog.unfinished) == (stay, ())
    assert cut_short > 3
