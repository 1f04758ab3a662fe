"""What is kept of the texts of statements, and which may be planned."""

import pytest

from herald_pipelines.database.statements.texts import (
    LONGEST,
    first_word,
    names_in,
    tidy_text,
    why_not_planned,
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("select $1", "select $1"),
        ("  SELECT *\n\tfrom t -- user 7\n where a = $1", "SELECT * from t where a = $1"),
        ("/* trace 4711 */ with x as (select $1) select * from x", "with x as (select $1) select * from x"),
        ("select * from t where name = 'Ann O''Neil'", "select * from t where name = '***'"),
        (r"select * from t where a = E'it\'s' and b = $1", "select * from t where a = '***' and b = $1"),
        ("select $tag$secret$tag$, $$secret$$", "select '***', '***'"),
        ("select * from t where a = u&'secret' or b = X'1F'", "select * from t where a = '***' or b = '***'"),
        ("select 'never ends", "select '***'"),
        ("select $1 /* never ends", "select $1"),
        ("select $1 /* a /* b */ token=abc */ from t", "select $1 from t"),
        ("select $1 /* a /* b */ token=abc", "select $1"),
        ("select $1 -- a\rfrom t", "select $1 from t"),
        ("select * from t where card = 4111111111111111", "select * from t where card = '***'"),
        (
            "select a + 1.5e-3, .5, 0xFF, 1_000, -7 from t1",
            "select a + '***', '***', '***', '***', -'***' from t1",
        ),
        (
            "select $12, a1, t2.b3, x$4 from t where y in ($1 /*, ... */)",
            "select $12, a1, t2.b3, x$4 from t where y in ($1 )",
        ),
        (
            "select x::numeric(10, 2), y::varchar(255) from t group by 1, 2 order by 2 desc, 1",
            "select x::numeric(10, 2), y::varchar(255) from t group by 1, 2 order by 2 desc, 1",
        ),
        ("select varchar_of(4111) order by 4111", "select varchar_of('***') order by '***'"),
        # What ends where depends on standard_conforming_strings.
        (r"select 'it\'s secret', 'and this' from t", "select '***'"),
        (r"select 'C:\' || a, 'b' from t", "select '***'"),
        (r"select 'a\b' from t", "select '***' from t"),
        ('select "it\'s -- a name" from t', 'select "it\'s -- a name" from t'),
        ("select a$b$c, d$b$e from t", "select a$b$c, d$b$e from t"),
        ("select $1, $2 from t", "select $1, $2 from t"),
        ("(select $1) union (select $2)", "(select $1) union (select $2)"),
        ("alter role alice password 'hunter2'", "ALTER ROLE ..."),
        ("create user mapping for bob server s options (password 'x')", "CREATE USER ..."),
        ("set my.secret = 'x'", "SET ..."),
        ("call pay('4111 1111')", "CALL ..."),
        ("refresh materialized view concurrently v", "REFRESH MATERIALIZED VIEW CONCURRENTLY ..."),
        ("/* a */ copy secrets to '/tmp/x'", "COPY ..."),
        ("xyzzy 'secret'", "..."),
        ("", "..."),
    ],
)
def test_what_is_kept_of_a_text(text: str, kept: str) -> None:
    assert tidy_text(text) == kept


def test_a_long_text_is_cut() -> None:
    kept = tidy_text(f"select {'$1, ' * 100_000} 1")
    assert len(kept) == LONGEST + 3
    assert kept.endswith("...")


@pytest.mark.parametrize(
    "text",
    [
        "select * from t where a = $1",
        "((select $1))",
        "with x as (delete from t returning *) select * from x",
        "merge into t using s on true when matched then delete",
        "values ($1)",
        "select x::numeric(10, 2) from t order by 1",
        'select ";" || $1'.replace('";"', "$2"),
    ],
)
def test_queries_and_dml_may_be_planned(text: str) -> None:
    assert why_not_planned(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("drop table t", "a utility statement has no plan"),
        ("explain select 1", "a utility statement has no plan"),
        ("", "a utility statement has no plan"),
        ("select $1; drop table t", "its text holds a semicolon"),
        ("select 1 from t", "its text was kept with its constants, which are not shown"),
        ('select U&"\\0066"($1)', "its text holds names in escapes"),
        ("select 1 /* ; */; commit; drop table t", "its text holds a semicolon"),
        ('select ";"', "its text holds a semicolon"),
        ("select 'a'", "its text was kept with its constants, which are not shown"),
        ("select ';' ; drop table t", "its text holds a semicolon"),
        ("/* select */ drop table t", "a utility statement has no plan"),
        ("-- select\ndrop table t", "a utility statement has no plan"),
        ("select 1\0", "its text holds a semicolon"),
    ],
)
def test_nothing_else_is_planned(text: str, reason: str) -> None:
    assert why_not_planned(text) == reason


def test_the_first_word() -> None:
    assert [first_word(text) for text in ("( with x", "select", "", "  1")] == ["WITH", "SELECT", "", ""]


@pytest.mark.parametrize(
    "text",
    [
        "select shop.leak()",
        "select SHOP . LEAK ()",
        'select "leak"()',
        'select x /* " */ , "leak"(x) /* " */ from t',
        "select x.leak from t x",
        "select leak\n()",
    ],
)
def test_a_function_is_named_however_it_is_written(text: str) -> None:
    assert "leak" in names_in(text)


def test_odd_names_are_unquoted() -> None:
    assert 'Odd "näme"' in names_in('select /* " */ "Odd ""näme"""()')
    assert {"ÉTÉ", "été"} <= set(names_in("select ÉTÉ()"))
