"""Pure: the verdict on the b-trees of a database as a whole, for an asset check."""

from collections.abc import Sequence

from herald_pipelines.database.integrity.plan import Checked, CheckPlan
from herald_pipelines.tasks import CheckVerdict
from herald_pipelines.values import Outcome

NAMES_SHOWN = 10


def check_soundness(plan: CheckPlan, checked: Sequence[Checked]) -> CheckVerdict:
    """Judge that no b-tree is corrupt, as far as anybody has looked."""
    unsound = [f"{each.step.btree.name}: {each.reason}" for each in checked if each.outcome is Outcome.FAILED]
    looked_at = {each.step.btree.oid for each in checked if each.outcome is not Outcome.SKIPPED}
    still = len(plan.known_unsound - looked_at)
    if still:
        unsound.append(f"{still} found unsound earlier and not looked at again")
    unsound += [f"{name}: {reason}" for name, reason in plan.lost.items()]
    if unsound:
        more = f" and {len(unsound) - NAMES_SHOWN} more" if len(unsound) > NAMES_SHOWN else ""
        summary = f"{'; '.join(unsound[:NAMES_SHOWN])}{more}"
    else:
        summary = (
            plan.hindrance
            or f"{len(looked_at)} b-trees are sound, {len(plan.deferred)} have their turn later"
        )
    return CheckVerdict(
        "indexes_are_sound",
        passed=not unsound and plan.hindrance is None,
        is_error=bool(unsound),
        summary=summary,
        metadata={"checked": len(looked_at), "unsound": len(unsound), "deferred": len(plan.deferred)},
    )
