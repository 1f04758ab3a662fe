"""The listing of an archive: its entries with what each needs, and what belongs to a selection of tables. Pure.

`pg_restore --list --verbose` gives a line an entry, its dump id first, and below it the ids it depends on. pg_restore's own
--table leaves out indexes, constraints, triggers and what the table needs; here they are found by the dependencies. Not
here: running pg_restore (restore_archive.py).
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from herald_pipelines.backup.restore_refusals import Selection

_ENTRY = re.compile(r"(\d+); (\d+) (\d+) (.*)")
_NEEDS = re.compile(r";\s+depends on:((?: \d+)*)")
_LONG_KINDS = (
    "ACCESS METHOD",
    "BLOB METADATA",
    "CHECK CONSTRAINT",
    "DATABASE PROPERTIES",
    "DEFAULT ACL",
    "EVENT TRIGGER",
    "FK CONSTRAINT",
    "FOREIGN DATA WRAPPER",
    "FOREIGN TABLE",
    "INDEX ATTACH",
    "LARGE OBJECT",
    "MATERIALIZED VIEW DATA",
    "MATERIALIZED VIEW",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "PROCEDURAL LANGUAGE",
    "PUBLICATION TABLES IN SCHEMA",
    "PUBLICATION TABLE",
    "ROW SECURITY",
    "SECURITY LABEL",
    "SEQUENCE OWNED BY",
    "SEQUENCE SET",
    "SHELL TYPE",
    "STATISTICS DATA",
    "SUBSCRIPTION TABLE",
    "TABLE ATTACH",
    "TABLE DATA",
    "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY",
    "TEXT SEARCH PARSER",
    "TEXT SEARCH TEMPLATE",
    "USER MAPPING",
)
_OF_ALL = re.compile(r"^CREATE PUBLICATION (\S.*?) FOR ALL (?:TABLES|SEQUENCES)\b", re.MULTILINE)
RELATIONS = frozenset({"TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE"})
SUPERUSER_KINDS = frozenset(
    {
        "ACCESS METHOD",
        "EVENT TRIGGER",
        "FOREIGN DATA WRAPPER",
        "OPERATOR CLASS",
        "OPERATOR FAMILY",
        "PUBLICATION TABLES IN SCHEMA",
        "SHELL TYPE",
        "TEXT SEARCH PARSER",
        "TEXT SEARCH TEMPLATE",
    }
)
"""What only superusers create (the reference pages of CREATE ...)."""
# What hangs on a table and comes with it, in any number of steps. A view or a function on it does not.
_PARTS = frozenset(
    {
        "ACL",
        "CHECK CONSTRAINT",
        "COMMENT",
        "CONSTRAINT",
        "DEFAULT",
        "FK CONSTRAINT",
        "INDEX",
        "INDEX ATTACH",
        "MATERIALIZED VIEW DATA",
        "POLICY",
        "ROW SECURITY",
        "RULE",
        "SECURITY LABEL",
        "SEQUENCE",
        "SEQUENCE OWNED BY",
        "SEQUENCE SET",
        "STATISTICS",
        "STATISTICS DATA",
        "TABLE ATTACH",
        "TABLE DATA",
        "TRIGGER",
    }
)
# Parts that bring no other table along: without it they are left out.
_LINKS = frozenset({"FK CONSTRAINT", "TABLE ATTACH", "INDEX ATTACH"})


@dataclass(frozen=True)
class Entry:
    """An entry of the archive."""

    id: int
    kind: str
    rest: str
    """Schema, name and owner, divided by spaces, as the names themselves may be; - for no schema."""
    needs: tuple[int, ...]


@dataclass(frozen=True)
class Chosen:
    """What a selection takes of an archive."""

    ids: frozenset[int]
    left_out: tuple[str, ...]
    """Foreign keys whose other table is not in it."""
    without_rows: tuple[str, ...]
    """Tables that others need, and that were not asked for."""
    missing: tuple[str, ...]
    """Tables that were asked for and are not in the archive."""


def read_listing(text: str) -> tuple[Entry, ...]:
    """Return the entries of a verbose listing, in order."""
    entries: list[Entry] = []
    for line in text.splitlines():
        if match := _ENTRY.fullmatch(line):
            kind, rest = _split_kind(match[4])
            entries.append(Entry(int(match[1]), kind, rest, ()))
        elif entries and (match := _NEEDS.fullmatch(line)):
            last = entries[-1]
            entries[-1] = Entry(last.id, last.kind, last.rest, tuple(map(int, match[1].split())))
    return tuple(entries)


def find_owners(entries: Iterable[Entry], roles: Collection[str]) -> frozenset[str]:
    """Return which roles own entries. An owner with a space in its name is told from a name by the longest that fits."""
    known = frozenset(roles)
    found: set[str] = set()
    for entry in entries:
        words = entry.rest.split(" ")
        tails = (" ".join(words[start:]) for start in range(len(words)))
        if (owner := next((each for each in tails if each in known), None)) is not None:
            found.add(owner)
    return frozenset(found)


def find_superuser_entries(entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return what only a superuser can restore: "event trigger - audit shop_owner"."""
    return tuple(f"{each.kind.lower()} {each.rest}" for each in entries if each.kind in SUPERUSER_KINDS)


def find_publications_of_all(definitions: str) -> tuple[str, ...]:
    """Return the publications of all tables, or sequences, among definitions: only superusers create them.

    >>> find_publications_of_all("CREATE PUBLICATION a FOR ALL TABLES WITH (publish = 'insert');")
    ('publication a',)
    """
    return tuple(f"publication {name}" for name in _OF_ALL.findall(definitions))


def choose(
    entries: tuple[Entry, ...],
    selection: Selection,
    tables: Collection[tuple[str, str]],
    roles: Collection[str],
) -> Chosen:
    """Return the entries that a selection takes: its tables, what they need, and what hangs on them.

    A table brings its partitions, indexes, constraints, triggers and sequences, and the types and functions that these use.
    A partition brings its parent without rows. A foreign key comes where both tables do.

    Args:
        entries: of the archive.
        selection: what is wanted.
        tables: all that the manifest names, as (schema, name).
        roles: owners that there may be, to tell where a name with spaces ends.
    """
    by_id = {each.id: each for each in entries}
    wanted = {
        _one_line(f"{schema} {name} {role}"): f"{schema}.{name}"
        for schema, name in tables
        if selection.takes(schema, name)
        for role in roles
    }
    # A schema's views, functions and types too. Where names hold spaces this may take more than was meant, never less.
    starts = tuple(_one_line(schema) + " " for schema in selection.schemas)
    relations = {each.id for each in entries if each.kind in RELATIONS and each.rest in wanted}
    picked = relations | {
        each.id for each in entries if starts and each.kind not in _LINKS and each.rest.startswith(starts)
    }
    missing = tuple(sorted(set(wanted.values()) - {wanted[by_id[each].rest] for each in relations}))
    picked |= _partitions(entries, by_id, picked)
    ids = _closure(by_id, picked)
    # What must be there only for others gets no rows.
    own = set(picked)
    grown = True
    while grown:
        grown = False
        for entry in entries:
            if entry.id in ids or entry.kind not in _PARTS or not own.intersection(entry.needs):
                continue
            needed = _closure(by_id, entry.needs) - ids
            if any(by_id[each].kind in RELATIONS for each in needed) or (entry.kind in _LINKS and needed):
                continue
            ids |= needed | {entry.id}
            own |= {entry.id} | {each for each in needed if by_id[each].kind == "SEQUENCE"}
            grown = True
    # Sequences that a default brought along have their values too.
    ids |= {each.id for each in entries if each.kind == "SEQUENCE SET" and ids.intersection(each.needs)}
    # The attachment of a table that came only for its partition.
    ids |= {
        each.id for each in entries if each.kind == "TABLE ATTACH" and each.needs and set(each.needs) <= ids
    }
    left_out = [
        each.rest
        for each in entries
        if each.kind == "FK CONSTRAINT" and each.id not in ids and picked.intersection(each.needs)
    ]
    without_rows = tuple(each.rest for each in entries if each.kind == "TABLE" and each.id in ids - picked)
    return Chosen(frozenset(ids), tuple(left_out), without_rows, missing)


def choose_rows(rows: Iterable[Entry], dump: Iterable[Entry], chosen: Chosen | None) -> frozenset[int]:
    """Return the entries to take of an archive that holds the rows of some tables.

    Args:
        rows: the entries of that archive.
        dump: those of the dump, which has the definitions of the tables.
        chosen: what a selection takes of the dump; None: all.
    """
    found = [each for each in rows if each.kind == "TABLE DATA"]
    if chosen is not None:
        taken = {each.rest for each in dump if each.kind == "TABLE" and each.id in chosen.ids}
        found = [each for each in found if each.rest in taken.difference(chosen.without_rows)]
    return frozenset(each.id for each in found)


def write_list(entries: tuple[Entry, ...], ids: Collection[int]) -> str:
    """Return the list for --use-list, in the archive's order."""
    return "".join(f"{each.id}; 0 0 {each.kind} {each.rest}\n" for each in entries if each.id in ids)


def _partitions(entries: tuple[Entry, ...], by_id: dict[int, Entry], picked: set[int]) -> set[int]:
    """Return the partitions of picked tables, and theirs."""
    found: set[int] = set()
    grown = True
    while grown:
        grown = False
        for entry in entries:
            if entry.kind != "TABLE ATTACH":
                continue
            children = {each for each in entry.needs if each in by_id and _same_object(by_id[each], entry)}
            parents = {each for each in entry.needs if each in by_id} - children
            if parents & (picked | found) and not children <= (picked | found):
                found |= children
                grown = True
    return found


def _same_object(table: Entry, other: Entry) -> bool:
    return table.kind in RELATIONS and table.rest == other.rest


def _closure(by_id: dict[int, Entry], start: Iterable[int]) -> set[int]:
    """Return entries with all that they need, in any number of steps."""
    found: set[int] = set()
    open_ids = [each for each in start if each in by_id]
    while open_ids:
        each = open_ids.pop()
        if each not in found:
            found.add(each)
            open_ids += [need for need in by_id[each].needs if need in by_id]
    return found


def _one_line(text: str) -> str:
    """Write a name as the listing does."""
    return text.replace("\n", " ").replace("\r", " ")


def _split_kind(text: str) -> tuple[str, str]:
    for kind in _LONG_KINDS:
        if text.startswith(kind + " "):
            return kind, text[len(kind) + 1 :]
    kind, _, rest = text.partition(" ")
    return kind, rest
