"""What herald.yaml may say of backups: where they go, by which keys, of what, for how long."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from herald_pipelines.settings.fields import DatabaseName, Duration, Model, Number, Range, Whole, from_folder
from herald_pipelines.settings.urls import SecretRef

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,254}")
_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")
_FILE_URL, _S3_URL = (
    re.compile(r"file:///[^\0\n?#]*"),
    re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]*)?"),
)


def _check_word(word: str) -> str:
    if not _WORD.fullmatch(word):
        raise ValueError("is a part of every object's name: letters, digits and . _ - only, at most 63")
    return word


def _check_store(url: str) -> str:
    if not _FILE_URL.fullmatch(url) and not _S3_URL.fullmatch(url):
        raise ValueError("is no store: write file:///folder or s3://bucket/prefix")
    return url.rstrip("/")


def _check_fingerprint(text: str) -> str:
    fingerprint = text.replace(" ", "").upper()
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise ValueError("is no fingerprint: write all 40 digits that `gpg --fingerprint` shows")
    return fingerprint


def _check_unit(name: str) -> str:
    if not _UNIT.fullmatch(name):
        raise ValueError("is no name of a service: letters, digits and . _ - @ : only")
    return name


Word = Annotated[str, AfterValidator(_check_word)]
StoreUrl = Annotated[str, AfterValidator(_check_store)]
Fingerprint = Annotated[str, AfterValidator(_check_fingerprint)]


class S3Settings(Model):
    """How an s3:// store is reached. Without keys, boto3 looks for them where it always does."""

    endpoint_url: str | None = None
    region: str | None = None
    sse: Literal["AES256", "aws:kms", "none"] = "AES256"
    """Server-side encryption, on top of ours (the seed's AES256)."""
    kms_key_id: str | None = None
    access_key_id: SecretRef | None = None
    secret_access_key: SecretRef | None = None


class FilesSettings(Model):
    """Files that are backed up as one tar: an application tree, or configuration."""

    paths: tuple[str, ...] = ()
    """Absolute; * and ? match within one part of a path."""
    excludes: tuple[str, ...] = ()
    """Patterns of shell on the whole path, where * matches / too, as tar's --exclude does."""

    @field_validator("paths")
    @classmethod
    def _check_paths(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
                raise ValueError(f"{path!r} is no absolute path without ..")
        return paths


class ApplicationSettings(FilesSettings):
    """The application tree."""

    excludes: tuple[str, ...] = ("*/node_modules/*", "*/logs/*", "*/tmp/*")
    """The seed's."""


class RetentionSettings(Model):
    """How long backups are kept. The newest proven one of each database is kept whatever its age."""

    keep_days: Annotated[Whole, AfterValidator(Range(1, 36_500))] = 30
    """The seed's."""
    keep_count: Annotated[Whole, AfterValidator(Range(1, 10_000))] = 3
    """At least so many proven ones of each, whatever their age."""


class BackupLimits(Model):
    """When the checks of backups do not pass."""

    max_age_hours: Annotated[Number, AfterValidator(Range(0.1, 8760))] = 26.0
    """Of the newest backup: a day, and two hours for it to be made."""
    max_proof_age_days: Annotated[Number, AfterValidator(Range(0.1, 3660))] = 35.0
    """Of the newest proof: a month's drill, and the days to the next first Sunday."""
    max_size_change: Annotated[Number, AfterValidator(Range(0.01, 100))] = 0.5
    """Share by which a backup may be larger or smaller than the median of those before it."""


class ServiceSettings(Model):
    """A service that uses what is restored: stopped before it is swapped in, and started again whatever happens."""

    name: Annotated[str, AfterValidator(_check_unit)]
    stop: tuple[str, ...] | None = None
    """A program and its arguments; none: systemctl stop NAME."""
    start: tuple[str, ...] | None = None
    """None: systemctl start NAME."""
    timeout_seconds: Duration = 90.0
    """What systemd gives a unit to stop by default."""
    modes: tuple[Literal["database", "application", "configuration"], ...] = (
        "database",
        "application",
        "configuration",
    )
    """What it uses: it is stopped for these."""


class Objectives(Model):
    """What a drill is measured against."""

    rto_seconds: Duration = 14_400.0
    """Recovery time objective: from the decision to a database that answers. Four hours: say what yours is."""
    rpo_seconds: Duration = 90_000.0
    """Recovery point objective: age of what is lost. A day between backups, and an hour for one to be made."""


class BackupSettings(Model):
    """Backups: store, keys, what is backed up and for how long."""

    store: StoreUrl | None = None
    """None: <home>/store for what lives in the embedded server; databases of one's own are not backed up."""
    s3: S3Settings = S3Settings()
    platform: Word = "herald"
    host: Word | None = None
    """None: this host's name."""
    passphrases: tuple[SecretRef, ...] = ()
    """The first encrypts, every one decrypts. None, and no recipients: <home>/backup.key, made for <home>/store alone."""
    recipients: tuple[Fingerprint, ...] = ()
    """Public keys to encrypt to instead, so that this host cannot read what it wrote."""
    signing_secrets: tuple[SecretRef, ...] = ()
    """With recipients: the first signs manifests and proofs, every one verifies."""
    gnupg_home: Path | None = None
    """With recipients: gpg's folder of keys; none: gpg's own default."""
    full_verification_host: Word | None = None
    """With recipients: the host that has the private key and verifies in full."""
    work_folder: Path | None = None
    """For what restoring needs on disk; none: <home>/work."""
    streams: Annotated[Whole, AfterValidator(Range(1, 16))] | None = None
    """How many pg_dump's share the work on a database; none: several from 10 GB on, one for two processors, four at most."""
    programs: Mapping[Annotated[int, Field(ge=14, le=18)], Path] = Field(default_factory=dict[int, Path])
    """By major version: folder of pg_dump, pg_restore and the server's programs, where they are not found by themselves."""
    application: ApplicationSettings = ApplicationSettings()
    configuration: FilesSettings = FilesSettings()
    retention: RetentionSettings = RetentionSettings()
    limits: BackupLimits = BackupLimits()
    services: tuple[ServiceSettings, ...] = ()
    """In the order in which they are stopped; started in the other."""
    objectives: Objectives = Objectives()
    queries: Mapping[DatabaseName, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    """By database: statements that must give a row on a restored database, for drills."""

    @field_validator("gnupg_home", "work_folder")
    @classmethod
    def _from_folder(cls, path: Path, info: ValidationInfo) -> Path:
        return from_folder(path, info)

    @model_validator(mode="after")
    def _check_keys(self) -> "BackupSettings":
        if self.store is not None and not self.passphrases and not self.recipients:
            raise ValueError("a store needs passphrases or recipients: backups are never kept in clear")
        if self.recipients and not self.signing_secrets:
            raise ValueError("recipients need signing_secrets: without one, a manifest could be anybody's")
        return self
