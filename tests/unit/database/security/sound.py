"""Facts of a server and a host that have no weakness, for tests that put one in."""

from dataclasses import replace
from datetime import UTC, datetime

from herald_pipelines.database.security.facts import (
    DatabaseFacts,
    FileFacts,
    HbaRule,
    HostFacts,
    Observer,
    PackageAudit,
    PasswordFacts,
    RoleFacts,
)
from herald_pipelines.database.security.findings import Finding, judge
from herald_pipelines.database.security.releases import KNOWN_ON, MAJORS
from herald_pipelines.database.security.rules import DATABASE_RULES, HOST_RULES

NOW = datetime(KNOWN_ON.year, KNOWN_ON.month, KNOWN_ON.day, 12, tzinfo=UTC)

APP = RoleFacts(
    name="app",
    is_bootstrap=False,
    is_superuser=False,
    can_login=True,
    bypasses_rls=False,
    creates_roles=False,
    replicates=False,
    never_expires=False,
    superusers=(),
    server_access=(),
)
BOOTSTRAP = replace(
    APP,
    name="postgres",
    is_bootstrap=True,
    is_superuser=True,
    bypasses_rls=True,
    creates_roles=True,
    replicates=True,
    never_expires=True,
)
SETTINGS = {
    "listen_addresses": "10.0.0.5",
    "log_connections": "on",
    "log_file_mode": "0600",
    "logging_collector": "on",
    "password_encryption": "scram-sha-256",
    "ssl": "on",
    "ssl_min_protocol_version": "TLSv1.2",
}
SERVER = DatabaseFacts(
    server_version=180000 + MAJORS[18].newest_minor,
    observer=Observer("herald_observe", is_superuser=False, is_embedded=False),
    roles=(BOOTSTRAP, APP),
    passwords=PasswordFacts({"postgres": False, "app": False}),
    open_schemas=(),
    open_databases=(),
    public_grants=(),
    default_grants=(),
    definers=(),
    extensions=(),
    settings=SETTINGS,
    hba=(),
)
KEY = FileFacts("/etc/herald/key", "the key of the backups", 0o600)
HOST = HostFacts(
    secrets=(KEY,),
    key_folders=(FileFacts("/etc/herald/gnupg", "gpg's folder of keys", 0o700),),
    open_folders=(),
    settings=(FileFacts("/etc/herald/herald.yaml", "the settings", 0o644),),
    store=FileFacts("/backups", "the store of backups", 0o750),
    text_secrets=(),
    packages=PackageAudit(200, (), ()),
)


def hba(text: str, line: int = 1) -> HbaRule:
    """Return a line of pg_hba.conf as the server tells it."""
    kind, databases, users, *rest = text.split()
    address = None if kind == "local" else rest[0]
    network, slash, mask = (address or "").partition("/")
    return HbaRule(
        line=line,
        file=None,
        type=kind,
        databases=tuple(databases.split(",")),
        users=tuple(users.split(",")),
        address=network if slash else address,
        netmask=mask or None,
        method=rest[-1],
        is_broken=False,
    )


def found(facts: DatabaseFacts | HostFacts, now: datetime = NOW) -> dict[str, Finding]:
    """Return what the rules find, by id."""
    judgement = (
        judge(DATABASE_RULES, facts, now)
        if isinstance(facts, DatabaseFacts)
        else judge(HOST_RULES, facts, now)
    )
    return {finding.id: finding for finding in judgement.findings}


def hidden(facts: DatabaseFacts | HostFacts, now: datetime = NOW) -> dict[str, str]:
    """Return which rules could not be judged, with the reason."""
    judgement = (
        judge(DATABASE_RULES, facts, now)
        if isinstance(facts, DatabaseFacts)
        else judge(HOST_RULES, facts, now)
    )
    return {each.rule: each.reason for each in judgement.hidden}
