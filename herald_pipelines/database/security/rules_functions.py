"""Pure: rules on functions that run with the rights of their owner, and on extensions."""

import re
from datetime import datetime

from herald_pipelines.database.security.facts import DatabaseFacts, DefinerFunction, ExtensionFacts
from herald_pipelines.database.security.findings import Found, Rule, Severity, Unreadable, Verdicts

TEMPORARY = "pg_temp"
CALLERS_OWN = "$user"
_ENTRY = re.compile(r'\s*("(?:[^"]|"")*"|[^",]+)\s*(?:,|\Z)')


def parse_search_path(text: str) -> tuple[str, ...]:
    """Return the schemas of a search_path as pg_proc keeps it, unquoted.

    >>> parse_search_path('"$user", public, "Odd, one"')
    ('$user', 'public', 'Odd, one')
    """
    return tuple(unquote(match[1]) for match in _ENTRY.finditer(text))


def unquote(identifier: str) -> str:
    """Return the name that an identifier stands for.

    >>> unquote('"Odd ""one"'), unquote("public")
    ('Odd "one', 'public')
    """
    text = identifier.strip()
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


def unsafe_paths(functions: tuple[DefinerFunction, ...], facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find functions whose names somebody else may resolve: by the caller's path, or by a schema open to all."""
    open_schemas: set[str] = set()
    if isinstance(facts.open_schemas, Unreadable):
        yield Unreadable(f"which schemas are open to all: {facts.open_schemas.reason}")
    else:
        open_schemas = {unquote(each) for each in facts.open_schemas}
    for function in functions:
        if function.search_path is None:
            why = (
                "has no search_path of its own, so that its caller decides which tables and functions it uses"
            )
        else:
            entries = parse_search_path(function.search_path)
            bad = [each for each in entries if each == CALLERS_OWN or each in open_schemas]
            if not bad:
                continue
            why = f"looks in {', '.join(bad)}, where its caller may put tables and functions"
        yield Found(
            function.name,
            Severity.HIGH if function.owner_is_superuser and function.is_public else Severity.MEDIUM,
            f"{_describe(function)} {why}",
            f"alter routine {function.name} set search_path = <its own schema>, pg_temp",
        )


def temporary_first(
    functions: tuple[DefinerFunction, ...], _facts: DatabaseFacts, _now: datetime
) -> Verdicts:
    """Find functions that look into the caller's temporary tables before all else, as paths without pg_temp do.

    With an empty path every name is written out, and no temporary table is meant by one.
    """
    for function in functions:
        if function.search_path is None:
            continue
        entries = [each for each in parse_search_path(function.search_path) if each]
        # Where it is named twice, the first holds.
        if entries and TEMPORARY not in {*entries[-1:]} - {*entries[:-1]}:
            yield Found(
                function.name,
                Severity.LOW,
                f"{_describe(function)} uses a temporary table of its caller before one of the same name in its path",
                f"alter routine {function.name} set search_path = {_temporary_last(function.search_path)}",
            )


def definers_for_all(
    functions: tuple[DefinerFunction, ...], _facts: DatabaseFacts, _now: datetime
) -> Verdicts:
    """Find functions by which every role does something as a superuser. Triggers are not called, extensions know."""
    for function in functions:
        if (
            function.owner_is_superuser
            and function.is_public
            and not function.is_trigger
            and function.extension is None
        ):
            yield Found(
                function.name,
                Severity.MEDIUM,
                f"every role may execute {function.name} with the rights of the superuser {function.owner}",
                f"revoke execute on routine {function.name} from public, or give it an owner with fewer rights",
            )


def extension_updates(
    extensions: tuple[ExtensionFacts, ...], _facts: DatabaseFacts, _now: datetime
) -> Verdicts:
    """Find extensions of an older version than the server has at hand."""
    for extension in extensions:
        yield Found(
            extension.name,
            Severity.LOW,
            f"extension {extension.name} is at {extension.installed}, and the server has {extension.available}",
            f"alter extension {extension.name} update",
        )


def _temporary_last(search_path: str) -> str:
    """Return a path, quoted as it is, whose last entry is pg_temp."""
    entries = [match[1].strip() for match in _ENTRY.finditer(search_path)]
    return ", ".join([*(each for each in entries if unquote(each) not in {TEMPORARY, ""}), TEMPORARY])


def _describe(function: DefinerFunction) -> str:
    owner = f"{'the superuser ' if function.owner_is_superuser else ''}{function.owner}"
    of = f" of extension {function.extension}" if function.extension else ""
    return f"{function.name}{of} runs with the rights of {owner} and"


RULES: tuple[Rule[DatabaseFacts], ...] = (
    Rule(
        "definer_search_path",
        "functions with their owner's rights choose by themselves what they use",
        lambda facts: facts.definers,
        unsafe_paths,
        reference="CIS PostgreSQL 18 v1.0.0, 4.5; CVE-2018-1058",
    ),
    Rule(
        "definer_temporary_tables",
        "functions with their owner's rights use no temporary table of their caller",
        lambda facts: facts.definers,
        temporary_first,
        reference="PostgreSQL documentation, Writing SECURITY DEFINER Functions Safely",
    ),
    Rule(
        "definer_for_all",
        "no function gives every role the rights of a superuser",
        lambda facts: facts.definers,
        definers_for_all,
        reference="CIS PostgreSQL 18 v1.0.0, 4.5",
    ),
    Rule(
        "extension_update",
        "extensions are of the version that the server has",
        lambda facts: facts.extensions,
        extension_updates,
    ),
)
