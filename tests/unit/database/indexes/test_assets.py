from herald_pipelines.database.indexes.assets import rebuild_problems
from herald_pipelines.database.indexes.leftovers import Leftover
from herald_pipelines.database.indexes.report import NotRebuilt, RebuildReport


def test_what_failed_and_what_could_not_be_dropped_are_problems():
    report = RebuildReport(
        done=(),
        skipped=(NotRebuilt("public.a", 1, "the time budget is used up"),),
        failed=(NotRebuilt("public.b", 2, "lock timeout"),),
        leftovers=(
            Leftover(3, "public.c_ccnew", 8192, dropped=True),
            Leftover(4, "public.d_ccnew", 8192, dropped=False, reason="it changed meanwhile"),
        ),
    )
    assert rebuild_problems(report) == (
        "public.b: lock timeout",
        "public.d_ccnew, left by an interrupted rebuild, could not be dropped: it changed meanwhile",
    )
