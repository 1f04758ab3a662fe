"""Tables for people in the UI, as Markdown. Texts in them are anybody's: names, statements, comments."""

from collections.abc import Sequence
from dataclasses import dataclass

_SIGNS = "\\`*_[]<>|"


@dataclass(frozen=True)
class Markdown:
    """Metadata that the UI renders: one table for people."""

    text: str


def to_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, total: int) -> Markdown:
    """Return a table that says how many rows it leaves out.

    Args:
        header: the columns.
        rows: those that are shown.
        total: how many there are.
    """
    if not rows:
        return Markdown("nothing")
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(map(escape, row))} |" for row in rows]
    if total > len(rows):
        lines.append(f"\n{total - len(rows)} more")
    return Markdown("\n".join(lines))


def escape(text: str) -> str:
    r"""Return a text, on one line, that ends no cell and is no markup.

    >>> print(escape("a|b `c`"))
    a\|b \`c\`
    """
    for sign in _SIGNS:
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
