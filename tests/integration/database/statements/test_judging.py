"""What is found of real queries: a dropped index, plans and who may make them, baselines."""

import math
import uuid

import pytest
from bank import as_role, execute
from looking import KEPT, TABLE, ask, found, look, prepare, row_of

from herald_pipelines.database.statements.baselines import read_baseline, sum_up, write_baseline
from herald_pipelines.database.statements.checks import check_regressions, check_slow
from herald_pipelines.database.statements.findings import FindingKind
from herald_pipelines.database.statements.plans import Plan, explain_queries
from herald_pipelines.errors import HeraldError
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.resources.queries import sql_root
from herald_pipelines.settings import PerformanceSettings
from herald_pipelines.values import quote_identifier, utc_now
from servers import TestServer

on_18 = pytest.mark.parametrize("server", ["pg18"], indirect=True)
LATE = math.inf
SLOW = "select pg_sleep(0.3)"
# Whoever plans a query with it runs it, with rights of his own.
TRAP = """
create function public.spring() returns int volatile language plpgsql as $$
begin
    insert into public.sprung values (1);
    return 1;
end $$;
create function public.trap() returns int stable language plpgsql as $$ begin return public.spring(); end $$;
create table public.sprung (n int);
"""


def test_a_dropped_index_is_a_regression_with_its_plan(server: TestServer, ops: Postgres) -> None:
    url = server.create_database()
    prepare(url)
    for day in (22, 23):
        ask(url, 50)
        look(url, ops, f"2026-11-{day}")
    execute(url, "drop index public.by_id")
    ask(url, 20)
    analysis = look(url, ops, "2026-11-24", regression_seconds=0.0005)
    finding = found(analysis, FindingKind.REGRESSION)[KEPT]
    row = row_of(analysis)
    assert row["query_id"] == str(finding.query.query_id)
    assert "regression" in row["findings"]
    assert row["change"] > 2
    assert [each["window"] for each in row["history"]] == ["2026-11-22", "2026-11-23", "2026-11-24"]
    plan = analysis.details.plans[finding.query.query_id]
    if server.major >= 16:
        assert plan.text is not None
        assert plan.text.startswith("Seq Scan on t")
    else:
        assert plan.text is None
        assert plan.reason is not None
        assert plan.reason.startswith(f"PostgreSQL {server.major} plans no statement without its constants")
    check = check_regressions(analysis)
    assert not check.passed
    assert str(finding.query.query_id) in check.summary
    kept = execute(ops.url, "select kind, query, plan, plan_reason from herald.query_findings")
    assert ("regression", KEPT, plan.text, plan.reason) in kept
    # A second analysis of the window replaces the first.
    look(url, ops, "2026-11-24", regression_seconds=0.0005)
    again = execute(ops.url, "select kind, query from herald.query_findings")
    assert again.count(("regression", KEPT)) == 1


@on_18
def test_slow_queries_by_the_view_and_by_the_setting(server: TestServer, ops: Postgres) -> None:
    url = server.create_database()
    prepare(url)
    execute(url, "select count(*), pg_sleep(1.1) from public.t")
    execute(url, SLOW)
    analysis = look(url, ops, slow_seconds=0.2)
    slow = found(analysis, FindingKind.SLOW)
    assert {"select count(*), pg_sleep($1) from public.t", "select pg_sleep($1)"} <= slow.keys()
    assert not check_slow(analysis, 0.2).passed
    rows = execute(ops.url, "select query, calls, mean_seconds, hit_percent from herald.slow_queries")
    [(calls, mean, hit)] = [
        row[1:] for row in rows if row[0] == "select count(*), pg_sleep($1) from public.t"
    ]
    assert calls == 1
    assert mean > 1.1
    assert 0 < hit <= 100


@on_18
def test_a_baseline_is_what_later_windows_are_compared_with(server: TestServer, ops: Postgres) -> None:
    url = server.create_database()
    prepare(url)
    settings, identity = PerformanceSettings(regression_seconds=0.0005), Postgres(url, "platform").identity()
    for day in (20, 21, 22):
        ask(url, 50)
        look(url, ops, f"2026-11-{day}")

    def renew(window: str) -> None:
        with ops.session() as session:
            made = sum_up(session, identity, settings, utc_now(), window=window)
            assert made is not None
            write_baseline(session, identity, made, utc_now(), keep_days=90)

    renew("2026-10-04")
    renew("2026-11-01")
    renew("2026-11-01")
    with ops.session() as session:
        kept = read_baseline(session, identity)
        older = read_baseline(session, identity, without_window="2026-11-01")
    assert kept is not None
    assert older is not None
    assert (kept.window, kept.windows, older.window) == ("2026-11-01", 3, "2026-10-04")
    execute(url, "drop index public.by_id")
    for day in (23, 24):
        # What is usual does not follow what became slower.
        ask(url, 20)
        analysis = look(url, ops, f"2026-11-{day}", regression_seconds=0.0005)
        assert KEPT in found(analysis, FindingKind.REGRESSION)
        assert analysis.baseline == kept
        assert row_of(analysis)["baseline_mean_seconds"] < row_of(analysis)["mean_seconds"] / 2


@on_18
def test_plans_by_the_least_role(server: TestServer, ops: Postgres) -> None:
    url = server.create_database()
    prepare(url)
    execute(url, (sql_root() / "roles" / "observe.sql").read_text())
    password = uuid.uuid4().hex
    execute(url, f"alter role herald_observe password '{password}'")
    observe = as_role(url, "herald_observe", password)
    execute(url, "select count(*), pg_sleep(0.3) from public.t")
    analysis = look(observe, ops, slow_seconds=0.2, is_ours=False)
    finding = found(analysis, FindingKind.SLOW)["select count(*), pg_sleep($1) from public.t"]
    assert analysis.details.plans[finding.query.query_id] == Plan(
        None, "it cannot be planned: permission denied for table t"
    )
    execute(url, "grant select on public.t to herald_observe")
    plan = look(observe, ops, slow_seconds=0.2, is_ours=False).details.plans[finding.query.query_id]
    assert plan.text is not None
    assert "Seq Scan on t" in plan.text
    assert (
        look(observe, ops, slow_seconds=0.2, explain=False).details.plans[finding.query.query_id].text is None
    )
    refused = look(url, ops, slow_seconds=0.2, is_ours=False).details.plans[finding.query.query_id].reason
    assert refused is not None
    assert refused.startswith("a superuser plans no text that others wrote")
    execute(url, "revoke all on public.t from herald_observe")


@on_18
def test_planning_executes_and_changes_nothing(server: TestServer) -> None:
    url = server.create_database()
    execute(url, TABLE + TRAP)
    texts = {
        1: "delete from public.t where v > $1",
        2: "with gone as (delete from public.t returning v) select count(*) from gone",
        3: "select * from public.t where v > public.trap()",
        4: "truncate public.t",
        5: "select 1; truncate public.t",
        6: "select now() - interval $1",
        7: "update public.t set v = $1 where id = $2",
        8: "select $1 + from public.t",
    }
    with Postgres(url, "platform").session(autocommit=True) as session:
        plans = explain_queries(
            session, texts, [(each, None) for each in (*texts, 9)], is_ours=True, deadline=LATE
        )
        # The session goes on, in no transaction, as it was.
        assert session.execute("select count(*) as n from public.t") == [{"n": 200000}]
        assert session.execute("show search_path") == [{"search_path": "pg_catalog"}]
    assert {each for each, plan in plans.items() if plan.text is not None} == {1, 2, 7}
    reasons = {each: plan.reason for each, plan in plans.items() if plan.reason is not None}
    assert reasons[3] is not None
    assert reasons[3].startswith("it cannot be planned: cannot execute INSERT in a read-only transaction")
    assert reasons[4] == "a utility statement has no plan"
    assert reasons[5] == "its text holds a semicolon"
    assert reasons[6] is not None
    assert "syntax error" in reasons[6]
    assert reasons[9] == "its text is not known any more"
    assert execute(url, "select count(*) from public.t") == [(200000,)]
    assert execute(url, "select count(*) from public.sprung") == [(0,)]


@on_18
def test_a_text_that_fails_as_if_the_server_were_gone_costs_its_plan_alone(server: TestServer) -> None:
    url = server.create_database()
    for number, state in enumerate(("08006", "57P01")):
        execute(
            url,
            f"create function public.away{number}() returns int immutable language plpgsql as"
            f" $$ begin raise sqlstate '{state}'; end $$",
        )
    texts = {1: "select public.away0()", 2: "select public.away1()", 3: "select $1::int"}
    with Postgres(url, "platform").session(autocommit=True) as session:
        plans = explain_queries(session, texts, [(each, None) for each in texts], is_ours=True, deadline=LATE)
        assert {each for each, plan in plans.items() if plan.text} == {3}
        late = explain_queries(session, texts, [(3, None)], is_ours=True, deadline=-math.inf)
        assert late == {3: Plan(None, "the time of the task was used up")}
        execute(url, f"select pg_terminate_backend({session.connection.info.backend_pid})")
        with pytest.raises(HeraldError):
            explain_queries(session, texts, [(3, None)], is_ours=True, deadline=LATE)


CARRIERS = {
    "view": ("create view app.v as select * from app.t where n = app.leak()", "select * from app.v"),
    "default of an argument": (
        "create function app.given(n int default app.leak()) returns int language plpgsql as $$ begin return n; end $$",
        "select app.given()",
    ),
    "policy": (
        "alter table app.t enable row level security; create policy p on app.t using (n > app.leak())",
        "select * from app.t",
    ),
    "index": ("create index i on app.t ((n + app.leak()))", "select * from app.t where n > $1"),
    "operator": (
        """create function app.same(a int, b int) returns bool volatile language plpgsql as
            $$ begin raise notice 'ran as %', current_user; return a = b; end $$;
        create operator app.=== (leftarg = int, rightarg = int, function = app.same, restrict = eqsel)""",
        "select * from app.t where n operator(app.===) length(current_user::text)",
    ),
}


@on_18
def test_no_function_of_others_is_run_by_planning(server: TestServer) -> None:
    url = server.create_database()
    low = f"low_{uuid.uuid4().hex}"
    execute(url, (sql_root() / "roles" / "observe.sql").read_text())
    execute(url, f"create role {low}")
    password = uuid.uuid4().hex
    statements = (
        f"alter role herald_observe password '{password}'",
        f"create schema app authorization {low}",
        f"set role {low}",
        "create table app.t (n int); insert into app.t select g % 5 from generate_series(1, 1000) g; analyze app.t",
        """create function app.leak() returns int immutable language plpgsql as
            $$ begin raise notice 'ran as %', current_user; return 1; end $$""",
        # These are never planned with.
        "create function app.touch() returns trigger language plpgsql as $$ begin return new; end $$",
        "create trigger touched before insert on app.t for each row execute function app.touch()",
        "create function app.next() returns int language plpgsql as $$ begin return 1; end $$",
        "alter table app.t alter n set default app.next()",
        "grant usage on schema app to herald_observe; grant select on app.t to herald_observe",
        "alter default privileges in schema app grant select on tables to herald_observe",
    )
    execute(url, ";".join(statements))
    try:
        with Postgres(as_role(url, "herald_observe", password), "shop").session(autocommit=True) as session:

            def plan(text: str, *, is_ours: bool) -> tuple[Plan, bool]:
                session.take_notices()
                [plan] = explain_queries(
                    session, {1: text}, [(1, None)], is_ours=is_ours, deadline=LATE
                ).values()
                return plan, any("ran as herald_observe" in each for each in session.take_notices())

            named = 'select n from app.t where n = app."leak"()'
            assert plan(named, is_ours=True)[1]
            for text in (named, "select app . LEAK ()", "select * from app.t where app.leak() = n"):
                refused, ran = plan(text, is_ours=False)
                assert not ran
                assert refused.reason == "planning it could run app.leak, which is not PostgreSQL's own"
            free = "select n, count(*) from app.t where n > $1 group by 1"
            assert plan(free, is_ours=False)[0].text is not None
            for carrier, (made, text) in CARRIERS.items():
                execute(url, f"begin; set local role {low}; {made}; commit")
                assert plan(text, is_ours=True)[1], carrier
                refused, ran = plan(text, is_ours=False)
                assert not ran, carrier
                assert refused.reason is not None
                assert refused.reason.startswith("planning it could run app."), carrier
                execute(
                    url,
                    "drop view if exists app.v; drop function if exists app.given; drop index if exists app.i;"
                    "drop policy if exists p on app.t; alter table app.t disable row level security;"
                    "drop operator if exists app.=== (int, int); drop function if exists app.same",
                )
                assert plan(free, is_ours=False)[0].text is not None
    finally:
        execute(url, f"drop owned by {low} cascade; drop role {low}")


@on_18
def test_names_mean_what_they_mean_to_the_role_that_asks(server: TestServer) -> None:
    url = server.create_database()
    role = f"Ann$user {uuid.uuid4().hex}"
    quoted = quote_identifier(role)
    execute(url, f"create role {quoted}")
    try:
        for schema in ("public", role, "Odd Schema"):
            execute(url, f"create schema if not exists {quote_identifier(schema)}")
            execute(url, f"create table {quote_identifier(schema)}.things (only_in_{schema[:3].strip()} int)")

        def planned() -> str | None:
            with Postgres(url, "platform").session(autocommit=True) as session:
                users = [(1, role)]
                return explain_queries(
                    session, {1: "select * from things"}, users, is_ours=True, deadline=LATE
                )[1].text

        def schema_of(plan: str | None) -> bool:
            return plan is not None and plan.startswith("Seq Scan on things")

        assert schema_of(planned())
        execute(
            url, f"alter database {execute(url, 'select current_database()')[0][0]} set search_path = nowhere"
        )
        assert planned() is None
        execute(url, f'alter role {quoted} set search_path = nowhere, "Odd Schema"')
        assert schema_of(planned())
    finally:
        execute(url, f"drop owned by {quoted}")
        execute(url, f"drop role {quoted}")
