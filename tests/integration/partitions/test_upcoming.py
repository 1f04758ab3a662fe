"""Partitions that are made ahead are as their siblings are, and rows in the default partition are never lost to sight."""

from contextlib import closing
from itertools import pairwise

import psycopg2
import pytest
from yard import Yard, execute

WINDOW = "2026-11-22"
RICH = """
do $$ begin
  if to_regrole('shop_owner') is null then create role shop_owner; end if;
  if to_regrole('shop_reader') is null then create role shop_reader; end if;
end $$;
create table public.users (id int primary key);
create table public."Match""es é" (
  id bigint not null, "at time" timestamp not null, user_id int references public.users, score int default 7,
  double_score int generated always as (score * 2) stored, note text, constraint score_small check (score < 100),
  primary key (id, "at time")
) partition by range ("at time");
comment on column public."Match""es é".score is 'of the match';
create index on public."Match""es é" (user_id);
create statistics public.both on id, user_id from public."Match""es é";
create table public."Match""es é 2026-10" partition of public."Match""es é"
  for values from ('2026-10-01') to ('2026-11-01') with (fillfactor = 70, toast.autovacuum_enabled = off);
create table public."Match""es é 2026-11" partition of public."Match""es é"
  for values from ('2026-11-01') to ('2026-12-01') with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
alter table public."Match""es é 2026-11" owner to shop_owner;
alter table public."Match""es é 2026-11" add constraint of_november check ("at time" < '2026-12-01');
grant select, insert on public."Match""es é 2026-11" to shop_reader with grant option;
grant update (note) on public."Match""es é 2026-11" to public;
grant trigger on public."Match""es é 2026-11" to current_user;
create index "local %s idx" on public."Match""es é 2026-11" using btree (lower(note)) include (id)
  with (fillfactor = 50) where id > 5;
alter table public."Match""es é 2026-11" add constraint local_unique unique (note, id);
alter table public."Match""es é 2026-11" replica identity full;
alter table public."Match""es é 2026-11" enable row level security;
alter default privileges grant delete on tables to public;
"""
DEFINITION = """
select c.reloptions, c.relreplident, c.relrowsecurity, pg_get_userbyid(c.relowner),
  (select array_agg(x::text order by x::text) from unnest(c.relacl) x),
  (select array_agg(a.attname || coalesce(a.attacl::text, '') || a.attnotnull || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
          || coalesce(col_description(c.oid, a.attnum), '') order by a.attnum)
     from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = c.oid and a.attnum > 0),
  (select array_agg(x order by x) from (
     select regexp_replace(pg_get_indexdef(i.indexrelid), ' INDEX .* USING ', ' INDEX USING ')
       || i.indisprimary || i.indisunique || i.indisvalid as x from pg_index i where i.indrelid = c.oid) y),
  (select array_agg(k.said order by k.said) from (
     select pg_get_constraintdef(oid) as said from pg_constraint
      where conrelid = c.oid and conname <> 'of_november' and contype <> 'n') k)
from pg_class c where c.relname = %s
"""


def definition(yard: Yard, name: str) -> list[tuple]:
    return execute(yard.url, DEFINITION, name)


def test_the_next_is_as_its_newest_sibling_is(open_it):
    yard: Yard = open_it(RICH, rules={'public."Match""es é"': {"keep": "forever", "premake": 2}})
    planned = yard.steps("upcoming_partitions", WINDOW, dry_run=True)
    names = [f'public.Match"es é {month}' for month in ("2026-12", "2027-01")]
    assert planned == [(name, "create", "planned") for name in names]
    assert len(yard.tables()) == 4
    assert yard.steps("upcoming_partitions", WINDOW) == [(name, "create", "done") for name in names]
    like = definition(yard, 'Match"es é 2026-11')
    assert definition(yard, 'Match"es é 2026-12') == like
    assert definition(yard, 'Match"es é 2027-01') == like
    assert execute(yard.url, 'select tableoid::regclass::text from public."Match""es é"') == []
    execute(yard.url, """insert into public."Match""es é" values (1, '2027-01-31 23:59:59')""")
    assert execute(yard.url, """select tableoid::regclass::text from public."Match""es é" """) == [
        ('"Match""es é 2027-01"',)
    ]
    assert execute(yard.url, "select count(*) from pg_statistic_ext") == [(3,)]
    assert yard.steps("upcoming_partitions", WINDOW) == []
    verdict = yard.run("upcoming_partitions", WINDOW).checks[0]
    assert (verdict.check, verdict.passed) == ("partitions_ahead", True)


DATES = """
create table public.d (id bigint, on_day date not null) partition by range (on_day);
create table public.d_2026_w47 partition of public.d for values from ('2026-11-16') to ('2026-11-23');
create table public.d_rest partition of public.d default;
insert into public.d select n, '2026-11-24' from generate_series(1, 50) n;
insert into public.d values (0, '2031-01-01');
"""


def test_rows_of_the_default_partition_are_told_of_and_moved_where_the_rule_allows(open_it):
    yard: Yard = open_it(DATES, rules={"public.d": {"keep": "forever", "premake": 1}})
    before = yard.rows("public.d")
    assert yard.steps("upcoming_partitions", WINDOW, dry_run=True) == [
        ("public.d_2026_w48", "create", "refused")
    ]
    result = yard.run("upcoming_partitions", WINDOW)
    assert [row["outcome"] for row in result.document["steps"]] == ["failed"]
    assert "holds some rows of that time" in result.problems[0]
    (verdict,) = result.checks
    assert (verdict.passed, verdict.is_error) == (False, False)
    assert "d_rest holds some rows" in verdict.summary
    assert "d_2026_w48" not in yard.tables()
    execute(yard.url, "analyze public.d_rest")
    verdict, visible = yard.run("partition_inventory", WINDOW).checks
    assert visible.passed
    assert (verdict.check, verdict.passed, verdict.metadata["rows"]) == (
        "default_partitions_are_empty",
        False,
        51,
    )

    # It holds up no other, whose rows would come to lie in the default partition as well.
    yard.rules = {"public.d": {"keep": "forever", "premake": 2}}
    yard.write()
    assert yard.steps("upcoming_partitions", WINDOW) == [
        ("public.d_2026_w48", "create", "failed"),
        ("public.d_2026_w49", "create", "done"),
    ]

    yard.rules = {"public.d": {"keep": "forever", "premake": 1, "move_default_rows": 50}}
    yard.write()
    assert yard.steps("upcoming_partitions", WINDOW) == [("public.d_2026_w48", "create", "done")]
    assert yard.rows("public.d") == before
    assert yard.rows("public.d_rest") == [row for row in before if row[1].year == 2031]
    assert len(yard.rows("public.d_2026_w48")) == 50


KEY = "alter table public.d add unique (id, on_day)"
TREE = """
create table public.top (id bigint, on_day date not null, unique (id, on_day)) partition by list (id);
create table public.d partition of public.top for values in (1) partition by range (on_day);
create table public.d_2026_w47 partition of public.d for values from ('2026-11-16') to ('2026-11-23');
create table public.d_rest partition of public.d default partition by range (on_day);
create table public.d_rest_all partition of public.d_rest default;
insert into public.d values (1, '2026-11-24');
"""


@pytest.mark.parametrize(
    ("sql", "refers"),
    [
        (DATES.replace("create table public.d_2026", KEY + ";create table public.d_2026"), "d_rest"),
        (TREE, "top"),
        (TREE, "d_rest_all"),
    ],
    ids=["default", "root", "below"],
)
def test_rows_that_are_referred_to_are_not_moved(open_it, sql: str, refers: str):
    yard: Yard = open_it(
        sql + "create table public.notes (id bigint, on_day date,"
        f" foreign key (id, on_day) references public.{refers} (id, on_day) on delete cascade);"
        "insert into public.notes select id, on_day from public.d where on_day = '2026-11-24' limit 1",
        rules={"public.d": {"keep": "forever", "premake": 1, "move_default_rows": 50}},
    )
    before = yard.rows("public.d")
    result = yard.run("upcoming_partitions", WINDOW)
    assert "foreign key notes_id_on_day_fkey" in result.problems[0]
    assert (len(yard.rows("public.notes")), yard.rows("public.d")) == (1, before)


def test_indexes_of_the_parent_lie_where_the_parent_says(open_it):
    yard: Yard = open_it(
        DATES.split("create table public.d_rest", maxsplit=1)[0] + "create index on public.d (id)",
        rules={"public.d": {"keep": "forever", "premake": 1}},
    )
    with closing(psycopg2.connect(yard.url, options="-c allow_in_place_tablespaces=on")) as connection:
        connection.autocommit = True
        connection.cursor().execute("create tablespace shop_slow location ''")
    try:
        execute(yard.url, "alter table public.d_2026_w47 set tablespace shop_slow")
        assert yard.steps("upcoming_partitions", WINDOW) == [("public.d_2026_w48", "create", "done")]
        assert execute(
            yard.url,
            "select c.relkind, coalesce(t.spcname, '') from pg_class c left join pg_tablespace t on t.oid = c.reltablespace"
            " where c.relname like 'd_2026_w48%' order by 1",
        ) == [("i", ""), ("r", "shop_slow")]
    finally:
        execute(yard.url, "drop table public.d")
        execute(yard.url, "drop tablespace shop_slow")


@pytest.mark.parametrize("key", ["timestamptz", "timestamp", "date"])
def test_months_of_a_time_zone_in_every_type(open_it, key: str):
    bounds = ["2026-09-01", "2026-10-01", "2026-11-01", "2026-12-01"]
    sql = f"set timezone = 'Europe/Paris'; create table public.p (id int, at {key} not null) partition by range (at);"
    for lower, upper in pairwise(bounds):
        name = f"p_{lower[:7].replace('-', '_')}"
        sql += f"create table public.{name} partition of public.p for values from ('{lower}') to ('{upper}');"
    rules = {"public.p": {"keep": "forever", "premake": 5, "time_zone": "Europe/Paris"}}
    yard: Yard = open_it(sql, rules=rules, database={"statement_timeout_seconds": 30.0})
    steps = yard.steps("upcoming_partitions", WINDOW)
    assert [name for name, _, _ in steps] == [f"public.p_{month}" for month in (
        "2026_12", "2027_01", "2027_02", "2027_03", "2027_04")]  # fmt: skip
    (bound,) = execute(
        yard.url,
        "select set_config('timezone', 'Europe/Paris', false), pg_get_expr(relpartbound, oid) from pg_class"
        " where relname = 'p_2027_03'",
    )
    # Through the change to summer time.
    times = {
        "timestamptz": (" 00:00:00+01", " 00:00:00+02"),
        "timestamp": (" 00:00:00",) * 2,
        "date": ("", ""),
    }[key]
    assert bound[1] == f"FOR VALUES FROM ('2027-03-01{times[0]}') TO ('2027-04-01{times[1]}')"


def test_another_session_that_holds_the_parent_is_not_waited_for_for_ever(open_it):
    yard: Yard = open_it(
        DATES.split("create table public.d_rest", maxsplit=1)[0],
        rules={"public.d": {"keep": "forever", "premake": 1}},
    )
    holder = psycopg2.connect(yard.url)
    holder.cursor().execute("lock table public.d in access exclusive mode")
    window = yard.run("partition_inventory", WINDOW)
    assert window.document["tables"][0]["missing"][0]["partition"] == "public.d_2026_w48"
    holder.close()
    assert yard.steps("upcoming_partitions", WINDOW) == [("public.d_2026_w48", "create", "done")]


def test_a_name_that_is_taken_and_a_missing_right_are_told(open_it):
    yard: Yard = open_it(
        DATES.split("create table public.d_rest", maxsplit=1)[0]
        + "create view public.d_2026_w48 as select 1 as one",
        rules={"public.d": {"keep": "forever", "premake": 2}},
    )
    result = yard.run("upcoming_partitions", WINDOW)
    assert "already exists" in result.problems[0]
    # No gap is left: what would follow is not made either.
    assert [row["partition"] for row in result.document["steps"]] == ["public.d_2026_w48"]
    assert list(yard.tables()) == ["d", "d_2026_w47"]
