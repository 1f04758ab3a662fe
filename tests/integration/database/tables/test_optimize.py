import pytest
from maintaining import (
    DEAD,
    TASK,
    WINDOW,
    analyze,
    dead_rows,
    hold,
    log,
    maintain,
    make_dead_rows,
    run_sql,
    wait_for_dead_rows,
)
from sqlalchemy import make_url

from herald_pipelines.database.tables.need import NeedKind, Scope
from herald_pipelines.database.tables.optimize import carry_out
from herald_pipelines.errors import GuardRefusal
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import Outcome, quote_identifier
from servers import wait_until

ODD_NAMES = ['a "quoted" name', "x" * 63, "Größe-表", "MixedCase", "per%cent", "semi;colon", "it's"]


def test_dead_rows_are_removed_and_the_report_and_ledger_say_so(database_url: str, ops_url: str):
    make_dead_rows(database_url)
    report = maintain(database_url, ops_url)
    (done,) = report.handled
    assert (done.name, done.outcome, done.reason) == ("public.t", Outcome.DONE, None)
    assert report.removed_rows == DEAD
    assert dead_rows(database_url) == 0
    ((vacuums, analyzes),) = run_sql(
        database_url, "select vacuum_count, analyze_count from pg_stat_user_tables where relname = 't'"
    )
    assert (vacuums, analyzes) == (1, 2)
    ((name, outcome, _, evidence, result),) = log(ops_url)
    assert (name, outcome) == ("public.t", "done")
    assert set(evidence["needs"]) == {"dead rows", "inserts", "statistics"}
    assert (evidence["dead_rows"], result["dead_rows"], result["removed_rows"]) == (DEAD, 0, DEAD)
    assert result["visible_share"] == 1.0


def test_a_table_is_done_once_a_window(database_url: str, ops_url: str):
    make_dead_rows(database_url)
    maintain(database_url, ops_url)
    run_sql(database_url, "delete from t")
    wait_for_dead_rows(database_url, "t", 1000)
    assert maintain(database_url, ops_url).handled == ()
    target = Postgres(database_url, "platform")
    done = run_sql(database_url, "select 't'::regclass::oid")[0][0]
    plan = analyze(database_url, done=frozenset({done})).plan
    assert [each.reason for each in plan.skipped if each.name == "public.t"] == [
        "it was done in this window already"
    ]
    # In the next window its turn comes again.
    report = carry_out(
        analyze(database_url).plan,
        target=target.writable(),
        identity=target.identity(),
        ledger=Ledger(Postgres(ops_url, "ops")),
        task=TASK,
        window="2026-11-23",
        budget_seconds=60,
        say=[].append,
    )
    assert "public.t" in [each.name for each in report.of(Outcome.DONE)]


def test_odd_names(database_url: str, ops_url: str):
    for name in ODD_NAMES:
        run_sql(database_url, f"create schema {quote_identifier(name)}")
        make_dead_rows(database_url, name, name, rows=400, dead=300)
    report = maintain(database_url, ops_url)
    assert {each.name for each in report.of(Outcome.DONE)} == {f"{name}.{name}" for name in ODD_NAMES}
    assert run_sql(database_url, "select sum(n_dead_tup) from pg_stat_user_tables") == [(0,)]


def test_a_locked_table_is_passed_over_then_failed_with_the_name_of_its_locker(
    database_url: str, ops_url: str
):
    make_dead_rows(database_url)
    make_dead_rows(database_url, "other")
    holder = hold(database_url, "set application_name = 'monthly load'", "lock table t in share mode")
    report = maintain(database_url, ops_url)
    assert [(each.name, each.outcome) for each in report.handled] == [
        ("public.other", Outcome.DONE),
        ("public.t", Outcome.FAILED),
    ]
    assert "monthly load" in (report.failed[0].reason or "")
    assert dead_rows(database_url) == DEAD
    holder.close()
    assert [each.name for each in maintain(database_url, ops_url).of(Outcome.DONE)] == ["public.t"]


def test_a_table_whose_lock_is_let_go_of_is_done_after_all(database_url: str, ops_url: str):
    make_dead_rows(database_url)
    holder = hold(database_url, "lock table t in access exclusive mode")
    said: list[str] = []

    def let_go(text: str) -> None:
        said.append(text)
        if "waits for" in text:
            holder.close()

    report = maintain(database_url, ops_url, lock_wait_seconds=60, say=let_go)
    assert [each.outcome for each in report.handled] == [Outcome.DONE]
    assert any("AccessExclusiveLock" in text for text in said)


def test_what_autovacuum_did_meanwhile_is_left_alone(database_url: str, ops_url: str):
    make_dead_rows(database_url)
    target = Postgres(database_url, "platform")
    plan = analyze(database_url).plan
    run_sql(database_url, "vacuum analyze t")
    wait_until(database_url, "pg_stat_get_dead_tuples('t'::regclass) = 0")
    options = {"ledger": Ledger(Postgres(ops_url, "ops")), "task": TASK, "window": WINDOW, "say": [].append}
    report = carry_out(
        plan, target=target.writable(), identity=target.identity(), budget_seconds=60, **options
    )
    fates = {each.name: (each.outcome, each.reason) for each in report.handled}
    assert fates["public.t"] == (Outcome.SKIPPED, "autovacuum, or somebody else, did it meanwhile")
    with pytest.raises(GuardRefusal, match="read-only"):
        carry_out(plan, target=target, identity=target.identity(), budget_seconds=60, **options)


def test_a_missing_right_fails_its_table_alone_and_what_it_names_mends_it(database_url: str, ops_url: str):
    make_dead_rows(database_url)
    make_dead_rows(database_url, "mine")
    name = database_url.rpartition("/")[2].partition("?")[0]
    role, owner = f"m{name}", f"o{name}"
    run_sql(
        database_url,
        f"create role {role} login password 'x'",
        f"create role {owner}",
        f"grant pg_monitor to {role}",
        f"alter table mine owner to {role}",
        f"alter table t owner to {owner}",
    )
    url = make_url(database_url).set(username=role, password="x").render_as_string(hide_password=False)
    report = maintain(url, ops_url, observe_url=database_url)
    assert [each.name for each in report.of(Outcome.DONE)] == ["public.mine"]
    (failed,) = report.failed
    assert failed.name == "public.t"
    _, _, cure = (failed.reason or "").partition("may not vacuum and analyze it: ")
    run_sql(database_url, cure)
    report = maintain(url, ops_url, observe_url=database_url)
    assert [(each.name, each.outcome) for each in report.handled] == [("public.t", Outcome.DONE)]


def test_a_partitioned_table_is_analyzed_and_never_vacuumed(database_url: str, ops_url: str):
    run_sql(
        database_url,
        "create table p (id int, at date) partition by range (at)",
        "create table p1 partition of p for values from ('2020-01-01') to ('2021-01-01')"
        " partition by range (at)",
        "create table p1a partition of p1 for values from ('2020-01-01') to ('2020-07-01')",
        "create table p1b partition of p1 for values from ('2020-07-01') to ('2021-01-01')",
        "create table p2 partition of p for values from ('2021-01-01') to ('2022-01-01')",
        "insert into p select n, date '2020-01-01' + n % 700 from generate_series(1, 5000) n",
    )
    wait_until(database_url, "pg_stat_get_live_tuples('p2'::regclass) > 1000")
    report = maintain(database_url, ops_url)
    # Before 18 the partitioned table's ANALYZE goes on to those below it.
    fates = {each.outcome for each in report.handled}
    assert fates in ({Outcome.DONE}, {Outcome.DONE, Outcome.SKIPPED})
    assert {each.name for each in report.handled} == {
        f"public.{name}" for name in ("p", "p1", "p1a", "p1b", "p2")
    }
    assert run_sql(database_url, "select reltuples from pg_class where relname = 'p'") == [(5000,)]
    inherited = "select count(*) from pg_stats where inherited and tablename in ('p', 'p1')"
    assert run_sql(database_url, inherited) == [(4,)]
    statements = {row[0]: row[3]["statement"] for row in log(ops_url)}
    assert "VACUUM" not in statements["public.p"]
    assert [step.name for step in analyze(database_url).plan.steps if step.schema == "public"] == []
    # Updates that the partitions' own ANALYZE hides are found by the weekly scope.
    run_sql(database_url, "update p2 set id = 0", "analyze p2")
    wait_until(database_url, "pg_stat_get_mod_since_analyze('p2'::regclass) = 0")
    assert "public.p" not in [step.name for step in analyze(database_url).plan.steps]
    weekly = analyze(database_url, Scope.STATISTICS).plan
    assert "public.p" in [step.name for step in weekly.steps]


def test_missing_statistics_of_an_expression_a_column_and_extended_ones_are_made(
    database_url: str, ops_url: str
):
    run_sql(
        database_url,
        "create table t (a int, b int, c text) with (autovacuum_enabled = off)",
        "insert into t select n % 10, n % 10, n::text from generate_series(1, 1000) n",
        "vacuum analyze t",
    )
    wait_until(database_url, "pg_stat_get_mod_since_analyze('t'::regclass) = 0")
    assert [step.name for step in analyze(database_url).plan.steps if step.schema == "public"] == []
    for change in (
        "create index on t (lower(c))",
        "create statistics s (dependencies) on a, b from t",
        "alter table t add d int default 5",
    ):
        run_sql(database_url, change)
        run_sql(ops_url, "delete from herald.maintenance_log")
        (step,) = [step for step in analyze(database_url).plan.steps if step.schema == "public"]
        assert [need.kind for need in step.needs] == [NeedKind.MISSING_STATISTICS]
        assert maintain(database_url, ops_url).handled[0].outcome is Outcome.DONE
        assert [step.name for step in analyze(database_url).plan.steps if step.schema == "public"] == []


def test_what_cannot_be_vacuumed_is_not_planned(database_url: str, ops_url: str):
    keeper = hold(
        database_url, "create temporary table tt as select n from generate_series(1, 9000) n", "commit"
    )
    run_sql(
        database_url,
        "create extension file_fdw",
        "create server files foreign data wrapper file_fdw",
        "create foreign table ft (line text) server files options (filename '/dev/null')",
        "create materialized view empty as select 1 as one with no data",
        "create materialized view mv as select n from generate_series(1, 5000) n",
        "create view v as select 1 as one",
    )
    planned = {
        step.name for step in analyze(database_url, Scope.FULL).plan.steps if step.schema != "pg_catalog"
    }
    keeper.close()
    assert planned - {name for name in planned if name.startswith("information_schema.")} == {"public.mv"}
    report = maintain(database_url, ops_url, Scope.FULL)
    assert [(each.name, each.outcome) for each in report.of(Outcome.DONE)].count(
        ("public.mv", Outcome.DONE)
    ) == 1


def test_the_toast_table_alone_is_vacuumed_where_the_version_can(database_url: str, ops_url: str):
    run_sql(
        database_url,
        "create table t (id int, v text) with (autovacuum_enabled = off, toast.autovacuum_enabled = off)",
        "alter table t alter v set storage external",
        "insert into t select n, repeat('x', 20000) from generate_series(1, 300) n",
        "insert into t select n, '' from generate_series(1, 20000) n",
        "vacuum analyze t",
        "delete from t where v <> ''",
    )
    wait_until(
        database_url,
        "pg_stat_get_dead_tuples((select reltoastrelid from pg_class where oid = 't'::regclass)) >= 3000",
    )
    (done,) = maintain(database_url, ops_url).handled
    assert done.outcome is Outcome.DONE
    assert done.result["removed_rows"] >= 3000
    statement = log(ops_url)[0][3]["statement"]
    major = Postgres(database_url, "platform").identity().major
    assert ("PROCESS_MAIN OFF" in statement) == (major >= 16)


def test_a_small_budget_leaves_the_rest_and_says_so(database_url: str, ops_url: str):
    make_dead_rows(database_url)
    report = maintain(database_url, ops_url, budget_seconds=0.5)
    assert [(each.outcome, each.reason) for each in report.handled] == [
        (Outcome.SKIPPED, "the time budget is used up")
    ]
    assert dead_rows(database_url) == DEAD
