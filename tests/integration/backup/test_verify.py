"""Backups verified from the store: what is damaged, swapped, forged or lacking is found, and a lost store is no verdict."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bank import execute
from making import ORIGIN, file_repository, make_backup
from public_keys import make_key_pair
from tiny import NEW_PASSPHRASE, file_of, only_backup, put_backup

from herald_pipelines.backup.catalog import read_catalog, write_document
from herald_pipelines.backup.facts import MANIFEST, Kind, Manifest, Proof, Scope, TableFacts
from herald_pipelines.backup.files import back_up_files
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.keys import KeyRing, recipients_key
from herald_pipelines.backup.lease import making
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.verify import verify_backup, widest_scope
from herald_pipelines.errors import PermanentFailure, UsageError
from herald_pipelines.resources.clients import find_clients
from herald_pipelines.resources.commands import CommandFailed
from herald_pipelines.resources.gpg import Gpg, Recipients, keyless_gpg
from herald_pipelines.resources.object_store.base import StoreRefused
from herald_pipelines.settings.backup import BackupSettings, FilesSettings
from herald_pipelines.values import Say, utc_now
from servers import TestServer

Backer = Callable[[str], Manifest]

ODD = """
create table empty(); insert into empty default values;
create table "odd ""n
COPY x FROM stdin;
o'clock" (id int); insert into "odd ""n
COPY x FROM stdin;
o'clock" values (1);
create table "größer, fünfundsechzig Zeichen lang, und das ist doch zu viel" (a int);
create unlogged table unlogged_one (a int);
create table parent (a int) partition by range (a); create table child partition of parent for values from (0) to (9);
create materialized view filled as select 1 as a; create materialized view unfilled as select 1 as a with no data;
create schema "A b"; create table "A b"."c d" (a int);
create extension pg_trgm;
create foreign data wrapper w; create server s foreign data wrapper w; create foreign table f (a int) server s;
select lo_from_bytea(0, '\\x00ff27');
"""
SMALL = "create table t (a int, b text); insert into t select n, 'x' from generate_series(1, 9) n"


@pytest.fixture
def small_url(pg18: TestServer) -> str:
    """Give a database of one small table."""
    url = pg18.create_database()
    execute(url, SMALL)
    return url


@pytest.fixture(scope="module")
def made(pg18: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store with a small backup in it, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    with keyless_gpg() as gpg:
        url = pg18.create_database()
        execute(url, SMALL)
        make_backup(file_repository(folder, gpg), url)
    return folder / "store"


@pytest.fixture
def backup(repo: Repository, made: Path, tmp_path: Path) -> Backup:
    """Give a small backup of one's own."""
    shutil.copytree(made, tmp_path / "store", dirs_exist_ok=True)
    return only_backup(repo)


def verify(
    repo: Repository, backup: Backup, scope: Scope = Scope.FULL, say: Say = lambda _text: None
) -> Proof:
    """Verify now."""
    return verify_backup(repo, backup, scope, {}, now=utc_now(), say=say)


def spoil(repo: Repository, backup: Backup, scope: Scope = Scope.FULL) -> str:
    """Return why a backup does not pass, and see that its proof says so."""
    proof = verify(repo, backup, scope)
    assert not proof.passed
    assert proof.reason is not None
    assert read_catalog(repo).backups[-1].proofs[-1] == proof
    assert read_catalog(repo).backups[-1].proof(Scope.STORED) is None
    return proof.reason


def test_whatever_a_database_holds(repo: Repository, back_up: Backer, database_url: str) -> None:
    execute(database_url, ODD)
    back_up(database_url)

    proof = verify(repo, only_backup(repo))

    assert proof.passed, proof.reason
    assert proof.details["tables"] == 10
    assert (only_backup(repo).proof(Scope.FULL), only_backup(repo).proof(Scope.RESTORED)) == (proof, None)


def test_an_empty_database(repo: Repository, back_up: Backer, database_url: str) -> None:
    back_up(database_url)

    assert verify(repo, only_backup(repo)).passed


def test_a_table_of_contents_that_fills_every_pipe(
    repo: Repository, back_up: Backer, pg18: TestServer
) -> None:
    """pg_restore reads no further while nobody takes what it prints."""
    url = pg18.create_database()
    execute(
        url,
        f"""do $$ begin
            execute 'create schema {"s" * 63}';
            for n in 1..9000 loop
                execute format('create function {"s" * 63}.{"f" * 50}%s() returns int return 1', n);
            end loop;
        end $$;
        create table t as select md5(n::text) from generate_series(1, 100000) n""",
    )
    back_up(url)

    proof = verify(repo, only_backup(repo))

    assert proof.passed, proof.reason
    assert proof.details["entries"] > 9000


def test_no_clear_byte_touches_the_disk(repo: Repository, backup: Backup, tmp_path: Path) -> None:
    before = {path for path in tmp_path.rglob("*") if path.is_file()}

    verify(repo, backup)

    after = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.parent.name for path in after - before} == {"proofs"}


def test_no_stored_bit_may_flip(repo: Repository, backup: Backup, tmp_path: Path) -> None:
    for part in backup.manifest.parts:
        path = file_of(tmp_path, backup.manifest.prefix + part.object)
        content = path.read_bytes()
        for place in range(0, len(content), 10):
            path.write_bytes(
                content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]
            )
            found = verify(repo, backup, Scope.STORED)
            assert found.reason is not None
            assert f"part {part.name}" in found.reason
            assert "damaged in the store" in found.reason
        path.write_bytes(content)
    assert verify(repo, backup, Scope.STORED).passed


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6, 0.99])
def test_a_flipped_bit_is_found_wherever_it_is(
    repo: Repository, backup: Backup, tmp_path: Path, share: float
) -> None:
    path = file_of(tmp_path, backup.manifest.prefix + backup.manifest.part("dump").object)
    content = path.read_bytes()
    place = int(len(content) * share)
    path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])

    assert "part dump (dump.pgdump.zst.gpg) is damaged in the store" in spoil(repo, backup)


@pytest.mark.parametrize("scope", [Scope.STORED, Scope.FULL])
@pytest.mark.parametrize(("start", "end"), [(0, 0), (0, 100), (0, -1), (1, None)])
def test_no_byte_may_be_missing(
    repo: Repository, backup: Backup, tmp_path: Path, scope: Scope, start: int, end: int | None
) -> None:
    path = file_of(tmp_path, backup.manifest.prefix + backup.manifest.part("dump").object)
    path.write_bytes(path.read_bytes()[start:end])

    assert read_catalog(repo).backups[0].missing == ("dump",)
    assert "damaged in the store" in spoil(repo, backup, scope)


@pytest.mark.parametrize("scope", [Scope.STORED, Scope.FULL])
def test_objects_may_not_be_swapped(
    repo: Repository, back_up: Backer, backup: Backup, small_url: str, tmp_path: Path, scope: Scope
) -> None:
    """The dump of another day, of the same size and the same key."""
    other = back_up(small_url)
    dump = backup.manifest.part("dump").object
    shutil.copy(file_of(tmp_path, backup.manifest.prefix + dump), file_of(tmp_path, other.prefix + dump))

    assert "damaged in the store" in spoil(repo, read_catalog(repo).backups[1], scope)


@pytest.mark.parametrize("scope", [Scope.STORED, Scope.FULL])
def test_an_object_may_not_be_missing(repo: Repository, backup: Backup, scope: Scope) -> None:
    repo.store.delete(backup.manifest.prefix + backup.manifest.part("globals").object)

    assert "is missing in the store" in spoil(repo, backup, scope)


def test_bytes_that_are_right_and_open_to_something_else(repo: Repository, backup: Backup) -> None:
    """A manifest that its maker signed with a wrong hash."""
    parts = tuple(
        part.model_copy(update={"clear_sha256": "0" * 64}) if part.name == "dump" else part
        for part in backup.manifest.parts
    )
    resign(repo, backup.manifest.model_copy(update={"parts": parts}))

    assert "is not what was backed up" in spoil(repo, only_backup(repo))


def test_a_table_that_the_archive_lacks(repo: Repository, backup: Backup) -> None:
    database = backup.manifest.database
    assert database is not None
    lost = TableFacts(
        schema_name="public", name="t2", kind="r", is_unlogged=False, estimated_rows=1, size_bytes=1
    )
    changed = database.model_copy(update={"tables": (*database.tables, lost)})
    resign(repo, backup.manifest.model_copy(update={"database": changed}))

    assert "lacks 2 of what its manifest names: TABLE public.t2, TABLE DATA public.t2" in spoil(
        repo, only_backup(repo)
    )


@pytest.mark.parametrize("content", [b"", b"PGDMP\x01\x0e\x00\x04", os.urandom(3_000_000)])
def test_a_dump_that_is_none(repo: Repository, backup: Backup, content: bytes) -> None:
    whole = backup.manifest
    with making(repo, whole.prefix.replace(whole.id, "zz"), "zz", run_id=None, now=utc_now()) as work:
        part = work.seal_part("dump", "dump", iter([content]), lambda _c, _s: None, lambda: None)
        fake = whole.model_copy(update={"id": "zz", "parts": (part,)})
        work.publish(fake)

    assert "the archive cannot be listed: pg_restore" in spoil(repo, read_catalog(repo).backups[-1])


def test_roles_that_are_none(repo: Repository, backup: Backup) -> None:
    whole = backup.manifest
    with making(repo, whole.prefix.replace(whole.id, "zz"), "zz", run_id=None, now=utc_now()) as work:
        part = work.seal_part("globals", "globals", iter([b"[]"]), lambda _c, _s: None, lambda: None)
        work.publish(whole.model_copy(update={"id": "zz", "parts": (part,)}))

    assert "holds no roles" in spoil(repo, read_catalog(repo).backups[-1])


def test_a_tree_of_files_is_read_with_its_listing(repo: Repository, tmp_path: Path) -> None:
    tree = tmp_path / "app"
    tree.mkdir()
    for name in ("a", "b"):
        (tree / name).write_text(name * 1000)
    settings = FilesSettings(paths=(str(tree),))
    back_up_files(repo, Kind.APPLICATION, settings, origin=ORIGIN, now=utc_now(), say=lambda _text: None)
    backup = only_backup(repo)
    assert verify(repo, backup).details["members"] == 3
    assert verify(repo, backup, Scope.STORED).passed

    # The listing of another tree, sealed with the right key.
    other = put_backup(repo, 0, parts={"listing": b""}, is_sealed=True)
    parts = tuple(
        other.parts[0].model_copy(update={"object": part.object}) if part.name == "listing" else part
        for part in backup.manifest.parts
    )
    shutil.copy(
        file_of(tmp_path, other.prefix + other.parts[0].object),
        file_of(tmp_path, backup.manifest.prefix + backup.manifest.part("listing").object),
    )
    resign(repo, backup.manifest.model_copy(update={"parts": parts}))
    (changed,) = [each for each in read_catalog(repo).backups if each.manifest.id == backup.manifest.id]
    assert "holds more than its listing says" in str(verify(repo, changed).reason)
    repo.store.delete(backup.manifest.prefix + backup.manifest.part("files").object)
    assert "missing in the store" in str(verify(repo, changed).reason)


def test_a_missing_manifest_is_no_backup(repo: Repository, backup: Backup) -> None:
    repo.store.delete(backup.manifest.prefix + MANIFEST)

    assert read_catalog(repo).backups == ()
    with pytest.raises(PermanentFailure, match="was deleted meanwhile"):
        verify(repo, backup)
    assert [each.key for each in repo.store.list(f"{backup.manifest.prefix}proofs/")] == []


def test_an_edited_manifest_is_named_and_is_no_backup(
    repo: Repository, backup: Backup, tmp_path: Path
) -> None:
    path = file_of(tmp_path, backup.manifest.prefix + MANIFEST)
    document = json.loads(path.read_text())
    for field, value in {"finished_at": "2027-01-01T00:00:00Z", "host": "other", "parts": []}.items():
        path.write_text(json.dumps({**document, field: value}))
        catalog = read_catalog(repo)
        assert catalog.backups == ()
        assert ["was changed after it was signed" in each.reason for each in catalog.problems] == [True]


def test_a_manifest_of_somebody_else(repo: Repository, backup: Backup, tmp_path: Path) -> None:
    with keyless_gpg() as gpg:
        stranger = file_repository(tmp_path, gpg, (NEW_PASSPHRASE,))
        put_backup(stranger, 0)

    catalog = read_catalog(repo)
    assert [each.manifest.id for each in catalog.backups] == [backup.manifest.id]
    assert ["key that is not in the ring" in each.reason for each in catalog.problems] == [True]


def test_an_id_exists_once(repo: Repository, backup: Backup, tmp_path: Path) -> None:
    """A copy of the whole folder elsewhere is named; neither a backup nor a second proof of one."""
    verify(repo, backup)
    folder = file_of(tmp_path, backup.manifest.prefix)
    shutil.copytree(folder, folder.parent / "copy-20260101T000000Z-abcdef")
    shutil.copytree(folder, folder.parent.parent / "other" / folder.name)

    catalog = read_catalog(repo)
    assert [each.manifest.id for each in catalog.backups] == [backup.manifest.id]
    assert ["belongs to another place" in each.reason for each in catalog.problems] == [True, True]


def test_proofs_cannot_be_forged(
    repo: Repository, back_up: Backer, backup: Backup, small_url: str, tmp_path: Path
) -> None:
    other = back_up(small_url)
    verify(repo, backup)
    folder = file_of(tmp_path, f"{backup.manifest.prefix}proofs")
    (good,) = folder.iterdir()
    document = json.loads(good.read_text())
    unsigned = {name: value for name, value in document.items() if name != "signature"}
    (folder / "edited.json").write_text(json.dumps({**document, "scope": "restored"}))
    (folder / "unsigned.json").write_text(json.dumps(unsigned))
    (folder / "none.json").write_text("{")
    elsewhere = file_of(tmp_path, f"{other.prefix}proofs/{good.name}")
    elsewhere.parent.mkdir()
    shutil.copy(good, elsewhere)

    catalog = read_catalog(repo)
    assert {each.manifest.id: len(each.proofs) for each in catalog.backups} == {
        backup.manifest.id: 1,
        other.id: 0,
    }
    assert sorted(each.reason.rsplit("json ", 1)[-1] for each in catalog.problems) == [
        "is a proof of another backup",
        "is no JSON",
        "is not signed",
        "was changed after it was signed",
    ]


def test_a_store_that_is_lost_is_no_verdict(repo: Repository, backup: Backup, tmp_path: Path) -> None:
    def say(_text: str) -> None:
        (tmp_path / "store").rename(tmp_path / "gone")

    with pytest.raises(StoreRefused):
        verify(repo, backup, say=say)
    (tmp_path / "gone").rename(tmp_path / "store")
    assert only_backup(repo).proofs == ()


def test_a_pg_restore_that_is_killed_is_no_verdict(repo: Repository, backup: Backup, tmp_path: Path) -> None:
    """As the kernel does for want of memory: the backup is as good as before, and nobody would look again."""
    own = find_clients(18, {})
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "pg_dump").symlink_to(own.pg_dump)
    (programs / "pg_restore").write_text(
        f'#!/bin/sh\n[ "$1" != --list ] && exec "{own.pg_restore}" "$@"\nkill -KILL $$\n'
    )
    (programs / "pg_restore").chmod(0o755)

    with pytest.raises(CommandFailed, match=r"KILL|signal 9"):
        verify_backup(repo, backup, Scope.FULL, {18: programs}, now=utc_now(), say=lambda _text: None)

    assert only_backup(repo).proofs == ()


def test_a_later_failure_ends_a_proof_and_a_later_success_renews_it(
    repo: Repository, backup: Backup, tmp_path: Path
) -> None:
    path = file_of(tmp_path, backup.manifest.prefix + backup.manifest.part("dump").object)
    content = path.read_bytes()
    assert verify(repo, backup).passed
    path.write_bytes(content[:-5] + b"12345")
    spoil(repo, backup, Scope.STORED)
    path.write_bytes(content)
    proof = verify(repo, backup)

    assert only_backup(repo).proof(Scope.FULL) == proof


@pytest.fixture
def key_pair() -> Iterator[tuple[Gpg, str]]:
    """Give a gpg with a private key, and its fingerprint."""
    with make_key_pair() as pair:
        yield pair


def test_public_keys_are_verified_in_full_where_the_private_key_is(
    repo: Repository, small_url: str, key_pair: tuple[Gpg, str]
) -> None:
    own, fingerprint = key_pair
    secret = "signs-manifests-and-nothing-else-4711-0815"
    ring = KeyRing((recipients_key(Recipients((fingerprint,)), secret, "a test's secret"),))
    here = replace(repo, ring=ring, keyring_gpg=own)
    with keyless_gpg() as empty:
        elsewhere = replace(here, keyring_gpg=empty)
        make_backup(here, small_url)
        backup = only_backup(elsewhere)
        settings = BackupSettings(full_verification_host="vault")

        assert widest_scope(backup.manifest, settings, "testhost") is Scope.STORED
        assert widest_scope(backup.manifest, settings, "vault") is Scope.FULL
        assert verify(elsewhere, backup, Scope.STORED).passed
        with pytest.raises(UsageError, match=f"no private key that opens .*{fingerprint}"):
            verify(elsewhere, backup)
    assert [each.scope for each in only_backup(here).proofs] == [Scope.STORED]
    assert verify(here, backup).passed


def resign(repo: Repository, manifest: Manifest) -> None:
    """Write a manifest as if its maker had made it so."""
    write_document(repo, manifest.prefix + MANIFEST, manifest, replace=True)
