"""Pure: what may be kept and shown of a statement's text, and which texts may be planned. Not here: planning them.

pg_stat_statements puts $1 in the place of constants, with two exceptions: utility statements (CREATE ROLE ... PASSWORD 'x')
keep theirs, and so does a text whose entry was evicted while its statement ran. So of utility statements only the leading
keywords are kept, and of all others no literal and no comment, where applications put the ids of their users.
"""

import re

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
# Whichever begins first in a text: a comment, a quoted name, a dollar-quoted body, a string (E'' knows backslashes).
_PIECE = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<name> "(?:[^"]|"")*(?:"|\Z) )
    | (?P<string> (?P<tag>(?<![\w$])\$(?:[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*)?\$).*?(?:(?P=tag)|\Z)
        | (?<!\w)[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)
        | (?:(?<!\w)(?:[uU]&|[xXbBnN]))?'(?:[^']|'')*(?:'|\Z) )
    """,
    re.VERBOSE | re.DOTALL,
)


def tidy_text(text: str) -> str:
    r"""Return what may be kept of a text, on one line: no comment, no literal, of utility statements their keywords.

    >>> tidy_text("select /* user 7 */ name\n  from players where id = $1 and note = 'secret'")
    "select name from players where id = $1 and note = '***'"
    >>> tidy_text("alter role alice password 'hunter2'")
    'ALTER ROLE ...'
    """
    bare = " ".join(_PIECE.sub(_hide, text).split())
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

    >>> why_not_planned("select 1 ; drop table players")
    'its text holds a semicolon'
    """
    bare = _PIECE.sub(_hide, text)
    if first_word(bare) not in PLANNABLE:
        return "a utility statement has no plan"
    if _HIDDEN in bare:
        return "its text was kept with its constants, which are not shown"
    if ";" in text or "\0" in text:
        return "its text holds a semicolon"
    return None


def first_word(text: str) -> str:
    """Return the first word of a statement without comments, in capitals; parentheses before it do not count.

    >>> first_word("((select 1) union select 2)")
    'SELECT'
    """
    found = re.match(r"[\s(]*([A-Za-z]+)", text)
    return found[1].upper() if found else ""


def _hide(match: re.Match[str]) -> str:
    if match["comment"] is not None:
        return " "
    return match[0] if match["name"] is not None else _HIDDEN
