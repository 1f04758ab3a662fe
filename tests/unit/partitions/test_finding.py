"""Which archive is meant by a name, and when only its id says it."""

from datetime import UTC, datetime

import pytest

from herald_pipelines.backup.facts import (
    DatabaseFacts,
    Encryption,
    Kind,
    Manifest,
    PartitionFacts,
    Proof,
    Scope,
)
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.errors import GuardRefusal, UsageError
from herald_pipelines.partitions.finding import find_archived


def archive(number: int, *, oid: int = 2, rows: int = 3, system: str = "7", passed: bool = True) -> Backup:
    at = datetime(2026, 11, number, tzinfo=UTC)
    facts = PartitionFacts(
        schema_name="public",
        name="m_old",
        attached_name="m_old",
        oid=oid,
        parent_schema="public",
        parent_name="m",
        bound="FOR VALUES FROM ('2025-01-01') TO ('2025-02-01')",
        columns=(),
        indexes=(),
        rows=rows,
        digest="a:b",
    )
    manifest = Manifest(
        id=f"shop-{number}",
        kind=Kind.PARTITION,
        name="shop",
        platform="herald",
        host="db1",
        started_at=at,
        finished_at=at,
        window=None,
        run_id=None,
        versions={},
        settings_sha256="0",
        encryption=Encryption(key="k", recipients=()),
        parts=(),
        partition=facts,
        database=DatabaseFacts.model_construct(system_identifier=system),
    )
    proof = Proof(
        backup="x", content_sha256="c", manifest_sha256="m", scope=Scope.RESTORED, passed=passed,
        reason=None if passed else "its rows differ", at=at, seconds=1, host="db1",
    )  # fmt: skip
    return Backup(manifest, "m", "c", (proof,), is_held=False, missing=())


def test_the_newest_of_one_partition_is_meant():
    found = find_archived("public.m_old", [archive(1), archive(2)], "7")
    assert found.backup is not None
    assert found.backup.manifest.id == "shop-2"


def test_of_several_that_had_one_name_an_id_says_which():
    both = [archive(1, rows=5), archive(2, oid=9)]
    with pytest.raises(UsageError, match=r"shop-1 \(5 rows, 2026-11-01 00:00\), shop-2 \(3 rows"):
        find_archived("m_old", both, "7")
    assert find_archived("shop-1", both, "7").rows == 5


def test_one_of_another_server_is_taken_by_its_id_alone():
    other = [archive(1, system="8")]
    with pytest.raises(UsageError, match="of another server: shop-1"):
        find_archived("m_old", other, "7")
    assert find_archived("shop-1", other, "7").rows == 3
    mixed = find_archived("m_old", [archive(1), *other], "7")
    assert mixed.backup is not None
    assert mixed.backup.manifest.database is not None
    assert mixed.backup.manifest.database.system_identifier == "7"


def test_one_whose_proof_failed_is_named_with_it():
    with pytest.raises(GuardRefusal, match="shop-1 is not proven: its rows differ"):
        find_archived("shop-1", [archive(1, passed=False)], "7")
    with pytest.raises(UsageError, match="unknown detached or archived partition 'm_old'"):
        find_archived("m_old", [archive(1, passed=False)], "7")
