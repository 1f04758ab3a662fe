"""Which tables are dumped by whom: all of them once, about as much for each."""

from hypothesis import given
from hypothesis import strategies as st

from herald_pipelines.backup.facts import TableFacts
from herald_pipelines.backup.sharing import LARGE_BYTES, MOST_TABLES, choose_streams, share_tables


def table(name: str, size_bytes: int, kind: str = "r") -> TableFacts:
    """Return a table."""
    return TableFacts(
        schema_name="public", name=name, kind=kind, is_unlogged=False, estimated_rows=0, size_bytes=size_bytes
    )


def test_streams_by_size_and_processors() -> None:
    assert choose_streams(LARGE_BYTES - 1, 64, None) == 1
    assert [choose_streams(LARGE_BYTES, each, None) for each in (1, 2, 3, 4, 8, 64)] == [1, 1, 1, 2, 4, 4]
    assert choose_streams(0, 1, 3) == 3


@given(sizes=st.lists(st.integers(0, 1000), max_size=40), streams=st.integers(1, 6))
def test_each_table_has_one_place_and_none_much_more_to_do(sizes: list[int], streams: int) -> None:
    tables = [table(f"t{number}", size) for number, size in enumerate(sizes)]
    groups = share_tables(tables, streams)
    handed = [each.name for group in groups for each in group]
    assert len(groups) < streams
    assert all(groups)
    assert len(handed) == len(set(handed))
    loads = [sum(each.size_bytes for each in group) for group in groups]
    own = sum(sizes) - sum(loads)
    # Largest first, to the least busy: none is above the mean by more than its last table (Graham 1969).
    assert max([own, *loads]) <= sum(sizes) / streams + max(sizes, default=0)


def test_only_tables_of_their_own_rows_and_plain_names_are_handed_out() -> None:
    tables = [table("view", 9, "m"), table("parent", 9, "p"), table("größe", 9), table("plain", 1)]
    assert [[each.name for each in group] for group in share_tables(tables, 2)] == [["plain"]]


def test_names_fit_into_arguments() -> None:
    groups = share_tables([table(f"t{number:05}", number) for number in range(10_000)], 4)
    assert sum(len(group) for group in groups) <= MOST_TABLES
