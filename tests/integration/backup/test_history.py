"""What the ops database keeps of backups is a copy of the store, made again whenever it is lost."""

from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest
from bank import execute
from making import PASSPHRASE, file_repository
from tiny import NEW_PASSPHRASE, NOW, only_backup, put_backup, put_proof

from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.facts import Scope
from herald_pipelines.backup.history import (
    find_lost,
    list_recorded,
    record_backup,
    record_catalog,
    record_deletion,
    record_proof,
)
from herald_pipelines.backup.rekey import rekey_backup
from herald_pipelines.backup.repository import Repository
from herald_pipelines.migrations import migrate
from herald_pipelines.resources.gpg import keyless_gpg
from herald_pipelines.resources.postgres import Postgres
from servers import TestServer

URL = "file:///backups"


@pytest.fixture
def ops(pg18: TestServer) -> Postgres:
    """Give a migrated ops database."""
    address = Postgres(pg18.create_database(), "ops", read_only=False)
    migrate(address)
    return address


def test_a_backup_and_its_proofs(repo: Repository, ops: Postgres) -> None:
    manifest = put_backup(repo, 1, Scope.FULL)
    (proof,) = only_backup(repo).proofs
    with ops.session() as session:
        record_proof(session, proof)  # of a backup that nobody wrote down: no row, and no error
        record_backup(session, manifest, URL)
        record_backup(session, manifest, URL)
        record_proof(session, proof)
        record_proof(session, proof)
        (recorded,) = list_recorded(session, "herald", URL)
        assert list_recorded(session, "herald", "file:///elsewhere") == ()
    assert (recorded.id, recorded.started_at) == (manifest.id, manifest.started_at)
    rows = execute(ops.url, "select backup_id, scope, passed, reason from herald.backup_proof")
    assert rows == [(manifest.id, "full", True, None)]


def test_lost_rows_come_again_from_the_store(repo: Repository, ops: Postgres) -> None:
    for day in range(3):
        put_backup(repo, day, Scope.FULL, Scope.RESTORED)
    catalog = read_catalog(repo)
    for _ in range(2):
        with ops.session() as session:
            record_catalog(session, catalog, URL)
            assert len(list_recorded(session, "herald", URL)) == 3
    assert execute(ops.url, "select count(*) from herald.backup_proof") == [(6,)]


def test_what_is_lost_in_the_store_is_known_and_what_was_deleted_is_not_missed(
    repo: Repository, ops: Postgres
) -> None:
    first, second = put_backup(repo, 2), put_backup(repo, 1)
    with ops.session() as session:
        record_catalog(session, read_catalog(repo), URL)
        record_deletion(session, first.id, "older than 30 days")
        record_deletion(session, first.id, "another reason")
        for each in (first, second):
            repo.store.delete(f"{each.prefix}manifest.json")
        assert find_lost(list_recorded(session, "herald", URL), read_catalog(repo)) == [second.id]
    reasons = execute(ops.url, "select deletion_reason from herald.backup where deleted_at is not null")
    assert reasons == [("older than 30 days",)]


def test_rekeying_changes_the_key_of_the_row_and_not_its_content(
    tmp_path: Path, repo: Repository, ops: Postgres
) -> None:
    manifest = put_backup(repo, 1, is_sealed=True)
    with ops.session() as session, keyless_gpg() as gpg:
        record_backup(session, manifest, URL)
        both = file_repository(tmp_path, gpg, (NEW_PASSPHRASE, PASSPHRASE))
        renewed = rekey_backup(both, only_backup(both), run_id=None, now=NOW, say=lambda _text: None)
        record_backup(session, renewed, URL)
    rows = execute(ops.url, "select key_fingerprint, content_sha256 from herald.backup")
    assert rows == [(both.ring.current.fingerprint, only_backup(both).content_sha256)]


def test_the_writer_cannot_rewrite_what_was_proven(repo: Repository, ops: Postgres) -> None:
    put_backup(repo, 1, Scope.FULL)
    with ops.session() as session:
        record_catalog(session, read_catalog(repo), URL)
    for statement in (
        "update herald.backup_proof set passed = true, reason = null",
        "delete from herald.backup_proof",
        "delete from herald.backup",
        "update herald.backup set started_at = now()",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            execute(ops.url, f"set role herald_writer; {statement}")
    with ops.session() as session:
        session.execute("set local role herald_writer")
        put_proof(repo, only_backup(repo).manifest, Scope.RESTORED)
        record_catalog(session, read_catalog(repo), URL)
        record_deletion(session, only_backup(repo).manifest.id, "a test")


HEALTH = """
select kind, database, newest_backup, newest_verified_backup, newest_proven_backup, backups,
       newest_proof_age_days > 0 as proof_has_age, newest_backup_age_hours > 0 as backup_has_age
  from herald.backup_health
"""


def test_health_is_as_retention_sees_it(repo: Repository, ops: Postgres) -> None:
    restored = put_backup(repo, 20, Scope.RESTORED)
    failed = put_backup(repo, 10, Scope.FULL, Scope.RESTORED)
    verified = put_backup(repo, 5, Scope.FULL)
    newest = put_backup(repo, 1, Scope.STORED)
    gone = put_backup(repo, 0.5, Scope.RESTORED)
    later = failed.model_copy(update={"finished_at": failed.finished_at + timedelta(hours=1)})
    with ops.session() as session:
        record_catalog(session, read_catalog(repo), URL)
        record_deletion(session, gone.id, "a test")
        assert [each[2:6] for each in execute_here(session, HEALTH)] == [
            (newest.id, verified.id, failed.id, 4)
        ]
        # What a later verification finds, beside the very manifest.
        execute_here(
            session,
            "insert into herald.backup_proof (backup_id, content_sha256, scope, passed, reason, at, seconds, host)"
            f" values ('{failed.id}', 'x', 'stored', false, 'it is damaged', '{later.finished_at}', 1, 'db1')",
        )
        assert execute_here(session, HEALTH) == [
            ("application", "shop", newest.id, verified.id, restored.id, 4, True, True)
        ]


def execute_here(session, statement: str) -> list[tuple]:
    """Run a statement in a session."""
    return [tuple(row.values()) for row in session.execute(statement)]
