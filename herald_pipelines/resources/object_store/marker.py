"""The object that tells a store from an empty folder or a wrong prefix. Not here: reading and writing it."""

import json
import uuid
from typing import Any, cast

from herald_pipelines.resources.object_store.base import MARKER, StoreRefused

MOST_MARKER_BYTES = 4096
FORMAT = 1
NO_STORE_HINT = "is its disk mounted, and the url right? a place that was never one is made ready once: herald backup prepare"


def new_marker() -> bytes:
    """Return the content of a marker with a random id."""
    return json.dumps({"format": FORMAT, "id": str(uuid.uuid4())}).encode() + b"\n"


def read_marker(content: bytes, url: str) -> str:
    """Return the id that a marker holds.

    Raises:
        StoreRefused: it is no marker, or one of a format that is not known.
    """
    try:
        document: Any = json.loads(content)
    except ValueError:
        document = None
    fields = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    if not isinstance(identity := fields.get("id"), str) or not identity:
        raise StoreRefused(
            f"{MARKER} of {url} is damaged", hint="write it again from another copy of the store"
        )
    if fields.get("format") != FORMAT:
        raise StoreRefused(
            f"the store {url} has the format {fields.get('format')!r} (known: {FORMAT})",
            hint="a newer herald made it",
        )
    return identity


def no_store(url: str) -> StoreRefused:
    """Return the error for a place that can be read and has no marker."""
    return StoreRefused(f"{url} is no store: it has no {MARKER}", hint=NO_STORE_HINT)
