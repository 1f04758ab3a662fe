"""Pure: what became of an analysis of statements, as JSON-able rows. Not here: tables for people (tables.py)."""

from collections.abc import Mapping
from typing import Any

from herald_pipelines.database.statements.analysis import StatementAnalysis
from herald_pipelines.database.statements.facts import Baseline, QueryKey
from herald_pipelines.database.statements.findings import Finding, FindingKind, count_once
from herald_pipelines.database.statements.plans import Plan

Row = dict[str, Any]


def describe_analysis(analysis: StatementAnalysis) -> Row:
    """Return an analysis as the document that `herald queries --json` gives for each database.

    Query ids are texts, because they are larger than what JSON readers take for whole numbers.
    """
    activity = analysis.activity
    return {
        "window": analysis.window or None,
        "hindrance": analysis.hindrance,
        "since": activity.since.isoformat() if activity else None,
        "until": activity.until.isoformat() if activity else None,
        "exec_seconds": _round(activity.exec_seconds) if activity else None,
        "baseline": describe_baseline(analysis.baseline),
        "queries": _describe_queries(analysis),
        "findings": [_describe_finding(analysis, each) for each in analysis.findings],
        "notes": list(analysis.notes),
    }


def describe_baseline(baseline: Baseline | None) -> Row | None:
    """Return what a baseline is made of; its window is null where it is provisional."""
    if baseline is None:
        return None
    return {
        "window": baseline.window,
        "since": baseline.since.isoformat(),
        "until": baseline.until.isoformat(),
        "windows": baseline.windows,
        "queries": len(baseline.queries),
    }


def summarize_analysis(analysis: StatementAnalysis) -> dict[str, int | float | str]:
    """Count what was found."""
    kinds = [each.kind for each in analysis.findings]
    activity, delta = analysis.activity, analysis.delta
    regressions = count_once(each for each in analysis.findings if each.kind is FindingKind.REGRESSION)
    return {
        "statements": len(analysis.reading.entries) if analysis.reading else 0,
        "queries": len(activity.queries) if activity else 0,
        "calls": sum(each.calls for key, each in activity.queries.items() if key.toplevel) if activity else 0,
        "exec_seconds": round(activity.exec_seconds, 3) if activity else 0.0,
        "evictions": delta.deallocations if delta else 0,
        **{f"{kind.value}_queries": kinds.count(kind) for kind in FindingKind},
        "regression_seconds": round(sum((each.extra_seconds for each in regressions), 0.0), 3),
    }


def finding_rows(analysis: StatementAnalysis) -> list[Row]:
    """Return the findings as rows of herald.query_finding."""
    return [
        {
            "kind": each.kind.value,
            "query_id": each.query.query_id,
            "toplevel": each.query.toplevel,
            "reason": each.reason,
            "calls": each.calls,
            "mean_seconds": each.mean_seconds,
            "baseline_mean_seconds": each.baseline_mean_seconds,
            "extra_seconds": each.extra_seconds,
            "share": each.share,
            "plan": _plan(analysis, each).text,
            "plan_reason": _plan(analysis, each).reason,
        }
        for each in analysis.findings
    ]


def _describe_queries(analysis: StatementAnalysis) -> list[Row]:
    activity = analysis.activity
    if activity is None:
        return []
    total = activity.exec_seconds
    kinds: dict[QueryKey, list[str]] = {}
    for finding in analysis.findings:
        kinds.setdefault(finding.query, []).append(finding.kind.value)
    rows: list[Row] = []
    for key in analysis.top:
        did = activity.queries[key]
        usual = analysis.baseline.queries.get(key) if analysis.baseline else None
        before = usual.counters.mean_seconds if usual else None
        mean = did.mean_seconds
        rows.append(
            {
                **_name(analysis, key),
                "users": list(analysis.details.users.get(key, ())),
                "calls": did.calls,
                "rows": did.rows,
                "total_seconds": _round(did.exec_seconds),
                "share": round(did.exec_seconds / total, 4) if total else 0.0,
                "mean_seconds": _round(mean),
                "baseline_mean_seconds": _round(before),
                "change": round(mean / before, 3) if mean is not None and before else None,
                "hit_percent": None if did.hit_percent is None else round(did.hit_percent, 2),
                "read_seconds": _round(did.read_seconds),
                "temp_blocks": did.temp_blocks,
                "wal_bytes": did.wal_bytes,
                "findings": kinds.get(key, []),
                "history": [
                    {"window": window, "exec_seconds": _round(seconds)}
                    for window, seconds in analysis.details.histories.get(key, ())
                ],
            }
        )
    return rows


def _describe_finding(analysis: StatementAnalysis, finding: Finding) -> Row:
    plan = _plan(analysis, finding)
    return {
        "kind": finding.kind.value,
        **_name(analysis, finding.query),
        "users": list(analysis.details.users.get(finding.query, ())),
        "reason": finding.reason,
        "calls": finding.calls,
        "mean_seconds": _round(finding.mean_seconds),
        "baseline_mean_seconds": _round(finding.baseline_mean_seconds),
        "extra_seconds": _round(finding.extra_seconds),
        "share": round(finding.share, 4),
        "plan": plan.text,
        "plan_reason": plan.reason,
    }


def _plan(analysis: StatementAnalysis, finding: Finding) -> Plan:
    return analysis.details.plans[finding.query.query_id]


def _name(analysis: StatementAnalysis, key: QueryKey) -> Mapping[str, Any]:
    return {
        "query_id": str(key.query_id),
        "toplevel": key.toplevel,
        "query": analysis.details.texts.get(key.query_id),
    }


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
