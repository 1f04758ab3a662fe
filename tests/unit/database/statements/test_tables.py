"""Tables of queries for people: texts are anybody's, and must not become markup."""

from herald_pipelines.database.statements.tables import chart, finding_table, query_table, sparkline

ROW = {
    "query_id": "-12",
    "toplevel": True,
    "query": "select a | b, `c` from <img src=x> [y](z)",
    "total_seconds": 12.5,
    "share": 0.5,
    "calls": 3,
    "mean_seconds": 4.0,
    "baseline_mean_seconds": None,
    "hit_percent": None,
    "history": [
        {"window": "2026-11-23", "exec_seconds": 1.0},
        {"window": "2026-11-24", "exec_seconds": 12.5},
    ],
}


def test_a_text_ends_no_cell_and_is_no_markup() -> None:
    text = query_table([ROW]).text
    _, _, line = text.splitlines()
    assert "select a \\| b, \\`c\\` from \\<img src=x\\> \\[y\\](z)" in line
    assert "▂█" in line


def test_the_heaviest_queries_are_plotted_a_line_each() -> None:
    nested = ROW | {"query_id": "7", "toplevel": False}
    assert chart([ROW, nested]) == {"query -12 seconds": 12.5}


def test_plans_stand_below_the_table_once() -> None:
    finding = ROW | {
        "kind": "slow",
        "reason": "why",
        "plan": "Seq Scan on t\n  Filter: x",
        "plan_reason": None,
    }
    text = finding_table([finding, finding | {"kind": "new"}]).text
    assert text.count("    Seq Scan on t\n      Filter: x") == 1
    assert "no plan" not in text.lower()


def test_bars() -> None:
    assert (sparkline([]), sparkline([0.0, 0.0]), sparkline([0.0, 4.0])) == ("", "▁▁", "▁█")
