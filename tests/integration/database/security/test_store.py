"""Each weakness put into a real server is found, and nothing is where there is none."""

import uuid
from collections.abc import Callable, Mapping

import pytest
from scanning import execute, found, hba_lines, hidden, judgement_of, observer_of, roles

from herald_pipelines.database.security.findings import Finding, Severity
from herald_pipelines.database.security.releases import MAJORS
from herald_pipelines.database.security.store import read_database_facts
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.resources.queries import sql_root
from server_programs import server_programs
from servers import TestServer, running_server

News = Callable[[], set[str]]
ODD = '"Odd ""Näme"", a|b; --"'
LONG = '"' + "ü" * 31 + '"'
NAMES = ("weak", ODD, LONG)
VERSION_RULES = {"minor_outdated", "major_end_of_life"}


@pytest.fixture
def news(database_url: str) -> News:
    """Give what is found in a fresh database beside what was there before: the server's version, roles of other tests."""
    before = set(found(database_url))
    return lambda: set(found(database_url)) - before


def test_a_fresh_database_of_the_embedded_server_is_clean(database_url: str, server: TestServer) -> None:
    judgement = judgement_of(database_url)
    expected = {"public_schema_create"} if server.major < 15 else set()
    # Roles of other tests are on the server as well.
    assert {each.rule for each in judgement.findings} - VERSION_RULES - {"role_without_expiry"} == expected
    assert judgement.hidden == ()


def test_the_open_public_schema_of_14_is_found_and_that_of_15_is_not(
    database_url: str, server: TestServer
) -> None:
    assert ("public_schema_create:public" in found(database_url)) == (server.major < 15)
    execute(database_url, "grant create on schema public to public")
    assert found(database_url)["public_schema_create:public"].found.severity is Severity.HIGH
    execute(database_url, "revoke create on schema public from public")
    assert "public_schema_create:public" not in found(database_url)


RIGHTS = {
    "superuser_role": "alter role {} superuser login",
    "superuser_member": "grant postgres to {}",
    "bypassrls_role": "alter role {} bypassrls",
    "createrole_role": "alter role {} createrole",
    "replication_role": "alter role {} replication",
    "server_access_role": "grant pg_execute_server_program to {}",
    "role_without_expiry": "alter role {} login password 'a' valid until 'infinity'",
    "md5_password": "set password_encryption = 'md5'; alter role {} password 'a'",
}


def test_rights_of_roles(database_url: str, news: News) -> None:
    for rule, statement in RIGHTS.items():
        with roles(database_url, *NAMES):
            assert news() == set()
            execute(database_url, *(statement.format(name) for name in NAMES))
            assert news() == {f"{rule}:{name}" for name in NAMES}


def test_a_superuser_is_reached_over_several_steps(database_url: str, news: News) -> None:
    with roles(database_url, "step_one", "step_two", "boss"):
        execute(database_url, "alter role boss superuser; grant boss to step_one; grant step_one to step_two")
        assert {"superuser_member:step_one", "superuser_member:step_two"} <= news()


@pytest.mark.parametrize("server", ["pg18"], indirect=True)
def test_a_membership_without_any_right_is_none(database_url: str, news: News) -> None:
    with roles(database_url, "step", "boss"):
        execute(
            database_url,
            "alter role boss superuser",
            "grant boss to step with inherit false, set false",
            "grant pg_read_server_files to step with inherit false, set false",
        )
        assert news() == {"superuser_role:boss"}
        execute(database_url, "grant pg_read_server_files to step with admin option, set false")
        assert news() == {"superuser_role:boss", "server_access_role:step"}
        execute(database_url, "grant boss to step with set true")
        assert "superuser_member:step" in news()


def test_what_needs_no_expiry(database_url: str, news: News) -> None:
    with roles(database_url, "dated", "bare", "group_of_all"):
        execute(
            database_url,
            "alter role dated login password 'a' valid until '2099-01-01'",
            "alter role bare login",
            "alter role group_of_all password 'a'",
        )
        assert news() == set()


def test_grants_to_all(database_url: str, news: News) -> None:
    def severities(given: Mapping[str, Finding]) -> set[tuple[str, Severity]]:
        return {
            (each.id, each.found.severity) for each in given.values() if each.rule.startswith("public_table")
        }

    for name in NAMES:
        execute(database_url, f"create schema {name}; create table {name}.{name} (id int, word text)")
    assert news() == set()
    for name in NAMES:
        execute(database_url, f"grant select (word), update (id) on {name}.{name} to public")
    tables = [f"{name}.{name}" for name in NAMES]
    assert severities(found(database_url)) == {
        (f"public_table_read:{table}", Severity.LOW) for table in tables
    } | {(f"public_table_write:{table}", Severity.MEDIUM) for table in tables}
    for name in NAMES:
        execute(database_url, f"grant usage on schema {name} to public")
    given = found(database_url)
    assert severities(given) == {(f"public_table_read:{table}", Severity.MEDIUM) for table in tables} | {
        (f"public_table_write:{table}", Severity.HIGH) for table in tables
    }
    # The fix is one that works, for columns too.
    for finding in given.values():
        if finding.rule.startswith("public_table"):
            execute(database_url, finding.found.fix)
    assert news() == set()


def test_views_sequences_and_what_is_made_later(database_url: str, news: News) -> None:
    execute(
        database_url,
        "create schema shop",
        "create sequence shop.numbers; grant usage, select, update on shop.numbers to public",
        "create view shop.all_roles as select 1 as one; grant select on shop.all_roles to public",
        "alter default privileges in schema shop grant insert on tables to public",
        "alter default privileges grant select on sequences to public",
    )
    given = found(database_url)
    expected = {
        "public_table_write:shop.numbers",
        "public_table_read:shop.numbers",
        "public_table_read:shop.all_roles",
        "public_default_privileges:postgres tables in schema shop",
        "public_default_privileges:postgres sequences",
    }
    assert news() == expected
    for key in expected:
        execute(database_url, given[key].found.fix)
    assert news() == set()


def test_a_database_that_every_role_may_create_in(database_url: str, news: News) -> None:
    ((name,),) = execute(database_url, "select format('%I', current_database())")
    assert news() == set()
    execute(database_url, f"grant create on database {name} to public")
    assert news() == {f"public_database_create:{name}"}
    execute(database_url, found(database_url)[f"public_database_create:{name}"].found.fix)
    assert news() == set()


def test_what_an_extension_grants_is_its_business(database_url: str, news: News) -> None:
    execute(database_url, "create schema x; create extension pg_stat_statements schema x")
    assert execute(database_url, "select count(*) from information_schema.table_privileges where grantee = 'PUBLIC'"
                   " and table_schema = 'x'") != [(0,)]  # fmt: skip
    assert news() == set()


FUNCTION = "create function shop.{}({}) returns {} language {} security definer {} as $$ {} $$"


def test_definer_functions(database_url: str, news: News) -> None:
    with roles(database_url, "definer_owner"):
        execute(
            database_url,
            "create schema shop authorization definer_owner; grant usage on schema shop to public; set role definer_owner",
            FUNCTION.format("bare", "a int", "int", "sql", "", "select 1"),
            FUNCTION.format("safe", "", "int", "sql", "set search_path = shop, pg_temp", "select 1"),
            FUNCTION.format("early", "text", "int", "sql", "set search_path = shop", "select 1"),
            FUNCTION.format(
                "theirs", "", "int", "sql", 'set search_path = "$user", shop, pg_temp', "select 1"
            ),
            FUNCTION.format(ODD, "", "int", "sql", "", "select 1"),
            "create procedure shop.step(a int) language sql security definer as 'select 1'",
            "create function shop.atomic() returns int security definer begin atomic select 1; end",
            "create function shop.invoker() returns int language sql as 'select 1'",
        )
        execute(
            database_url,
            FUNCTION.format("root", "", "int", "sql", "set search_path = shop, pg_temp", "select 1"),
            FUNCTION.format("closed", "", "int", "sql", "set search_path = shop, pg_temp", "select 1"),
            "revoke execute on function shop.closed() from public",
            FUNCTION.format("fired", "", "trigger", "plpgsql", "", "begin return new; end"),
        )
        given = found(database_url)
        assert news() == {
            "definer_search_path:shop.bare(a integer)",
            "definer_search_path:shop.theirs()",
            f"definer_search_path:shop.{ODD}()",
            "definer_search_path:shop.step(IN a integer)",
            "definer_search_path:shop.fired()",
            "definer_temporary_tables:shop.early(text)",
            "definer_for_all:shop.root()",
        }
        assert given["definer_search_path:shop.fired()"].found.severity is Severity.HIGH
        execute(database_url, "revoke usage on schema shop from public")
        closed = found(database_url)
        assert "definer_for_all:shop.root()" not in closed
        assert closed["definer_search_path:shop.fired()"].found.severity is Severity.MEDIUM
        execute(database_url, "grant usage on schema shop to public")
        assert given["definer_search_path:shop.bare(a integer)"].found.severity is Severity.MEDIUM
        execute(
            database_url,
            given["definer_temporary_tables:shop.early(text)"].found.fix,
            given["definer_for_all:shop.root()"].found.fix.partition(",")[0],
        )
        assert "definer_for_all:shop.root()" not in found(database_url)
        assert "definer_temporary_tables:shop.early(text)" not in found(database_url)
        # A schema that everybody writes into makes the path through it unsafe.
        execute(database_url, "grant create on schema shop to public")
        assert "definer_search_path:shop.safe()" in found(database_url)
        execute(database_url, "revoke create on schema shop from public")


def test_an_extension_with_an_update(database_url: str, news: News) -> None:
    execute(database_url, "create schema x; create extension pgstattuple schema x version '1.4'")
    given = found(database_url)["extension_update:pgstattuple"].found
    assert "is at 1.4" in given.evidence
    execute(database_url, given.fix)
    assert news() == set()


def test_the_version_by_what_is_known_of_it(database_url: str, server: TestServer) -> None:
    ((number,),) = execute(database_url, "select current_setting('server_version_num')::int")
    behind = number % 10000 < MAJORS[server.major].newest_minor
    assert ("minor_outdated:server" in found(database_url)) == behind


def test_password_encryption(database_url: str, news: News) -> None:
    ((name,),) = execute(database_url, "select current_database()")
    execute(database_url, f"alter database {name} set password_encryption = 'md5'")
    assert news() == {"password_encryption_md5:server"}


def test_a_server_that_others_reach(server: TestServer) -> None:
    """The settings that take a start, on a server of its own; its pg_hba.conf lets nobody from outside in."""
    options = {"listen_addresses": "*", "log_file_mode": "0644"}
    with running_server(server_programs(server.major), options=options) as reached:
        assert {
            each.id for each in found(reached.create_database()).values() if each.rule not in VERSION_RULES
        } == {
            "ssl_off:server",
            "log_connections_off:server",
            "log_file_mode:server",
            "listens_everywhere:server",
        } | ({"public_schema_create:public"} if server.major < 15 else set())


def test_lines_of_pg_hba(database_url: str, server: TestServer) -> None:
    lines = (
        "local all all trust",
        "host all all 127.0.0.1/32 scram-sha-256",
        "host shop,bank +staff 10.0.0.0/8 password",
        "hostssl all all 0.0.0.0/0 md5",
        "hostssl all all 10.1.0.0/16 trust  # never holds: the line before it covers it",
        f"host {ODD} all ::1/128 trust",
    )
    with hba_lines(server, *lines):
        given = {
            key: each.found.severity
            for key, each in found(database_url).items()
            if each.rule.startswith("hba_")
        }
    plain = ODD[1:-1].replace('""', '"')
    assert given == {
        "hba_trust:local all all trust": Severity.HIGH,
        f"hba_trust:host {plain} all ::1/128 trust": Severity.HIGH,
        "hba_password:host shop,bank +staff 10.0.0.0/8 password": Severity.HIGH,
        "hba_unencrypted:host shop,bank +staff 10.0.0.0/8 password": Severity.MEDIUM,
        "hba_md5:hostssl all all 0.0.0.0/0 md5": Severity.LOW,
        "hba_everywhere:hostssl all all 0.0.0.0/0 md5": Severity.MEDIUM,
    }


def test_no_secret_is_in_what_is_found(database_url: str, server: TestServer) -> None:
    secret, other = uuid.uuid4().hex, uuid.uuid4().hex
    lines = (
        f'host all all 10.0.0.0/8 radius radiusservers="127.0.0.1" radiussecrets="{secret}"',
        f"host all all 10.0.0.0/8 scram-sha-256 {other}=1",
    )
    with roles(database_url, "weak"), hba_lines(server, *lines):
        execute(database_url, f"set password_encryption = 'md5'; alter role weak login password '{secret}'")
        ((stored,),) = execute(database_url, "select rolpassword from pg_authid where rolname = 'weak'")
        with Postgres(database_url, "shop").session(autocommit=True) as session:
            facts = read_database_facts(session, is_embedded=False)
        judgement = judgement_of(database_url, is_embedded=False)
    assert {each.rule for each in judgement.findings} >= {
        "md5_password",
        "hba_unencrypted",
        "hba_broken_line",
    }
    for text in (repr(facts), repr(judgement)):
        assert secret not in text
        assert other not in text
        assert stored not in text


def test_the_least_rights_see_all_but_passwords_and_pg_hba(database_url: str, server: TestServer) -> None:
    observer = observer_of(database_url)
    execute(
        database_url,
        "create schema shop; create table shop.secrets (id int); grant insert on shop.secrets to public",
        FUNCTION.format("bare", "", "int", "sql", "", "select 1"),
    )
    with hba_lines(server, "local all all trust"):
        seen, unseen = found(observer, is_embedded=False), hidden(observer)
        assert {"public_table_write:shop.secrets", "definer_search_path:shop.bare()"} <= seen.keys()
        assert set(unseen) == {
            "md5_password", "hba_trust", "hba_password", "hba_md5", "hba_everywhere", "hba_unencrypted", "hba_broken_line",
        }  # fmt: skip
        assert unseen["hba_trust"] == "herald_observe may not read pg_hba_file_rules"
        assert not any(key.startswith(("hba_", "md5_", "observer_")) for key in seen)

        execute(
            database_url,
            "grant select on pg_hba_file_rules to herald_observe",
            "grant execute on function pg_hba_file_rules() to herald_observe",
        )
        assert set(hidden(observer)) == {"md5_password"}
        assert "hba_trust:local all all trust" in found(observer)
    execute(database_url, "grant select (rolname, rolpassword) on pg_authid to herald_observe")
    try:
        assert hidden(observer) == {}
    finally:
        execute(database_url, "revoke select (rolname, rolpassword) on pg_authid from herald_observe")


def test_a_catalog_that_was_closed_hides_its_rules_and_no_others(database_url: str) -> None:
    observer = observer_of(database_url)
    execute(database_url, "revoke select on pg_proc from public")
    unseen = hidden(observer)
    assert {"definer_search_path", "definer_temporary_tables", "definer_for_all"} <= unseen.keys()
    assert "permission denied" in unseen["definer_for_all"]
    assert "superuser_role" not in unseen


def test_our_own_roles_are_found_for_their_expiry_alone(database_url: str) -> None:
    def of_ours() -> set[str]:
        return {key for key in found(database_url) if "herald_" in key}

    execute(database_url, "create schema bank; create table bank.t (id int)")
    for _ in range(2):
        for name in ("observe", "maintain", "backup", "restore"):
            execute(database_url, (sql_root() / "roles" / f"{name}.sql").read_text())
    names = ("herald_observe", "herald_maintain", "herald_backup", "herald_restore")
    execute(database_url, *(f"alter role {name} password 'a' valid until 'infinity'" for name in names))
    assert of_ours() == {f"role_without_expiry:{name}" for name in names}
    execute(database_url, *(f"alter role {name} valid until '2099-01-01'" for name in names))
    assert of_ours() == set()
    execute(database_url, *(f"alter role {name} valid until 'infinity'" for name in names))
