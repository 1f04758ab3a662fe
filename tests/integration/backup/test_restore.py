"""A database comes back as it was, on real servers: all of it, its name, and what a dump leaves out."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from restoring import SERVER_ROLES, address, backup_of, cursor, databases, restore, rows, text_dump, undo

from herald_pipelines.backup.facts import Manifest
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_database import list_before, plan_restore
from herald_pipelines.backup.scratch import restore_into_scratch, scratch_server
from herald_pipelines.errors import UsageError
from herald_pipelines.settings.conninfo import with_database
from herald_pipelines.values import utc_now
from servers import TestServer

Backer = Callable[..., Manifest]
FURNISHED = Path(__file__).with_name("furnished.sql").read_text()
DATABASE_FACTS = """
select
    pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit, datistemplate, datallowconn,
    datacl::text, shobj_description(oid, 'pg_database'),
    array(
        select (coalesce(r.rolname, '-'), s.setconfig)::text
        from pg_db_role_setting as s left join pg_roles as r on r.oid = s.setrole
        where s.setdatabase = d.oid order by 1
    )
from pg_database as d where datname = current_database()
"""


@pytest.fixture
def roles(server: TestServer) -> Iterator[None]:
    """Make the roles of the furnished database, and remove them with what the test made."""
    drop_roles(server)
    with cursor(server.url("postgres")) as opened:
        opened.execute(
            "create role shop_owner; create role shop_app login password 'secret' connection limit 7"
        )
        opened.execute('create role "odd ""role"" 100% é" noinherit; comment on role shop_app is $$app$$')
        opened.execute(
            "create role shop_boss superuser valid until '2030-01-02'; grant shop_owner to shop_app"
        )
        opened.execute("grant pg_monitor to shop_app; alter role shop_app set work_mem = '7MB'")
        opened.execute("alter role shop_app set search_path = shop, \"$user\", 'odd, name'")
    yield
    drop_roles(server)


def drop_roles(server: TestServer) -> None:
    """Drop what tests left on a server."""
    with cursor(server.url("postgres")) as opened:
        for name in databases(server.url("postgres")):
            if name != "postgres":
                quoted = name.replace('"', '""')
                opened.execute(f'alter database "{quoted}" is_template false')
                opened.execute(f'drop database "{quoted}" with (force)')
        for role in SERVER_ROLES:
            quoted = role.replace('"', '""')
            opened.execute(f'drop role if exists "{quoted}"')


@pytest.fixture
def shop(server: TestServer, roles: None) -> str:
    """Give the url of a database named shop with one of everything."""
    with cursor(server.url("postgres")) as opened:
        opened.execute("create database shop template template0 lc_collate 'C' lc_ctype 'C' owner shop_owner")
        opened.execute("comment on database shop is 'the ''shop'' %s'")
        opened.execute('alter database shop set search_path = shop, public, "$user"')
        opened.execute(
            "alter database shop set app.tenant = 'a, b'; alter role shop_app in database shop set jit = off"
        )
        opened.execute(
            "revoke connect on database shop from public; grant connect, temporary on database shop to shop_app"
        )
        opened.execute("grant create on database shop to shop_app with grant option")
        opened.execute("alter database shop connection limit 33")
    url = server.url("shop")
    with cursor(url) as opened:
        opened.execute(FURNISHED)
    return url


@pytest.mark.parametrize("streams", [1, 4])
def test_all_of_a_database_comes_back(
    server: TestServer, shop: str, repo: Repository, back_up: Backer, streams: int
) -> None:
    manifest = back_up(shop, streams=streams)
    assert len(manifest.archives) == streams
    before, facts = text_dump(shop, server.major), rows(shop, DATABASE_FACTS)
    with cursor(shop) as opened:
        opened.execute("drop table shop.events; update shop.orders set note = 'lost'; set role shop_owner")

    report = restore(repo, manifest, server.url("postgres"), "shop")

    assert text_dump(shop, server.major) == before
    assert rows(shop, DATABASE_FACTS) == facts
    assert report.notes == ("constraints that are not validated, as in the backup: small on shop.orders",)
    assert report.tables == len(manifest.database.tables)
    assert rows(shop, "select count(*) from pg_statistic where starelid = 'shop.orders'::regclass") != [(0,)]
    kept = list_before(address(shop), "shop")
    assert [each.database for each in kept] == [report.kept_as]
    kept_url = with_database(shop, report.kept_as)
    assert rows(kept_url, "select distinct note from shop.orders") == [("lost",)]

    undone = undo(repo, shop, "shop")

    assert rows(shop, "select distinct note from shop.orders") == [("lost",)]
    assert rows(shop, DATABASE_FACTS) == facts
    assert text_dump(with_database(shop, undone["kept_as"]), server.major) == before
    assert rows(
        with_database(shop, undone["kept_as"]),
        "select nextval('shop.counter'), nextval(pg_get_serial_sequence('shop.orders', 'id'))",
    ) == [(43, 5 + 500 * 7)]
    assert list_before(address(shop), "shop") == ()
    with pytest.raises(UsageError, match="unknown database before a restore"):
        undo(repo, shop, "shop")


def test_store_and_key_are_enough(server: TestServer, shop: str, repo: Repository, back_up: Backer) -> None:
    """The database, its roles and ours are gone: nothing is asked but the store and a server."""
    manifest = back_up(shop)
    before, facts = text_dump(shop, server.major), rows(shop, DATABASE_FACTS)
    role_query = """
        select rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolconnlimit, rolvaliduntil,
            rolpassword, (select r.rolconfig from pg_roles as r where r.oid = a.oid), shobj_description(a.oid, 'pg_authid'),
            array(select roleid::regrole::text from pg_auth_members where member = a.oid order by 1)
        from pg_authid as a where rolname ~ 'shop|odd' order by 1
    """
    roles_before = rows(shop, role_query)
    drop_roles(server)
    assert rows(server.url("postgres"), role_query) == []

    report = restore(repo, manifest, server.url("gone"), "shop")

    assert set(report.new_roles) == set(SERVER_ROLES)
    assert rows(shop, role_query) == roles_before
    assert text_dump(shop, server.major) == before
    assert rows(shop, DATABASE_FACTS) == facts
    assert report.kept_as is None


def test_scratch_server_holds_it_and_goes(
    server: TestServer, shop: str, repo: Repository, back_up: Backer
) -> None:
    manifest = back_up(shop)
    before = text_dump(shop, server.major)

    with scratch_server(server.major, {}, repo.work_folder) as scratch:
        restored, filled = restore_into_scratch(
            repo, backup_of(repo, manifest), scratch, now=utc_now(), say=lambda _text: None
        )
        assert text_dump(restored.url, server.major) == before
        assert filled.checked.tables == len(manifest.database.tables)
        data = scratch.embedded.data_directory
    assert not data.exists()
    assert list((repo.work_folder / "scratch").iterdir()) == []


@pytest.mark.parametrize("name", ["Shop", "od\"d 'n\\ame 100%", "é" * 31 + "x", "a=b", "x" * 63])
def test_odd_names_of_databases(server: TestServer, repo: Repository, back_up: Backer, name: str) -> None:
    quoted = name.replace('"', '""')
    with cursor(server.url("postgres")) as opened:
        opened.execute(f'create database "{quoted}"')
    url = server.url(name)
    try:
        rows(url, "create table t as select 1 as n")
        manifest = back_up(url)
        reports = []
        for round_number in (2, 3):
            rows(url, f"update t set n = {round_number}")
            reports.append(restore(repo, manifest, url, name))
            assert rows(url, "select n from t") == [(1,)]
        kept = list_before(address(url), name)
        assert [each.database for each in kept] == [each.kept_as for each in reversed(reports)]
        assert all(len(each.database.encode()) <= 63 for each in kept)
        undo(repo, url, name, kept_as=reports[0].kept_as)
        assert rows(url, "select n from t") == [(2,)]
        undo(repo, url, name)
        assert rows(url, "select n from t") == [(3,)]
    finally:
        drop_roles(server)


@pytest.mark.parametrize("name", ["", "x" * 64, "é" * 32, "a\nb", "template1"])
def test_impossible_names_are_refused(
    server: TestServer, repo: Repository, back_up: Backer, name: str
) -> None:
    manifest = back_up(server.create_database())
    with pytest.raises(UsageError, match="the name"):
        plan_restore(
            repo,
            backup_of(repo, manifest),
            address(server.url("postgres")),
            name=name,
            programs={},
            now=utc_now(),
        )
