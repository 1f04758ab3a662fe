"""What interrupted rebuilds leave: ours is dropped, and nothing else ever is."""

import pytest
from rebuilding import (
    begin_next_run,
    hold,
    indexes,
    interrupt_rebuild,
    log,
    make_bloat,
    rebuild,
    run_sql,
    step_for,
)
from sqlalchemy import make_url

from herald_pipelines.database.indexes.context import Patience
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.resources.queries import sql_root
from herald_pipelines.values import Outcome
from servers import TestServer


@pytest.fixture(params=["pg15", "pg18"])
def server(request: pytest.FixtureRequest) -> TestServer:
    """Give two servers, however many the others run on: these tests mostly wait."""
    return request.getfixturevalue(request.param)


def make_invalid(url: str, name: str, columns: str = "v, id") -> None:
    run_sql(url, f"create index {name} on t ({columns})")
    run_sql(url, f"update pg_index set indisvalid = false where indexrelid = '{name}'::regclass")


def test_an_invalid_index_of_a_locked_table_keeps_no_other_waiting(database_url: str, ops_url: str):
    make_bloat(database_url)
    make_bloat(database_url, table="locked", index="broken", rows=100)
    run_sql(database_url, "update pg_index set indisvalid = false where indexrelid = 'broken'::regclass")
    holder = hold(database_url, "truncate locked")
    report = rebuild(database_url, ops_url, "public.i")
    holder.close()
    assert [each.name for each in report.done] == ["public.i"]
    assert report.leftovers == report.failed == ()


def test_what_a_person_made_after_an_interrupted_rebuild_was_made_up_for_stays(
    database_url: str, ops_url: str
):
    make_bloat(database_url)
    interrupt_rebuild(database_url, ops_url)
    assert len(rebuild(database_url, ops_url, "public.i").done) == 1
    make_invalid(database_url, "i_ccnew")
    assert rebuild(database_url, ops_url).leftovers == ()
    assert indexes(database_url)["i_ccnew"][1] is False


def test_the_leftover_of_a_failed_rebuild_is_dropped(database_url: str, ops_url: str):
    make_bloat(database_url)
    step = step_for(Postgres(database_url, "platform"), "public.i")
    # Young transactions are not waited for beforehand, so that the rebuild itself runs into this one.
    holder = hold(database_url, "insert into t values (0, 'x')")
    report = rebuild(
        database_url, ops_url, steps=(step,), patience=Patience(probe=1, lock=1, holder_age=60, poll=0.1)
    )
    assert len(report.failed) == 1
    assert "lock timeout" in report.failed[0].reason
    (leftover,) = report.leftovers
    assert (leftover.name, leftover.outcome) == ("public.i_ccnew", Outcome.SKIPPED)
    assert "lock timeout" in leftover.reason
    holder.close()
    report = rebuild(database_url, ops_url, "public.i")
    assert len(report.done) == 1
    assert [each.outcome for each in report.leftovers] == [Outcome.DONE]
    found = indexes(database_url)
    assert set(found) == {"i"}
    assert found["i"][1]


def test_leftovers_of_others_stay(database_url: str, ops_url: str):
    make_bloat(database_url)
    run_sql(database_url, "create index other on t (id); create index i_ccnew on t (id)")
    run_sql(database_url, "update pg_index set indisvalid = false where indexrelid = 'i_ccnew'::regclass")
    report = rebuild(database_url, ops_url, "public.i", "public.other")
    assert len(report.done) == 2
    assert report.leftovers == ()
    assert indexes(database_url)["i_ccnew"][1] is False


def test_a_leftover_is_ours_by_its_oid_also_after_its_index_was_rebuilt(database_url: str, ops_url: str):
    make_bloat(database_url)
    interrupt_rebuild(database_url, ops_url)
    # Reading the table keeps the leftover from being dropped, and nobody from building.
    holder = hold(database_url, "select count(*) from t")
    patience = Patience(probe=0.5, lock=0.5, holder_age=60, poll=0.1)
    (kept,) = rebuild(database_url, ops_url, patience=patience).leftovers
    assert (kept.name, kept.outcome) == ("public.i_ccnew", Outcome.SKIPPED)
    holder.close()
    run_sql(database_url, "reindex index concurrently i")
    make_invalid(database_url, "i_ccnew1")
    (dropped,) = rebuild(database_url, ops_url).leftovers
    assert (dropped.oid, dropped.outcome) == (kept.oid, Outcome.DONE)
    assert set(indexes(database_url)) == {"i", "i_ccnew1"}
    assert rebuild(database_url, ops_url).leftovers == ()


def test_an_index_that_was_there_before_the_rebuild_is_not_its_leftover(database_url: str, ops_url: str):
    make_bloat(database_url)
    # It is valid when the rebuild begins, so that the leftover has to be called i_ccnew1.
    run_sql(database_url, "create index i_ccnew on t (v, id)")
    interrupt_rebuild(database_url, ops_url)
    run_sql(database_url, "update pg_index set indisvalid = false where indexrelid = 'i_ccnew'::regclass")
    report = rebuild(database_url, ops_url)
    assert [(each.name, each.outcome) for each in report.leftovers] == [("public.i_ccnew1", Outcome.DONE)]
    assert set(indexes(database_url)) == {"i", "i_ccnew"}


def test_an_index_of_another_structure_is_not_a_leftover(database_url: str, ops_url: str):
    make_bloat(database_url)
    interrupt_rebuild(database_url, ops_url)
    make_invalid(database_url, "i_ccnew1", "id")
    report = rebuild(database_url, ops_url)
    assert [each.name for each in report.leftovers] == ["public.i_ccnew"]
    assert set(indexes(database_url)) == {"i", "i_ccnew1"}


def test_a_rebuild_that_failed_is_not_done_because_a_person_rebuilds_the_index(
    database_url: str, ops_url: str
):
    make_bloat(database_url)
    step = step_for(Postgres(database_url, "platform"), "public.i")
    holder = hold(database_url, "insert into t values (0, 'x')")
    rebuild(database_url, ops_url, steps=(step,), patience=Patience(probe=1, lock=1, holder_age=60, poll=0.1))
    holder.close()
    run_sql(database_url, "reindex index concurrently i")
    make_invalid(database_url, "i_ccold")
    rebuild(database_url, ops_url)
    assert ("public.i", "done") not in [row[:2] for row in log(ops_url)]
    assert set(indexes(database_url)) == {"i", "i_ccold"}


def test_another_index_that_got_the_name_of_a_leftover_meanwhile_stays(database_url: str, ops_url: str):
    make_bloat(database_url)
    interrupt_rebuild(database_url, ops_url)

    def say(text: str) -> None:
        if text.startswith("dropping"):
            run_sql(database_url, "drop index i_ccnew; create index i_ccnew on t (id)")

    (leftover,) = rebuild(database_url, ops_url, say=say).leftovers
    assert (leftover.name, leftover.outcome) == ("public.i_ccnew", Outcome.DONE)
    assert "meanwhile" in leftover.reason
    assert set(indexes(database_url)) == {"i", "i_ccnew"}


def test_a_rebuild_that_a_later_one_had_to_do_again_was_not_done(database_url: str, ops_url: str):
    make_bloat(database_url)
    step = step_for(Postgres(database_url, "platform"), "public.i")
    interrupt_rebuild(database_url, ops_url)
    # What became of it is not known before the lock is gone, and then the index is rebuilt first.
    holder = hold(database_url, "truncate t")

    def say(text: str) -> None:
        if "not known yet" in text:
            holder.close()

    report = rebuild(database_url, ops_url, steps=(step,), say=say)
    assert [each.name for each in report.done] == ["public.i"]
    rows = [row for row in log(ops_url) if row[0] == "public.i"]
    assert [(row[1], "settles" in row[3]) for row in rows] == [
        ("interrupted", False),
        ("done", False),
        ("failed", True),
    ]
    assert set(indexes(database_url)) == {"i"}


def test_what_a_rebuild_left_that_ended_in_an_unknown_error_is_dropped(
    database_url: str, ops_url: str, monkeypatch: pytest.MonkeyPatch
):
    make_bloat(database_url)
    monkeypatch.setattr("herald_pipelines.database.long_statements.PROGRESS_SECONDS", 0.1)
    step = step_for(Postgres(database_url, "platform"), "public.i")
    holder = hold(database_url, "insert into t values (0, 'x')")

    def say(text: str) -> None:
        if "waiting for writers" in text:
            raise RuntimeError(text)

    with pytest.raises(RuntimeError):
        rebuild(database_url, ops_url, steps=(step,), patience=Patience(1, 10, 60, 0.1), say=say)
    holder.close()
    assert "i_ccnew" in indexes(database_url)
    begin_next_run(database_url, ops_url)
    report = rebuild(database_url, ops_url)
    assert [(each.name, each.outcome) for each in report.leftovers] == [("public.i_ccnew", Outcome.DONE)]
    assert set(indexes(database_url)) == {"i"}


def test_what_an_interrupted_rebuild_left_on_a_locked_table_waits_and_nothing_else_does(
    database_url: str, ops_url: str
):
    make_bloat(database_url)
    make_bloat(database_url, table="other", index="j", rows=100)
    interrupt_rebuild(database_url, ops_url)
    holder = hold(database_url, "truncate t")
    report = rebuild(database_url, ops_url, "public.j")
    assert [each.name for each in report.done] == ["public.j"]
    (unknown,) = report.leftovers
    assert (unknown.name, unknown.outcome) == ("public.i", Outcome.SKIPPED)
    assert "not known yet" in unknown.reason
    # Rolled back, or the new index would be empty and the old definition gone.
    holder.close()
    report = rebuild(database_url, ops_url)
    assert [(each.name, each.outcome) for each in report.leftovers] == [("public.i_ccnew", Outcome.DONE)]
    settled = [row for row in log(ops_url) if row[0] == "public.i" and "settles" in row[3]]
    assert [row[1] for row in settled] == ["failed"]


@pytest.mark.parametrize(
    ("statement", "name"), [("truncate t", "public.i"), ("refresh materialized view m", "public.m_id_idx")]
)
def test_a_table_that_is_locked_holds_up_its_own_index_alone(
    database_url: str, ops_url: str, statement: str, name: str
):
    make_bloat(database_url, rows=100)
    make_bloat(database_url, table="other", index="j", rows=100)
    run_sql(database_url, "create materialized view m as select * from t; create index on m (id)")
    steps = tuple(step_for(Postgres(database_url, "platform"), each) for each in (name, "public.j"))
    holder = hold(database_url, statement)
    patience = Patience(probe=0.2, lock=1, holder_age=60, poll=0.1)
    report = rebuild(database_url, ops_url, steps=steps, patience=patience, budget_seconds=3)
    holder.close()
    assert [each.name for each in report.done] == ["public.j"]
    assert [each.name for each in report.skipped] == [name]
    assert "a lock on its table" in report.skipped[0].reason
    assert report.failed == report.leftovers == ()


def test_a_leftover_that_the_role_may_not_drop_is_refused_with_what_its_owner_must_run(pg18, ops_url: str):
    url = pg18.create_database()
    make_bloat(url)
    for name in ("observe", "maintain"):
        with Postgres(url, "platform").writable().session() as session:
            session.execute((sql_root() / "roles" / f"{name}.sql").read_text())
    run_sql(url, "alter role herald_maintain password 'secret'")
    role = (
        make_url(url).set(username="herald_maintain", password="secret").render_as_string(hide_password=False)
    )
    step = step_for(Postgres(url, "platform"), "public.i")
    holder = hold(url, "insert into t values (0, 'x')")
    report = rebuild(role, ops_url, steps=(step,), patience=Patience(1, 1, 60, 0.1))
    holder.close()
    assert len(report.failed) == 1
    for _ in range(2):
        report = rebuild(role, ops_url, "public.i")
        assert (len(report.done), report.failed) == (1, ())
        (leftover,) = report.leftovers
        assert (leftover.name, leftover.outcome) == ("public.i_ccnew", Outcome.REFUSED)
        assert "role herald_maintain does not own it" in leftover.reason
    assert {row[1] for row in log(ops_url) if row[0] == "public.i_ccnew"} == {"refused"}
    run_sql(url, leftover.reason.partition("must run: ")[2])
    assert rebuild(role, ops_url, "public.i").leftovers == ()
    assert set(indexes(url)) == {"i"}
