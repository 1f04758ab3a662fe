"""What a server and a host tell about their security, frozen. What could not be read is `Unreadable`, never empty.

Names of roles, schemas, tables and functions are quoted as SQL needs them. Not here: reading (store.py, hosts.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from herald_pipelines.database.security.findings import Unreadable


@dataclass(frozen=True)
class RoleFacts:
    """A role that is not one of PostgreSQL's own."""

    name: str
    is_bootstrap: bool
    """Made by initdb: a superuser that cannot be taken its rights."""
    is_superuser: bool
    can_login: bool
    bypasses_rls: bool
    creates_roles: bool
    replicates: bool
    never_expires: bool
    """Its password does not."""
    superusers: tuple[str, ...]
    """Superusers that it is a member of; none where it is one."""
    server_access: tuple[str, ...]
    """Predefined roles with the server's files and programs that it is a member of; none where it is a superuser."""


@dataclass(frozen=True)
class PasswordFacts:
    """What is known of the stored passwords, by the role's name; the hashes stay where they are."""

    is_md5: Mapping[str, bool]
    """Of every role that has one."""


@dataclass(frozen=True)
class PublicGrant:
    """What every role may do with a table, view or sequence."""

    name: str
    kind: str
    """table, view, sequence, ..."""
    privileges: tuple[str, ...]
    """Of a table, or of some of its columns."""
    is_reachable: bool
    """Whether every role may use its schema."""


@dataclass(frozen=True)
class DefaultGrant:
    """What every role may do with tables or sequences that are made later."""

    owner: str
    schema: str | None
    """None: all schemas."""
    kind: str
    privileges: tuple[str, ...]


@dataclass(frozen=True)
class DefinerFunction:
    """A function that runs with its owner's rights."""

    name: str
    """With the types of its arguments."""
    owner: str
    owner_is_superuser: bool
    search_path: str | None
    """As it is set for the function; none: the caller's."""
    is_public: bool
    """Every role may execute it, and use its schema."""
    is_trigger: bool
    extension: str | None


@dataclass(frozen=True)
class ExtensionFacts:
    """An installed extension to whose newer version a way leads."""

    name: str
    installed: str
    available: str


@dataclass(frozen=True)
class HbaRule:
    """A line of pg_hba.conf, without its options, which may hold secrets."""

    line: int
    file: str | None
    """PostgreSQL 16 and later."""
    type: str
    databases: tuple[str, ...]
    users: tuple[str, ...]
    address: str | None
    netmask: str | None
    method: str
    is_broken: bool
    """The server could not read it."""


@dataclass(frozen=True)
class Observer:
    """The role that reads all this."""

    name: str
    is_superuser: bool
    is_embedded: bool
    """It belongs to the embedded server, whose only role it is."""


@dataclass(frozen=True)
class DatabaseFacts:
    """A database and its server."""

    server_version: int
    """server_version_num: 180006 is 18.6."""
    observer: Observer
    roles: tuple[RoleFacts, ...] | Unreadable
    passwords: PasswordFacts | Unreadable
    open_schemas: tuple[str, ...] | Unreadable
    """In which every role may create."""
    open_databases: tuple[str, ...] | Unreadable
    """The database, where every role may create schemas in it."""
    public_grants: tuple[PublicGrant, ...] | Unreadable
    default_grants: tuple[DefaultGrant, ...] | Unreadable
    definers: tuple[DefinerFunction, ...] | Unreadable
    extensions: tuple[ExtensionFacts, ...] | Unreadable
    settings: Mapping[str, str] | Unreadable
    """Those that rules ask for, as far as the role may see them."""
    hba: tuple[HbaRule, ...] | Unreadable
    """In the order in which they hold."""


@dataclass(frozen=True)
class FileFacts:
    """A file or folder of this host."""

    path: str
    what: str
    """What is in it, for people."""
    mode: int | Unreadable
    """Permission bits."""
    is_tracked: bool | Unreadable = False
    """Git has it."""


@dataclass(frozen=True)
class TextSecret:
    """Lines of a file that look as if they held a secret in clear; what it is stays there."""

    path: str
    kind: str
    lines: tuple[int, ...]


@dataclass(frozen=True)
class Vulnerability:
    """A known weakness of an installed Python package."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    fixed_in: tuple[str, ...]


@dataclass(frozen=True)
class PackageAudit:
    """What a source of vulnerabilities said of the installed packages."""

    audited: int
    found: tuple[Vulnerability, ...]
    unknown: tuple[str, ...]
    """Packages that the source does not know: it says nothing of them."""


@dataclass(frozen=True)
class HostFacts:
    """The host that maintains: its keys, its settings, its packages."""

    secrets: tuple[FileFacts, ...]
    """Files that hold a secret."""
    key_folders: tuple[FileFacts, ...]
    """Folders of which nobody else may see a thing."""
    open_folders: tuple[FileFacts, ...]
    """Folders above those files and the settings in which everybody may replace what is there."""
    settings: tuple[FileFacts, ...]
    """Files that say what is done."""
    store: FileFacts | Unreadable
    text_secrets: tuple[TextSecret, ...] | Unreadable
    packages: PackageAudit | Unreadable
