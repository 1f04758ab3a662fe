"""Pure: risks that the operator accepts, by the id of a finding or the name of a rule, until a day.

An acceptance whose day is over accepts nothing: what it accepted counts again, and says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from herald_pipelines.database.security.findings import Finding
from herald_pipelines.database.security.rules import HOST_RULE_NAMES, RULE_NAMES
from herald_pipelines.errors import UsageError, unknown_value
from herald_pipelines.settings import OPS, AcceptedRisk, Settings


@dataclass(frozen=True)
class Weighed:
    """A finding, and what the operator said of it."""

    finding: Finding
    acceptance: AcceptedRisk | None
    """The one that stands; else the latest that is over."""
    is_accepted: bool

    @property
    def expired_on(self) -> date | None:
        """The last day on which it was accepted, where that is over."""
        return self.acceptance.until if self.acceptance and not self.is_accepted else None


def weigh(
    findings: Sequence[Finding], accepted: Sequence[AcceptedRisk], database: str, today: date
) -> tuple[Weighed, ...]:
    """Say of each finding whether it is accepted.

    Args:
        findings: of one database.
        accepted: of the settings.
        database: its name.
        today: in UTC; the last day of an acceptance is still one.
    """
    return tuple(_weigh(finding, accepted, database, today) for finding in findings)


def unused(
    weighed: Sequence[Weighed], accepted: Sequence[AcceptedRisk], database: str, hidden: frozenset[str]
) -> tuple[AcceptedRisk, ...]:
    """Return what is accepted and was not found: it can go from the settings.

    That is what is accepted for this database by name, and with `ops`, what is accepted of the host. What is accepted of
    every database cannot be told by one of them.

    Args:
        weighed: of the database.
        accepted: of the settings.
        database: its name.
        hidden: rules that were not judged.
    """
    return tuple(
        risk
        for risk in accepted
        if (database in risk.databases or (database == OPS and _is_of_host(risk)))
        and rule_of(risk) not in hidden
        and not any(_concerns(risk, each.finding, database) for each in weighed)
    )


def check_accepted(settings: Settings) -> None:
    """Refuse what accepts nothing that exists.

    Raises:
        UsageError: a rule or a database is unknown, or one finding is accepted twice for a database.
    """
    seen: set[tuple[str, str | None]] = set()
    for risk in settings.security.accepted:
        if rule_of(risk) not in RULE_NAMES:
            raise unknown_value(
                "rule in security.accepted",
                rule_of(risk),
                RULE_NAMES,
                hint="write a finding's id as `herald security` shows it, or the name of a rule",
            )
        for name in risk.databases:
            settings.database(name)
        for name in risk.databases or (None,):
            if (risk.finding, name) in seen:
                raise UsageError(
                    f"security.accepted has {risk.finding!r} twice" + (f" for {name}" if name else ""),
                    hint="keep the one that holds",
                )
            seen.add((risk.finding, name))


def rule_of(risk: AcceptedRisk) -> str:
    """Return the rule that an acceptance is about."""
    return risk.finding.partition(":")[0]


def _is_of_host(risk: AcceptedRisk) -> bool:
    return not risk.databases and rule_of(risk) in HOST_RULE_NAMES


def _concerns(risk: AcceptedRisk, finding: Finding, database: str) -> bool:
    return risk.finding in (finding.id, finding.rule) and (not risk.databases or database in risk.databases)


def _weigh(finding: Finding, accepted: Sequence[AcceptedRisk], database: str, today: date) -> Weighed:
    own = [risk for risk in accepted if _concerns(risk, finding, database)]
    standing = [risk for risk in own if risk.until >= today]
    if standing:
        # The finding's own comes before that of the whole rule.
        chosen = max(standing, key=lambda risk: (risk.finding == finding.id, risk.until))
        return Weighed(finding, chosen, is_accepted=True)
    return Weighed(finding, max(own, key=lambda risk: risk.until, default=None), is_accepted=False)
