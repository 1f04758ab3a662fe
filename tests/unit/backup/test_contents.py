"""Text of dumps taken apart, wherever the chunks are cut."""

from hypothesis import given
from hypothesis import strategies as st

from herald_pipelines.backup.contents import Contents, DumpReader, UnorderedRows
from herald_pipelines.backup.dump_listing import find_missing
from herald_pipelines.backup.facts import TableFacts

DUMP = rb"""--
-- PostgreSQL database dump
--

\restrict abc

SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

--
-- Data for Name: empty; Type: TABLE DATA
--

COPY public.empty  FROM stdin;


\.


COPY public.none (a) FROM stdin;
\.


COPY public."odd ""n
COPY x FROM stdin;
o'clock" (id, "c FROM stdin;
") FROM stdin;
1	a\n\\.\nb
2	\N
\\.	COPY y (a) FROM stdin;
\.

SELECT pg_catalog.setval('public."s''q
COPY z FROM stdin;
x"', 7, true);
SELECT pg_catalog.lo_create('16400');
ALTER LARGE OBJECT 16400 OWNER TO "o'brien";

BEGIN;

SELECT pg_catalog.lo_open('16400', 131072);
SELECT pg_catalog.lowrite(0, '\x00ff');
SELECT pg_catalog.lowrite(0, '\\x27');
SELECT pg_catalog.lo_close(0);

SELECT pg_catalog.lo_open('16401', 131072);
SELECT pg_catalog.lo_close(0);

COMMIT;

COPY public.last (a) FROM stdin;
x
\.

\unrestrict abc
"""


def read(text: bytes, *cuts: int) -> Contents:
    reader = DumpReader()
    for start, end in zip((0, *cuts), (*cuts, len(text)), strict=True):
        reader.take(text[start:end])
    assert reader.end()
    return reader.contents


def test_all_of_a_dump() -> None:
    found = read(DUMP)
    assert {name: rows.count for name, rows in found.tables.items()} == {
        b"public.empty": 2,
        b"public.none": 0,
        b'public."odd ""n\nCOPY x FROM stdin;\no\'clock"': 3,
        b"public.last": 1,
    }
    assert found.tables[b"public.empty"].statement == b"COPY public.empty  FROM stdin;"
    assert found.sequences == {b"'public.\"s''q\nCOPY z FROM stdin;\nx\"', 7, true"}
    assert list(found.large_objects) == [16400, 16401]
    assert found.large_objects == read(DUMP.replace(rb"'\\x27'", rb"'\x27'")).large_objects
    assert found.large_objects != read(DUMP.replace(b"00ff", b"00fe")).large_objects


@given(st.lists(st.integers(0, len(DUMP)), max_size=30).map(sorted))
def test_wherever_the_chunks_are_cut(cuts: list[int]) -> None:
    assert read(DUMP, *cuts) == read(DUMP)


def test_byte_by_byte() -> None:
    assert read(DUMP, *range(1, len(DUMP))) == read(DUMP)


def test_any_change_of_a_row_is_seen() -> None:
    for old, new in ((b"2\t\\N", b"2\tN"), (b"\nx\n", b"\ny\n"), (b"a\\n", b"a\\t")):
        assert DUMP.count(old) == 1
        assert read(DUMP.replace(old, new)).tables != read(DUMP).tables


def test_an_end_in_the_middle_is_seen() -> None:
    for part in (b"COPY t (a) FROM stdin;\n1\n", b"COPY t (a) FR", b"SELECT 1", b"SELECT 'a\n"):
        reader = DumpReader()
        reader.take(part)
        assert not reader.end()


LINE = st.binary(max_size=12).filter(lambda line: b"\n" not in line and line != b"\\.")
ROWS = st.lists(LINE, max_size=12)


def unordered(rows: list[bytes], cut: int) -> tuple[int, str]:
    text = b"".join(b"\n" + row for row in rows)
    found = UnorderedRows()
    found.take(text[:cut])
    found.take(text[cut:])
    digest = found.digest()
    return found.count, digest


@given(ROWS, st.integers(0, 100), st.randoms())
def test_rows_in_any_order(rows: list[bytes], cut: int, chance) -> None:
    other = list(rows)
    chance.shuffle(other)
    assert unordered(rows, cut) == unordered(other, 0)


@given(ROWS, ROWS)
def test_other_rows_have_another_sum(rows: list[bytes], other: list[bytes]) -> None:
    assert (unordered(rows, 3) == unordered(other, 5)) == (sorted(rows) == sorted(other))


def table(name: str, kind: str = "r", *, is_unlogged: bool = False) -> TableFacts:
    return TableFacts(
        schema_name="public", name=name, kind=kind, is_unlogged=is_unlogged, estimated_rows=1, size_bytes=1
    )


ENTRIES = [
    "TABLE public a owner",
    "TABLE DATA public a owner",
    "TABLE public u owner",
    "TABLE public p owner",
    "MATERIALIZED VIEW public m owner",
    "FOREIGN TABLE public f owner",
    "TABLE public two lines owner",
    "TABLE DATA public two lines owner",
]


def test_what_an_archive_must_hold() -> None:
    whole = [table("a"), table("p", "p"), table("m", "m"), table("f", "f"), table("two\nlines")]
    assert find_missing(whole, ENTRIES, of_standby=False) == []
    assert find_missing([table("b"), table("m")], ENTRIES, of_standby=False) == [
        "TABLE public.b",
        "TABLE DATA public.b",
        "TABLE public.m",
        "TABLE DATA public.m",
    ]
    assert find_missing([table("two")], ["TABLE public twofold owner"], of_standby=False) != []


def test_rows_of_unlogged_tables_are_not_in_a_standby_s_archive() -> None:
    unlogged = [table("u", is_unlogged=True)]
    assert find_missing(unlogged, ENTRIES, of_standby=True) == []
    assert find_missing(unlogged, ENTRIES, of_standby=False) == ["TABLE DATA public.u"]
