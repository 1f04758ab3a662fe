"""What can stand against the restore of a database, each with what to do about it. Pure.

Not here: what the restore does when nothing does (restore_plan.py), reading the facts (restore_facts.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from herald_pipelines.backup.facts import DatabaseFacts, Manifest
from herald_pipelines.values import format_bytes, quote_identifier

SHOWN = 5
"""Names that a sentence lists."""


@dataclass(frozen=True)
class SessionFacts:
    """Somebody's connection to a database."""

    pid: int
    role: str
    application: str
    is_superuser: bool
    may_end: bool
    """Whether the role of the restore may end it."""


@dataclass(frozen=True)
class Occupant:
    """The database that has the name now."""

    oid: int
    name: str
    owner: str
    may_own: bool
    """Whether the role of the restore may act as its owner."""
    allows_connections: bool
    is_template: bool
    comment: str | None
    prepared: tuple[str, ...]
    """Prepared transactions in it."""
    slots: tuple[str, ...]
    """Logical replication slots of it."""
    subscriptions: tuple[str, ...]
    """Enabled ones in it."""
    sessions: tuple[SessionFacts, ...]


@dataclass(frozen=True)
class ServerFacts:
    """The server that is restored to, as the role of the restore sees it."""

    server_version: int
    system_identifier: str
    is_standby: bool
    role: str
    is_superuser: bool
    may_create_databases: bool
    may_create_roles: bool
    roles: Mapping[str, bool]
    """Those that are there, and whether the role of the restore may act as each."""
    tablespaces: frozenset[str]
    extensions: Mapping[str, bool]
    """Those that can be created, and whether it takes a superuser."""
    databases: frozenset[str]
    occupant: Occupant | None
    free_bytes: int | None
    """Where the server keeps its data; None where it cannot be known."""

    @property
    def major(self) -> int:
        """Major version."""
        return self.server_version // 10000


@dataclass(frozen=True)
class Selection:
    """Parts of a database: whole schemas, and tables as (schema, name). Nothing: all of it."""

    schemas: tuple[str, ...] = ()
    tables: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.schemas or self.tables)

    def takes(self, schema: str, table: str) -> bool:
        """Whether a table is in it."""
        return schema in self.schemas or (schema, table) in self.tables


@dataclass(frozen=True)
class Refusal:
    """Why a restore cannot be, and what would let it."""

    reason: str
    hint: str


@dataclass(frozen=True)
class Request:
    """What is asked for, and what is known of this side."""

    manifest: Manifest
    name: str
    selection: Selection
    source: str
    server: str
    missing_parts: tuple[str, ...]
    problems: tuple[Refusal, ...]
    """Found on this side: no key, no programs."""
    tablespaces: tuple[str, ...]
    """Of the server that was backed up."""
    free_work_bytes: int
    work_folder: str
    expected_seconds: float | None = None


def against_swap(occupant: Occupant) -> tuple[Refusal, ...]:
    """Return what stands against renaming a database, as far as everybody can see it."""
    return tuple(
        Refusal(f"database {occupant.name!r} has {what} {shown(names)}", hint)
        for names, what, hint in (
            (
                occupant.prepared,
                "the prepared transactions",
                "end them: COMMIT PREPARED or ROLLBACK PREPARED",
            ),
            (
                occupant.slots,
                "the logical replication slots",
                "drop them (pg_drop_replication_slot) and let their consumers begin anew after the restore",
            ),
            (
                occupant.subscriptions,
                "the enabled subscriptions",
                "ALTER SUBSCRIPTION ... DISABLE, in that database",
            ),
        )
        if names
    )


def against_sessions(occupant: Occupant, role: str) -> tuple[Refusal, ...]:
    """Return who is connected to a database and cannot be sent away by a role."""
    stuck = [each for each in occupant.sessions if not each.may_end]
    if not stuck:
        return ()
    named = shown(
        tuple(
            f"pid {each.pid} of {each.role}"
            + (f" ({each.application})" if each.application else "")
            + (", a superuser" if each.is_superuser else "")
            for each in stuck
        )
    )
    return (
        Refusal(
            f"role {role} may not end the sessions in {occupant.name!r}: {named}",
            "end them, restore as a superuser, or grant pg_signal_backend (which does not reach superusers)",
        ),
    )


def shown(names: tuple[str, ...]) -> str:
    """Return some names for a sentence.

    >>> shown(("a", "b")), shown(("a",) * 7)
    ('a, b', 'a, a, a, a, a and 2 more')
    """
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def against_backup(request: Request) -> list[Refusal]:
    """Return what is wrong with the backup itself."""
    found: list[Refusal] = []
    if request.missing_parts:
        found.append(
            Refusal(
                f"the backup is broken: {shown(request.missing_parts)} is missing in the store or of another size",
                "restore another: `herald backup list`",
            )
        )
    return found


def against_server(facts: DatabaseFacts, server: ServerFacts, new_roles: tuple[str, ...]) -> list[Refusal]:
    """Return what the server, or the role on it, does not offer."""
    found: list[Refusal] = []
    source_major = facts.server_version // 10000
    if server.is_standby:
        found.append(
            Refusal("the server is a standby", "let the url of the capability restore lead to the primary")
        )
    if server.major < source_major:
        found.append(
            Refusal(
                f"the server runs PostgreSQL {server.major}, older than the {source_major} of the dump",
                f"restore to PostgreSQL {source_major} or newer",
            )
        )
    if not server.may_create_databases:
        found.append(
            Refusal(
                f"role {server.role} may not create databases",
                f"alter role {quote_identifier(server.role)} createdb (sql/roles/restore.sql)",
            )
        )
    if new_roles and not server.may_create_roles:
        found.append(
            Refusal(
                f"role {server.role} may not create the roles that are missing: {shown(new_roles)}",
                "create them, restore as a superuser, or grant createrole",
            )
        )
    if not server.is_superuser and facts.owner not in new_roles and not server.roles.get(facts.owner, False):
        found.append(_may_not_act(server, (facts.owner,)))
    missing = tuple(name for name, _ in facts.extensions if name not in server.extensions)
    if missing:
        found.append(
            Refusal(
                f"the server does not offer the extensions {shown(missing)}", "install their packages there"
            )
        )
    if not server.is_superuser and (
        untrusted := tuple(name for name, _ in facts.extensions if server.extensions.get(name))
    ):
        found.append(
            Refusal(
                f"the extensions {shown(untrusted)} take a superuser to create",
                "let the url of the capability restore name a superuser",
            )
        )
    return found


def _may_not_act(server: ServerFacts, roles: tuple[str, ...]) -> Refusal:
    return Refusal(
        f"role {server.role} may not act as {shown(roles)}, to whom restored objects belong",
        f"grant {', '.join(map(quote_identifier, roles[:SHOWN]))} to {quote_identifier(server.role)},"
        " or restore as a superuser",
    )


def against_owners(owners: frozenset[str], server: ServerFacts) -> tuple[Refusal, ...]:
    """Return which owners of restored objects the role of the restore cannot act as; asked when the archive is here."""
    if server.is_superuser:
        return ()
    stuck = tuple(sorted(each for each in owners if each in server.roles and not server.roles[each]))
    return (_may_not_act(server, stuck),) if stuck else ()


def against_room(request: Request, facts: DatabaseFacts, server: ServerFacts) -> list[Refusal]:
    """Return where there is not enough room."""
    found: list[Refusal] = []
    needed = work_bytes(request)
    if request.free_work_bytes < needed:
        found.append(
            Refusal(
                f"the work folder {request.work_folder} has {format_bytes(request.free_work_bytes)} free and"
                f" the clear archive takes {format_bytes(needed)}",
                "let backup.work_folder name one on a larger disk",
            )
        )
    if server.free_bytes is not None and server.free_bytes < facts.size_bytes and not request.selection:
        found.append(
            Refusal(
                f"the server has {format_bytes(server.free_bytes)} free and the database had"
                f" {format_bytes(facts.size_bytes)}",
                "make room on the server's disk",
            )
        )
    return found


def against_occupant(occupant: Occupant, server: ServerFacts) -> tuple[Refusal, ...]:
    """Return what stands against putting aside the database that has the name."""
    found: tuple[Refusal, ...] = ()
    if not occupant.may_own:
        found = (
            Refusal(
                f"role {server.role} may not rename the database {occupant.name!r}, which belongs to"
                f" {occupant.owner}",
                f"grant {quote_identifier(occupant.owner)} to {quote_identifier(server.role)}, or restore as a"
                " superuser",
            ),
        )
    return (*found, *against_swap(occupant), *against_sessions(occupant, server.role))


def against_selection(request: Request, facts: DatabaseFacts, occupant: Occupant | None) -> list[Refusal]:
    """Return what is wrong with the part that is asked for."""
    selection = request.selection
    if not selection:
        return []
    found: list[Refusal] = []
    if occupant is not None:
        found.append(
            Refusal(
                f"there is a database {request.name!r}, and a part of a backup is restored beside, never over one",
                "give the part a name of its own",
            )
        )
    tables = {(each.schema_name, each.name) for each in facts.tables}
    schemas = {each.schema_name for each in facts.tables}
    if unknown := tuple(".".join(each) for each in selection.tables if each not in tables):
        known = shown(tuple(sorted(".".join(each) for each in tables)))
        found.append(Refusal(f"the backup has no table {shown(unknown)}", f"it has {known or 'none'}"))
    if unknown := tuple(each for each in selection.schemas if each not in schemas):
        found.append(
            Refusal(
                f"the backup has no schema with tables {shown(unknown)}",
                f"it has {shown(tuple(sorted(schemas))) or 'none'}",
            )
        )
    return found


def work_bytes(request: Request) -> int:
    """Return what the clear archives take."""
    return sum(part.clear_bytes for part in request.manifest.archives)
