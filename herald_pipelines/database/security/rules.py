"""All rules. A new one is written in the module of its subject, and in docs/security.md."""

from herald_pipelines.database.security import (
    rules_functions,
    rules_grants,
    rules_hba,
    rules_host,
    rules_roles,
    rules_server,
)
from herald_pipelines.database.security.facts import DatabaseFacts, HostFacts
from herald_pipelines.database.security.findings import Rule

DATABASE_RULES: tuple[Rule[DatabaseFacts], ...] = (
    *rules_roles.RULES,
    *rules_grants.RULES,
    *rules_functions.RULES,
    *rules_server.RULES,
    *rules_hba.RULES,
)
HOST_RULES: tuple[Rule[HostFacts], ...] = rules_host.RULES
"""Of the host that maintains: judged once, with the database `ops`."""
HOST_RULE_NAMES = frozenset(rule.name for rule in HOST_RULES)
RULE_TITLES = {rule.name: rule.title for rule in (*DATABASE_RULES, *HOST_RULES)}
RULE_NAMES = frozenset(RULE_TITLES)
