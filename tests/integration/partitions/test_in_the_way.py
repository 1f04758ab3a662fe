"""What others need is neither detached nor dropped, and it is said who needs it; held locks are waited for briefly."""

import psycopg2
import pytest
from yard import LATER, Yard, execute

from herald_pipelines.partitions.work import Patience

WITHOUT = {"public.matches": {"archive": False, "premake": 0}}
JANUARY = "public.matches_2024_01"
TABLE = """
create table public.matches (
  id bigint not null, played_at timestamptz not null, note text, primary key (id, played_at)
) partition by range (played_at);
create table public.matches_2024_01 partition of public.matches for values from ('2024-01-01Z') to ('2024-02-01Z');
create table public.matches_2026_11 partition of public.matches for values from ('2026-11-01Z') to ('2026-12-01Z');
insert into public.matches values (1, '2024-01-05Z', 'a');
"""


def planned(yard: Yard) -> dict[str, tuple[str, str]]:
    (found,) = yard.plan()["databases"]
    return {row["partition"]: (row["action"], row["reason"]) for row in found["partitions"]}


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("create view public.old as select * from public.matches_2024_01", "view old"),
        (
            "create materialized view public.old as select count(*) from public.matches_2024_01",
            "materialized view old",
        ),
        ("create publication pub for table public.matches_2024_01", "publication pub"),
        ("create table public.c (id int, r public.matches_2024_01)", "column r of table c"),
        (
            "create function public.f(public.matches_2024_01) returns int language sql as 'select 1'",
            "function f",
        ),
        (
            "create table public.r (id bigint, at timestamptz, foreign key (id, at) references public.matches_2024_01)",
            "constraint r_id_at_fkey on table r",
        ),
    ],
    ids=lambda text: text.split()[1],
)
def test_what_is_on_the_partition_itself_keeps_it(open_it, sql: str, named: str):
    yard: Yard = open_it(TABLE + sql, rules=WITHOUT)
    action, reason = planned(yard)[JANUARY]
    assert action == "blocked"
    assert named in reason.replace("public.", "")
    result = yard.run("partition_cleanup")
    assert result.document["steps"] == []
    assert (result.checks[0].passed, named in result.checks[0].summary.replace("public.", "")) == (
        False,
        True,
    )
    assert yard.tables()["matches_2024_01"]


def test_its_own_and_its_parents_things_are_not_in_the_way(open_it):
    yard: Yard = open_it(
        TABLE
        + """create table public.other (id bigint primary key); insert into public.other values (1);
        alter table public.matches add foreign key (id) references public.other;
        create view public.all_of_them as select * from public.matches;
        create publication pub for table public.matches;
        create index on public.matches_2024_01 (note);
        create statistics public.s on id, note from public.matches_2024_01;
        create rule quiet as on update to public.matches_2024_01 where new.note is null do instead nothing;
        alter table public.matches_2024_01 add constraint c check (id > 0);
        """,
        rules=WITHOUT,
    )
    assert planned(yard)[JANUARY][0] == "detach"
    (row,) = [row for row in yard.plan()["databases"][0]["partitions"] if row["action"] == "detach"]
    assert row["notes"] == ["its parent is published by pub: subscribers keep its rows"]
    ((_, step, outcome),) = yard.steps("partition_cleanup")
    assert (step, outcome) == ("detach", "done")
    ((_, step, outcome),) = yard.steps("partition_cleanup", LATER)
    assert (step, outcome) == ("drop", "done")


def test_rows_that_refer_to_it_keep_it(open_it):
    yard: Yard = open_it(
        TABLE
        + "create table public.r (id bigint, at timestamptz, foreign key (id, at) references public.matches);"
        "insert into public.r values (1, '2024-01-05Z')",
        rules=WITHOUT,
    )
    assert planned(yard)[JANUARY][0] == "detach"
    assert yard.steps("partition_cleanup") == [(JANUARY, "detach", "skipped")]
    assert yard.tables()["matches_2024_01"]
    execute(yard.url, "delete from public.r")
    assert yard.steps("partition_cleanup") == [(JANUARY, "detach", "done")]


@pytest.mark.parametrize("default", ["", "create table public.rest partition of public.matches default"])
def test_a_lock_of_others_is_waited_for_and_then_left(open_it, default: str):
    yard: Yard = open_it(TABLE + default, rules=WITHOUT)
    holder = psycopg2.connect(yard.url)
    holder.cursor().execute("select * from public.matches")
    (done,) = yard.clean_up(Patience(tries=2, pause=0.1, holder=0.5, finalize=1, poll=0.1))
    assert (done.name, done.step, done.outcome) == (JANUARY, "detach", "failed")
    assert execute(yard.url, "select bool_or(inhdetachpending) from pg_inherits") == [(False,)]
    # The partition is as it was, and so it is for the next run.
    assert len(yard.rows()) == 1
    holder.close()
    assert yard.steps("partition_cleanup") == [(JANUARY, "detach", "done")]


def test_without_the_right_it_is_said_which(open_it):
    yard: Yard = open_it(TABLE, rules=WITHOUT)
    execute(yard.url, "do $$ begin if to_regrole('shop_weak') is null then create role shop_weak login; end if; end $$;"
                      "grant pg_monitor to shop_weak; alter role shop_weak password 'weak'")  # fmt: skip
    yard.maintain_url = yard.url.replace(yard.url.split("//")[1].split("@")[0], "shop_weak:weak")
    result = yard.run("partition_cleanup")
    assert "must be owner of table matches" in result.problems[0]
    assert yard.tables()["matches_2024_01"]


def test_the_command_brings_back_what_it_can_and_says_why_not(open_it):
    yard: Yard = open_it(TABLE, rules=WITHOUT)
    yard.steps("partition_cleanup")
    execute(yard.url, "create table public.matches_early partition of public.matches"
                      " for values from ('2024-01-10Z') to ('2024-01-20Z')")  # fmt: skip
    plan, code = yard.restore("matches_2024_01")
    assert code == 3
    assert plan["refused"][0].startswith("public.matches_early holds rows of that time")
    run = yard.start_command("partitions", "restore", "matches_2024_01", "--yes")
    _, said = run.communicate(timeout=60)
    assert run.returncode == 3
    assert "matches_early" in said
    execute(yard.url, "drop table public.matches_early")
    assert yard.restore("matches_2024_01", yes=True)[0]["done"]
    assert yard.tables()["matches_2024_01"]
    run = yard.start_command("partitions", "restore", "matches_1999_01")
    _, said = run.communicate(timeout=60)
    assert (run.returncode, "unknown detached or archived partition 'matches_1999_01'" in said) == (2, True)
