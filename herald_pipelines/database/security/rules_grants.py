"""Pure: rules on what every role may do."""

from datetime import datetime

from herald_pipelines.database.security.facts import DatabaseFacts, DefaultGrant, PublicGrant
from herald_pipelines.database.security.findings import Found, Rule, Severity, Verdicts

READING = frozenset({"SELECT"})
HARMLESS = frozenset({"REFERENCES", "TRIGGER", "MAINTAIN", "USAGE"})
"""Neither reads nor changes a row by itself; USAGE of a sequence takes its next number."""


def open_schemas(schemas: tuple[str, ...], _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find schemas in which every role may put what others then call by mistake."""
    for name in schemas:
        yield Found(
            name,
            Severity.HIGH,
            f"every role may create in schema {name}, and so put functions and tables before those that others mean",
            f"revoke create on schema {name} from public",
        )


def open_databases(names: tuple[str, ...], _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find a database in which every role may create schemas, also those that a search_path names and that are not there."""
    for name in names:
        yield Found(
            name,
            Severity.MEDIUM,
            f"every role may create schemas in database {name}, also those that search paths name already",
            f"revoke create on database {name} from public",
        )


def public_writing(grants: tuple[PublicGrant, ...], _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find tables, views and sequences that every role may change."""
    for grant in grants:
        writing = [each for each in grant.privileges if each not in READING | HARMLESS]
        if writing:
            yield _found(grant, writing, Severity.HIGH if grant.is_reachable else Severity.MEDIUM)


def public_reading(grants: tuple[PublicGrant, ...], _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find tables, views and sequences that every role may read."""
    for grant in grants:
        reading = [each for each in grant.privileges if each in READING]
        if reading:
            yield _found(grant, reading, Severity.MEDIUM if grant.is_reachable else Severity.LOW)


def public_later(grants: tuple[DefaultGrant, ...], _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find default privileges that open what is made later."""
    for grant in grants:
        opening = [each for each in grant.privileges if each not in HARMLESS]
        if opening:
            where = f" in schema {grant.schema}" if grant.schema else ""
            yield Found(
                f"{grant.owner} {grant.kind}s{where}",
                Severity.MEDIUM,
                f"every role gets {', '.join(opening)} on the {grant.kind}s that {grant.owner} makes{where}",
                f"alter default privileges for role {grant.owner}{where}"
                f" revoke {', '.join(opening)} on {grant.kind}s from public",
            )


def _found(grant: PublicGrant, privileges: list[str], severity: Severity) -> Found:
    reach = "" if grant.is_reachable else ", as far as it may use the schema"
    on = "sequence " if grant.kind == "sequence" else ""
    return Found(
        grant.name,
        severity,
        f"every role has {', '.join(privileges)} on the {grant.kind} {grant.name}{reach}",
        f"revoke {', '.join(privileges)} on {on}{grant.name} from public",
    )


RULES: tuple[Rule[DatabaseFacts], ...] = (
    Rule(
        "public_schema_create",
        "no schema is open for every role to create in",
        lambda facts: facts.open_schemas,
        open_schemas,
        reference="CVE-2018-1058",
    ),
    Rule(
        "public_database_create",
        "not every role may create schemas",
        lambda facts: facts.open_databases,
        open_databases,
        reference="CVE-2018-1058",
    ),
    Rule(
        "public_table_write",
        "no table may be changed by every role",
        lambda facts: facts.public_grants,
        public_writing,
        reference="CIS PostgreSQL 18 v1.0.0, 4.6",
    ),
    Rule(
        "public_table_read",
        "no table may be read by every role",
        lambda facts: facts.public_grants,
        public_reading,
    ),
    Rule(
        "public_default_privileges",
        "no table that is made later is open to every role",
        lambda facts: facts.default_grants,
        public_later,
    ),
)
