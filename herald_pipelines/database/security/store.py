"""What the target tells about its security. Reads only; a question that is refused is unreadable, the others go on.

Not here: judging (the rules), the host's files (hosts.py).
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from herald_pipelines.database.security.facts import (
    DatabaseFacts,
    DefaultGrant,
    DefinerFunction,
    ExtensionFacts,
    HbaRule,
    Observer,
    PasswordFacts,
    PublicGrant,
    RoleFacts,
)
from herald_pipelines.database.security.findings import Unreadable
from herald_pipelines.database.security.rules_server import SETTINGS
from herald_pipelines.errors import DatabaseUnavailable, HeraldError
from herald_pipelines.resources.postgres import Row, Session

Fact = TypeVar("Fact")


def read_database_facts(session: Session, *, is_embedded: bool) -> DatabaseFacts:
    """Read what the rules on a database and its server ask for.

    Args:
        session: in autocommit, so that a question that is refused leaves the others alone.
        is_embedded: whether it is a database of the embedded server.

    Raises:
        DatabaseUnavailable: the server went away.
        HeraldError: not even who reads could be asked.
    """
    sight = session.fetch_one("security/read_sight")
    return DatabaseFacts(
        server_version=session.connection.server_version,
        observer=Observer(sight["name"], sight["is_superuser"], is_embedded),
        roles=_read(session, "security/list_roles", lambda row: RoleFacts(**_frozen(row))),
        passwords=_passwords(session)
        if sight["sees_passwords"]
        else Unreadable(f"{sight['name']} may not read pg_authid"),
        open_schemas=_read(session, "security/list_open_schemas", lambda row: str(row["name"])),
        open_databases=_read(session, "security/list_open_databases", lambda row: str(row["name"])),
        public_grants=_read(session, "security/list_public_grants", lambda row: PublicGrant(**_frozen(row))),
        default_grants=_read(
            session, "security/list_default_grants", lambda row: DefaultGrant(**_frozen(row))
        ),
        definers=_read(session, "security/list_definers", lambda row: DefinerFunction(**row)),
        extensions=_read(session, "security/list_extension_updates", lambda row: ExtensionFacts(**row)),
        settings=_settings(session),
        hba=_read(session, "security/list_hba_rules", _hba_rule)
        if sight["sees_hba"]
        else Unreadable(f"{sight['name']} may not read pg_hba_file_rules"),
    )


def _read(
    session: Session, query: str, make: Callable[[Row], Fact], **parameters: object
) -> tuple[Fact, ...] | Unreadable:
    try:
        return tuple(make(row) for row in session.fetch(query, **parameters))
    except DatabaseUnavailable:
        raise
    except HeraldError as error:
        return Unreadable(error.message)


def _passwords(session: Session) -> PasswordFacts | Unreadable:
    rows = _read(session, "security/list_passwords", lambda row: (str(row["name"]), bool(row["is_md5"])))
    return rows if isinstance(rows, Unreadable) else PasswordFacts(dict(rows))


def _settings(session: Session) -> dict[str, str] | Unreadable:
    rows = _read(
        session,
        "security/list_settings",
        lambda row: (str(row["name"]), str(row["setting"])),
        names=list(SETTINGS),
    )
    return rows if isinstance(rows, Unreadable) else dict(rows)


def _hba_rule(row: Row) -> HbaRule:
    # Of a line that it cannot read, the server tells nothing else.
    return HbaRule(
        line=row["line"],
        file=row["file"],
        type=row["type"] or "",
        databases=tuple(row["databases"] or ()),
        users=tuple(row["users"] or ()),
        address=row["address"],
        netmask=row["netmask"],
        method=row["method"] or "",
        is_broken=row["is_broken"],
    )


def _frozen(row: Row) -> dict[str, Any]:
    """Return a row whose lists are tuples."""
    return {
        name: tuple(cast("list[str]", value)) if isinstance(value, list) else value
        for name, value in row.items()
    }
