"""Compares a restored database with the archive that it came from: rows, large objects, sequences.

Both are hashed as text: pg_restore writes out what the archive holds, and pg_dump, with the settings of the session that made
the archive, what the restored database does. Nothing of it is kept. Not here: restoring, b-trees (deep.py).
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from herald_pipelines.backup.contents import Contents, DumpReader, Rows, UnorderedRows
from herald_pipelines.backup.database import STALL_SECONDS, TEXT_FORMS
from herald_pipelines.backup.facts import DUMP, Manifest
from herald_pipelines.backup.parts import open_part
from herald_pipelines.backup.proofs import Unproven
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.streams import running
from herald_pipelines.resources.clients import ClientPrograms
from herald_pipelines.resources.commands import CommandFailed
from herald_pipelines.resources.copying import copy_out
from herald_pipelines.resources.pipes import Pipe, piping
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import Say

END_SECONDS = 60.0
MOST_NAMED = 20
"""Differences that a reason names."""
MOST_TABLES = 200
"""Tables that the details of a proof name: those that differ, then the largest."""
# As pg_dump sets them (setup_connection in pg_dump.c), beside those of the capture.
COPY_FORMS = {
    **TEXT_FORMS,
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "synchronize_seqscans": "off",
    "row_security": "off",
    "search_path": "",
}


@dataclass(frozen=True)
class _Sides:
    """Where both sides are."""

    repository: Repository
    manifest: Manifest
    restored: Postgres
    clients: ClientPrograms


def compare_contents(
    repository: Repository, manifest: Manifest, restored: Postgres, clients: ClientPrograms, say: Say
) -> dict[str, Any]:
    """Compare, and return counts and a verdict for each table, bounded.

    Args:
        repository: where the archive is.
        manifest: of the backup.
        restored: the database that it was restored into, and that nobody else has touched since.
        clients: programs of the server's major version.
        say: told of the progress.

    Raises:
        Unproven: they differ.
        Damaged: the archive is not what was written.
        HeraldError: whatever hinders a verdict.
    """
    sides = _Sides(repository, manifest, restored, clients)
    say(f"comparing {manifest.id} with what was restored")
    archive, database = DumpReader(), DumpReader()
    beside = _DatabaseSide(sides, database)
    with running(beside.read, beside.stop):
        _read_archives(sides, archive)
    if beside.error is not None:
        raise beside.error
    doubtful = {
        name
        for name, rows in archive.contents.tables.items()
        if (found := database.contents.tables.get(name)) is not None
        and found.count == rows.count
        and (found.statement, found.digest) != (rows.statement, rows.digest)
    }
    same = (
        _compare_unordered(sides, doubtful, archive.contents.tables, say) if doubtful else frozenset[bytes]()
    )
    differences = list(_differences(archive.contents, database.contents, same))
    details = _describe(archive.contents, database.contents, same)
    if differences:
        more = f" and {len(differences) - MOST_NAMED} more" if len(differences) > MOST_NAMED else ""
        raise Unproven(
            f"what was restored differs from the archive: {'; '.join(differences[:MOST_NAMED])}{more}",
            details,
        )
    return details


def _read_archives(sides: _Sides, reader: DumpReader) -> None:
    """Read the rows of all archives of the backup."""
    for part in sides.manifest.archives:
        sequences = set(reader.contents.sequences)
        _read_archive(sides, part.name, reader)
        if part.name != DUMP:
            # Sequences come with their tables, at another moment, and are restored from the dump alone.
            reader.contents.sequences = sequences


def _read_archive(sides: _Sides, part: str, reader: DumpReader) -> None:
    """Have pg_restore write out the rows of an archive."""
    argv = [sides.clients.pg_restore, "--data-only", "--file=-"]
    with (
        open_part(sides.repository, sides.manifest, part) as clear,
        piping(argv, stall_seconds=STALL_SECONDS, takes_input=True) as pipe,
    ):
        pump = _Pump(clear, pipe)
        with running(pump.run, pipe.close_input):
            for chunk in pipe.chunks():
                reader.take(chunk)
        if pump.error is not None:
            raise pump.error
        try:
            pipe.finish(timeout_seconds=END_SECONDS)
        except CommandFailed as error:
            raise Unproven(f"the archive cannot be read: {error.message}", {}) from error
    if not reader.end():
        raise Unproven("what pg_restore writes of the archive ends in the middle", {})


class _DatabaseSide:
    """Has pg_dump write out the rows of the restored database, in a thread of its own."""

    def __init__(self, sides: _Sides, reader: DumpReader) -> None:
        self._sides, self._reader = sides, reader
        self._stopped = threading.Event()
        self.error: BaseException | None = None

    def stop(self) -> None:
        """Let it end: nobody waits for the rest."""
        self._stopped.set()

    def read(self) -> None:
        """Read to the end, or until it is stopped."""
        argv = [self._sides.clients.pg_dump, "--data-only", "--no-password"]
        environment = self._sides.restored.client_environment(options=TEXT_FORMS)
        try:
            with piping(argv, env=environment, stall_seconds=STALL_SECONDS) as pipe:
                for chunk in pipe.chunks():
                    if self._stopped.is_set():
                        return
                    self._reader.take(chunk)
                pipe.finish(timeout_seconds=END_SECONDS)
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits
            self.error = error
            return
        if not self._reader.end():
            self.error = CommandFailed("pg_dump of the restored database ended in the middle")


class _Pump:
    """Gives the archive to pg_restore, and takes it to its end whether or not that reads on."""

    def __init__(self, clear: Iterator[bytes], pipe: Pipe) -> None:
        self._clear, self._pipe = clear, pipe
        self.error: BaseException | None = None

    def run(self) -> None:
        reads = True
        try:
            for chunk in self._clear:
                reads = reads and self._pipe.write(chunk)
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits
            self.error = error
        finally:
            self._pipe.close_input()


def _compare_unordered(
    sides: _Sides, names: set[bytes], tables: Mapping[bytes, Rows], say: Say
) -> frozenset[bytes]:
    """Return which of some tables hold the same rows in another order.

    A row that found room on an earlier page lies before older ones, and a child table may have got its columns in another
    order: the archive's own column list asks for them as they were.
    """
    say(f"comparing {len(names)} tables row by row")
    reader = DumpReader(unordered=names)
    _read_archives(sides, reader)
    same: set[bytes] = set()
    with sides.restored.session() as session:
        for name, value in COPY_FORMS.items():
            session.execute("select set_config(%(name)s, %(value)s, false)", {"name": name, "value": value})
        session.execute("set statement_timeout = 0")
        for name in names:
            statement = tables[name].statement.removesuffix(b" FROM stdin;").decode() + " TO STDOUT"
            rows = UnorderedRows()
            copy_out(session, statement, _with_feed_first(rows))
            digest = rows.digest()
            archived = reader.contents.tables[name]
            if (rows.count, digest) == (archived.count, archived.digest):
                same.add(name)
    return frozenset(same)


def _with_feed_first(rows: UnorderedRows) -> Callable[[bytes], None]:
    return lambda row: rows.take(b"\n" + row[:-1])


def _is_same(name: bytes, archive: Contents, database: Contents, same: frozenset[bytes]) -> bool:
    return name in same or archive.tables[name] == database.tables.get(name)


def _differences(archive: Contents, database: Contents, same: frozenset[bytes]) -> Iterator[str]:
    for name, rows in archive.tables.items():
        found = database.tables.get(name)
        if found is None:
            yield f"table {_text(name)} is missing"
        elif found.count != rows.count:
            yield f"table {_text(name)} has {found.count} rows and had {rows.count}"
        elif not _is_same(name, archive, database, same):
            yield f"table {_text(name)} has other rows"
    for name, rows in database.tables.items():
        # Of unlogged tables a standby's archive holds nothing.
        if name not in archive.tables and rows.count:
            yield f"table {_text(name)} has {rows.count} rows that the archive does not hold"
    yield from _other_differences(archive, database)


def _other_differences(archive: Contents, database: Contents) -> Iterator[str]:
    for call in sorted(archive.sequences - database.sequences):
        yield f"a sequence is not at setval({_text(call)})"
    for oid in sorted(archive.large_objects.keys() | database.large_objects.keys()):
        if oid not in database.large_objects:
            yield f"large object {oid} is missing"
        elif oid not in archive.large_objects:
            yield f"large object {oid} is not in the archive"
        elif archive.large_objects[oid] != database.large_objects[oid]:
            yield f"large object {oid} is another"


def _describe(archive: Contents, database: Contents, same: frozenset[bytes]) -> dict[str, Any]:
    largest_first = sorted(
        archive.tables.items(),
        key=lambda each: (_is_same(each[0], archive, database, same), -each[1].count, each[0]),
    )
    verdicts = [
        {
            "table": _text(name),
            "rows": rows.count,
            "restored_rows": database.tables[name].count if name in database.tables else None,
            "equal": _is_same(name, archive, database, same),
        }
        for name, rows in largest_first[:MOST_TABLES]
    ]
    return {
        "tables_compared": len(archive.tables),
        "tables_in_another_order": len(same),
        "rows_compared": archive.row_count,
        "sequences_compared": len(archive.sequences),
        "large_objects_compared": len(archive.large_objects),
        "tables": verdicts,
    }


def _text(name: bytes) -> str:
    return name.decode(errors="replace")
