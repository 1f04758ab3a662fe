"""Rules on roles, functions, versions and settings: what is found, and what is left alone."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from sound import APP, BOOTSTRAP, NOW, SERVER, SETTINGS, found, hidden

from herald_pipelines.database.security.facts import DefinerFunction, PasswordFacts, PublicGrant
from herald_pipelines.database.security.findings import Severity, Unreadable
from herald_pipelines.database.security.releases import KNOWN_ON, MAJORS, NEXT_ON
from herald_pipelines.resources.postgres import NEWEST_MAJOR, OLDEST_MAJOR


def definer(search_path: str | None) -> DefinerFunction:
    return DefinerFunction(
        name="shop.f()",
        owner="shop_owner",
        owner_is_superuser=False,
        search_path=search_path,
        is_public=True,
        is_trigger=False,
        extension=None,
    )


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), tzinfo=UTC)


def test_a_sound_server_has_no_finding_and_nothing_hidden() -> None:
    assert found(SERVER) == {}
    assert hidden(SERVER) == {}


@pytest.mark.parametrize(
    ("change", "finding", "severity"),
    [
        ({"is_superuser": True}, "superuser_role:app", Severity.HIGH),
        ({"is_superuser": True, "can_login": False}, "superuser_role:app", Severity.MEDIUM),
        ({"superusers": ("postgres",)}, "superuser_member:app", Severity.HIGH),
        ({"bypasses_rls": True}, "bypassrls_role:app", Severity.MEDIUM),
        ({"creates_roles": True}, "createrole_role:app", Severity.MEDIUM),
        ({"replicates": True}, "replication_role:app", Severity.MEDIUM),
        ({"server_access": ("pg_read_server_files",)}, "server_access_role:app", Severity.HIGH),
        ({"never_expires": True}, "role_without_expiry:app", Severity.LOW),
    ],
)
def test_rights_of_a_role(change: dict[str, object], finding: str, severity: Severity) -> None:
    given = found(replace(SERVER, roles=(BOOTSTRAP, replace(APP, **change))))
    assert {key: each.found.severity for key, each in given.items()} == {finding: severity}


def test_createrole_reaches_further_before_16() -> None:
    roles = (replace(APP, creates_roles=True),)
    given = found(replace(SERVER, server_version=150019, roles=roles))
    assert given["createrole_role:app"].found.severity is Severity.HIGH


def test_only_what_has_a_password_needs_an_expiry_where_passwords_are_visible() -> None:
    endless = replace(APP, never_expires=True)
    assert found(replace(SERVER, roles=(endless,), passwords=PasswordFacts({}))) == {}
    unseen = replace(SERVER, roles=(endless,), passwords=Unreadable("no"))
    assert "if it has one" in found(unseen)["role_without_expiry:app"].found.evidence
    assert hidden(unseen) == {"md5_password": "no"}


def test_a_stored_md5_is_found() -> None:
    given = found(replace(SERVER, passwords=PasswordFacts({"postgres": False, "app": True})))
    assert list(given) == ["md5_password:app"]


def test_the_embedded_server_may_be_read_by_its_only_role() -> None:
    observer = replace(SERVER.observer, is_superuser=True)
    assert list(found(replace(SERVER, observer=observer))) == ["observer_is_superuser:herald_observe"]
    assert found(replace(SERVER, observer=replace(observer, is_embedded=True))) == {}


def test_grants_to_all_weigh_less_where_the_schema_is_closed() -> None:
    grant = PublicGrant("shop.orders", "table", ("INSERT", "SELECT", "TRIGGER"), is_reachable=True)
    given = found(replace(SERVER, public_grants=(grant,)))
    assert {key: each.found.severity for key, each in given.items()} == {
        "public_table_write:shop.orders": Severity.HIGH,
        "public_table_read:shop.orders": Severity.MEDIUM,
    }
    assert "has INSERT on" in given["public_table_write:shop.orders"].found.evidence
    closed = found(replace(SERVER, public_grants=(replace(grant, is_reachable=False),)))
    assert [each.found.severity for each in closed.values()] == [Severity.MEDIUM, Severity.LOW]
    harmless = replace(grant, privileges=("REFERENCES", "TRIGGER", "USAGE"))
    assert found(replace(SERVER, public_grants=(harmless,))) == {}


UNSAFE, TEMPORARY, FOR_ALL = "definer_search_path", "definer_temporary_tables", "definer_for_all"


@pytest.mark.parametrize(
    ("search_path", "rules"),
    [
        (None, {UNSAFE}),
        ("shop, pg_temp", set()),
        ('""', set()),
        ("shop", {TEMPORARY}),
        ("pg_temp, shop", {TEMPORARY}),
        ("pg_temp, shop, pg_temp", {TEMPORARY}),
        ("pg_temp", set()),
        ("public, pg_temp", {UNSAFE}),
        ('"Open, to ""all""", pg_temp', {UNSAFE}),
        ('"$user", shop, pg_temp', {UNSAFE}),
        ("pg_catalog, pg_temp", set()),
    ],
)
def test_search_paths_of_definers(search_path: str | None, rules: set[str]) -> None:
    function = definer(search_path)
    facts = replace(SERVER, definers=(function,), open_schemas=("public", '"Open, to ""all"""'))
    opened = {"public_schema_create:public", 'public_schema_create:"Open, to ""all"""'}
    assert set(found(facts)) - opened == {f"{rule}:shop.f()" for rule in rules}


@pytest.mark.parametrize("search_path", ["shop", "pg_temp, shop", "pg_temp, shop, pg_temp"])
def test_what_mends_a_path_puts_temporary_tables_last(search_path: str) -> None:
    fix = found(replace(SERVER, definers=(definer(search_path),)))[f"{TEMPORARY}:shop.f()"].found.fix
    assert fix == "alter routine shop.f() set search_path = shop, pg_temp"


def test_a_superusers_function_for_all_is_worse() -> None:
    function = replace(definer(None), owner="postgres", owner_is_superuser=True)
    given = found(replace(SERVER, definers=(function,)))
    assert {key: each.found.severity for key, each in given.items()} == {
        f"{UNSAFE}:shop.f()": Severity.HIGH,
        f"{FOR_ALL}:shop.f()": Severity.MEDIUM,
    }
    for change in ({"is_public": False}, {"is_trigger": True}, {"extension": "x"}):
        assert set(found(replace(SERVER, definers=(replace(function, **change),)))) == {f"{UNSAFE}:shop.f()"}


def test_paths_cannot_all_be_judged_where_open_schemas_are_not_known() -> None:
    function = definer("public, pg_temp")
    facts = replace(SERVER, definers=(function,), open_schemas=Unreadable("permission denied"))
    assert found(facts) == {}
    assert UNSAFE in hidden(facts)


@pytest.mark.parametrize("major", MAJORS)
def test_a_minor_release_behind_is_found_and_the_newest_is_not(major: int) -> None:
    newest = major * 10000 + MAJORS[major].newest_minor
    assert "minor_outdated:server" not in found(replace(SERVER, server_version=newest))
    behind = found(replace(SERVER, server_version=newest - 1))["minor_outdated:server"]
    assert behind.found.severity is Severity.HIGH
    assert str(KNOWN_ON) in behind.found.evidence


def test_a_stale_list_calls_no_server_up_to_date() -> None:
    before, after = noon(NEXT_ON - timedelta(days=1)), noon(NEXT_ON)
    assert hidden(SERVER, before) == {}
    assert str(KNOWN_ON) in hidden(SERVER, after)["minor_outdated"]
    newer = replace(SERVER, server_version=SERVER.server_version + 1)
    assert "minor_outdated:server" not in found(newer, before)
    assert found(newer, after) == {}
    assert "minor_outdated" in hidden(newer, after)
    older = replace(SERVER, server_version=SERVER.server_version - 1)
    assert str(NEXT_ON) in found(older, after)["minor_outdated:server"].found.evidence


def test_the_list_has_every_supported_major_and_ends_after_it_begins() -> None:
    assert set(MAJORS) == set(range(OLDEST_MAJOR, NEWEST_MAJOR + 1))
    assert KNOWN_ON < NEXT_ON <= KNOWN_ON + timedelta(days=92)
    assert "minor_outdated" in hidden(replace(SERVER, server_version=190001))


def test_support_ends_with_a_notice() -> None:
    facts = replace(SERVER, server_version=150019)
    ends = MAJORS[15].support_ends
    key = "major_end_of_life:server"
    assert key not in found(facts, noon(ends - timedelta(days=200)))
    assert found(facts, noon(ends - timedelta(days=30)))[key].found.severity is Severity.LOW
    assert found(facts, noon(ends))[key].found.severity is Severity.HIGH


@pytest.mark.parametrize(
    ("change", "findings"),
    [
        ({"ssl": "off"}, {"ssl_off"}),
        ({"ssl": "off", "log_connections": "off", "listen_addresses": "localhost,127.0.0.2"}, set()),
        ({"ssl_min_protocol_version": "TLSv1.1"}, {"ssl_old_protocol"}),
        ({"log_connections": "off"}, {"log_connections_off"}),
        ({"log_connections": ""}, {"log_connections_off"}),  # 18
        ({"log_connections": "receipt"}, set()),
        ({"log_file_mode": "0644"}, {"log_file_mode"}),
        ({"log_file_mode": "0640"}, set()),
        ({"log_file_mode": "0644", "logging_collector": "off"}, set()),
        ({"password_encryption": "md5"}, {"password_encryption_md5"}),
        ({"listen_addresses": "*"}, {"listens_everywhere"}),
        ({"listen_addresses": "127.0.0.1, ::"}, {"listens_everywhere"}),
    ],
)
def test_settings(change: dict[str, str], findings: set[str]) -> None:
    assert set(found(replace(SERVER, settings={**SETTINGS, **change}))) == {
        f"{each}:server" for each in findings
    }


def test_a_setting_that_is_not_shown_is_not_well() -> None:
    settings = {name: value for name, value in SETTINGS.items() if name != "listen_addresses"}
    assert set(hidden(replace(SERVER, settings=settings))) == {
        "ssl_off",
        "log_connections_off",
        "listens_everywhere",
    }


def test_what_could_not_be_read_hides_all_its_rules() -> None:
    unread = Unreadable("permission denied for view pg_roles")
    assert len(hidden(replace(SERVER, roles=unread))) == 7
    assert NOW.date() == KNOWN_ON
