"""Database urls and references to secrets, as a file may hold them. Not here: resolving a secret."""

import re
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import AfterValidator, Discriminator, Tag, ValidationInfo, field_validator, model_validator

from herald_pipelines.settings.conninfo import SECRETS, parse_url
from herald_pipelines.settings.fields import Model, from_folder
from herald_pipelines.values import Capability

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_url(url: str) -> str:
    """Return a database url that may stand in a file: one that `parse_url` reads, without a password.

    Raises:
        ValueError: it may not; the text never repeats the url, which may hold a password.
    """
    # A password may hold : / ? # or @, where parsers disagree on what is what: no colon may come before an @.
    if re.search(r"//.*:.*@", url, re.DOTALL) or SECRETS & parse_url(url).keys():
        raise ValueError("password in the url; use {env: NAME} or {file: PATH}")
    return url


class SecretRef(Model):
    """Where a secret is, never the secret: exactly one of `env` and `file`."""

    env: str | None = None
    """Name of an environment variable."""
    file: Path | None = None
    """A file whose text it is; a relative path starts at the folder of herald.yaml."""

    @field_validator("env")
    @classmethod
    def _check_env(cls, name: str) -> str:
        if not _VARIABLE.fullmatch(name):
            raise ValueError("is not the name of an environment variable (letters, digits and _)")
        return name

    @field_validator("file")
    @classmethod
    def _check_file(cls, path: Path, info: ValidationInfo) -> Path:
        if ":/" in str(path) or "\0" in str(path):
            raise ValueError("is not the path of a file")
        return from_folder(path, info)

    @model_validator(mode="after")
    def _check_one(self) -> "SecretRef":
        if (self.env is None) == (self.file is None):
            raise ValueError("a secret has exactly one of the keys env and file")
        return self

    def __str__(self) -> str:
        return f"{{env: {self.env}}}" if self.env is not None else f"{{file: {self.file}}}"


def _kind_of_value(value: object) -> str | None:
    if isinstance(value, str):
        return "<url>"
    return "<SecretRef>" if isinstance(value, (dict, SecretRef)) else None


def _kind_of_url(value: object) -> str | None:
    if isinstance(value, dict):
        keys = set(cast("dict[Any, Any]", value))
        return "<SecretRef>" if keys & {"env", "file"} and not keys & set(Capability) else "<CapabilityUrls>"
    return "<CapabilityUrls>" if isinstance(value, CapabilityUrls) else _kind_of_value(value)


_PlainUrl = Annotated[str, AfterValidator(check_url), Tag("<url>")]
_Secret = Annotated[SecretRef, Tag("<SecretRef>")]
Value = Annotated[_PlainUrl | _Secret, Discriminator(_kind_of_value)]
"""A url without a password, or a reference to a secret that is a whole url."""


class CapabilityUrls(Model):
    """One url for each thing that a connection is for, so that each may have a role with the least rights."""

    observe: Value | None = None
    """Reading sessions; falls back on `maintain`, since the session is read-only anyway."""
    maintain: Value | None = None
    """Sessions that rebuild, vacuum, detach and drop."""
    backup: Value | None = None
    """Dumps."""
    restore: Value | None = None
    """Restores, which create and rename databases."""

    @model_validator(mode="after")
    def _check_any(self) -> "CapabilityUrls":
        if not any((self.observe, self.maintain, self.backup, self.restore)):
            raise ValueError("holds no url: write one, or one for each of observe, maintain, backup, restore")
        return self


Url = Annotated[
    _PlainUrl | _Secret | Annotated[CapabilityUrls, Tag("<CapabilityUrls>")], Discriminator(_kind_of_url)
]
