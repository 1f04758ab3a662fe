"""What is in a store: backups with their proofs, what was never finished, and what nobody of ours wrote. Read only.

A failed read is raised: it is never an empty answer. Not here: what follows from it (retention.py, sweep.py).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from herald_pipelines.backup.facts import (
    HOLD,
    LAYOUT,
    LEASE,
    MANIFEST,
    MOST_DOCUMENT_BYTES,
    PROOFS,
    Document,
    Manifest,
    Proof,
    Scope,
)
from herald_pipelines.backup.inventory import Backup, Catalog, Problem, Unfinished
from herald_pipelines.backup.keys import SIGNATURE, Forged
from herald_pipelines.backup.repository import Repository
from herald_pipelines.errors import GuardRefusal, PermanentFailure
from herald_pipelines.resources.object_store.base import ObjectInfo, ObjectMissing

_STORED_FIELDS = frozenset({"object", "stored_bytes", "stored_sha256"})
"""Of a part: what rekeying changes."""
FOLDER_PARTS = 6
"""v1/<platform>/<host>/<kind>/<name>/<id>"""
Model = TypeVar("Model", bound=Document)


class BackupGone(PermanentFailure):
    """A backup was deleted since it was read."""


class BackupChanged(GuardRefusal):
    """There is another backup in the place of the one that was read."""


@dataclass(frozen=True)
class Signed:
    """A document whose signature is valid."""

    content: dict[str, Any]
    key: str
    """Fingerprint of the key that signed it."""


def read_catalog(repository: Repository) -> Catalog:
    """List the store and read every manifest and proof of the platform.

    Raises:
        StoreUnavailable, StoreRefused: the store could not be read whole.
    """
    backups: list[Backup] = []
    unfinished: list[Unfinished] = []
    problems: list[Problem] = []
    listing = repository.store.list(f"{LAYOUT}/{repository.platform}/")
    for prefix, objects in _by_folder(listing, problems):
        names = {each.key.removeprefix(prefix): each for each in objects}
        if MANIFEST not in names:
            newest = max(each.modified_at for each in objects)
            unfinished.append(Unfinished(prefix, LEASE in names, newest, tuple(objects)))
            continue
        try:
            backups.append(_read_backup(repository, prefix, names, problems))
        except ObjectMissing:
            continue  # deleted since it was listed
        except PermanentFailure as error:
            if not isinstance(error, Forged):
                raise
            problems.append(_problem(prefix + MANIFEST, error))
    backups.sort(key=lambda each: (each.manifest.started_at, each.manifest.id))
    return Catalog(tuple(backups), tuple(unfinished), tuple(problems))


def content_sha256(manifest: Mapping[str, Any]) -> str:
    """Return the hash of what a manifest says of a backup's content, without what rekeying changes.

    Args:
        manifest: as it was signed, with keys of later versions too.
    """
    parts = [
        {name: value for name, value in part.items() if name not in _STORED_FIELDS}
        for part in manifest["parts"]
    ]
    rest = {name: value for name, value in manifest.items() if name != "encryption"}
    return _sha256({**rest, "parts": parts})


def read_manifest(repository: Repository, prefix: str) -> tuple[Manifest, dict[str, Any]]:
    """Return the manifest in a folder, and what was signed.

    Raises:
        Forged: it is not signed by a key of the ring, or belongs elsewhere.
        ObjectMissing: there is none.
    """
    manifest, content = _read_document(repository, prefix + MANIFEST, Manifest)
    if manifest.prefix != prefix:
        raise Forged(
            f"{prefix}{MANIFEST} belongs to another place: {manifest.prefix}", hint="it was moved or copied"
        )
    return manifest, content


def read_again(repository: Repository, backup: Backup) -> tuple[Manifest, dict[str, Any]]:
    """Return what the manifest of a backup says now, and what was signed: the same content, rekeyed or not.

    Raises:
        BackupGone: it was deleted since it was read.
        BackupChanged: there is another backup in its place.
    """
    manifest = backup.manifest
    try:
        found, signed = read_manifest(repository, manifest.prefix)
    except ObjectMissing:
        raise BackupGone(f"{manifest.id} was deleted meanwhile by somebody else") from None
    if content_sha256(signed) != backup.content_sha256:
        raise BackupChanged(f"{manifest.id} is another backup than the one that was meant")
    return found, signed


def manifest_sha256(manifest: Mapping[str, Any]) -> str:
    """Return the hash of a manifest as it was signed."""
    return _sha256(manifest)


def read_signed(repository: Repository, key: str) -> Signed:
    """Return what a document says, once its signature is verified.

    Raises:
        Forged: it is not signed by a key of the ring.
        ObjectMissing: there is none.
        StoreUnavailable, StoreRefused: it could not be read.
    """
    text = repository.store.get(key, most_bytes=MOST_DOCUMENT_BYTES)
    try:
        data: object = json.loads(text)
    except ValueError:
        raise Forged(f"{key} is no JSON") from None
    if not isinstance(data, dict):
        raise Forged(f"{key} is no document of ours")
    document = cast("dict[str, Any]", data)
    return Signed(repository.ring.verify(document, key), document[SIGNATURE]["key"])


def write_document(repository: Repository, key: str, document: Document, *, replace: bool) -> None:
    """Sign a document and write it.

    Raises:
        ObjectExists: there is one and `replace` is false.
        StoreUnavailable, StoreRefused: it is not written, or not known to be.
    """
    signed = repository.ring.sign(document.model_dump(mode="json"))
    repository.store.put(key, json.dumps(signed, indent=1).encode(), replace=replace)


def _by_folder(
    listing: Iterable[ObjectInfo], problems: list[Problem]
) -> Iterator[tuple[str, list[ObjectInfo]]]:
    """Group a listing, which is in order of keys, by the folders of backups."""
    prefix, objects = "", list[ObjectInfo]()
    for each in listing:
        parts = each.key.split("/")
        if len(parts) <= FOLDER_PARTS:
            problems.append(Problem(each.key, "is not where a part of a backup is"))
            continue
        folder = "/".join(parts[:FOLDER_PARTS]) + "/"
        if folder != prefix:
            if objects:
                yield prefix, objects
            prefix, objects = folder, []
        objects.append(each)
    if objects:
        yield prefix, objects


def _read_backup(
    repository: Repository, prefix: str, names: dict[str, ObjectInfo], problems: list[Problem]
) -> Backup:
    manifest, signed = read_manifest(repository, prefix)
    whole, content = _sha256(signed), content_sha256(signed)
    proofs: list[Proof] = []
    for name in sorted(names):
        if not name.startswith(f"{PROOFS}/"):
            continue
        try:
            proof, _ = _read_document(repository, prefix + name, Proof)
        except (Forged, ObjectMissing) as error:
            problems.append(_problem(prefix + name, error))
            continue
        if (proof.backup, proof.content_sha256) == (manifest.id, content):
            if proof.scope is not Scope.STORED or proof.manifest_sha256 == whole:
                proofs.append(proof)
        else:
            problems.append(Problem(prefix + name, "is a proof of another backup"))
    missing = tuple(
        part.name
        for part in manifest.parts
        if part.object not in names or names[part.object].size_bytes != part.stored_bytes
    )
    named = {MANIFEST, HOLD, *(part.object for part in manifest.parts)}
    extra = tuple(
        each for name, each in names.items() if name not in named and not name.startswith(f"{PROOFS}/")
    )
    # Of one moment, the one that failed counts as the later.
    proofs.sort(key=lambda each: (each.at, not each.passed))
    return Backup(manifest, whole, content, tuple(proofs), HOLD in names, missing, extra)


def _problem(key: str, error: Forged | ObjectMissing) -> Problem:
    return Problem(key, error.message.removeprefix(f"{key} "))


def _read_document(repository: Repository, key: str, model: type[Model]) -> tuple[Model, dict[str, Any]]:
    content = read_signed(repository, key).content
    try:
        document = model.model_validate(content)
    except ValidationError as error:
        raise Forged(
            f"{key} has a form that this version does not know: {error.error_count()} mistakes"
        ) from None
    return document, content


def _sha256(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
