"""Database urls: what they stand for, what is refused, and that nothing of them is repeated."""

import re
from pathlib import Path
from typing import Any

import psycopg2.extensions
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from herald_pipelines.errors import UsageError
from herald_pipelines.settings import SecretRef, resolve_url
from herald_pipelines.settings.conninfo import PARAMETERS, parse_url

many = settings(max_examples=200, deadline=None)


@pytest.mark.parametrize(
    ("url", "parameters"),
    [
        ("postgresql:///shop", {"dbname": "shop"}),
        ("postgres://role@db/shop", {"user": "role", "host": "db", "dbname": "shop"}),
        ("postgresql://role:a%40b%3A@db:5433/s", "user=role password=a@b: host=db port=5433 dbname=s"),
        ("postgresql://:word@/shop", {"password": "word", "dbname": "shop"}),
        ("postgresql://role:a:b@db/s", "user=role password=a:b host=db dbname=s"),
        ("postgresql://[fe80::1%25eth0]/shop", {"host": "fe80::1%eth0", "dbname": "shop"}),
        ("postgresql://[::1]:5433/shop", {"host": "::1", "port": "5433", "dbname": "shop"}),
        ("postgresql://%2Fvar%2Frun%2Fpg/shop", {"host": "/var/run/pg", "dbname": "shop"}),
        ("postgresql:///shop?host=/tmp&port=5433", {"dbname": "shop", "host": "/tmp", "port": "5433"}),
        ("postgresql://a:1,[::2]:3,c/shop", {"host": "a,::2,c", "port": "1,3,", "dbname": "shop"}),
        ("postgresql://a,b/shop?port=5433", {"host": "a,b", "dbname": "shop", "port": "5433"}),
        ("postgresql://db/it%27s%20100%25%20%22%C3%A9%22%2F%3F", {"host": "db", "dbname": "it's 100% \"é\"/?"}),
        ("postgresql://db/a%2520b", {"host": "db", "dbname": "a%20b"}),
        ("postgresql://db/a+b?sslkey=/a%20b", {"host": "db", "dbname": "a+b", "sslkey": "/a b"}),
        ("postgresql://db/s?user=role&password=w%26d", "host=db dbname=s user=role password=w&d"),
    ],
)  # fmt: skip
def test_a_url_stands_for_parameters(url: str, parameters: dict[str, str] | str) -> None:
    if isinstance(parameters, str):
        parameters = dict(pair.split("=", 1) for pair in parameters.split())
    assert parse_url(url) == parameters


@given(
    user=st.text(min_size=1).filter(str.isprintable),
    password=st.text(min_size=1).filter(lambda text: "\0" not in text and "\ufffd" not in text),
    name=st.text(min_size=1).filter(str.isprintable),
)
@many
def test_libpq_reads_the_same(user: str, password: str, name: str) -> None:
    assume("\ufffd" not in user + name)
    quoted = [re.sub(r"[^a-z]", lambda found: escape(found[0]), each) for each in (user, password, name)]
    url = "postgresql://{}:{}@db.example:5433/{}?sslmode=require".format(*quoted)
    expected = {"user": user, "password": password, "host": "db.example", "port": "5433", "dbname": name}
    assert parse_url(url) == expected | {"sslmode": "require"}
    parse_dsn: Any = psycopg2.extensions.parse_dsn
    assert parse_dsn(url) == parse_url(url)


def escape(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


def test_libpq_knows_every_parameter() -> None:
    parse_dsn: Any = psycopg2.extensions.parse_dsn
    assert set(parse_dsn(" ".join(f"{key}=1" for key in PARAMETERS))) == set(PARAMETERS)


def test_the_reference_names_every_parameter() -> None:
    text = (Path(__file__).parents[3] / "docs" / "settings.md").read_text("utf-8")
    named = re.findall(r"`(\w+)`", text.partition("These parameters may follow a `?`:")[2].partition("(")[0])
    assert tuple(named) == PARAMETERS


SECRET = "hunter2Zq"
KNOWN = rf"\(known: {', '.join(PARAMETERS)}\)\n"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "is not a url"),
        ("{}", "is not a url"),
        ("host=db password={}", "is not a url"),
        ("mysql://role:{}@db/shop", "is not a url"),
        ("postgresql:/role:{}@db/shop", "is not a url"),
        ("postgresql+psycopg2://role:{}@db/shop", "is not a url"),
        ("POSTGRESQL://role:{}@db/shop", "is not a url"),
        ("postgresql://role:pa@{}@db/shop", "more than one @"),
        ("postgresql://role:{}@db@/shop", "more than one @"),
        ("postgresql://role:12/{}@db/shop", "an @ behind a / or ?"),
        ("postgresql://role:12?{}@db/shop", "an @ behind a / or ?"),
        ("postgresql://role:12#{}@db/shop", "has a #"),
        ("postgresql://role:{}%@db/shop", "a % that begins no escape"),
        ("postgresql://role:{}%4g@db/shop", "a % that begins no escape"),
        ("postgresql://role:{}%ff@db/shop", "an escape that stands for no character"),
        ("postgresql://role:{}%00@db/shop", "an escape that stands for no character"),
        ("postgresql://role:word@db/{}%0A", "an escape that stands for no character, or for a control"),
        ("postgresql://role:{}\n@db/shop", "a control character or a line break"),
        ("postgresql://role:{}\x7f@db/shop", "a control character or a line break"),
        ("postgresql://role:{}\udcff@db/shop", "a control character"),
        ("postgresql://role:{}@db/shop/x", "more than one / behind the host"),
        ("postgresql://role:{}@db", "names no database"),
        ("postgresql://role:{}@db/?sslmode=require", "names no database"),
        ("postgresql://role:{}/shop", "a port that is no number from 1 to 65535"),
        ("postgresql://role:word@db:{}/shop", "a port that is no number"),
        ("postgresql://role:word@db:0/shop", "a port that is no number"),
        ("postgresql://role:word@db:65536/shop", "a port that is no number"),
        ("postgresql://role:word@db:٣/shop", "a port that is no number"),
        ("postgresql://role:word@{}!/shop", "a host that is no name and no address"),
        ("postgresql://role:word@ {}/shop", "a host that is no name and no address"),
        ("postgresql://role:word@[::{}]/shop", "a host that is no name and no address"),
        ("postgresql://role:word@[::1/shop", "a host that is no name and no address: IPv6 stands in"),
        ("postgresql://role:word@::1/shop", "a host that is no name and no address: IPv6 stands in"),
        ("postgresql://a:1,b:2,c/shop?port=5", "says the port twice"),
        ("postgresql://a,b,c/shop?port=5,6", "as many ports as hosts only in part"),
        ("postgresql://role:word@db/shop?password={}", "says the password twice"),
        ("postgresql://db/shop?sslmode=require&sslmode=disable", "says the sslmode twice"),
        ("postgresql://db/shop?sslmode={}", r"an unknown sslmode \(known: disable, .+\)\n"),
        ("postgresql://db/shop?target_session_attrs={}", r"an unknown target_session_attrs \(known: any, "),
        ("postgresql://db/shop?{}=1", KNOWN),
        ("postgresql://db/shop?{}", KNOWN),
        ("postgresql://db/shop?sslmode", KNOWN),
        ("postgresql://db/shop?", KNOWN),
        ("postgresql://db/shop?options=-c%20a={}", KNOWN),
        ("postgresql://db/shop?service={}", KNOWN),
        ("postgresql://db/shop?dbname={}", KNOWN),
        ("postgresql://db/shop?connect_timeout={}", KNOWN),
        ("postgresql://db/shop?hostaddr={}", KNOWN),
    ],
)
def test_what_is_no_url_is_refused_and_not_repeated(url: str, problem: str) -> None:
    environ = {"URL": url.format(SECRET) or " "}
    with pytest.raises(UsageError, match=problem) as caught:
        resolve_url(SecretRef(env="URL"), environ)
    assert caught.value.message.startswith("the url that {env: URL} holds ")
    assert SECRET not in str(caught.value) + str(caught.value.__context__)


# signs of which any four in a row stand in no sentence of ours
PASSWORDS = st.text(alphabet="QXZ7!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\xa7\u20ac\n", min_size=4, max_size=24)


@given(password=PASSWORDS)
@many
def test_an_unescaped_password_is_taken_for_nothing_else_or_refused_without_a_piece_of_it(
    password: str,
) -> None:
    url = f"postgresql://role:{password}@db.example:5432/shop?sslmode=require"
    try:
        resolve_url(SecretRef(env="URL"), {"URL": url})
    except UsageError as error:
        text = str(error) + str(error.__context__)
        assert not [piece for at in range(len(password) - 3) if (piece := password[at : at + 4]) in text]
    else:
        found = parse_url(url)
        del found["password"]
        assert found == {
            "user": "role",
            "host": "db.example",
            "port": "5432",
            "dbname": "shop",
            "sslmode": "require",
        }
