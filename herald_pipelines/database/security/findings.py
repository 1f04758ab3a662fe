"""What a rule of security is, what it gives, and judging facts by many of them. Pure. Not here: any rule."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

Facts = TypeVar("Facts")


class Severity(StrEnum):
    """How bad it is, the worst first.

    critical: whoever reaches the server, or reads a repository, is in. high: a way to rights that nobody gave.
    medium: it takes another weakness to be one. low: hygiene.
    """

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


SERIOUS = (Severity.CRITICAL, Severity.HIGH)
RANK = {severity: rank for rank, severity in enumerate(Severity)}

WHOLE_SERVER = "server"
"""The object of what concerns no single one."""


@dataclass(frozen=True)
class Unreadable:
    """What could not be seen, which is not the same as being well."""

    reason: str
    """Goes on from the name of a rule: "needs select on ..."."""
    objects: tuple[str, ...] = ()
    """What alone could not be seen: objects of findings, or the first word of them; none: nothing could."""


@dataclass(frozen=True)
class Found:
    """A weakness, before it is known by which rule."""

    object_name: str
    """Stays the same for as long as the weakness is the same one: it is a part of the finding's id."""
    severity: Severity
    evidence: str
    """What was seen; never a secret."""
    fix: str
    """A statement or a command where one does it, else a sentence."""


Verdicts = Iterator[Found | Unreadable]


@dataclass(frozen=True)
class Rule(Generic[Facts]):
    """One question to the facts."""

    name: str
    title: str
    """What holds where nothing is found, as a sentence."""
    reads: Callable[[Facts], Any]
    """The facts it judges; an `Unreadable` among them is its answer."""
    judge: Callable[[Any, Facts, datetime], Verdicts]
    """Takes what `reads` gave, all facts, and the time."""
    reference: str | None = None
    needs: str | None = None
    """What lets a role see it, where the least rights do not."""


@dataclass(frozen=True)
class Finding:
    """A weakness with its rule."""

    rule: str
    title: str
    found: Found
    reference: str | None

    @property
    def id(self) -> str:
        """Stable: the rule and the object."""
        return f"{self.rule}:{self.found.object_name}"


@dataclass(frozen=True)
class Hidden:
    """A rule that could not be judged, or not wholly."""

    rule: str
    title: str
    reason: str
    needs: str | None
    objects: tuple[str, ...] = ()
    """Those that alone could not be judged; none: the whole rule could not."""

    def hides(self, object_name: str) -> bool:
        """Whether what was found of an object earlier could not be looked at again."""
        return not self.objects or any(
            object_name == each or object_name.startswith(f"{each} ") for each in self.objects
        )


@dataclass(frozen=True)
class Judgement:
    """What rules gave."""

    rules: tuple[str, ...]
    """All that were asked."""
    findings: tuple[Finding, ...]
    """The worst first, then by id."""
    hidden: tuple[Hidden, ...]

    @property
    def hidden_rules(self) -> frozenset[str]:
        """Those that could not be judged, or not wholly."""
        return frozenset(each.rule for each in self.hidden)

    def hides(self, finding: "Finding") -> bool:
        """Whether what was found earlier could not be looked at again: it is not resolved, and not well."""
        return any(
            each.rule == finding.rule and each.hides(finding.found.object_name) for each in self.hidden
        )

    def __add__(self, other: "Judgement") -> "Judgement":
        """Return both together."""
        return Judgement(
            self.rules + other.rules,
            tuple(sorted(self.findings + other.findings, key=_worst_first)),
            self.hidden + other.hidden,
        )


def judge(rules: Sequence[Rule[Facts]], facts: Facts, now: datetime) -> Judgement:
    """Ask every rule.

    Args:
        rules: in the order of the answer.
        facts: what is judged.
        now: the time: releases and their support end.
    """
    findings: dict[str, Finding] = {}
    hidden: list[Hidden] = []
    for rule in rules:
        material = rule.reads(facts)
        verdicts: Iterable[Found | Unreadable] = (
            (material,) if isinstance(material, Unreadable) else rule.judge(material, facts, now)
        )
        unread: list[Unreadable] = []
        for verdict in verdicts:
            if isinstance(verdict, Unreadable):
                unread.append(verdict)
            else:
                finding = Finding(rule.name, rule.title, verdict, rule.reference)
                findings.setdefault(finding.id, finding)
        if unread:
            text = "; ".join(dict.fromkeys(each.reason for each in unread))
            named = all(each.objects for each in unread)
            objects = tuple(name for each in unread for name in each.objects) if named else ()
            hidden.append(Hidden(rule.name, rule.title, text, rule.needs, objects))
    ordered = tuple(sorted(findings.values(), key=_worst_first))
    return Judgement(tuple(rule.name for rule in rules), ordered, tuple(hidden))


def _worst_first(finding: Finding) -> tuple[int, str]:
    return RANK[finding.found.severity], finding.id
