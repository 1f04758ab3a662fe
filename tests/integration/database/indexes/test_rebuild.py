import pytest
from rebuilding import TASK, hold, indexes, log, make_bloat, rebuild, run_sql, step_for
from sqlalchemy import make_url

from herald_pipelines.database.indexes.context import Patience
from herald_pipelines.database.indexes.history import read_baselines
from herald_pipelines.database.indexes.obstacles import find_forbidden
from herald_pipelines.database.indexes.plan import RebuildPlan
from herald_pipelines.database.indexes.rebuild import carry_out
from herald_pipelines.errors import GuardRefusal
from herald_pipelines.ledger import Ledger
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import quote_identifier


def test_a_rebuild_gains_what_its_report_and_ledger_say(database_url: str, ops_url: str):
    make_bloat(database_url)
    before = indexes(database_url)["i"]
    report = rebuild(database_url, ops_url, "public.i")
    after = indexes(database_url)["i"]
    (done,) = report.done
    assert after[2] < before[2] / 2
    assert (done.size_before_bytes, done.size_after_bytes) == (before[2], after[2])
    assert done.achieved_bytes == before[2] - after[2]
    assert (done.oid, done.index_oid) == (before[0], after[0])
    ((name, outcome, _, evidence, result),) = log(ops_url)
    assert (name, outcome) == ("public.i", "done")
    assert evidence["size_bytes"] - result["size_bytes"] == result["achieved_bytes"] == done.achieved_bytes
    target = Postgres(database_url, "platform")
    with Postgres(ops_url, "ops").session() as ops:
        baseline = read_baselines(ops, target.identity())[after[0]]
    assert (baseline.size_bytes, baseline.tuples) == (after[2], 10_000)


def test_a_lock_that_cannot_be_had_leaves_no_leftover(database_url: str, ops_url: str):
    make_bloat(database_url)
    holder = hold(database_url, "lock table t in share mode")
    report = rebuild(database_url, ops_url, "public.i", budget_seconds=2, patience=Patience(0.2, 1, 60, 0.1))
    holder.close()
    assert "lock on its table" in report.skipped[0].reason
    assert set(indexes(database_url)) == {"i"}


def test_a_long_snapshot_is_waited_for_and_named_when_the_budget_ends(database_url: str, ops_url: str):
    make_bloat(database_url)
    holder = hold(
        database_url,
        "set application_name = 'monthly report'",
        "commit",
        "begin isolation level repeatable read",
    )
    with holder.cursor() as cursor:
        cursor.execute("select 1")
    report = rebuild(database_url, ops_url, "public.i", budget_seconds=3)
    assert "monthly report" in report.skipped[0].reason
    assert set(indexes(database_url)) == {"i"}
    assert [row[1] for row in log(ops_url)] == ["skipped"]
    holder.close()
    assert len(rebuild(database_url, ops_url, "public.i").done) == 1


def test_a_table_that_the_role_may_not_lock_does_not_stop_the_others(database_url: str, ops_url: str):
    make_bloat(database_url)
    make_bloat(database_url, table="foreign_t", index="foreign_i", rows=100)
    user = "u" + database_url.rpartition("/")[2].partition("?")[0]
    run_sql(database_url, f'create role "{user}" login superuser password $$x$$')
    steps = tuple(
        step_for(Postgres(database_url, "platform"), f"public.{each}") for each in ("foreign_i", "i")
    )
    run_sql(database_url, f'alter table t owner to "{user}"; alter role "{user}" nosuperuser')
    run_sql(database_url, f'grant pg_monitor to "{user}"; grant create on schema public to "{user}"')
    role = make_url(database_url).set(username=user, password="x").render_as_string(hide_password=False)
    report = rebuild(role, ops_url, steps=steps)
    run_sql(database_url, f'revoke pg_monitor from "{user}"')
    with pytest.raises(GuardRefusal, match="may not see"):
        rebuild(role, ops_url, steps=steps)
    assert [each.name for each in report.done] == ["public.i"]
    assert "may not rebuild it" in report.failed[0].reason
    assert [row[:2] for row in log(ops_url)] == [("public.foreign_i", "failed"), ("public.i", "done")]


@pytest.mark.parametrize("is_member", [True, False])
@pytest.mark.parametrize("inherits", [True, False])
def test_what_a_missing_right_is_told_to_need_mends_it(database_url: str, *, inherits: bool, is_member: bool):
    make_bloat(database_url, rows=100)
    name = database_url.rpartition("/")[2].partition("?")[0]
    role, owner = f'm "{name}', f"o{name}"
    quoted = quote_identifier(role)
    run_sql(database_url, f"create role {quoted} login password 'x' {'inherit' if inherits else 'noinherit'}")
    run_sql(database_url, f'create role "{owner}"; create schema s; alter table t owner to "{owner}"')
    run_sql(database_url, "alter table t set schema s")
    if is_member:
        major = int(run_sql(database_url, "show server_version_num")[0][0]) // 10000
        run_sql(
            database_url, f"grant {'pg_maintain' if major >= 17 else quote_identifier(owner)} to {quoted}"
        )
    url = make_url(database_url).set(username=role, password="x").render_as_string(hide_password=False)
    oid = step_for(Postgres(database_url, "platform"), "s.i").oid
    with Postgres(url, "platform").session(autocommit=True) as session:
        (objection,) = find_forbidden(session, [oid]).values()
        _, _, cures = objection.partition("may not rebuild it: ")
        run_sql(database_url, cures)
        assert find_forbidden(session, [oid]) == {}
        session.execute("set default_transaction_read_only = off")
        session.execute("reindex index s.i")


def test_an_index_of_a_materialized_view_is_rebuilt(database_url: str, ops_url: str):
    make_bloat(database_url, rows=100)
    run_sql(database_url, "create materialized view m as select * from t; create index on m (id)")
    report = rebuild(database_url, ops_url, "public.m_id_idx")
    assert [each.name for each in report.done] == ["public.m_id_idx"]


def test_the_gain_is_that_of_the_index_as_it_was_when_its_rebuild_began(database_url: str, ops_url: str):
    make_bloat(database_url)
    step = step_for(Postgres(database_url, "platform"), "public.i")
    run_sql(database_url, "insert into t select n, md5(n::text) from generate_series(1, 50000) n")
    before = indexes(database_url)["i"][2]
    assert before > step.size_bytes
    (done,) = rebuild(database_url, ops_url, steps=(step,)).done
    assert done.size_before_bytes == before
    assert done.achieved_bytes == before - indexes(database_url)["i"][2]


@pytest.mark.parametrize("name", ["pg_dump", "herald:database_backup"])
def test_a_young_dump_is_waited_for(database_url: str, ops_url: str, name: str):
    make_bloat(database_url, rows=100)
    holder = hold(
        database_url,
        f"set application_name = '{name}'",
        "commit",
        "begin isolation level repeatable read",
        "select 1",
    )
    report = rebuild(database_url, ops_url, "public.i", budget_seconds=2, patience=Patience(0.2, 1, 60, 0.1))
    holder.close()
    assert name in report.skipped[0].reason


def test_an_idle_writer_of_the_table_is_named(database_url: str, ops_url: str):
    make_bloat(database_url)
    holder = hold(database_url, "insert into t values (0, 'x')")
    report = rebuild(database_url, ops_url, "public.i", budget_seconds=2)
    assert "a lock on the table" in report.skipped[0].reason
    holder.close()


def test_an_index_that_was_dropped_renamed_or_rebuilt_meanwhile_is_skipped(database_url: str, ops_url: str):
    target = Postgres(database_url, "platform")
    steps = []
    for name in ("gone", "moved", "new"):
        make_bloat(database_url, table=f"t_{name}", index=name, rows=100)
        steps.append(step_for(target, f"public.{name}"))
    run_sql(database_url, "drop table t_gone; alter index moved rename to elsewhere; reindex index new")
    report = rebuild(database_url, ops_url, steps=tuple(steps))
    assert [each.reason.split(":")[0] for each in report.skipped] == [
        "it was dropped or rebuilt meanwhile",
        "it was renamed meanwhile",
        "it was rebuilt meanwhile",
    ]


def test_partitions_and_names_of_63_bytes(database_url: str, ops_url: str):
    long = "x" * 63
    run_sql(
        database_url,
        f"create table p (id bigint, v text) partition by range (id);"
        f"create table p1 partition of p for values from (0) to (1000000);"
        f"create index parent on p (v); alter index p1_v_idx rename to {long};"
        "insert into p select n, md5(n::text) from generate_series(1, 30000) n;"
        "delete from p where id % 5 <> 0; vacuum p1",
    )
    before = indexes(database_url)[long]
    report = rebuild(database_url, ops_url, f"public.{long}")
    assert len(report.done) == 1
    assert indexes(database_url)[long][2] < before[2]
    assert run_sql(database_url, "select count(*) from pg_inherits where inhparent = 'parent'::regclass") == [
        (1,)
    ]
    holder = hold(database_url, "insert into p values (1, 'x')")
    report = rebuild(database_url, ops_url, f"public.{long}", patience=Patience(1, 1, 60, 0.1))
    assert len(report.failed) == 1
    holder.close()
    rebuild(database_url, ops_url, f"public.{long}")
    assert list(indexes(database_url)) == [long]


def test_a_read_only_target_and_a_second_run_are_refused(database_url: str, ops_url: str):
    make_bloat(database_url, rows=100)
    target = Postgres(database_url, "platform", task=TASK)
    arguments = {
        "identity": target.identity(),
        "ledger": Ledger(Postgres(ops_url, "ops")),
        "task": TASK,
        "window": "2026-11-22",
        "budget_seconds": 5,
        "assumed_free_disk_bytes": 2**40,
        "say": print,
    }
    plan = RebuildPlan((step_for(target, "public.i"),), ())
    with pytest.raises(GuardRefusal, match="read-only"):
        carry_out(plan, target=target, **arguments)
    with target.session() as other:
        assert other.try_lock(TASK)
        with pytest.raises(GuardRefusal, match="already at work"):
            carry_out(plan, target=target.writable(), **arguments)
    assert log(ops_url) == []
