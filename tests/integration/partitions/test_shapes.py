"""Partitions of every shape come back from the store as they were: odd names, own types, sub-partitions, rights."""

import pytest
from yard import LATER, Yard, execute

ODD = "é" * 29 + '"% x'
SQL = """
do $$ begin if to_regrole('shop_reader') is null then create role shop_reader; end if; end $$;
create schema "Ga.me";
create type "Ga.me".mood as enum ('sad', 'ok');
create domain "Ga.me".points as int check (value >= 0);
create function "Ga.me".lower_of(t text) returns text language sql immutable return lower(t);
create function "Ga.me".touch() returns trigger language plpgsql as $$ begin new.note := new.note || '!'; return new; end $$;
create sequence "Ga.me".ids;
create table "Ga.me".players (id int primary key);
insert into "Ga.me".players select generate_series(1, 9);
create table "Ga.me"."Ev""ents" (
  id bigint default nextval('"Ga.me".ids'), at date not null, feels "Ga.me".mood, points "Ga.me".points, note text, doc jsonb,
  ratio float8, spent interval, raw bytea, player int references "Ga.me".players,
  twice int generated always as (points * 2) stored, check (points < 1000)
) partition by range (at);
create index on "Ga.me"."Ev""ents" ("Ga.me".lower_of(note)) where points > 1;
create trigger touched before insert on "Ga.me"."Ev""ents" for each row execute function "Ga.me".touch();
create table "Ga.me"."{odd}" partition of "Ga.me"."Ev""ents" for values from ('2024-01-01') to ('2024-02-01')
  with (fillfactor = 77);
create table "Ga.me".tree partition of "Ga.me"."Ev""ents" for values from ('2024-02-01') to ('2024-03-01')
  partition by list (feels);
create table "Ga.me".tree_sad partition of "Ga.me".tree for values in ('sad');
create table "Ga.me".tree_rest partition of "Ga.me".tree default;
create table "Ga.me".forever partition of "Ga.me"."Ev""ents" for values from ('2030-01-01') to (maxvalue);
grant select on "Ga.me"."{odd}" to shop_reader;
comment on table "Ga.me"."{odd}" is 'the first';
create unique index "own ""one" on "Ga.me"."{odd}" (id);
alter table "Ga.me"."{odd}" enable row level security;
create policy own on "Ga.me"."{odd}" for select to shop_reader using (points > 0);
insert into "Ga.me"."Ev""ents" (at, feels, points, note, doc, ratio, spent, raw, player)
  select date '2024-01-01' + n % 60, case n % 3 when 0 then 'sad' when 1 then 'ok' end::"Ga.me".mood, n % 7,
    repeat(chr(65 + n % 9) || E'\\t\\n', n % 5), '{{"a": [1, null]}}', n / 3.0, n * interval '1 hour', decode('00ff', 'hex'),
    1 + n % 9
  from generate_series(1, 1200) n;
""".format(odd=ODD.replace('"', '""'))
WHOLE = 'select tableoid::regclass::text, * from "Ga.me"."Ev""ents" order by 2, 3'
SHAPE = """
select c.relname, c.reloptions, c.relacl::text, c.relrowsecurity, obj_description(c.oid, 'pg_class'),
  pg_get_expr(c.relpartbound, c.oid),
  (select array_agg(pg_get_indexdef(x.indexrelid) || x.indisvalid order by 1) from (
     select indexrelid, indisvalid from pg_index where indrelid = c.oid order by indexrelid::regclass::text) x),
  (select array_agg(k order by k) from (select conname || pg_get_constraintdef(oid) as k from pg_constraint
     where conrelid = c.oid and contype <> 'n' and pg_get_constraintdef(oid) not like '%at IS NOT NULL%') y),
  (select array_agg(tgname::text order by tgname) from pg_trigger where tgrelid = c.oid and not tgisinternal),
  (select array_agg(polname::text) from pg_policy where polrelid = c.oid)
from pg_class c where c.relnamespace = '"Ga.me"'::regnamespace and c.relkind in ('r', 'p') order by 1
"""


@pytest.fixture(params=["pg15", "pg18"])
def server(request: pytest.FixtureRequest):
    """Give two servers, however many the others run on."""
    return request.getfixturevalue(request.param)


def test_whatever_it_is_it_comes_back_as_it_was(open_it):
    yard: Yard = open_it(SQL, rules={'"Ga.me"."Ev""ents"': {"keep": "1 year", "premake": 0}})
    rows, shape = execute(yard.url, WHOLE), execute(yard.url, SHAPE)
    assert len(rows) == 1200
    names = [f"Ga.me.{ODD}", "Ga.me.tree"]
    assert yard.steps("partition_archive") == [(name, "archive", "done") for name in names]
    assert yard.steps("partition_cleanup") == [(name, "detach", "done") for name in names]
    assert [step for _, step, _ in yard.steps("partition_cleanup", LATER)] == ["drop", "drop"]
    left = execute(yard.url, "select relname from pg_class where relnamespace = '\"Ga.me\"'::regnamespace"
                             " and relkind in ('r', 'p') order by 1")  # fmt: skip
    assert left == [('Ev"ents',), ("forever",), ("players",)]

    # A role that is not there any more, a column that is new: refused before anything is touched.
    execute(yard.url, 'alter table "Ga.me"."Ev""ents" add column late int')
    plan, code = yard.restore(names[0])
    assert (code, plan["refused"]) == (3, ['Ga.me.Ev"ents has got a column late, which the archive lacks'])
    execute(yard.url, 'alter table "Ga.me"."Ev""ents" drop column late')
    for name in names:
        assert yard.restore(name, yes=True)[0]["done"]
    assert execute(yard.url, WHOLE) == rows
    assert execute(yard.url, SHAPE) == shape
    assert yard.steps("partition_archive") == []
