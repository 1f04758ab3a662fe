"""Restored databases compared with their archive: what differs is found, and the same rows are the same however they lie."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from bank import execute
from making import make_backup
from tiny import only_backup

from herald_pipelines.backup.catalog import write_document
from herald_pipelines.backup.comparison import compare_contents
from herald_pipelines.backup.deep import check_btrees, judge_restored, prove_backup, run_queries
from herald_pipelines.backup.facts import Proof, Scope
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.parts import open_part
from herald_pipelines.backup.proofs import Unproven
from herald_pipelines.backup.repository import Repository
from herald_pipelines.errors import HeraldError
from herald_pipelines.resources.clients import ClientPrograms, find_clients
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import utc_now
from servers import TestServer

TYPES = """
create type mood as enum ('sad', 'happy');
create table plain (id int primary key, b text);
insert into plain select n, repeat(md5(n::text), n % 7) from generate_series(1, 5000) n;
create index on plain (b);
create table kinds (t timestamptz, i interval, f float8, r real, j json, jb jsonb, b bytea, m mood, a text[],
                    n numeric, o oid, c regclass, d date, g int generated always as (1) stored);
insert into kinds select now(), '-1 day 3 hours', 1e-300 / 3, 1.1, '{"b": 1, "a": [1 ,2]}', '{"b": 1, "a": 2}', '\\x00ff5c',
    'happy', array['a,b', null, E'\\\\.', E'\\n'], 'NaN', 7, 'pg_class', 'infinity';
create table empty(); insert into empty default values; insert into empty default values;
create table "odd ""n
COPY x FROM stdin;
o'clock" (id int, "c FROM stdin;
" text); insert into "odd ""n
COPY x FROM stdin;
o'clock" values (1, E'a\\n\\\\.\\nb'), (2, null), (3, '\\.');
create unlogged table unlogged_one (a int); insert into unlogged_one values (1);
create table parent (a int) partition by range (a); create table child partition of parent for values from (0) to (9);
insert into parent values (1);
create sequence counted; select nextval('counted'); select nextval('counted');
create sequence "s'q
x" start 7;
select lo_from_bytea(4711, decode(repeat('00ff27', 30000), 'hex')), lo_create(4712);
create materialized view filled as select 1 as a;
alter database {database} set timezone = 'Asia/Kolkata';
alter database {database} set extra_float_digits = 0;
alter database {database} set bytea_output = 'escape';
alter database {database} set datestyle = 'German';
"""


@dataclass
class Pair:
    """A backup and a database that it was restored into."""

    repo: Repository
    backup: Backup
    clients: ClientPrograms
    restored: Postgres

    def compare(self) -> dict[str, object]:
        """Compare both."""
        return compare_contents(
            self.repo, self.backup.manifest, self.restored, self.clients, lambda _text: None
        )

    def difference(self, statement: str) -> str:
        """Return what is found once a statement has changed the restored database."""
        execute(self.restored.url, statement)
        with pytest.raises(Unproven) as found:
            self.compare()
        return found.value.message


Restorer = Callable[..., Pair]


@pytest.fixture
def restore(repo: Repository, server: TestServer, tmp_path: Path) -> Restorer:
    """Give what backs a database up and restores it into another."""

    def act(script: str, *options: str) -> Pair:
        url = server.create_database()
        execute(url, script.replace("{database}", url.rsplit("/", 1)[1]))
        make_backup(repo, url)
        backup = only_backup(repo)
        clients = find_clients(server.major, {})
        archive = tmp_path / "archive"
        with open_part(repo, backup.manifest, "dump") as chunks, archive.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
        to = server.create_database()
        subprocess.run([clients.pg_restore, "--exit-on-error", *options, "-d", to, archive], check=True)
        return Pair(repo, backup, clients, Postgres(to, "scratch", statement_timeout_seconds=600))

    return act


def test_all_is_there(restore: Restorer) -> None:
    pair = restore(TYPES, "--jobs=2")

    details = judge_restored(
        pair.repo,
        pair.backup,
        pair.restored,
        pair.clients,
        ["select from plain where id = 7"],
        lambda _text: None,
    )

    assert details["rows_compared"] == 5000 + 1 + 2 + 3 + 1 + 1
    assert (details["tables_compared"], details["tables_in_another_order"]) == (6, 0)
    assert (details["sequences_compared"], details["large_objects_compared"]) == (2, 2)
    assert details["btrees_checked"] > 100
    assert {each["table"]: each["rows"] for each in details["tables"]}["public.plain"] == 5000
    assert all(each["equal"] for each in details["tables"])


@pytest.mark.parametrize("streams", [1, 3])
def test_a_backup_is_proven_in_a_server_of_its_own(
    repo: Repository, server: TestServer, database_url: str, streams: int
) -> None:
    execute(database_url, TYPES.replace("{database}", database_url.rsplit("/", 1)[1]))
    make_backup(repo, database_url, streams=streams)
    backup = only_backup(repo)

    def prove(*queries: str) -> Proof:
        return prove_backup(repo, backup, {}, queries, now=utc_now(), say=lambda _text: None)

    proof = prove("select from plain")
    assert proof.passed, proof.reason
    assert only_backup(repo).proof(Scope.RESTORED) == proof
    assert proof.details["rows_compared"] == 5008
    assert 0 < proof.details["restore_seconds"] < proof.seconds
    failed = prove("select from plain where id = 0")
    assert (failed.passed, failed.reason) == (False, "query 1 gives no row")
    assert only_backup(repo).proof(Scope.STORED) is None
    left = {path.name for path in repo.work_folder.rglob("*")} - {"scratch", "archives"}
    assert left == set()


def test_a_backup_that_cannot_be_restored_is_told(
    repo: Repository, server: TestServer, database_url: str
) -> None:
    """Its archive is whole, its hashes are right, and it lacks a table that its manifest names."""
    execute(database_url, "create table t (a int)")
    make_backup(repo, database_url)
    backup = only_backup(repo)
    database = backup.manifest.database
    assert database is not None
    lost = database.model_copy(
        update={"tables": (*database.tables, database.tables[0].model_copy(update={"name": "v"}))}
    )
    write_document(
        repo,
        f"{backup.manifest.prefix}manifest.json",
        backup.manifest.model_copy(update={"database": lost}),
        replace=True,
    )

    proof = prove_backup(repo, only_backup(repo), {}, (), now=utc_now(), say=lambda _text: None)

    assert not proof.passed
    assert proof.reason is not None
    assert "public.v" in proof.reason


def test_an_empty_database(restore: Restorer) -> None:
    assert restore("select").compare()["tables_compared"] == 0


def test_whatever_differs_is_named(restore: Restorer) -> None:
    pair = restore(TYPES)
    for change, back, expected in (
        (
            "update plain set b = 'x' where id = 4000",
            "update plain set b = repeat(md5('4000'), 4000 % 7) where id = 4000",
            "table public.plain has other rows",
        ),
        (
            "delete from plain where id = 1",
            "insert into plain values (1, md5('1'))",
            "table public.plain has 4999 rows and had 5000",
        ),
        (
            "update kinds set f = f * (1 + 1e-15)",
            "update kinds set f = 1e-300 / 3",
            "table public.kinds has other rows",
        ),
        (
            "alter table child rename to kid",
            "alter table kid rename to child",
            "table public.child is missing; table public.kid has 1 rows that the archive does not hold",
        ),
        (
            "select nextval('counted')",
            "select setval('counted', 2)",
            "a sequence is not at setval('public.counted', 2, true)",
        ),
        (
            "select lo_put(4711, 80000, 'x')",
            "select lo_put(4711, 80000, '\\x27')",
            "large object 4711 is another",
        ),
        ("select lo_unlink(4712)", "select lo_create(4712)", "large object 4712 is missing"),
        ("select lo_create(4713)", "select lo_unlink(4713)", "large object 4713 is not in the archive"),
    ):
        assert pair.difference(change).endswith(expected), change
        execute(pair.restored.url, back)
    assert pair.compare()["tables_in_another_order"] == 1


def test_rows_that_found_room_before_others_are_the_same(restore: Restorer) -> None:
    """A large row does not fit on a page, and a small one that follows does: they lie in another order than they came in."""
    pair = restore(
        """create table t (n int, b text); alter table t alter b set storage plain;
           insert into t select n, repeat('x', case when n % 3 = 0 then 5000 else 700 end) from generate_series(1, 3000) n"""
    )
    execute(
        pair.restored.url,
        "create table u as select * from t order by n desc; drop table t; alter table u rename to t",
    )

    assert pair.compare()["tables_in_another_order"] == 1
    assert "other rows" in pair.difference("update t set n = 0 where n = 7")


def test_columns_that_inheritance_puts_in_another_order_are_the_same(restore: Restorer) -> None:
    pair = restore(
        "create table parent (a int); create table child (b int); insert into child values (2);"
        "alter table child add column a int; alter table child inherit parent; update child set a = 1"
    )

    assert pair.compare()["tables_in_another_order"] == 1
    assert "other rows" in pair.difference("update child set a = 2, b = 1")


def test_a_damaged_btree_is_found(restore: Restorer) -> None:
    pair = restore(TYPES)
    assert check_btrees(pair.restored)["btrees_checked"] > 100
    # The order that an index is in is no longer its table's.
    execute(
        pair.restored.url,
        """create function turned(int, int) returns int language sql immutable as 'select btint4cmp($1, $2)';
           create operator class turned for type int using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=,
               operator 5 >, function 1 turned(int, int);
           create index twisted on plain (id turned);
           create or replace function turned(int, int) returns int language sql immutable as 'select btint4cmp($2, $1)'""",
    )

    with pytest.raises(Unproven, match=r"1 indexes are damaged: .*twisted"):
        check_btrees(pair.restored)


def test_an_index_that_is_not_valid_is_found(restore: Restorer) -> None:
    pair = restore(TYPES)
    execute(
        pair.restored.url, "update pg_index set indisvalid = false where indexrelid = 'plain_b_idx'::regclass"
    )

    with pytest.raises(Unproven, match="plain_b_idx is not valid"):
        check_btrees(pair.restored)


def test_queries_see_what_the_application_sees(restore: Restorer) -> None:
    pair = restore(
        "create schema shop; create table shop.orders as select 7 as id; alter database {database} set search_path = shop"
    )
    facts = pair.backup.manifest.database
    assert facts is not None

    assert run_queries(pair.restored, facts, ["select from orders where id % 10 = 7"]) == {"queries": 1}
    for statement, reason in (
        ("select from orders where id = 8", "query 1 gives no row"),
        ("select from nothing", "query 1 fails: .*does not exist"),
        ("insert into orders values (1) returning id", "query 1 fails: .*read-only"),
    ):
        with pytest.raises(Unproven, match=reason):
            run_queries(pair.restored, facts, [statement])


def test_a_server_that_is_gone_is_no_verdict(restore: Restorer) -> None:
    pair = restore("create table t (a int)")
    gone = Postgres("postgresql://nobody@127.0.0.1:1/gone", "scratch")

    with pytest.raises(HeraldError) as found:
        compare_contents(pair.repo, pair.backup.manifest, gone, pair.clients, lambda _text: None)
    assert not isinstance(found.value, Unproven)
