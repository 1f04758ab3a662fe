"""Pure: verdicts on the statements as a whole, for asset checks. Not here: what was found of one query (findings.py)."""

from collections.abc import Sequence

from herald_pipelines.database.statements.analysis import StatementAnalysis, say_evicted
from herald_pipelines.database.statements.facts import QueryKey
from herald_pipelines.database.statements.findings import Finding, FindingKind, count_once
from herald_pipelines.database.statements.store import COUNTS_NOTHING
from herald_pipelines.tasks import CheckVerdict
from herald_pipelines.values import format_seconds

SEVERE_SHARE = 0.2
"""Of all execution time: regressions that cost more are an error, others a warning."""
NAMED = 5
"""Queries that a verdict names."""


def check_tracking(analysis: StatementAnalysis) -> CheckVerdict:
    """Judge that statements are counted, and that none were evicted for want of room."""
    evictions = analysis.delta.deallocations if analysis.delta else 0
    entries = len(analysis.reading.entries) if analysis.reading else 0
    troubles = [
        *([COUNTS_NOTHING] if analysis.counts_nothing else []),
        *([say_evicted(evictions)] if evictions else []),
    ]
    summary = analysis.hindrance or "; ".join(troubles) or f"{entries} statements are counted"
    return CheckVerdict(
        "statements_are_tracked",
        passed=analysis.hindrance is None and not troubles,
        is_error=False,
        summary=summary,
        metadata={"statements": entries, "evictions": evictions},
    )


def check_regressions(analysis: StatementAnalysis) -> CheckVerdict:
    """Judge that no query became slower than the baseline."""
    found = [each for each in analysis.findings if each.kind is FindingKind.REGRESSION]
    summed = count_once(found)
    extra = sum((each.extra_seconds for each in summed), 0.0)
    share = sum((each.share for each in summed), 0.0)
    unknown = _why_unknown(analysis)
    if found:
        summary = f"{format_seconds(extra)} more than usual: {_name_queries(found)}"
    elif unknown is not None:
        summary = f"not known: {unknown}"
    elif analysis.baseline is None:
        summary = "nothing to compare with yet"
    else:
        summary = "no query is slower than in the baseline"
    return CheckVerdict(
        "no_query_regressions",
        # What was not seen is not called well.
        passed=not found and unknown is None,
        is_error=share > SEVERE_SHARE,
        summary=summary,
        metadata={"regressions": len(found), "extra_seconds": round(extra, 3), "share": round(share, 4)},
    )


def check_slow(analysis: StatementAnalysis, slow_seconds: float) -> CheckVerdict:
    """Judge that no query takes longer than a call may."""
    found = [each for each in analysis.findings if each.kind is FindingKind.SLOW]
    unknown = _why_unknown(analysis)
    if found:
        summary = _name_queries(found)
    elif unknown is not None:
        summary = f"not known: {unknown}"
    else:
        summary = f"no query takes more than {format_seconds(slow_seconds)} a call on average"
    return CheckVerdict(
        "no_slow_queries",
        passed=not found and unknown is None,
        is_error=False,
        summary=summary,
        metadata={"slow": len(found)},
    )


def check_baseline(slower: Sequence[QueryKey], *, has_readings: bool) -> CheckVerdict:
    """Judge that a new baseline takes nothing for usual that was slower than in the baseline before.

    Args:
        slower: queries of the new baseline that are slower than in the one before.
        has_readings: whether there was anything to make one of.
    """
    if not has_readings:
        summary = "no statements were read in the time that it is made of"
    elif slower:
        ids = ", ".join(str(key.query_id) for key in slower[:NAMED])
        more = f" and {len(slower) - NAMED} more" if len(slower) > NAMED else ""
        summary = f"slower than in the baseline before, and from now on usual: {ids}{more}"
    else:
        summary = "nothing in it is slower than in the baseline before"
    return CheckVerdict(
        "baseline_is_sound",
        passed=has_readings and not slower,
        is_error=False,
        summary=summary,
        metadata={"slower": len(slower)},
    )


def _why_unknown(analysis: StatementAnalysis) -> str | None:
    """Return why nobody can say that a window is well."""
    if analysis.hindrance is not None:
        return "statements are not tracked"
    if analysis.counts_nothing:
        return "nothing is counted"
    if analysis.activity is not None and analysis.activity.is_another_servers:
        return "the server was exchanged, and what the new one counted before is not known"
    return None


def _name_queries(found: Sequence[Finding]) -> str:
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return "; ".join(f"query {each.query.query_id}: {each.reason}" for each in found[:NAMED]) + more
