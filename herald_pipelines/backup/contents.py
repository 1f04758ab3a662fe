"""Pure: what a plain dump holds, as it streams by: rows of tables, large objects and sequences, each as a hash.

Two dumps of the same rows by the same pg_dump, with the same session settings, are the same text but for the order of their
entries. So a restored database is compared with its archive by hashing both. Not here: running programs (comparison.py).
"""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

END_OF_ROWS = b"\n\\.\n"
_QUOTED = re.compile(rb"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_IDENTIFIERS = re.compile(rb'"(?:[^"]|"")*"')
_COPY = re.compile(rb'COPY (?P<table>(?:"(?:[^"]|"")*"|[^\s"(])+) (?P<columns>.*) ?FROM stdin;', re.DOTALL)
_SET_SEQUENCE = re.compile(rb"SELECT pg_catalog\.setval\((?P<call>.*)\);", re.DOTALL)
_OPEN_OBJECT = re.compile(rb"SELECT pg_catalog\.lo_open\('(?P<oid>\d+)'")
# Without standard_conforming_strings the backslash is doubled.
_WRITE_OBJECT = re.compile(rb"SELECT pg_catalog\.lowrite\(0, '\\{1,2}x(?P<hex>[0-9a-f]*)'\);")
ROW_HASH_BYTES = 16


@dataclass(frozen=True)
class Rows:
    """The rows of one table."""

    statement: bytes
    """COPY schema.table (columns) FROM stdin;"""
    count: int
    digest: str
    """Of all rows in their order; or, in any order, the sum of the hashes of each."""


@dataclass
class Contents:
    """What was in a dump."""

    tables: dict[bytes, Rows] = field(default_factory=dict[bytes, Rows])
    """By qualified name, quoted as pg_dump quotes it."""
    sequences: set[bytes] = field(default_factory=set[bytes])
    """Arguments of setval."""
    large_objects: dict[int, str] = field(default_factory=dict[int, str])
    """Hash by oid."""

    @property
    def row_count(self) -> int:
        """Of all tables."""
        return sum(each.count for each in self.tables.values())


class DumpReader:
    """Takes the text of a dump with data only, chunk by chunk.

    Args:
        unordered: names of tables whose rows are to be compared in any order; all others are passed over then.
    """

    def __init__(self, unordered: Collection[bytes] | None = None) -> None:
        self.contents = Contents()
        self._unordered = unordered
        self._rest = b""
        self._statement = b""
        self._table: tuple[bytes, bytes] | None = None
        self._rows: _Hash = _Ordered()
        self._object: int | None = None
        self._sha256 = hashlib.sha256()

    def take(self, chunk: bytes) -> None:
        """Take the next chunk."""
        self._rest += chunk
        while self._read_rows() if self._table is not None else self._read_line():
            pass

    def end(self) -> bool:
        """Say that there is no more; false when the text ends in the middle of something."""
        return self._table is None and not self._rest and not self._statement

    def _read_rows(self) -> bool:
        """Take rows, each with a line feed before it; true when they came to their end."""
        place = self._rest.find(END_OF_ROWS)
        # The end may lie across two chunks.
        end = place if place >= 0 else max(0, len(self._rest) - len(END_OF_ROWS) + 1)
        self._rows.take(self._rest[:end])
        self._rest = self._rest[end:]
        if place < 0 or self._table is None:
            return False
        self._rest = self._rest[len(END_OF_ROWS) :]
        name, statement = self._table
        if self._unordered is None or name in self._unordered:
            digest = self._rows.digest()
            self.contents.tables[name] = Rows(statement, self._rows.count, digest)
        self._table = None
        return True

    def _read_line(self) -> bool:
        """Take a line of what is between rows; false when there is no whole one."""
        line, feed, rest = self._rest.partition(b"\n")
        if not feed:
            return False
        self._rest = rest
        if not self._statement and (not line or line.startswith((b"--", b"\\"))):
            return True
        self._statement += line + feed
        if self._is_whole(self._statement):
            statement, self._statement = self._statement[:-1], b""
            self._read_statement(statement)
        return True

    @staticmethod
    def _is_whole(statement: bytes) -> bool:
        """Whether a statement ends here: names and literals may hold line feeds, and what looks like its end."""
        if statement.startswith(b"COPY "):
            return statement.endswith(b" FROM stdin;\n") and b'"' not in _IDENTIFIERS.sub(b"", statement)
        outside = _QUOTED.sub(b"", statement)
        return outside.endswith(b";\n") and b"'" not in outside and b'"' not in outside

    def _read_statement(self, statement: bytes) -> None:
        if (found := _COPY.fullmatch(statement)) is not None:
            name = found["table"]
            self._table = (name, statement)
            if self._unordered is None:
                self._rows = _Ordered()
            else:
                self._rows = UnorderedRows() if name in self._unordered else _Ordered()
            # So that an end without rows before it looks like any other.
            self._rest = b"\n" + self._rest
        elif (found := _WRITE_OBJECT.fullmatch(statement)) is not None:
            self._sha256.update(bytes.fromhex(found["hex"].decode()))
        elif (found := _OPEN_OBJECT.match(statement)) is not None:
            self._object, self._sha256 = int(found["oid"]), hashlib.sha256()
        elif statement.startswith(b"SELECT pg_catalog.lo_close") and self._object is not None:
            self.contents.large_objects[self._object] = self._sha256.hexdigest()
            self._object = None
        elif (found := _SET_SEQUENCE.fullmatch(statement)) is not None:
            self.contents.sequences.add(found["call"])


class _Hash(Protocol):
    count: int
    """Rows so far; all of them once the digest was asked for."""

    def take(self, text: bytes) -> None: ...

    def digest(self) -> str: ...


class _Ordered:
    """Rows in their order, each with a line feed before it."""

    def __init__(self) -> None:
        self.count = 0
        self._sha256 = hashlib.sha256()

    def take(self, text: bytes) -> None:
        self.count += text.count(b"\n")
        self._sha256.update(text)

    def digest(self) -> str:
        return self._sha256.hexdigest()


class UnorderedRows:
    """Rows in any order: the sum of the hashes of each, as often as it is there."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0
        self._rest = b""
        self._has_begun = False

    def take(self, text: bytes) -> None:
        """Take rows, each with a line feed before it; the last may go on."""
        head, *rows = (self._rest + text).split(b"\n")
        if not rows:
            self._rest = head
            return
        if self._has_begun:
            self._add(head)
        self._has_begun = True
        for row in rows[:-1]:
            self._add(row)
        self._rest = rows[-1]

    def digest(self) -> str:
        """Return the sum, once there are no more."""
        if self._has_begun:
            self._add(self._rest)
            self._has_begun = False
        return f"{self._sum:x}"

    def _add(self, row: bytes) -> None:
        self.count += 1
        self._sum += int.from_bytes(hashlib.blake2b(row, digest_size=ROW_HASH_BYTES).digest())
