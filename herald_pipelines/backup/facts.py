"""What lies in a store, as frozen data: manifests, proofs, leases; and the names of their objects.

    v1/<platform>/<host>/<kind>/<name>/<id>/lease.json       written first; removed when the backup is visible
                                           /<part>           encrypted
                                           /manifest.json    written last: from then on there is a backup
                                           /proofs/<id>.json what was verified, signed
                                           /hold.json        retention leaves it alone

Manifests and proofs are JSON with a signature (keys.py). Not here: reading and writing them (catalog.py).
"""

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

DUMP, ROWS = "dump", "rows-"
"""Parts: the dump; and the rows of some tables each, where a large database is dumped by several programs at once."""
LAYOUT = "v1"
"""First part of every key; rises when older programs could not read the rest."""
MANIFEST, LEASE, HOLD, PROOFS = "manifest.json", "lease.json", "hold.json", "proofs"
MOST_DOCUMENT_BYTES = 64 * 1024**2
"""Of a manifest: one with a million files has less."""
_ID = re.compile(r"[a-z0-9_]{1,63}-\d{8}T\d{6}Z-[0-9a-f]{6}")

_REKEYED = re.compile(r"^rekeyed-[0-9a-f]{6}-")


class Kind(StrEnum):
    """What a backup is of."""

    DATABASE = "database"
    APPLICATION = "application"
    CONFIGURATION = "configuration"
    PARTITION = "partition"
    """Of one partition of a table: retention leaves it alone, because its rows may be nowhere else."""


class Document(BaseModel):
    """Frozen; keys that a later version adds are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Part(Document):
    """One stream of a backup: an object of the store."""

    name: str
    """dump, rows-2 and so on, globals, files, listing."""
    object: str
    """Name of its object beside the manifest."""
    clear_bytes: int
    clear_sha256: str
    stored_bytes: int
    stored_sha256: str
    seconds: float


class Encryption(Document):
    """How the parts are encrypted."""

    key: str
    """Fingerprint of the key of the ring: what decrypts where it is a passphrase, what signed the manifest."""
    recipients: tuple[str, ...] = ()
    """Fingerprints of the public keys; none: a passphrase."""
    cipher: str = "AES256"


class TableFacts(Document):
    """A table as it was dumped."""

    schema_name: str
    name: str
    kind: str
    """pg_class.relkind: r, p, m, f, S ..."""
    is_unlogged: bool
    estimated_rows: float
    size_bytes: int


class DatabaseFacts(Document):
    """What a dump is of, for whoever restores it."""

    datname: str
    system_identifier: str
    database_oid: int
    server_version: int
    """server_version_num."""
    client_version: str
    """What `pg_dump --version` says."""
    owner: str
    encoding: str
    collate: str
    ctype: str
    locale_provider: str
    """pg_database.datlocprovider: c, i or b."""
    locale: str | None
    """Of ICU or the builtin provider."""
    icu_rules: str | None
    connection_limit: int
    is_template: bool
    settings: tuple[tuple[str | None, str], ...]
    """ALTER [ROLE .. IN] DATABASE ... SET: (role or null, name=value)."""
    acl: tuple[str, ...] | None
    """pg_database.datacl as text; null: the default."""
    comment: str | None
    size_bytes: int
    wal_position: str | None
    """pg_current_wal_lsn() at the snapshot: the dump holds what was committed before."""
    is_in_recovery: bool
    extensions: tuple[tuple[str, str], ...]
    roles: tuple[str, ...]
    """Roles that own or are granted something, or all where that is not known."""
    tables: tuple[TableFacts, ...]


class PartitionFacts(Document):
    """A partition that was archived, so that it can be put back."""

    schema_name: str
    name: str
    """As it was called when it was archived."""
    attached_name: str
    """As it was called while it was attached."""
    oid: int
    parent_schema: str
    parent_name: str
    bound: str
    """FOR VALUES ..., with times in UTC."""
    columns: tuple[tuple[str, str], ...]
    """(name, type) in their order."""
    indexes: tuple[str, ...]
    """Names of its own indexes, as (schema name)."""
    rows: int
    digest: str
    """Of the rows in any order: sums of two 64-bit hashes of each row's text, in hexadecimal."""


class FileFacts(Document):
    """A tree of files that was backed up."""

    roots: tuple[str, ...]
    excludes: tuple[str, ...]
    files: int
    bytes: int
    skipped: tuple[tuple[str, str], ...] = ()
    """(path, why): sockets, devices, what vanished; and what is kept without its attributes."""
    changed: tuple[str, ...] = ()
    """Files that changed each time they were read: their last state is kept, which may be inconsistent."""
    reread: tuple[str, ...] = ()
    """Files that changed while they were read, and were read again whole."""
    unnamed: int = 0
    """How many more of these three there are; all are in the listing."""


class Manifest(Document):
    """A backup: what it is of and what its objects must be. It exists from the moment this is written."""

    format: Literal[1] = 1
    id: str
    kind: Kind
    name: str
    platform: str
    host: str
    started_at: datetime
    finished_at: datetime
    window: str | None
    run_id: str | None
    versions: Mapping[str, str]
    """Of herald, gpg, zstd."""
    settings_sha256: str
    """Of the settings in force, secrets as references."""
    encryption: Encryption
    parts: tuple[Part, ...]
    database: DatabaseFacts | None = None
    files: FileFacts | None = None
    partition: PartitionFacts | None = None

    @property
    def prefix(self) -> str:
        """Its folder in the store, ending with /."""
        return backup_prefix(self.platform, self.host, self.kind, self.name, self.id)

    @property
    def clear_bytes(self) -> int:
        """Of all parts."""
        return sum(part.clear_bytes for part in self.parts)

    @property
    def stored_bytes(self) -> int:
        """Of all parts."""
        return sum(part.stored_bytes for part in self.parts)

    @property
    def archives(self) -> tuple[Part, ...]:
        """Those that pg_restore reads: the dump first, then the rows of tables that it leaves out."""
        return tuple(part for part in self.parts if part.name == DUMP or part.name.startswith(ROWS))

    def part(self, name: str) -> Part:
        """Return a part by its name.

        Raises:
            KeyError: it has none of that name.
        """
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)


class Scope(StrEnum):
    """How much a verification looked at, from the least to the most."""

    STORED = "stored"
    """Every stored byte has its hash: nobody changed them; where the key is elsewhere."""
    FULL = "full"
    """Decrypted, decompressed, both hashes, the archive's listing."""
    RESTORED = "restored"
    """Restored into a server, rows and content compared: a proof."""


class Proof(Document):
    """What a verification of a backup found."""

    format: Literal[1] = 1
    backup: str
    """Its id."""
    content_sha256: str
    """Of what was backed up (catalog.content_sha256): a proof is of this backup and no other, rekeyed or not."""
    manifest_sha256: str
    """Of all of the manifest then: what looked at stored bytes alone holds only for the very objects."""
    scope: Scope
    passed: bool
    reason: str | None
    """Why not."""
    at: datetime
    """When it ended."""
    seconds: float
    host: str
    details: Mapping[str, Any] = Field(default_factory=dict[str, Any])


class Lease(Document):
    """A backup that is being made."""

    format: Literal[1] = 1
    backup: str
    host: str
    pid: int
    run_id: str | None
    started_at: datetime
    beat: int
    """How often it was renewed."""
    revoked: bool = False
    """Somebody took its maker for dead: it must not become visible any more."""


def backup_prefix(platform: str, host: str, kind: Kind, name: str, backup_id: str) -> str:
    """Return the folder of a backup in the store, ending with /."""
    return f"{LAYOUT}/{platform}/{host}/{kind.value}/{name}/{backup_id}/"


def group_of(key: str) -> tuple[Kind, str, str] | None:
    """Return of what a key in the store is a part: (kind, name, host); none where it is no backup's.

    >>> group_of("v1/herald/db1/database/shop/shop-20261124T003005Z-a1b2c3/manifest.json")
    (<Kind.DATABASE: 'database'>, 'shop', 'db1')
    """
    parts = key.split("/")
    if len(parts) < 6 or parts[3] not in set(Kind):  # noqa: PLR2004 - v1/<platform>/<host>/<kind>/<name>/<id>
        return None
    return Kind(parts[3]), parts[4], parts[2]


def rekeyed_name(object_name: str, token: str) -> str:
    """Return another name for the object of a part.

    >>> rekeyed_name("dump.pgdump.zst.gpg", "a1b2c3"), rekeyed_name("rekeyed-a1b2c3-dump.pgdump.zst.gpg", "d4e5f6")
    ('rekeyed-a1b2c3-dump.pgdump.zst.gpg', 'rekeyed-d4e5f6-dump.pgdump.zst.gpg')
    """
    return f"rekeyed-{token}-{original_name(object_name)}"


def original_name(object_name: str) -> str:
    """Return what the object of a part was called when it was made."""
    return _REKEYED.sub("", object_name)


def new_backup_id(name: str, started_at: datetime, random: str) -> str:
    """Return the id of a new backup.

    >>> from datetime import UTC
    >>> new_backup_id("shop", datetime(2026, 11, 24, 0, 30, 5, tzinfo=UTC), "a1b2c3")
    'shop-20261124T003005Z-a1b2c3'
    """
    return f"{name}-{started_at:%Y%m%dT%H%M%SZ}-{random}"


def is_backup_id(text: str) -> bool:
    """Whether a text has the form of an id."""
    return _ID.fullmatch(text) is not None
