"""Backups encrypted anew: readable at every moment, with the same content and the same proofs."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from making import PASSPHRASE, file_repository
from public_keys import make_key_pair
from tiny import (
    NEW_PASSPHRASE,
    NOW,
    file_of,
    kill_sometime,
    only_backup,
    put_backup,
    put_proof,
    start_worker,
)

from herald_pipelines.backup.catalog import read_catalog, write_document
from herald_pipelines.backup.facts import LEASE, MANIFEST, Lease, Manifest, Scope
from herald_pipelines.backup.keys import KeyRing, passphrase_key, recipients_key
from herald_pipelines.backup.parts import read_part
from herald_pipelines.backup.rekey import rekey_backup
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.sweep import sweep
from herald_pipelines.backup.unsealing import Damaged
from herald_pipelines.backup.verify import verify_backup
from herald_pipelines.errors import GuardRefusal, PermanentFailure
from herald_pipelines.resources.gpg import Recipients, keyless_gpg
from herald_pipelines.values import Say, utc_now

PARTS = {"files": b"a tree of files" * 1000, "listing": b'{"path": "a"}\n'}


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Repository]:
    """Give the repository with a new key, and the old one behind it."""
    with keyless_gpg() as gpg:
        yield file_repository(tmp_path, gpg, (NEW_PASSPHRASE, PASSPHRASE))


@pytest.fixture
def new_only(both: Repository) -> Repository:
    """Give the repository after the old key was thrown away."""
    return replace(both, ring=KeyRing((passphrase_key(NEW_PASSPHRASE, "a test's passphrase"),)))


def rekey(repo: Repository, say: Say = lambda _text: None) -> Manifest:
    """Rekey the one backup now."""
    return rekey_backup(repo, only_backup(repo), run_id=None, now=NOW, say=say)


def contents(repo: Repository, manifest: Manifest) -> dict[str, bytes]:
    """Return what the parts of a backup hold."""
    return {part.name: read_part(repo, manifest, part.name) for part in manifest.parts}


def objects(repo: Repository, manifest: Manifest) -> int:
    """Return how many objects lie in the folder of a backup."""
    return len(list(repo.store.list(manifest.prefix)))


def test_the_old_key_can_leave_the_ring(repo: Repository, both: Repository, new_only: Repository) -> None:
    old = put_backup(repo, 1, Scope.FULL, Scope.RESTORED, parts=PARTS, is_sealed=True)
    before = only_backup(both)
    assert len(read_catalog(new_only).problems) == 1

    rekey(both)

    found = only_backup(new_only)
    assert found.manifest.encryption.key == new_only.ring.current.fingerprint
    assert found.content_sha256 == before.content_sha256
    assert found.proofs == before.proofs
    assert found.proof(Scope.RESTORED) is not None
    assert contents(new_only, found.manifest) == PARTS
    assert found.extra == ()
    assert objects(both, old) == 5
    assert verify_backup(new_only, found, Scope.FULL, {}, now=utc_now(), say=lambda _text: None).passed


def test_again_with_the_same_key_nothing_changes(repo: Repository) -> None:
    manifest = put_backup(repo, 1, Scope.FULL, parts=PARTS, is_sealed=True)
    stored = {each.key: each.modified_at for each in repo.store.list(manifest.prefix)}

    assert rekey(repo) == manifest
    assert {each.key: each.modified_at for each in repo.store.list(manifest.prefix)} == stored


def test_there_and_back(repo: Repository, both: Repository) -> None:
    put_backup(repo, 1, Scope.FULL, parts=PARTS, is_sealed=True)
    rekey(both)
    back = replace(both, ring=KeyRing(tuple(reversed(both.ring.keys))))
    manifest = rekey(back)

    assert contents(repo, only_backup(repo).manifest) == PARTS
    assert all(part.object.count("rekeyed") == 1 for part in manifest.parts)


def test_what_later_versions_say_stays(repo: Repository, both: Repository) -> None:
    manifest = put_backup(repo, 1, parts=PARTS, is_sealed=True)
    said = {**manifest.model_dump(mode="json"), "tomorrow": {"a": 1}}
    said["parts"][0]["colour"] = "green"
    import json

    repo.store.put(manifest.prefix + MANIFEST, json.dumps(repo.ring.sign(said)).encode())
    before = only_backup(both).content_sha256
    rekey(both)

    found = json.loads(repo.store.get(manifest.prefix + MANIFEST, most_bytes=10**6))
    assert (found["tomorrow"], found["parts"][0]["colour"]) == ({"a": 1}, "green")
    assert only_backup(both).content_sha256 == before


def test_a_proof_of_stored_bytes_is_not_one_of_the_new_ones(repo: Repository, both: Repository) -> None:
    manifest = put_backup(repo, 1, Scope.STORED, parts=PARTS, is_sealed=True)
    assert only_backup(both).proof(Scope.STORED) is not None
    rekey(both)

    assert only_backup(both).proofs == ()
    put_proof(both, only_backup(both).manifest, Scope.STORED)
    assert only_backup(both).proof(Scope.STORED) is not None
    assert manifest.id == only_backup(both).manifest.id


def test_a_damaged_one_stays_as_it_is(repo: Repository, both: Repository, tmp_path: Path) -> None:
    manifest = put_backup(repo, 1, parts=PARTS, is_sealed=True)
    path = file_of(tmp_path, manifest.prefix + manifest.part("listing").object)
    content = path.read_bytes()
    path.write_bytes(content[:-9] + b"!" + content[-8:])

    with pytest.raises(Damaged, match="part listing"):
        rekey(both)
    assert only_backup(both).manifest == manifest
    # The other part was written anew already.
    assert [each.key.rsplit("/", 1)[1][:8] for each in only_backup(both).extra] == ["rekeyed-"]
    path.write_bytes(content)
    rekey(both)
    assert only_backup(both).extra == ()


def test_what_cannot_be_read_back_changes_nothing(repo: Repository, both: Repository, tmp_path: Path) -> None:
    """A store that loses what it was given: the old objects are still there."""
    manifest = put_backup(repo, 1, parts=PARTS, is_sealed=True)

    def say(text: str) -> None:
        if text.startswith("reading"):
            for path in file_of(tmp_path, manifest.prefix).glob("rekeyed-*-files*"):
                path.write_bytes(path.read_bytes()[:-1] + b"?")

    with pytest.raises(Damaged, match="part files"):
        rekey(both, say)
    assert only_backup(both).manifest == manifest
    assert contents(both, manifest) == PARTS


def test_what_somebody_is_at_is_left(repo: Repository, both: Repository) -> None:
    manifest = put_backup(repo, 1, parts=PARTS, is_sealed=True)
    lease = Lease(backup=manifest.id, host="other", pid=1, run_id=None, started_at=NOW, beat=3)
    write_document(repo, manifest.prefix + LEASE, lease, replace=False)

    with pytest.raises(GuardRefusal, match="has a lease"):
        rekey(both)
    assert contents(repo, manifest) == PARTS


def test_one_that_stood_still_gives_the_old_objects_back(
    repo: Repository, both: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken for dead between its last look at the lease and the new manifest, whose objects may be swept by then."""
    manifest = put_backup(repo, 1, parts=PARTS, is_sealed=True)
    put = type(both.store).put

    def late(store: object, key: str, content: bytes, *, replace: bool = True) -> None:
        if key.endswith(MANIFEST) and b"rekeyed" in content:
            lease = Lease(
                backup=manifest.id, host="x", pid=1, run_id=None, started_at=NOW, beat=1, revoked=True
            )
            put(store, f"{manifest.prefix}{LEASE}", str(lease.model_dump_json(indent=1)).encode())  # type: ignore[arg-type]
        put(store, key, content, replace=replace)  # type: ignore[arg-type]

    monkeypatch.setattr(type(both.store), "put", late)
    with pytest.raises(PermanentFailure, match="was revoked"):
        rekey(both)
    monkeypatch.undo()
    assert only_backup(both).manifest == manifest
    assert contents(both, manifest) == PARTS


def test_to_public_keys_only_where_they_can_be_read_back(repo: Repository, both: Repository) -> None:
    manifest = put_backup(repo, 1, Scope.RESTORED, parts=PARTS, is_sealed=True)
    with make_key_pair() as (own, fingerprint), keyless_gpg() as empty:
        signer = recipients_key(
            Recipients((fingerprint,)), "signs-manifests-and-nothing-else-4711-0815", "a test's secret"
        )
        there = replace(repo, ring=KeyRing((signer, *repo.ring.keys)), keyring_gpg=own)
        with pytest.raises(PermanentFailure, match="no private key"):
            rekey(replace(there, keyring_gpg=empty))
        assert only_backup(repo).manifest == manifest
        rekey(there)

        found = only_backup(replace(there, ring=KeyRing((signer,))))
        assert found.manifest.encryption.recipients == (fingerprint,)
        assert found.proof(Scope.RESTORED) is not None
        assert contents(there, found.manifest) == PARTS


def test_killed_at_random_moments(
    repo: Repository, both: Repository, new_only: Repository, tmp_path: Path
) -> None:
    chance = random.Random(6)
    changed = cut_short = 0
    took = 0.0
    for _ in range(13):
        manifest = put_backup(repo, 1, Scope.FULL, Scope.RESTORED, parts=PARTS, is_sealed=True)
        worker = start_worker("rekey", tmp_path)
        is_cut, took = kill_sometime(worker, chance, took)
        cut_short += is_cut
        backup = only_backup(both)
        assert (backup.missing, backup.proof(Scope.RESTORED) is None) == ((), False)
        assert contents(both, backup.manifest) == PARTS
        changed += backup.manifest != manifest
        swept = sweep(
            both,
            read_catalog(both),
            now=NOW,
            known=(),
            say=lambda _text: None,
            pause=lambda _seconds: None,
            grace=NOW - NOW,
        )
        assert {each.reason for each in swept} <= {"left by somebody who was killed"}
        assert only_backup(both).extra == ()
        rekey(both)
        found = only_backup(new_only)
        assert (found.extra, len(found.proofs), contents(new_only, found.manifest)) == ((), 2, PARTS)
        for each in list(both.store.list(manifest.prefix)):
            both.store.delete(each.key)
    assert cut_short > 4
    assert 0 < changed < 13
