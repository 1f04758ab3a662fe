from dataclasses import fields

from test_plan import estimate, index

from herald_pipelines.database.indexes.checks import (
    check_age,
    check_bloat,
    check_leftovers,
    check_promise,
    check_validity,
)
from herald_pipelines.database.indexes.report import Leftover, RebuildReport, Rebuilt
from herald_pipelines.database.indexes.verdicts import UsageWindow
from herald_pipelines.values import Outcome


def report(*, done: tuple[Rebuilt, ...] = (), leftovers: tuple[Leftover, ...] = ()) -> RebuildReport:
    return RebuildReport(done=done, skipped=(), failed=(), leftovers=leftovers)


def rebuilt(name: str, promised_bytes: int, achieved_bytes: int) -> Rebuilt:
    return Rebuilt(name, 1, 2, 1000, 1000 - achieved_bytes, promised_bytes, achieved_bytes, 1.0)


def row(name: str, *kinds: str) -> dict[str, object]:
    return {"schema": "public", "index": name, "verdicts": [{"kind": kind} for kind in kinds]}


def test_invalid_and_bloated_indexes_are_named():
    rows = [row("a"), row("b", "invalid"), row("c", "bloated", "unused")]
    validity, bloat = (
        check_validity(rows),
        check_bloat(rows, {1: estimate(0.5), 2: estimate(0.9, confirmed=False)}),
    )
    assert (validity.passed, validity.is_error, validity.summary) == (False, True, "public.b")
    assert (bloat.passed, bloat.is_error, bloat.summary) == (False, False, "public.c")
    assert bloat.metadata["worst_confirmed_ratio"] == 0.5
    assert check_validity([row("a")]).passed
    assert check_bloat([row("a")], {}).passed


def test_use_must_be_known_for_the_whole_window_partitions_left_out():
    def window(days: float) -> UsageWindow:
        return UsageWindow(**{each.name: 0 for each in fields(UsageWindow)} | {"days": days})

    facts = [index(1), index(2), index(3, parent_oid=9)]
    assert check_age(facts, {1: window(31), 2: window(30)}, 30).passed
    young = check_age(facts, {1: window(31), 2: window(29)}, 30)
    assert (young.passed, young.metadata["too_young"]) == (False, 1)
    assert not check_age(facts, {1: window(31)}, 30).passed


def test_a_rebuild_that_breaks_its_promise_is_named():
    assert check_promise(report(done=(rebuilt("public.a", 100, 80),))).passed
    broken = check_promise(report(done=(rebuilt("public.a", 100, 80), rebuilt("public.b", 100, 79))))
    assert (broken.passed, broken.summary) == (False, "public.b")


def test_what_is_kept_of_an_interrupted_rebuild_is_named_with_the_reason():
    dropped = Leftover(3, "public.c_ccnew", Outcome.DONE, "left by an interrupted rebuild, and dropped")
    kept = Leftover(4, "public.d_ccnew", Outcome.REFUSED, "its owner must run: DROP INDEX")
    assert check_leftovers(report(leftovers=(dropped,))).passed
    verdict = check_leftovers(report(leftovers=(dropped, kept)))
    assert not verdict.passed
    assert verdict.summary == "public.d_ccnew: its owner must run: DROP INDEX"
    assert verdict.metadata == {"kept": 1, "dropped": 1}
