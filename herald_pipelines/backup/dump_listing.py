"""Archives of pg_dump as streams: their table of contents, and what of a backup's tables it lacks.

pg_restore reads the table of contents and stops; the rest of the stream is taken all the same, for its hash. Not here:
where the stream comes from (parts.py), the rows in it (contents.py).
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from herald_pipelines.backup.facts import TableFacts
from herald_pipelines.backup.streams import running
from herald_pipelines.resources.clients import ClientPrograms
from herald_pipelines.resources.pipes import Pipe, piping

STALL_SECONDS = 900.0
"""How long pg_restore may take nothing of its input: never, when all is well."""
END_SECONDS = 60.0
# pg_dump's words for the entries of a table, by pg_class.relkind.
ENTRIES = {"r": "TABLE", "p": "TABLE", "f": "FOREIGN TABLE", "m": "MATERIALIZED VIEW"}


def list_archive(clear: Iterable[bytes], clients: ClientPrograms) -> list[str]:
    """Return the table of contents of an archive, a line each: "TABLE DATA public matches owner". Takes all chunks.

    Raises:
        CommandFailed: pg_restore cannot read it.
        CommandTimeout: pg_restore does not answer.
        Exception: whatever taking the chunks raised; that comes first.
    """
    with piping([clients.pg_restore, "--list"], stall_seconds=STALL_SECONDS, takes_input=True) as pipe:
        listing = _Listing(pipe)
        with running(listing.read, pipe.close_input):
            reads = True
            for chunk in clear:
                reads = reads and pipe.write(chunk)
            pipe.close_input()
        pipe.finish(timeout_seconds=END_SECONDS)
    if listing.error is not None:
        raise listing.error
    return list(_entries(bytes(listing.text).decode(errors="replace")))


def find_missing(tables: Sequence[TableFacts], entries: Sequence[str], *, of_standby: bool) -> list[str]:
    """Return what an archive should hold of some tables and does not: "TABLE DATA public.matches".

    Every table has its definition. Ordinary ones have their rows, but for unlogged ones of a standby, where nobody can read
    them. The rows of partitioned tables are their partitions', those of foreign ones are elsewhere, and those of a
    materialized view are made again by its query.

    Args:
        tables: that were in the database, without those of extensions.
        entries: of `list_archive`.
        of_standby: whether a standby was dumped.
    """
    known = sorted(entries)
    return [
        f"{entry} {table.schema_name}.{table.name}"
        for table in tables
        for entry in _expected(table, of_standby=of_standby)
        if not _has(known, f"{entry} {_line(table.schema_name)} {_line(table.name)} ")
    ]


class _Listing:
    """Takes what pg_restore prints, in a thread of its own: neither may wait for the other for ever."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self.text = bytearray()
        self.error: Exception | None = None

    def read(self) -> None:
        try:
            for chunk in self._pipe.chunks():
                self.text += chunk
        except Exception as error:  # noqa: BLE001 - raised by whoever waits
            self.error = error


def _entries(text: str) -> Iterator[str]:
    """Yield the entries without their numbers: "219; 1259 16385 TABLE public matches owner"."""
    for line in text.split("\n"):
        if line and not line.startswith(";"):
            yield line.split(" ", 3)[-1]


def _expected(table: TableFacts, *, of_standby: bool) -> Iterator[str]:
    if table.kind in ENTRIES:
        yield ENTRIES[table.kind]
    if table.kind == "r" and not (table.is_unlogged and of_standby):
        yield "TABLE DATA"


def _has(known: Sequence[str], beginning: str) -> bool:
    place = bisect_left(known, beginning)
    return place < len(known) and known[place].startswith(beginning)


def _line(name: str) -> str:
    """Return a name as pg_restore lists it: in one line."""
    return name.replace("\n", " ").replace("\r", " ")
