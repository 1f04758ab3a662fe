"""Pure: what was found, as rows for machines and as tables for the UI."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from herald_pipelines.database.security.acceptance import Weighed
from herald_pipelines.database.security.history import Remembered, count_open
from herald_pipelines.database.security.scan import Past, Scan
from herald_pipelines.markdown import Markdown, to_table

TABLE_ROWS = 50
"""Rows of a table in the UI; the ops database and --json hold all."""

Document = dict[str, Any]


def describe(scan: Scan, past: Past | None) -> Document:
    """Return all of a scan for machines.

    Args:
        scan: of one database.
        past: what is new and resolved; None where the ops database cannot tell.
    """
    return {
        "summary": summarize(scan, past),
        "findings": [
            *(_finding(each, past, is_visible=True) for each in scan.weighed),
            *(_finding(each, past, is_visible=False) for each in _unseen(past)),
        ],
        "resolved": [_resolved(each) for each in past.resolved] if past else [],
        "not_visible": [
            {"rule": each.rule, "title": each.title, "reason": each.reason, "needs": each.needs}
            for each in scan.judgement.hidden
        ],
        "unused_acceptances": [
            {"finding": risk.finding, "until": risk.until.isoformat(), "reason": risk.reason}
            for risk in scan.unused
        ],
    }


def summarize(scan: Scan, past: Past | None) -> dict[str, int | float | str]:
    """Count what is open: `critical` to `low` are those that are not accepted."""
    weighed = (*scan.weighed, *_unseen(past))
    opened = count_open(weighed)
    counts: dict[str, int | float | str] = {
        "rules": len(scan.judgement.rules),
        "not_visible": len(scan.judgement.hidden),
        "open": sum(opened.values()),
        **opened,
        "accepted": sum(each.is_accepted for each in weighed),
    }
    return counts | ({"new": len(past.new), "resolved": len(past.resolved)} if past else {})


def finding_table(scan: Scan, past: Past | None) -> Markdown:
    """Return a table of what is open, the worst first, then of what is accepted."""
    unseen = _unseen(past)
    ordered = sorted((*scan.weighed, *unseen), key=lambda each: each.is_accepted)
    return _table(
        ("severity", "finding", "evidence", "fix", "since", ""),
        [
            (
                each.finding.found.severity.value,
                each.finding.id,
                each.finding.found.evidence,
                each.finding.found.fix,
                _since(each, past),
                _state(each, past, is_visible=each not in unseen),
            )
            for each in ordered
        ],
    )


def hidden_table(scan: Scan) -> Markdown:
    """Return a table of the rules that could not be judged."""
    return _table(
        ("not visible", "why", "what shows it"),
        [(each.title, each.reason, each.needs or "") for each in scan.judgement.hidden],
    )


def resolved_table(resolved: Sequence[Remembered]) -> Markdown:
    """Return a table of what is no more."""
    return _table(
        ("resolved", "severity", "since"),
        [(each.id, each.severity.value, f"{each.first_seen_at:%Y-%m-%d}") for each in resolved],
    )


def rule_table(scan: Scan) -> Markdown:
    """Return a table of every rule with what it gave."""
    counts = Counter(each.finding.rule for each in scan.weighed)
    hidden = scan.judgement.hidden_rules
    rows: list[tuple[str, str]] = []
    for rule in scan.judgement.rules:
        found = [f"{counts[rule]} found"] if rule in counts else []
        unseen = ["not visible"] if rule in hidden else []
        rows.append((rule, ", ".join([*found, *unseen]) or "holds"))
    return to_table(("rule", "verdict"), rows, total=len(rows))


def acceptance_note(each: Weighed) -> str:
    """Say what the operator accepts of a finding, or accepted until lately; nothing where it is nothing."""
    if each.acceptance is None:
        return ""
    if each.is_accepted:
        return f"accepted until {each.acceptance.until}: {each.acceptance.reason}"
    return f"was accepted until {each.acceptance.until}, which is over: {each.acceptance.reason}"


def _unseen(past: Past | None) -> tuple[Weighed, ...]:
    return past.unseen if past else ()


def _finding(each: Weighed, past: Past | None, *, is_visible: bool) -> Mapping[str, Any]:
    found, known = each.finding.found, past.history.open.get(each.finding.id) if past else None
    return {
        "id": each.finding.id,
        "rule": each.finding.rule,
        "object": found.object_name,
        "severity": found.severity.value,
        "title": each.finding.title,
        "evidence": found.evidence,
        "fix": found.fix,
        "reference": each.finding.reference,
        "accepted": each.is_accepted,
        "accepted_reason": each.acceptance.reason if each.acceptance else None,
        "accepted_until": each.acceptance.until.isoformat() if each.acceptance else None,
        "acceptance": acceptance_note(each) or None,
        "first_seen_at": known.first_seen_at.isoformat() if known else None,
        "new": each.finding.id in past.new if past else None,
        "visible": is_visible,
    }


def _resolved(each: Remembered) -> Mapping[str, Any]:
    return {
        "id": each.id,
        "severity": each.severity.value,
        "first_seen_at": each.first_seen_at.isoformat(),
    }


def _since(each: Weighed, past: Past | None) -> str:
    known = past.history.open.get(each.finding.id) if past else None
    return f"{known.first_seen_at:%Y-%m-%d}" if known else ""


def _state(each: Weighed, past: Past | None, *, is_visible: bool) -> str:
    is_new = past is not None and each.finding.id in past.new
    texts = ("new" if is_new else "", "" if is_visible else "not visible any more", acceptance_note(each))
    return "; ".join(text for text in texts if text)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Markdown:
    return to_table(header, rows[:TABLE_ROWS], total=len(rows))
