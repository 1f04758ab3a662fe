"""Pure: what may be kept and shown of a statement's text, and which texts may be planned. Not here: planning them.

pg_stat_statements puts $1 in the place of constants, with two exceptions: utility statements (CREATE ROLE ... PASSWORD 'x')
keep theirs, and so does a text whose entry was evicted while its statement ran. So of utility statements only the leading
keywords are kept, and of all others no literal and no comment, where applications put the ids of their users. Numbers are
literals, but for the modifiers of types, numeric(10, 2), and ordinals, order by 1, which are no constants to it.
"""

import re
import string

PLANNABLE = frozenset({"SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "TABLE"})
"""First words of what the planner plans; everything else is a utility statement."""

LONGEST = 10_000
"""Characters of a text that are kept: before version 18, lists of thousands of values are as many parameters."""

# First words of utility statements and what may follow them without naming anything.
_KEYWORDS = re.compile(
    "ALTER|ANALYZE|BEGIN|CALL|CHECKPOINT|CLOSE|CLUSTER|COMMENT|COMMIT|CONCURRENTLY|COPY|CREATE|DATABASE|DEALLOCATE|DECLARE"
    "|DISCARD|DO|DROP|EXECUTE|EXPLAIN|EXTENSION|FETCH|FUNCTION|GRANT|IMPORT|INDEX|LISTEN|LOAD|LOCK|MATERIALIZED|MOVE|NOTIFY"
    "|POLICY|PREPARE|PROCEDURE|PUBLICATION|REASSIGN|REFRESH|REINDEX|RELEASE|RESET|REVOKE|ROLE|ROLLBACK|SAVEPOINT|SCHEMA"
    "|SECURITY|SEQUENCE|SERVER|SET|SHOW|START|SUBSCRIPTION|SYSTEM|TABLE|TABLESPACE|TEMP|TEMPORARY|TRANSACTION|TRIGGER"
    "|TRUNCATE|TYPE|UNIQUE|UNLISTEN|UNLOGGED|USER|VACUUM|VIEW"
)
_HIDDEN = "'***'"
# Whichever begins first in a text: a comment, a quoted name, a dollar-quoted body, a string (E'' knows backslashes), what
# pg_stat_statements leaves of numbers (a type's modifiers, ordinals), any other number.
_PIECE = re.compile(
    r"""
    (?P<comment> --[^\n\r]* | /\* )
    | (?P<name> "(?:[^"]|"")*(?:"|\Z) )
    | (?P<string> (?P<tag>(?<![\w$])\$(?:[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*)?\$).*?(?:(?P=tag)|\Z)
        | (?<!\w)[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)
        | (?P<plain>(?:(?<!\w)(?:[uU]&|[xXbBnN]))?'(?:[^']|'')*(?:'|\Z)) )
    | (?P<kept> \b(?i:numeric|decimal|dec|float|n?char|character|varchar|varying|bit|time|timestamp|interval|second)
            \s*\(\s*\d{1,4}(?:\s*,\s*-?\d{1,4})?\s*\)
        | \b(?i:order|group)\s+(?i:by)\s+\d{1,2}\b(?:\s+(?i:asc|desc))?(?:\s*,\s*\d{1,2}\b(?:\s+(?i:asc|desc))?)* )
    | (?P<number> (?<![\w$\x80-\U0010ffff])(?:\d[\w.]*|\.\d\w*)(?:(?<=[eE])[+-]\d+)? )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_WORD = re.compile(r"[\w$\x80-\U0010ffff]+")
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_ESCAPED_NAME = re.compile(r'[uU]&"')
_SMALL = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def tidy_text(text: str) -> str:
    r"""Return what may be kept of a text, on one line: no comment, no literal, of utility statements their keywords.

    >>> tidy_text("select /* user 7 */ name\n  from players where id = $1 and note = 'secret'")
    "select name from players where id = $1 and note = '***'"
    >>> tidy_text("alter role alice password 'hunter2'")
    'ALTER ROLE ...'
    """
    bare = " ".join(_hide(text).split())
    if first_word(bare) in PLANNABLE:
        return bare if len(bare) <= LONGEST else f"{bare[:LONGEST]}..."
    words: list[str] = []
    for word in bare.split():
        if not _KEYWORDS.fullmatch(word.upper()):
            break
        words.append(word.upper())
    return " ".join([*words, "..."])


def why_not_planned(text: str) -> str | None:
    """Return why a text must not be given to EXPLAIN; None when it may.

    EXPLAIN goes with the text in one message, and the server would run what follows a semicolon.

    >>> why_not_planned("select $1 ; drop table players")
    'its text holds a semicolon'
    """
    bare = _hide(text)
    if first_word(bare) not in PLANNABLE:
        return "a utility statement has no plan"
    if ";" in text or "\0" in text:
        return "its text holds a semicolon"
    if _HIDDEN in bare:
        return "its text was kept with its constants, which are not shown"
    if _ESCAPED_NAME.search(text):
        return "its text holds names in escapes"
    return None


def names_in(text: str) -> list[str]:
    """Return every word and quoted name of a text that may be planned, and as an unquoted one may be meant.

    >>> names_in('select Shop.F(x) from "Odd ""one"')
    ['F', 'Odd', 'Odd "one', 'Shop', 'f', 'from', 'odd', 'odd "one', 'one', 'select', 'shop', 'x']
    """
    quoted = (each.replace('""', '"') for form in (text, _hide(text)) for each in _QUOTED.findall(form))
    found = {*_WORD.findall(text), *quoted}
    return sorted({form for each in found for form in (each, each.lower(), each.translate(_SMALL))})


def first_word(text: str) -> str:
    """Return the first word of a statement without comments, in capitals; parentheses before it do not count.

    >>> first_word("((select 1) union select 2)")
    'SELECT'
    """
    found = re.match(r"[\s(]*([A-Za-z]+)", text)
    return found[1].upper() if found else ""


def _hide(text: str) -> str:
    """Return a text without comments, and without what constants say."""
    parts: list[str] = []
    at = 0
    while piece := _PIECE.search(text, at):
        parts.append(text[at : piece.start()])
        at = piece.end()
        if piece["comment"] is not None:
            parts.append(" ")
            at = _end_of_comment(text, piece.start()) if piece[0] == "/*" else at
        elif piece["plain"] is not None and "\\'" in piece[0]:
            # Where it ends is known to the server alone, by standard_conforming_strings.
            return "".join([*parts, _HIDDEN])
        else:
            is_shown = piece["name"] is not None or piece["kept"] is not None
            parts.append(piece[0] if is_shown else _HIDDEN)
    return "".join([*parts, text[at:]])


def _end_of_comment(text: str, start: int) -> int:
    """Return where a comment ends; they nest."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)
