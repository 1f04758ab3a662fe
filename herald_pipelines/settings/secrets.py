"""Secrets, resolved when they are used and not before. An error names the reference, never the value."""

from collections.abc import Mapping

from herald_pipelines.errors import UsageError
from herald_pipelines.settings.conninfo import parse_url
from herald_pipelines.settings.files import explain, read_text_file, show_file
from herald_pipelines.settings.urls import SecretRef

_OTHERS = 0o007
_MOST_BYTES = 64 * 1024


def resolve_secret(value: str | SecretRef, environ: Mapping[str, str]) -> str:
    """Return what a value of the settings stands for: itself, or the secret that it points at.

    A file's trailing line breaks are not part of the secret.

    Args:
        value: a plain value, or a reference.
        environ: the environment of the process.

    Raises:
        UsageError: a variable that is not set; a file that cannot be read, is no regular file, larger than 64 KiB, no
            text or open to all; an empty secret.
    """
    if isinstance(value, str):
        return value
    if value.file is None:
        secret = environ.get(value.env or "", "")
        if not secret:
            raise UsageError(f"the environment variable {value.env} is not set")
        return secret
    try:
        file = read_text_file(value.file, _MOST_BYTES)
    except OSError as error:
        raise UsageError(
            f"the secret file {show_file(value.file)} cannot be read: {explain(error)}"
        ) from None
    if file.mode & _OTHERS:
        raise UsageError(
            f"the secret file {value.file} is open to everybody (mode {file.mode:04o})",
            hint=f"chmod o= {value.file}",
        )
    if not file.text.strip():
        raise UsageError(f"the secret file {value.file} is empty")
    return file.text.rstrip("\r\n")


def resolve_url(value: str | SecretRef, environ: Mapping[str, str]) -> str:
    """Return the database url that a value of the settings stands for, password and all.

    Raises:
        UsageError: the secret cannot be resolved, or is not a url that can be used.
    """
    if isinstance(value, str):
        return value  # checked when the settings were read
    url = resolve_secret(value, environ).strip()
    try:
        parse_url(url)
    except ValueError as error:
        raise UsageError(
            f"the url that {value} holds {error}",
            hint="write postgresql://role:password@host:5432/database, : / ? # @ % of a password as %3A ...",
        ) from None
    return url
