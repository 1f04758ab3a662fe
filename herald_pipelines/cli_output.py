"""What the commands share: common options, the environment they run in, and one JSON document or a table on stdout."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import click

from herald_pipelines.errors import HeraldError, UsageError

DOCUMENT_VERSION = 1
"""Of every --json document: rises when a field goes, changes its name or its type; new fields leave it as it is."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
database_option = click.option("--database", metavar="NAME", help="A database of herald.yaml, or ops.")


def environ() -> Mapping[str, str]:
    """Return the environment of the process as it is now."""
    return dict(os.environ)


def cwd() -> Path:
    """Return the current folder.

    Raises:
        UsageError: it was removed.
    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError(
            "the current folder does not exist any more", hint="change to one that does"
        ) from None


def print_document(
    document: Mapping[str, Any], show: Callable[[Mapping[str, Any]], None], *, as_json: bool
) -> None:
    """Print a document for machines or for people.

    Raises:
        HeraldError: it could not be written.
    """
    if as_json:
        text = json.dumps({"version": DOCUMENT_VERSION, **document}, indent=2, default=str)
        deliver(lambda: click.echo(text))
    else:
        deliver(lambda: show(document))


def deliver(write: Callable[[], None]) -> None:
    """Write a result to stdout; a reader that went away (`herald windows | head`) is not an error worth a word.

    Raises:
        HeraldError: it could not be written.
    """
    try:
        write()
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        abandon(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            raise HeraldError(f"the result could not be written: {reason_of(error)}") from error


def reason_of(error: OSError) -> str:
    """Say why the system refused, for people."""
    return (error.strerror or type(error).__name__).lower()


def abandon(stream: TextIO | None) -> None:
    """Let what is still in a stream's buffer go nowhere, or the interpreter fails over it at its end."""
    if stream is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
