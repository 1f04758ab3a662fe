"""What a dump leaves out, as statements: for each server and role what it takes, and never more."""

from dataclasses import replace
from typing import Any

import pytest
from test_restore_plan import FACTS, SERVER

from herald_pipelines.backup.restore_statements import (
    Globals,
    create_database,
    finish_statements,
    right_statements,
    role_statements,
    setting_statements,
)

SUPER = replace(SERVER, is_superuser=True, roles={})


def role(name: str, **changes: Any) -> dict[str, Any]:
    """Return a role as the globals have it."""
    flags = ("rolsuper", "rolcreaterole", "rolcreatedb", "rolcanlogin", "rolreplication", "rolbypassrls")
    row: dict[str, Any] = dict.fromkeys(flags, False)
    row |= {"name": name, "rolinherit": True, "rolconnlimit": -1}
    return row | {"valid_until": None, "password": None, "comment": None} | changes


def content(**changes: Any) -> Globals:
    """Return globals."""
    made: dict[str, Any] = dict.fromkeys(("roles", "memberships", "settings", "tablespaces"), ())
    return Globals(**({**made, "has_passwords": True} | changes))


def test_only_missing_roles_are_made_and_nothing_of_the_others_changes() -> None:
    found, notes = role_statements(
        content(
            roles=(role("new"), role("there")),
            memberships=(
                {
                    "role": "there",
                    "member": "new",
                    "admin_option": False,
                    "inherit_option": True,
                    "set_option": False,
                },
                {
                    "role": "new",
                    "member": "there",
                    "admin_option": True,
                    "inherit_option": None,
                    "set_option": None,
                },
            ),
            settings=({"role": "there", "setting": "jit=off"}, {"role": "new", "setting": "jit=on"}),
        ),
        ("new",),
        replace(SUPER, roles={"there": True}),
    )

    assert [each.sql for each in found] == [
        'create role "new" NOCREATEDB NOCREATEROLE NOLOGIN INHERIT',
        'grant "there" to "new" with ADMIN FALSE, INHERIT TRUE, SET FALSE',
        "alter role \"new\" set jit to 'on'",
    ]
    assert notes == ("there was there already, and is not made a member of the new role new",)


def test_a_password_is_never_in_a_statement() -> None:
    found, _ = role_statements(content(roles=(role("a%", password="SCRAM$x"),)), ("a%",), SUPER)

    assert not [each for each in found if "SCRAM" in each.sql or "SCRAM" in repr(each)]
    assert found[-1].sql % {"password": "'?'"} == "alter role \"a%\" password '?'"


def test_only_a_superuser_makes_superusers() -> None:
    roles = (role("boss", rolsuper=True, rolbypassrls=True),)

    by_superuser, _ = role_statements(content(roles=roles), ("boss",), SUPER)
    by_other, notes = role_statements(content(roles=roles), ("boss",), SERVER)

    assert "SUPERUSER BYPASSRLS" in by_superuser[0].sql
    assert "SUPERUSER" not in by_other[0].sql
    assert by_other[1].sql == 'grant "boss" to "restorer"'
    assert notes == ("role boss is made without SUPERUSER, BYPASSRLS: it takes a superuser",)


@pytest.mark.parametrize(
    ("provider", "major", "expected"),
    [
        ("c", 14, "encoding %(encoding)s lc_collate %(lc_collate)s lc_ctype %(lc_ctype)s"),
        ("c", 15, "locale_provider libc lc_collate %(lc_collate)s lc_ctype %(lc_ctype)s"),
        ("i", 15, "lc_ctype %(lc_ctype)s icu_locale %(icu_locale)s"),
        ("i", 16, "icu_locale %(icu_locale)s icu_rules %(icu_rules)s"),
        ("b", 17, "locale_provider builtin lc_collate %(lc_collate)s lc_ctype %(lc_ctype)s builtin_locale"),
    ],
)
def test_a_database_is_made_in_the_words_of_its_server(provider: str, major: int, expected: str) -> None:
    facts = FACTS.model_copy(update={"locale_provider": provider, "locale": "de", "icu_rules": "&a < g"})

    assert expected in create_database("a%b", facts, major).sql
    assert 'create database "a%%b" template template0' in create_database("a%b", facts, major).sql


def test_settings_keep_lists_and_prefixes() -> None:
    facts = FACTS.model_copy(
        update={
            "settings": (
                (None, 'search_path="$user", "odd, ""x""", public'),
                ("app", "my.Tenant=it's"),
                (None, "session_preload_libraries="),
            )
        }
    )

    assert [each.sql for each in setting_statements("d", facts)] == [
        "alter database \"d\" set search_path to '$user', 'odd, \"x\"', 'public'",
        'alter role "app" in database "d" set "my"."Tenant" to \'it\'\'s\'',
        "alter database \"d\" set session_preload_libraries to ''",
    ]


def test_rights_are_those_of_the_list() -> None:
    acl = ("=c/owner", "owner=CTc/owner", '"odd ""x"" r"=C*c/owner')
    found = [each.sql for each in right_statements("d", FACTS.model_copy(update={"acl": acl}))]

    assert found[0] == 'revoke all on database "d" from public'
    assert 'grant CONNECT on database "d" to public' in found
    assert 'grant CREATE on database "d" to "odd ""x"" r" with grant option' in found
    assert 'grant TEMPORARY on database "d" to public' not in found
    assert right_statements("d", FACTS) == ()


def test_limits_come_last() -> None:
    facts = FACTS.model_copy(update={"connection_limit": 0, "is_template": True})

    assert finish_statements("d", facts) == (
        'alter database "d" connection limit 0',
        'alter database "d" is_template true',
    )
