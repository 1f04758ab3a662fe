"""Pure: rules on roles, their rights over the whole server, and their passwords."""

from datetime import datetime

from herald_pipelines.database.security.facts import DatabaseFacts, Observer, PasswordFacts, RoleFacts
from herald_pipelines.database.security.findings import Found, Rule, Severity, Unreadable, Verdicts

Roles = tuple[RoleFacts, ...]

CREATEROLE_RESTRICTED = 160000
"""Before it, CREATEROLE may grant itself every role that is no superuser."""
PASSWORDS_NEED = "grant select (rolname, rolpassword) on pg_authid to the role, or a superuser"


def superusers(roles: Roles, _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find superusers beside the one that initdb made."""
    for role in roles:
        if role.is_superuser and not role.is_bootstrap:
            yield Found(
                role.name,
                Severity.HIGH if role.can_login else Severity.MEDIUM,
                f"{role.name} is a superuser" + ("" if role.can_login else " that cannot log in by itself"),
                f"alter role {role.name} nosuperuser",
            )


def members_of_superusers(roles: Roles, _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find roles that can become a superuser."""
    for role in roles:
        if role.superusers:
            yield Found(
                role.name,
                Severity.HIGH,
                f"{role.name} is a member of the superuser {', '.join(role.superusers)}",
                f"revoke {', '.join(role.superusers)} from {role.name}, or from what it is a member of",
            )


def bypassing_rls(roles: Roles, _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find roles that row-level security does not hold."""
    for role in roles:
        if role.bypasses_rls and not role.is_superuser:
            yield Found(
                role.name,
                Severity.MEDIUM,
                f"{role.name} has BYPASSRLS: no policy hides a row from it",
                f"alter role {role.name} nobypassrls",
            )


def creating_roles(roles: Roles, facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find roles that make roles."""
    is_wide = facts.server_version < CREATEROLE_RESTRICTED
    reach = "may take every role that is no superuser" if is_wide else "makes roles, and administers those"
    for role in roles:
        if role.creates_roles and not role.is_superuser:
            yield Found(
                role.name,
                Severity.HIGH if is_wide else Severity.MEDIUM,
                f"{role.name} has CREATEROLE: it {reach}",
                f"alter role {role.name} nocreaterole",
            )


def replicating(roles: Roles, _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find roles that may copy the whole server, whatever they may read of it."""
    for role in roles:
        if role.replicates and not role.is_superuser:
            yield Found(
                role.name,
                Severity.MEDIUM,
                f"{role.name} has REPLICATION: it may copy the whole server, and keep its WAL by slots",
                f"alter role {role.name} noreplication",
            )


def reaching_the_server(roles: Roles, _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find roles with the files or programs of the server, from which a way leads to its superuser."""
    for role in roles:
        if role.server_access:
            yield Found(
                role.name,
                Severity.HIGH,
                f"{role.name} is a member of {', '.join(role.server_access)}: it acts as the server's system user",
                f"revoke {', '.join(role.server_access)} from {role.name}, or from what it is a member of",
            )


def without_expiry(roles: Roles, facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find roles whose password holds for ever.

    The superuser of initdb is left out: it is who lets the others in again.
    """
    known = None if isinstance(facts.passwords, Unreadable) else facts.passwords.is_md5
    for role in roles:
        if role.can_login and role.never_expires and not role.is_bootstrap:
            if known is not None and role.name not in known:
                continue
            seen = "its password" if known is not None else "its password, if it has one,"
            yield Found(
                role.name,
                Severity.LOW,
                f"{role.name} may log in, and {seen} never expires",
                f"alter role {role.name} valid until '...', and a new password before that day",
            )


def md5_passwords(passwords: PasswordFacts, _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find passwords stored as MD5: whoever reads the hash, from a dump too, logs in with it."""
    for name, is_md5 in passwords.is_md5.items():
        if is_md5:
            yield Found(
                name,
                Severity.HIGH,
                f"the password of {name} is stored as MD5",
                f"set password_encryption = 'scram-sha-256', then \\password {name} in psql",
            )


def observed_by_superuser(observer: Observer, _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find that we read with more rights than reading needs."""
    if observer.is_superuser and not observer.is_embedded:
        yield Found(
            observer.name,
            Severity.MEDIUM,
            f"{observer.name}, with which this database is watched, is a superuser",
            "herald roles observe makes a role with the least rights: name it under url.observe",
        )


RULES: tuple[Rule[DatabaseFacts], ...] = (
    Rule(
        "superuser_role",
        "only the role of initdb is a superuser",
        lambda facts: facts.roles,
        superusers,
        reference="CIS PostgreSQL 18 v1.0.0, 4.3",
    ),
    Rule(
        "superuser_member",
        "no role is a member of a superuser",
        lambda facts: facts.roles,
        members_of_superusers,
        reference="CIS PostgreSQL 18 v1.0.0, 4.3",
    ),
    Rule(
        "bypassrls_role",
        "row-level security holds for every role",
        lambda facts: facts.roles,
        bypassing_rls,
        reference="CIS PostgreSQL 18 v1.0.0, 4.3",
    ),
    Rule(
        "createrole_role",
        "only superusers make roles",
        lambda facts: facts.roles,
        creating_roles,
        reference="CIS PostgreSQL 18 v1.0.0, 4.3",
    ),
    Rule(
        "replication_role",
        "no role may copy the whole server",
        lambda facts: facts.roles,
        replicating,
        reference="PostgreSQL documentation, Role Attributes",
    ),
    Rule(
        "server_access_role",
        "no role has the files or programs of the server",
        lambda facts: facts.roles,
        reaching_the_server,
        reference="PostgreSQL documentation, Predefined Roles",
    ),
    Rule(
        "role_without_expiry",
        "the password of every role expires",
        lambda facts: facts.roles,
        without_expiry,
    ),
    Rule(
        "md5_password",
        "no password is stored as MD5",
        lambda facts: facts.passwords,
        md5_passwords,
        reference="PostgreSQL documentation, Password Authentication",
        needs=PASSWORDS_NEED,
    ),
    Rule(
        "observer_is_superuser",
        "the database is watched with the least rights",
        lambda facts: facts.observer,
        observed_by_superuser,
    ),
)
