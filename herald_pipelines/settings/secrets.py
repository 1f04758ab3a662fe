"""Secrets, resolved when they are used and not before. An error names the reference, never the value."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from herald_pipelines.errors import UsageError
from herald_pipelines.settings.urls import SecretRef

_OTHERS = 0o007


def resolve_secret(value: str | SecretRef, environ: Mapping[str, str]) -> str:
    """Return what a value of the settings stands for: itself, or the secret that it points at.

    A file's trailing line breaks are not part of the secret.

    Args:
        value: a plain value, or a reference.
        environ: the environment of the process.

    Raises:
        UsageError: a variable that is not set; a file that cannot be read or is open to all; an empty secret.
    """
    if isinstance(value, str):
        return value
    if value.file is None:
        secret = environ.get(value.env or "", "")
        if not secret:
            raise UsageError(f"the environment variable {value.env} is not set")
        return secret
    try:
        mode = value.file.stat().st_mode
        secret = value.file.read_bytes().decode(errors="replace").rstrip("\r\n")
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise UsageError(f"the secret file {value.file} cannot be read: {reason}") from None
    if mode & _OTHERS:
        raise UsageError(
            f"the secret file {value.file} is open to everybody (mode {mode & 0o777:04o})",
            hint=f"chmod o= {value.file}",
        )
    if not secret or "\ufffd" in secret:
        raise UsageError(f"the secret file {value.file} is {'not UTF-8 text' if secret else 'empty'}")
    return secret


def resolve_url(value: str | SecretRef, environ: Mapping[str, str]) -> str:
    """Return the database url that a value of the settings stands for, password and all.

    Raises:
        UsageError: the secret cannot be resolved, or is not a url.
    """
    url = resolve_secret(value, environ).strip()
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("postgresql", "postgres") and (parts.port is None or parts.port > 0)
    except ValueError:
        is_url = False
    if not is_url:
        raise UsageError(
            f"what {value} holds is not a database url",
            hint="write postgresql://role:password@host:5432/database, : / ? # @ % of a password as %3A ...",
        )
    return url
