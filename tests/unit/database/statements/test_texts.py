"""What is kept of the texts of statements, and which may be planned."""

import pytest

from herald_pipelines.database.statements.texts import LONGEST, first_word, tidy_text, why_not_planned


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
        ("select 1 /* never ends", "select 1"),
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
        ("select 1; drop table t", "its text holds a semicolon"),
        ("select 1 /* ; */; commit; drop table t", "its text holds a semicolon"),
        ('select ";"', "its text holds a semicolon"),
        ("select 'a'", "its text was kept with its constants, which are not shown"),
        ("select ';' ; drop table t", "its text was kept with its constants, which are not shown"),
        ("/* select */ drop table t", "a utility statement has no plan"),
        ("-- select\ndrop table t", "a utility statement has no plan"),
        ("select 1\0", "its text holds a semicolon"),
    ],
)
def test_nothing_else_is_planned(text: str, reason: str) -> None:
    assert why_not_planned(text) == reason


def test_the_first_word() -> None:
    assert [first_word(text) for text in ("( with x", "select", "", "  1")] == ["WITH", "SELECT", "", ""]
