"""What was found in a store, as frozen data. Not here: finding it (catalog.py)."""

from dataclasses import dataclass
from datetime import datetime

from herald_pipelines.backup.facts import Kind, Manifest, Proof, Scope
from herald_pipelines.resources.object_store.base import ObjectInfo


@dataclass(frozen=True)
class Backup:
    """A visible backup."""

    manifest: Manifest
    manifest_sha256: str
    content_sha256: str
    proofs: tuple[Proof, ...]
    """Of this very backup, oldest first; without those of stored bytes that it was rekeyed from."""
    is_held: bool
    missing: tuple[str, ...]
    """Parts whose object is missing or has another size: a broken backup, which no abort of ours leaves."""
    extra: tuple[ObjectInfo, ...] = ()
    """A lease, and objects that no document names: what an interrupted rekeying left, or somebody else put there."""

    def proof(self, scope: Scope) -> Proof | None:
        """Return the newest proof that looked at least so far and passed, where no later one failed."""
        order = list(Scope)
        for proof in reversed(self.proofs):
            if not proof.passed:
                return None
            if order.index(proof.scope) >= order.index(scope):
                return proof
        return None


@dataclass(frozen=True)
class Unfinished:
    """A folder without a manifest: being made, interrupted, or half deleted."""

    prefix: str
    has_lease: bool
    modified_at: datetime
    """The newest object's, by the store's clock."""
    objects: tuple[ObjectInfo, ...]


@dataclass(frozen=True)
class Problem:
    """Something in the store that is not as we write it."""

    key: str
    reason: str


@dataclass(frozen=True)
class Catalog:
    """All of a platform in a store."""

    backups: tuple[Backup, ...]
    """Oldest first."""
    unfinished: tuple[Unfinished, ...]
    problems: tuple[Problem, ...]

    def of_host(self, host: str) -> tuple[Backup, ...]:
        """Return the backups of a host, oldest first; where it has none at all, as a new machine, those of all."""
        return tuple(each for each in self.backups if each.manifest.host == host) or self.backups

    def of(self, kind: Kind, name: str | None = None, host: str | None = None) -> tuple[Backup, ...]:
        """Return the backups of a kind, oldest first."""
        return tuple(
            each
            for each in self.backups
            if each.manifest.kind is kind
            and name in (None, each.manifest.name)
            and host in (None, each.manifest.host)
        )
