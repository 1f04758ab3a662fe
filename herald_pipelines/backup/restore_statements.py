"""What a dump leaves out of its database, as statements: roles, CREATE DATABASE, settings, rights. Pure.

Roles that are there are left as they are. Not here: running them (restore_database.py).
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from herald_pipelines.backup.facts import DatabaseFacts
from herald_pipelines.backup.restore_refusals import ServerFacts
from herald_pipelines.values import quote_identifier

FIRST_WITH_PROVIDERS, FIRST_WITH_RULES, FIRST_WITH_GRANT_OPTIONS, FIRST_WITH_BUILTIN = 15, 16, 16, 17
LISTS_OF_NAMES = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
"""Settings whose value is a list of quoted names (GUC_LIST_QUOTE in guc_tables.c): each is said apart."""
# Attributes that only a superuser may give, and before 16 only a superuser; later only who has them.
_SUPERUSER_ATTRIBUTES = {
    "rolsuper": "SUPERUSER",
    "rolreplication": "REPLICATION",
    "rolbypassrls": "BYPASSRLS",
}
_ATTRIBUTES = {
    "rolcreatedb": ("CREATEDB", "NOCREATEDB"),
    "rolcreaterole": ("CREATEROLE", "NOCREATEROLE"),
    "rolcanlogin": ("LOGIN", "NOLOGIN"),
    "rolinherit": ("INHERIT", "NOINHERIT"),
}
_ACL_ITEM = re.compile(r'("(?:[^"]|"")*"|[^=]*)=([A-Za-z*]*)/.*', re.DOTALL)
_DATABASE_RIGHTS = {"C": "CREATE", "T": "TEMPORARY", "c": "CONNECT"}
_LIST_ITEM = re.compile(r'\s*("(?:[^"]|"")*"|[^,]*)\s*(,|$)')


@dataclass(frozen=True)
class Statement:
    """One statement; the driver reads % in it where it has parameters."""

    sql: str
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    about: str = ""
    """For a note: "the setting work_mem"."""


@dataclass(frozen=True)
class Globals:
    """The part of a backup that holds what belongs to the whole server."""

    roles: tuple[Mapping[str, Any], ...]
    has_passwords: bool
    memberships: tuple[Mapping[str, Any], ...]
    settings: tuple[Mapping[str, Any], ...]
    tablespaces: tuple[Mapping[str, Any], ...]


NO_GLOBALS = Globals(roles=(), has_passwords=False, memberships=(), settings=(), tablespaces=())


def role_statements(
    content: Globals, new_roles: Collection[str], server: ServerFacts
) -> tuple[tuple[Statement, ...], tuple[str, ...]]:
    """Return how the missing roles are made, and notes on what they do not get.

    Args:
        content: of the backup.
        new_roles: which of its roles are missing on the server.
        server: where they are made, and by whom.
    """
    statements: list[Statement] = []
    notes: list[str] = []
    by_name = {each["name"]: each for each in content.roles}
    made = [name for name in by_name if name in new_roles]
    for name in made:
        statements += _create_role(by_name[name], server, notes)
    for row in content.memberships:
        group, member = row["role"], row["member"]
        if member not in made:
            if group in made:
                notes.append(f"{member} was there already, and is not made a member of the new role {group}")
        elif group not in made and group not in server.roles:
            notes.append(f"{member} is not made a member of {group}, which is missing")
        else:
            statements.append(_grant_role(row, server))
    statements += [
        Statement(
            f"alter role {quote_identifier(row['role'])} set {_setting(row['setting'])}",
            about=f"the setting {row['setting'].partition('=')[0]} of role {row['role']}",
        )
        for row in content.settings
        if row["role"] in made
    ]
    if made and not content.has_passwords:
        notes.append("the new roles have no passwords: the backup's role could not read them")
    return tuple(statements), tuple(notes)


def _create_role(row: Mapping[str, Any], server: ServerFacts, notes: list[str]) -> Iterator[Statement]:
    name = _escaped(row["name"])
    words = [yes if row[key] else no for key, (yes, no) in _ATTRIBUTES.items()]
    wanted = [word for key, word in _SUPERUSER_ATTRIBUTES.items() if row[key]]
    if server.is_superuser:
        words += wanted
    elif wanted:
        notes.append(f"role {row['name']} is made without {', '.join(wanted)}: it takes a superuser")
    if row["rolconnlimit"] >= 0:
        words.append(f"CONNECTION LIMIT {int(row['rolconnlimit'])}")
    # Made without its password, so that no error can quote the statement that holds it.
    yield Statement(f"create role {quote_identifier(row['name'])} {' '.join(words)}")
    if row["valid_until"] is not None:
        yield Statement(f"alter role {name} valid until %(until)s", {"until": row["valid_until"]})
    if row["password"] is not None:
        yield Statement(f"alter role {name} password %(password)s", {"password": row["password"]})
    if row["comment"] is not None:
        yield Statement(f"comment on role {name} is %(text)s", {"text": row["comment"]})
    if not server.is_superuser:
        # To give it what is restored; whoever may create roles may do so.
        yield Statement(f"grant {quote_identifier(row['name'])} to {quote_identifier(server.role)}")


def _grant_role(row: Mapping[str, Any], server: ServerFacts) -> Statement:
    options = ["ADMIN OPTION"] if row["admin_option"] else []
    if server.major >= FIRST_WITH_GRANT_OPTIONS and row.get("inherit_option") is not None:
        options = [
            f"ADMIN {'TRUE' if row['admin_option'] else 'FALSE'}",
            f"INHERIT {'TRUE' if row['inherit_option'] else 'FALSE'}",
            f"SET {'TRUE' if row['set_option'] else 'FALSE'}",
        ]
    sql = f"grant {quote_identifier(row['role'])} to {quote_identifier(row['member'])}"
    return Statement(
        sql + (f" with {', '.join(options)}" if options else ""),
        about=f"the membership of {row['member']} in {row['role']}",
    )


def create_database(name: str, facts: DatabaseFacts, major: int) -> Statement:
    """Return how a database is made that has the form of the one that was backed up.

    Args:
        name: of the new database.
        facts: of the old one.
        major: version of the server.
    """
    words = ["template template0", "encoding %(encoding)s"]
    parameters: dict[str, Any] = {"encoding": facts.encoding}
    options: dict[str, str | None] = {"lc_collate": facts.collate, "lc_ctype": facts.ctype}
    if major >= FIRST_WITH_PROVIDERS:
        provider = {"i": "icu", "b": "builtin"}.get(facts.locale_provider, "libc")
        words.append(f"locale_provider {provider}")
        if provider == "icu":
            options["icu_locale"] = facts.locale
            options["icu_rules"] = facts.icu_rules if major >= FIRST_WITH_RULES else None
        elif provider == "builtin" and major >= FIRST_WITH_BUILTIN:
            options["builtin_locale"] = facts.locale
    for option, value in options.items():
        if value is not None:
            words.append(f"{option} %({option})s")
            parameters[option] = value
    return Statement(f"create database {_escaped(name)} {' '.join(words)}", parameters)


def setting_statements(name: str, facts: DatabaseFacts) -> tuple[Statement, ...]:
    """Return the settings of a database and of roles in it, as ALTER DATABASE and ALTER ROLE ... IN DATABASE."""
    database = quote_identifier(name)
    return tuple(
        Statement(
            (f"alter role {quote_identifier(role)} in" if role is not None else "alter")
            + f" database {database} set {_setting(setting)}",
            about=f"the setting {setting.partition('=')[0]}" + ("" if role is None else f" of role {role}"),
        )
        for role, setting in facts.settings
    )


def right_statements(name: str, facts: DatabaseFacts) -> tuple[Statement, ...]:
    """Return who may connect to a database and create in it; none where that is as by default."""
    if facts.acl is None:
        return ()
    database = quote_identifier(name)
    found = [
        Statement(f"revoke all on database {database} from public"),
        Statement(f"revoke all on database {database} from {quote_identifier(facts.owner)}"),
    ]
    for item in facts.acl:
        match = _ACL_ITEM.fullmatch(item)
        if match is None:
            continue
        grantee = match[1][1:-1].replace('""', '"') if match[1].startswith('"') else match[1]
        for letter, star in re.findall(r"([A-Za-z])(\*?)", match[2]):
            right = _DATABASE_RIGHTS.get(letter)
            if right is None:
                continue
            found.append(
                Statement(
                    f"grant {right} on database {database} to"
                    f" {quote_identifier(grantee) if grantee else 'public'}"
                    + (" with grant option" if star else ""),
                    about=f"the right {right} of {grantee or 'public'}",
                )
            )
    return tuple(found)


def finish_statements(name: str, facts: DatabaseFacts) -> tuple[str, ...]:
    """Return what a database gets last, within the swap: limits that would have kept us out of it."""
    database = quote_identifier(name)
    found: list[str] = []
    if facts.connection_limit >= 0:
        found.append(f"alter database {database} connection limit {facts.connection_limit}")
    if facts.is_template:
        found.append(f"alter database {database} is_template true")
    return tuple(found)


def _setting(setting: str) -> str:
    """Return `name to value` of a stored `name=value`.

    >>> _setting("work_mem=64MB"), _setting('search_path="$user", public')
    ("work_mem to '64MB'", "search_path to '$user', 'public'")
    """
    name, _, value = setting.partition("=")
    # A prefix of one's own stays a prefix: app.tenant.
    quoted = name if re.fullmatch(r"[a-z_]+", name) else quote_identifier(*name.split("."))
    values = _split_names(value) if name.lower() in LISTS_OF_NAMES else [value]
    return f"{quoted} to {', '.join(map(_literal, values))}"


def _split_names(value: str) -> list[str]:
    """Split a list of names as it is stored.

    >>> _split_names('a, "B, c", "d""e"'), _split_names("")
    (['a', 'B, c', 'd"e'], [''])
    """
    found: list[str] = []
    for match in _LIST_ITEM.finditer(value):
        item = match[1].strip()
        found.append(item[1:-1].replace('""', '"') if item.startswith('"') else item)
        if not match[2]:
            break
    return found


def _escaped(name: str) -> str:
    """Quote an identifier for a statement with parameters, where the driver reads %."""
    return quote_identifier(name).replace("%", "%%")


def _literal(text: str) -> str:
    """Quote a value; standard_conforming_strings is on in our sessions."""
    return "'" + text.replace("'", "''") + "'"
