"""Indexes of many shapes: how a table is filled, what index it has, and what then happens to both.

Statements run one after the other, each in a session of its own; `{n}` is the number of rows. Every churn can run again on
what it left, for the second life of the index after its rebuild.
"""

from dataclasses import dataclass

ANALYZE = "vacuum (analyze) public.t"
NUMBERS = (
    "create table public.t as select g::bigint as id, (random() * 1e9)::int as r, 0 as x"
    " from generate_series(1, {n}) as g"
)
SERIES = " from generate_series(1, {n}) as g"
ROWS = " from generate_series(1, {n})) as g"
EMPTY = "create table public.t (id bigint, s int, w text)"


@dataclass(frozen=True)
class Shape:
    """One table with one index, named bench."""

    name: str
    table: str
    index: str
    """What follows `create index bench on public.t`, or `create unique index ...`."""
    churn: tuple[str, ...]
    unique: bool = False
    beyond: bool = False
    """Beyond what the measurement promises: reported by itself."""


def _inserted(values: str) -> str:
    return f"insert into public.t (id, s) select g, {values} from generate_series(1, {{n}}) as g"


def _inserted_text(values: str, share: int = 1) -> str:
    return f"insert into public.t (id, w) select g, {values} from generate_series(1, {{n}} / {share}) as g"


def _shape(name: str, table: str, index: str, *churn: str, unique: bool = False) -> Shape:
    return Shape(name, table, index, (*churn, ANALYZE), unique)


WIDE = "(select string_agg(md5(random()::text || g || x), '') from generate_series(1, {pieces}) as x)"
SHAPES = (
    _shape("fresh", NUMBERS, "(r)"),
    _shape("deleted", NUMBERS, "(r)", "delete from public.t where random() < 0.5"),
    _shape("deleted_95", NUMBERS, "(id)", "delete from public.t where random() < 0.95"),
    _shape(
        "updated",
        NUMBERS,
        "(r)",
        "update public.t set r = (random() * 1e9)::int where random() < 0.3",
        ANALYZE,
        "update public.t set r = (random() * 1e9)::int where random() < 0.3",
    ),
    _shape(
        "updated_10", NUMBERS, "(r)", "update public.t set r = (random() * 1e9)::int where random() < 0.1"
    ),
    _shape("other_column_updated", NUMBERS, "(id, x)", "update public.t set x = x + 1 where random() < 0.5"),
    _shape(
        "random_uuid",
        "create table public.t (u uuid)",
        "(u)",
        "insert into public.t select gen_random_uuid() from generate_series(1, {n})",
    ),
    _shape(
        "low_cardinality",
        EMPTY,
        "(s)",
        _inserted("(random() * 9)::int"),
        ANALYZE,
        "update public.t set s = (random() * 9)::int where random() < 0.3",
    ),
    _shape("hundred_values", EMPTY, "(s)", _inserted("(random() * 99)::int")),
    _shape(
        "thousand_values",
        EMPTY,
        "(s)",
        _inserted("(random() * 999)::int"),
        ANALYZE,
        "update public.t set s = (random() * 999)::int where random() < 0.4",
    ),
    _shape("three_of_each", EMPTY, "(s)", _inserted("(random() * {n} / 3)::int")),
    _shape("twenty_of_each", EMPTY, "(s)", _inserted("(random() * {n} / 20)::int")),
    _shape(
        "twenty_deleted",
        EMPTY,
        "(s)",
        _inserted("(random() * {n} / 20)::int"),
        ANALYZE,
        "delete from public.t where random() < 0.6",
    ),
    _shape(
        "skewed",
        EMPTY,
        "(s)",
        _inserted("floor(power(random(), 6) * {n} / 5)::int"),
        ANALYZE,
        "update public.t set s = floor(power(random(), 6) * {n} / 5)::int where random() < 0.3",
    ),
    _shape("skewed_exponential", EMPTY, "(s)", _inserted("floor(exp(random() * ln({n})))::int")),
    _shape("zipf", EMPTY, "(s)", _inserted("floor(1 / (random() + 1e-6))::int")),
    _shape(
        "clustered",
        EMPTY,
        "(s)",
        (
            "insert into public.t (s) select base + g / 8 from"
            " (select coalesce(max(s), 0) as base from public.t) as b, generate_series(1, {n}) as g"
        ),
    ),
    _shape(
        "mostly_null",
        EMPTY,
        "(s)",
        _inserted("case when random() < 0.2 then (random() * 1e9)::int end"),
        ANALYZE,
        "delete from public.t where random() < 0.3",
    ),
    _shape(
        "boolean",
        "create table public.t (b bool)",
        "(b)",
        "insert into public.t select random() < 0.3 from generate_series(1, {n})",
        ANALYZE,
        "update public.t set b = not b where random() < 0.2",
    ),
    _shape(
        "text",
        EMPTY,
        "(w)",
        _inserted_text("repeat(md5(random()::text), 1 + (random() * 2)::int)"),
        ANALYZE,
        "delete from public.t where random() < 0.3",
    ),
    _shape("names", EMPTY, "(w)", _inserted_text("'player_' || (random() * {n})::int")),
    _shape(
        "states",
        EMPTY,
        "(w)",
        _inserted_text(
            "(array['open', 'closed', 'in progress', 'waiting for customer'])[1 + floor(random() * 4)::int]"
        ),
    ),
    _shape(
        "half_unknown",
        EMPTY,
        "(w)",
        _inserted_text("case when random() < 0.5 then 'unknown' else md5(random()::text) end"),
    ),
    _shape(
        "wide_300",
        EMPTY,
        "(w)",
        _inserted_text(WIDE.replace("{pieces}", "(5 + random() * 10)::int"), 4),
        ANALYZE,
        "delete from public.t where random() < 0.4",
    ),
    _shape(
        "wide_2000",
        EMPTY,
        "(w)",
        _inserted_text(WIDE.replace("{pieces}", "60"), 20),
        ANALYZE,
        "delete from public.t where random() < 0.4",
    ),
    _shape(
        "partial",
        "create table public.t as select g::bigint as id, (random() * 1e6)::int as r, random() < 0.2 as o"
        " from generate_series(1, {n} * 2) as g",
        "(r) where o",
        "update public.t set o = not o where random() < 0.2",
    ),
    _shape(
        "expression",
        EMPTY,
        "(lower(w))",
        _inserted_text("'Name' || (random() * 1e7)::int"),
        ANALYZE,
        "update public.t set w = 'Name' || (random() * 1e7)::int where random() < 0.3",
    ),
    _shape(
        "json_expression",
        "create table public.t (j jsonb)",
        "((j ->> 'k'))",
        "insert into public.t select jsonb_build_object('k', md5((random() * {n} / 2)::int::text))"
        " from generate_series(1, {n})",
    ),
    _shape(
        "json",
        "create table public.t (j jsonb)",
        "(j)",
        "insert into public.t select jsonb_build_object('k', (random() * 100)::int)"
        " from generate_series(1, {n})",
    ),
    _shape(
        "multicolumn",
        "create table public.t as select (random() * 1000)::int as a,"
        " now() + random() * interval '1 year' as b from generate_series(1, {n})",
        "(a, b)",
        "update public.t set a = (random() * 1000)::int where random() < 0.3",
    ),
    _shape(
        "multicolumn_repeated",
        EMPTY,
        "(s, id)",
        "insert into public.t select (random() * 50)::int, (random() * 50)::int from generate_series(1, {n})",
    ),
    _shape(
        "multicolumn_text",
        EMPTY,
        "(s, w, id)",
        "insert into public.t select g, (random() * 1000)::int, md5(random()::text)"
        " from generate_series(1, {n}) as g",
    ),
    _shape(
        "descending_nulls",
        EMPTY,
        "(id desc, s nulls first)",
        "insert into public.t select (random() * 1000)::int, case when random() < 0.5 then (random() * 1e6)::int end"
        " from generate_series(1, {n})",
    ),
    _shape(
        "include",
        EMPTY,
        "(s) include (w)",
        "insert into public.t select g, (random() * 1e9)::int, md5(random()::text)"
        " from generate_series(1, {n}) as g",
    ),
    _shape(
        "fillfactor_70",
        NUMBERS,
        "(r) with (fillfactor = 70)",
        "delete from public.t where random() < 0.3",
    ),
    _shape("fillfactor_70_inserted", EMPTY, "(s) with (fillfactor = 70)", _inserted("(random() * 1e9)::int")),
    _shape(
        "fillfactor_100",
        NUMBERS,
        "(id) with (fillfactor = 100)",
        "delete from public.t where random() < 0.3",
    ),
    _shape(
        "dedup_off",
        EMPTY,
        "(s) with (deduplicate_items = off)",
        _inserted("(random() * 9)::int"),
        ANALYZE,
        "update public.t set s = (random() * 9)::int where random() < 0.3",
    ),
    _shape(
        "numeric",
        "create table public.t (v numeric)",
        "(v)",
        "insert into public.t select (random() * 1e6)::numeric(12, 2) from generate_series(1, {n})",
    ),
    _shape(
        "numeric_short",
        "create table public.t (v numeric)",
        "(v)",
        "insert into public.t select (random() * 9000)::int from generate_series(1, {n})",
    ),
    _shape(
        "numeric_long",
        "create table public.t (v numeric)",
        "(v)",
        "insert into public.t select (random() * 1e15)::numeric(24, 6) from generate_series(1, {n})",
        ANALYZE,
        "delete from public.t where random() < 0.3",
    ),
    _shape(
        "float",
        "create table public.t (v float8)",
        "(v)",
        "insert into public.t select floor(random() * 1000) from generate_series(1, {n})",
    ),
    _shape(
        "queue",
        NUMBERS,
        "(id)",
        "delete from public.t where id <= (select percentile_disc(0.95) within group (order by id) from public.t)",
    ),
    _shape(
        "queue_refilled",
        EMPTY,
        "(id)",
        _inserted("0"),
        "delete from public.t where random() < 0.98",
        ANALYZE,
        "insert into public.t (id) select {n} + g from generate_series(1, {n} / 4) as g",
    ),
    _shape(
        "old_times_deleted",
        "create table public.t as select now() + g * interval '1 s' as b from generate_series(1, {n}) as g",
        "(b)",
        "delete from public.t where b < (select percentile_disc(0.6) within group (order by b) from public.t)",
    ),
    _shape(
        "inserted_in_order",
        EMPTY,
        "(id)",
        "insert into public.t (id) select base + g from"
        " (select coalesce(max(id), 0) as base from public.t) as b, generate_series(1, {n}) as g",
    ),
    _shape(
        "inserted_backwards",
        EMPTY,
        "(id)",
        "insert into public.t (id) select base - g from"
        " (select coalesce(min(id), 0) as base from public.t) as b, generate_series(1, {n}) as g",
    ),
    _shape(
        "inserted_at_random",
        NUMBERS,
        "(r)",
        "insert into public.t (r) select (random() * 1e9)::int from generate_series(1, {n})",
    ),
    _shape("unique_deleted", NUMBERS, "(id)", "delete from public.t where random() < 0.7", unique=True),
    _shape(
        "unique_updated",
        NUMBERS,
        "(id, x)",
        "update public.t set x = x + 1 where random() < 0.5",
        unique=True,
    ),
    # The statistics cannot tell exactly two rows a key from one to many that are two on average.
    Shape("exactly_two_of_each", EMPTY, "(id)", (*[_inserted("0")] * 2, ANALYZE), beyond=True),
    Shape("exactly_four_of_each", EMPTY, "(id)", (*[_inserted("0")] * 4, ANALYZE), beyond=True),
    # Inserting merges nulls in a unique index as well, which a build does not.
    Shape(
        "unique_mostly_null",
        "create table public.t as select 0 as k",
        "(k)",
        (
            "insert into public.t select case when random() < 0.2 then (select max(k) from public.t) + g end"
            + SERIES,
            ANALYZE,
        ),
        unique=True,
        beyond=True,
    ),
    Shape(
        "two_widths",
        "create table public.t (w text)",
        "(w)",
        (
            "insert into public.t select case when random() < 0.2 then "
            + WIDE.format(pieces=60)
            + " else g::text end from generate_series(1, {n} / 10) as g",
            ANALYZE,
            "delete from public.t where random() < 0.3",
            ANALYZE,
        ),
        beyond=True,
    ),
    Shape(
        "not_vacuumed",
        NUMBERS,
        "(r)",
        (ANALYZE, "delete from public.t where random() < 0.3"),
        beyond=True,
    ),
    Shape(
        "loaded_and_not_counted",
        NUMBERS,
        "(r)",
        (
            ANALYZE,
            "insert into public.t (r) select (random() * 1e9)::int from generate_series(1, {n} * 3)",
        ),
        beyond=True,
    ),
    Shape(
        "dependent_columns",
        EMPTY,
        "(id, s)",
        (
            "insert into public.t select g.x, g.x * 2 from (select (random() * {n} / 10)::int as x" + ROWS,
            ANALYZE,
        ),
        beyond=True,
    ),
)
OTHER_METHODS = (
    _shape(
        "gin",
        "create table public.t as select array[(random() * 1000)::int] as a from generate_series(1, {n} / 4)",
        "using gin (a)",
        "update public.t set a = array[(random() * 1000)::int] where random() < 0.5",
    ),
    _shape("hash", NUMBERS, "using hash (r)", "delete from public.t where random() < 0.5"),
    _shape(
        "gist",
        "create table public.t as select point(random(), random()) as p from generate_series(1, {n} / 4)",
        "using gist (p)",
        "update public.t set p = point(random(), random()) where random() < 0.3",
    ),
    _shape("brin", NUMBERS, "using brin (id)", "delete from public.t where random() < 0.5"),
    # Loaded and not counted: nothing but the statistics, and the table's size, tell of the new rows.
    *(
        Shape(
            f"{method}_loaded",
            "create table public.t as select g::int as id from generate_series(1, {n} / 10) as g",
            f"using {method} ({key})",
            (
                ANALYZE,
                "insert into public.t select (select max(id) from public.t) + g from generate_series(1, {n}) as g",
            ),
        )
        for method, key in (
            ("gin", "(array[id, id % 7])"),
            ("hash", "id"),
            ("gist", "(point(id, id % 7))"),
            ("brin", "id"),
        )
    ),
)
