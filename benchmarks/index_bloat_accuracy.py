"""How far the bloat we tell is from what a REINDEX really gives back, on PostgreSQL 14, 15 and 18.

Each index lives twice: built and churned, rebuilt, which makes its baseline, and churned again. In both lives it is
screened, confirmed and rebuilt. Errors are percentage points of the index's size; a rebuild that makes an index larger
counts as a gain of 0. Every tier must keep to the error bound it gives, on the shapes beyond the promise too.
Prints one JSON line.
"""

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass

from _servers import MAJORS, benchmark_server, say
from _shapes import OTHER_METHODS, SHAPES, Shape

from herald_pipelines.database.indexes.bloat import (
    Baseline,
    BloatEstimate,
    bloat_from_baseline,
    estimate_bloat,
    needs_confirmation,
)
from herald_pipelines.database.indexes.facts import IndexFacts
from herald_pipelines.database.indexes.store import confirm_indexes, read_index_facts
from herald_pipelines.resources.postgres import Postgres

ROWS = 200_000
THRESHOLD = 0.20


@dataclass(frozen=True)
class Outcome:
    """One life of one index."""

    version: int
    shape: Shape
    gain: float
    """True gain of the rebuild, as a share."""
    flagged: bool
    tiers: dict[str, BloatEstimate]

    def error_points(self, tier: str) -> float:
        """How many points too much (or, negative, too little) a tier told."""
        return 100 * (self.tiers[tier].ratio - self.gain)


class Laboratory:
    """One database in which shapes are tried one after the other."""

    def __init__(self, url: str, version: int, rows: int) -> None:
        self.writer = Postgres(url, "bench", statement_timeout_seconds=600, read_only=False)
        self.reader = Postgres(url, "bench", statement_timeout_seconds=600)
        self.version = version
        self.rows = rows
        self.run("create extension if not exists pgstattuple schema public")

    def run(self, statement: str) -> None:
        """Run a statement in a session of its own, so that its counters are reported before the next one's."""
        with self.writer.session(autocommit=True) as session:
            session.execute(statement.replace("{n}", str(self.rows)))

    def facts(self) -> IndexFacts:
        """Read the facts of the one index."""
        with self.reader.session() as session:
            return next(index for index in read_index_facts(session) if index.name == "bench")

    def try_shape(self, shape: Shape) -> list[Outcome]:
        """Let an index live twice."""
        self.run("drop table if exists public.t")
        self.run(shape.table)
        self.run(f"create {'unique ' if shape.unique else ''}index bench on public.t {shape.index}")
        first = self._live(shape, None)
        rebuilt = self.facts()
        baseline = Baseline(rebuilt.relfilenode, rebuilt.size_bytes, rebuilt.tuples or 0.0)
        return [first, self._live(shape, baseline)]

    def _live(self, shape: Shape, baseline: Baseline | None) -> Outcome:
        for statement in shape.churn:
            self.run(statement)
        if self.version < 15:
            time.sleep(0.6)  # its statistics are collected by a process of their own
        index = self.facts()
        tiers: dict[str, BloatEstimate | None] = {
            "baseline": bloat_from_baseline(index, baseline),
            "estimate": estimate_bloat(index),
        }
        if index.access_method == "btree":
            with self.reader.session(autocommit=True) as session:
                tiers["confirmed"] = next(confirm_indexes(session, [index])).estimate
        flagged = needs_confirmation(index, baseline, THRESHOLD, 0)
        self.run("reindex index public.bench")
        gain = max(0.0, 1 - self.facts().size_bytes / index.size_bytes)
        known = {tier: estimate for tier, estimate in tiers.items() if estimate is not None}
        return Outcome(self.version, shape, gain, flagged, known)


def summarize(outcomes: Iterable[Outcome], tier: str) -> dict[str, object]:
    """Return the mean and the worst error of a tier, where it told anything."""
    told = [outcome for outcome in outcomes if tier in outcome.tiers]
    if not told:
        return {"measured": 0}
    errors = [abs(outcome.error_points(tier)) for outcome in told]
    worst = max(told, key=lambda outcome: abs(outcome.error_points(tier)))
    beyond = sorted(
        f"{outcome.shape.name} on {outcome.version}"
        for error, outcome in zip(errors, told, strict=True)
        if error > 100 * outcome.tiers[tier].error_bound
    )
    return {
        "measured": len(told),
        "mean_error_points": round(sum(errors) / len(errors), 3),
        "worst_error_points": round(worst.error_points(tier), 2),
        "worst_shape": f"{worst.shape.name} on {worst.version}",
        "beyond_error_bound": beyond,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help=f"1 = {ROWS} rows a table")
    rows = max(1000, int(ROWS * parser.parse_args().scale))
    outcomes: list[Outcome] = []
    missing: dict[int, str] = {}
    for major in MAJORS:
        with benchmark_server(major) as server:
            if isinstance(server, str):
                missing[major] = server
                say(f"PostgreSQL {major} was not measured: {server}")
                continue
            server.create_database("bench")
            laboratory = Laboratory(server.url("bench"), major, rows)
            for shape in (*SHAPES, *OTHER_METHODS):
                lives = laboratory.try_shape(shape)
                outcomes += lives
                told = ", ".join(
                    f"{100 * life.gain:.1f} % ({' '.join(f'{tier} {life.error_points(tier):+.2f}' for tier in life.tiers)})"
                    for life in lives
                )
                say(f"{major} {shape.name}: {told}")
    within = [outcome for outcome in outcomes if not outcome.shape.beyond]
    confirmable = [outcome for outcome in within if "confirmed" in outcome.tiers]
    missed = [o for o in confirmable if o.gain > THRESHOLD and not o.flagged]
    print(
        json.dumps(
            {
                "benchmark": "index_bloat_accuracy",
                "versions": sorted({outcome.version for outcome in outcomes}),
                "versions_missing": missing,
                "rows": rows,
                "shapes": len({outcome.shape.name for outcome in confirmable}),
                **summarize(within, "confirmed"),
                "over_threshold": sum(o.gain > THRESHOLD for o in confirmable),
                "missed_by_screening": sorted(f"{o.shape.name} on {o.version}" for o in missed),
                "flagged": sum(o.flagged for o in confirmable),
                "tiers": {tier: summarize(within, tier) for tier in ("baseline", "estimate")},
                "beyond_error_bound_of_all": {
                    tier: summarize(outcomes, tier)["beyond_error_bound"]
                    for tier in ("confirmed", "baseline", "estimate")
                },
                "beyond_promise": {
                    name: summarize([o for o in outcomes if o.shape.name == name], "confirmed")
                    for name in (shape.name for shape in SHAPES if shape.beyond)
                },
            }
        )
    )


if __name__ == "__main__":
    main()
