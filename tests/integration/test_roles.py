"""The least rights on a target database: enough for the work, and nothing beyond it."""

import pytest
import sqlalchemy as sa

from herald_pipelines.errors import PermanentFailure
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.resources.queries import sql_root
from servers import TestServer

ORDERS_PKEY = "(select oid::regclass from pg_class where relname = 'orders_pkey')"
READS = [
    "select system_identifier from pg_control_system()",
    # By OID, because a name is looked up in the schema, which the observer may not use.
    f"select public.pgstatindex({ORDERS_PKEY})",
    "select idx_scan from pg_stat_all_indexes where schemaname = 'shop'",
    "select idx_blks_hit from pg_statio_all_indexes where schemaname = 'shop'",
    f"select pg_relation_size({ORDERS_PKEY}), pg_database_size(current_database())",
    f"select pg_get_indexdef({ORDERS_PKEY}), pg_get_expr(indpred, indrelid) from pg_index limit 1",
    "select count(*) from pg_ls_waldir()",
    "select * from pg_stat_progress_create_index",
    "select * from pg_stat_replication",
    "select * from pg_replication_slots",
    "select query from pg_stat_activity where backend_xmin is not null",
]
WRITES = [
    "select * from shop.orders",
    "insert into shop.orders values (1)",
    "delete from shop.orders",
    "truncate shop.orders",
    "drop table shop.orders",
    "alter table shop.orders add column x int",
    "create table shop.mine (id int)",
    "create schema mine",
    "create role mine",
    "select pg_stat_reset()",
    "select pg_reload_conf()",
    "reindex index shop.orders_pkey",
]


@pytest.fixture
def shop(database_url: str) -> Postgres:
    """Give a database whose tables belong to a role of their own, with herald's two roles created."""
    shop = Postgres(database_url, "shop").writable()
    with shop.session() as session:
        session.execute("""
            do $$ begin
                if to_regrole('shop_owner') is null then create role shop_owner; end if;
            end $$;
            create extension pgstattuple schema public;
            create schema shop authorization shop_owner;
            set role shop_owner;
            create table shop.orders (id int primary key);
        """)
    for _ in range(2):
        for name in ("observe", "maintain"):
            with shop.session() as session:
                session.execute((sql_root() / "roles" / f"{name}.sql").read_text())
    with shop.session() as session:
        session.execute("alter role herald_observe password 'secret'")
        session.execute("alter role herald_maintain password 'secret'")
    return shop


def as_role(postgres: Postgres, role: str) -> Postgres:
    url = (
        sa.make_url(postgres.url).set(username=role, password="secret").render_as_string(hide_password=False)
    )
    return Postgres(url, "shop").writable()


def run(postgres: Postgres, statement: str, *, autocommit: bool = False) -> list[tuple[object, ...]]:
    with postgres.session(autocommit=autocommit) as session:
        return [tuple(row.values()) for row in session.execute(statement)]


def test_the_observer_sees_what_the_reading_side_needs(shop: Postgres) -> None:
    observer = as_role(shop, "herald_observe")
    assert observer.identity().datname == sa.make_url(shop.url).database
    for statement in READS:
        run(observer, statement)
    # The texts of other roles' statements, which pg_monitor shows.
    with shop.session() as session:
        session.execute("select 'from another role'")
        activity = f"select query from pg_stat_activity where pid = {session.connection.info.backend_pid}"
        seen = run(observer, activity)
    assert seen == [("select 'from another role'",)]


@pytest.mark.parametrize("statement", WRITES)
def test_the_observer_reads_no_rows_and_changes_nothing(shop: Postgres, statement: str) -> None:
    # Even where the session lifts the role's read-only default, as `writable` does.
    with pytest.raises(PermanentFailure, match=r"permission denied|must be owner|must be a superuser"):
        run(as_role(shop, "herald_observe"), statement)


def test_the_observer_is_read_only_by_default(shop: Postgres) -> None:
    (row,) = run(shop, "select setconfig from pg_db_role_setting where setrole = 'herald_observe'::regrole")
    assert row == (["default_transaction_read_only=on"],)


def test_columns_that_are_granted_show_their_statistics(shop: Postgres) -> None:
    run(shop, "insert into shop.orders select generate_series(1, 100)")
    run(shop, "analyze shop.orders")
    observer = as_role(shop, "herald_observe")
    statistics = "select attname from pg_stats where schemaname = 'shop'"
    assert run(observer, statistics) == []
    run(
        shop,
        "grant usage on schema shop to herald_observe; grant select (id) on shop.orders to herald_observe",
    )
    assert run(observer, statistics) == [("id",)]


def test_the_maintainer_rebuilds_and_vacuums_tables_of_others(shop: Postgres) -> None:
    maintainer = as_role(shop, "herald_maintain")
    before = run(shop, "select pg_relation_filenode('shop.orders_pkey')")
    with maintainer.session(autocommit=True) as session:
        session.execute("reindex index concurrently shop.orders_pkey")
        session.execute("vacuum (analyze) shop.orders")
        assert session.take_notices() == []
    assert run(shop, "select pg_relation_filenode('shop.orders_pkey')") != before
    for statement in READS:
        run(maintainer, statement)


def test_the_maintainer_may_act_as_the_owner_only_where_nothing_less_will_do(
    shop: Postgres, server: TestServer
) -> None:
    maintainer = as_role(shop, "herald_maintain")
    run(shop, "create index leftover_ccnew on shop.orders (id)")
    if server.major >= 17:
        with pytest.raises(PermanentFailure, match=r"must be owner|permission denied"):
            run(maintainer, "drop index shop.leftover_ccnew")
        # What the file says to do then.
        run(shop, "grant shop_owner to herald_maintain")
    run(maintainer, "drop index shop.leftover_ccnew")
    run(shop, "revoke shop_owner from herald_maintain")


def test_the_maintainer_never_becomes_a_superuser(shop: Postgres) -> None:
    run(shop, "create table shop.of_superuser (id int)")
    with shop.session() as session:
        session.execute((sql_root() / "roles" / "maintain.sql").read_text())
        warned = "cannot be maintained by herald_maintain" in " ".join(session.take_notices())
        assert warned == (session.connection.server_version < 170000)
    with pytest.raises(PermanentFailure, match=r"permission denied"):
        run(as_role(shop, "herald_maintain"), f"set role {sa.make_url(shop.url).username}")
