"""Who keeps dead rows from being removed is told, before and after, in place of a success."""

from collections.abc import Iterator

import pytest
from maintaining import (
    DEAD,
    analyze,
    dead_rows,
    hold,
    log,
    maintain,
    make_dead_rows,
    run_sql,
    wait_for_dead_rows,
)

from herald_pipelines.database.tables.checks import check_horizon
from herald_pipelines.database.tables.need import NeedKind, Scope
from herald_pipelines.database.tables.report import YOUNGEST_HOLDER_SECONDS
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.values import Outcome
from server_programs import server_programs
from servers import TestServer, temporary_home, wait_until

OPTIONS = {
    "max_prepared_transactions": "5",
    "wal_level": "logical",
    "autovacuum": "off",
    # PostgreSQL's least, so that a table gets as old as that within a test.
    "autovacuum_freeze_max_age": "100000",
    "vacuum_freeze_table_age": "2000",
    "vacuum_freeze_min_age": "0",
}
SNAPSHOT = ("set transaction isolation level repeatable read", "select 1")
NEW_SNAPSHOT = ("begin isolation level repeatable read", "select 1")
BURN = "do $$ begin for n in 1 .. {count} loop perform txid_current(); commit; end loop; end $$"


@pytest.fixture(scope="module", params=[15, 18])
def own_server(request: pytest.FixtureRequest) -> Iterator[TestServer]:
    """Give a server whose transactions and their ages are nobody else's."""
    with temporary_home() as home:
        embedded = EmbeddedServer(
            home, binaries=server_programs(request.param), durable=False, options=OPTIONS
        )
        embedded.ensure_started()
        yield TestServer(embedded)


@pytest.fixture
def database_url(own_server: TestServer) -> Iterator[str]:
    url = own_server.create_database()
    yield url
    for (gid,) in run_sql(url, "select gid from pg_prepared_xacts"):
        run_sql(url, f"rollback prepared '{gid}'")
    own_server.drop_databases()


def wait_until_old(url: str, begun: str, source: str) -> None:
    wait_until(
        url,
        f"exists (select from {source} and clock_timestamp() - {begun} > '{YOUNGEST_HOLDER_SECONDS} s')",
    )


@pytest.mark.parametrize("kind", ["session", "prepared transaction"])
def test_an_old_snapshot_is_named_before_and_after(database_url: str, ops_url: str, kind: str):
    run_sql(database_url, "create table other (id int)")
    if kind == "session":
        holder = hold(database_url, "set application_name = 'monthly report'", "commit", *NEW_SNAPSHOT)
        name = "monthly report"
    else:
        holder = hold(database_url, "insert into other values (1)", "prepare transaction 'forgotten one'")
        name = "forgotten one"
    make_dead_rows(database_url)
    if kind == "session":
        wait_until_old(
            database_url, "xact_start", "pg_stat_activity where application_name = 'monthly report'"
        )
    else:
        wait_until_old(database_url, "prepared", "pg_prepared_xacts where gid = 'forgotten one'")
    plan = analyze(database_url).plan
    assert [each for each in plan.holders if name in each.holder and each.xid_age > 0]
    report = maintain(database_url, ops_url, only=lambda name: name == "public.t")
    (held,) = report.held
    assert (held.name, held.outcome, report.failed) == ("public.t", Outcome.FAILED, ())
    assert f"{DEAD} of {DEAD} dead rows remain" in (held.reason or "")
    assert name in (held.reason or "")
    assert dead_rows(database_url) == DEAD
    assert [row[:2] for row in log(ops_url)] == [("public.t", "failed")]
    verdict = check_horizon(plan, report)
    assert not verdict.passed
    assert name in verdict.summary
    holder.close()
    if kind != "session":
        run_sql(database_url, "rollback prepared 'forgotten one'")
    # Held is not done: the next run of the window does it.
    report = maintain(database_url, ops_url, only=lambda name: name == "public.t")
    assert [each.outcome for each in report.handled] == [Outcome.DONE]
    assert dead_rows(database_url) == 0


def test_a_slot_that_holds_the_catalogs_is_named_for_them_alone(database_url: str, ops_url: str):
    run_sql(
        database_url,
        "vacuum full pg_attribute",
        "select pg_create_logical_replication_slot('nobodys', 'pgoutput')",
    )
    try:
        for number in range(3):
            columns = ", ".join(f"c{each} int" for each in range(800))
            run_sql(database_url, f"create table wide{number} ({columns})", f"drop table wide{number}")
        wait_for_dead_rows(database_url, "pg_attribute", 2400)
        make_dead_rows(database_url)
        report = maintain(
            database_url, ops_url, only=lambda name: name in ("pg_catalog.pg_attribute", "public.t")
        )
        fates = {each.name: each for each in report.handled}
        assert fates["public.t"].outcome is Outcome.DONE
        assert fates["pg_catalog.pg_attribute"].is_held
        assert "logical replication slot 'nobodys', which nobody uses" in (
            fates["pg_catalog.pg_attribute"].reason or ""
        )
    finally:
        run_sql(database_url, "select pg_drop_replication_slot('nobodys')")


def test_an_old_table_is_frozen_and_half_way_to_it_by_the_full_scope(database_url: str, ops_url: str):
    run_sql(
        database_url,
        "create table old (id int)",
        "insert into old select generate_series(1, 1000)",
        "vacuum analyze old",
        BURN.format(count=1100),
    )
    assert "public.old" not in [step.name for step in analyze(database_url).plan.steps]
    weekly = {step.name: step for step in analyze(database_url, Scope.FULL).plan.steps}
    assert NeedKind.FREEZE in [need.kind for need in weekly["public.old"].needs]
    run_sql(database_url, BURN.format(count=1100))
    (step,) = [step for step in analyze(database_url).plan.steps if step.schema == "public"]
    assert [need.kind for need in step.needs] == [NeedKind.FREEZE]
    assert "FREEZE" in step.statement
    (done,) = maintain(database_url, ops_url).handled
    assert (done.name, done.outcome) == ("public.old", Outcome.DONE)
    assert done.result["xid_age"] < 100
    assert log(ops_url)[0][3]["xid_age"] > 2000


def test_freezing_that_a_snapshot_makes_vain_is_not_begun(database_url: str, ops_url: str):
    run_sql(database_url, "create table old (id int)", "vacuum analyze old")
    holder = hold(database_url, *SNAPSHOT)
    run_sql(database_url, BURN.format(count=2200))
    plan = analyze(database_url).plan
    assert "public.old" not in [step.name for step in plan.steps]
    (skipped,) = [each for each in plan.skipped if each.name == "public.old"]
    assert skipped.is_held
    assert f"pid {holder.info.backend_pid}" in skipped.reason
    assert not check_horizon(plan, None).passed
    holder.close()
    assert "public.old" in [step.name for step in analyze(database_url).plan.steps]


def test_what_autovacuum_would_be_forced_to_freeze_goes_first_whatever_it_takes(
    database_url: str, ops_url: str
):
    run_sql(database_url, "create table old (id int)", "insert into old select generate_series(1, 100000)")
    run_sql(database_url, BURN.format(count=101_000))
    make_dead_rows(database_url)
    facts_plan = analyze(database_url, budget_seconds=0.001).plan
    urgent = [step for step in facts_plan.steps if step.name == "public.old"]
    assert urgent[0].is_urgent
    assert "PARALLEL 0" not in urgent[0].statement
    steps = analyze(database_url).plan.steps
    assert [step.is_urgent for step in steps] == sorted((step.is_urgent for step in steps), reverse=True)
