"""Which backup is meant where several hosts have some: never another host's by guessing."""

import pytest
from stored import catalog, stored

from herald_pipelines.backup.facts import Kind
from herald_pipelines.backup.selection import select_backup
from herald_pipelines.errors import UsageError

FILES = Kind.CONFIGURATION


def trees(*hosts: str):
    """Return a catalog with a tree of each host, that of the last the newest."""
    return catalog(
        *(stored(9 - place, kind=FILES, name="configuration", host=host) for place, host in enumerate(hosts))
    )


def test_a_host_gets_its_own_although_another_has_a_newer_one() -> None:
    found = trees("db1", "web1")
    for wanted in ("latest", "2026-11-24"):
        assert select_backup(found, wanted, FILES, None, host="db1").manifest.host == "db1"
        assert select_backup(found, wanted, FILES, None, host="web1").manifest.host == "web1"


def test_an_id_is_of_whatever_host() -> None:
    found = trees("db1", "web1")
    newest = found.backups[-1].manifest
    assert select_backup(found, newest.id, FILES, None, host="db1").manifest == newest


def test_a_new_machine_gets_those_of_the_only_host() -> None:
    assert select_backup(trees("db1"), "latest", FILES, None, host="new").manifest.host == "db1"


def test_a_new_machine_must_say_whose_of_several() -> None:
    with pytest.raises(UsageError, match=r"several hosts \(known: db1, web1\), and none of new") as raised:
        select_backup(trees("db1", "web1"), "latest", FILES, None, host="new")
    assert "backup.host" in str(raised.value.hint)


def test_a_database_that_only_one_host_has_is_meant_by_its_name() -> None:
    found = catalog(
        stored(1, name="shop"), stored(1, name="blog", host="db2"), stored(2, name="news", host="db3")
    )
    assert select_backup(found, "latest", Kind.DATABASE, "shop", host="vault").manifest.name == "shop"
    assert {each.manifest.host for each in found.of_host("db2")} == {"db2"}
    assert found.of_host("new") == found.backups
