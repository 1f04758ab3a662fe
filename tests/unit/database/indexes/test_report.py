from test_plan import LIMITS, estimate, index

from herald_pipelines.database.indexes.plan import plan_rebuilds
from herald_pipelines.database.indexes.report import (
    Leftover,
    NotRebuilt,
    RebuildReport,
    Rebuilt,
    describe_rebuilds,
)
from herald_pipelines.values import Outcome

PLAN = plan_rebuilds(
    [index(1), index(2), index(3), index(4, is_valid=False, name="i1_ccnew"), index(5, is_valid=False)],
    {1: estimate(0.5), 2: estimate(0.4), 3: estimate(0.3)},
    LIMITS,
)


def fates(report: RebuildReport | None) -> dict[str, tuple[str, str | None]]:
    return {row["index"]: (row["outcome"], row["reason"]) for row in describe_rebuilds(PLAN, report)}


def test_a_plan_alone_tells_what_would_be_done():
    found = fates(None)
    assert found["i1"] == found["i2"] == found["i3"] == ("planned", None)
    assert found["i5"][0] == "skipped"
    assert "for a person to mend" in str(found["i5"][1])


def test_each_index_of_a_plan_has_its_fate_and_a_leftover_its_own():
    report = RebuildReport(
        done=(Rebuilt("public.i1", 1, 11, 100, 40, 50, 60, 1.5),),
        skipped=(NotRebuilt("public.i2", 2, "the time budget is used up"),),
        failed=(NotRebuilt("public.i3", 3, "lock timeout"),),
        leftovers=(Leftover(4, "public.i1_ccnew", Outcome.REFUSED, "its owner must run: DROP INDEX"),),
    )
    found = fates(report)
    assert found["i1"] == ("done", None)
    assert found["i2"] == ("skipped", "the time budget is used up")
    assert found["i3"] == ("failed", "lock timeout")
    assert found["i1_ccnew"] == ("refused", "its owner must run: DROP INDEX")
    assert found["i5"][0] == "skipped"
    (done,) = [row for row in describe_rebuilds(PLAN, report) if row["index"] == "i1"]
    assert (done["size_after_bytes"], done["achieved_bytes"], done["seconds"]) == (40, 60, 1.5)
