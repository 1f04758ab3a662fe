"""The command about tables: takes the environment and what was asked, gives a JSON-able document.

Not here: parsing (cli_tables.py), printing (console_tables.py), anything an asset would need too.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from herald_pipelines import console
from herald_pipelines.bootstrap import running
from herald_pipelines.database.tables.analysis import analyze_tables, describe_tables
from herald_pipelines.database.tables.need import Scope
from herald_pipelines.database.tables.report import describe_holders
from herald_pipelines.environment import Environment
from herald_pipelines.values import Capability, utc_now


def tables(environ: Mapping[str, str], cwd: Path, *, database: str) -> dict[str, Any]:
    """Measure the tables of a database and plan their maintenance; reads only, without an ops database.

    Raises:
        HeraldError: the database is not known, or could not be read.
    """
    environment = Environment.load(environ, cwd)
    settings = environment.settings
    own = settings.database(database).url is not None
    # A database of the operator's own is read before anything of ours is set up, too.
    with (
        console.progress() as say,
        nullcontext() if own and not environment.is_set_up else running(environment, say),
    ):
        observe = environment.targets.postgres(database, Capability.OBSERVE, "tables")
        identity = observe.identity()
        analysis = analyze_tables(
            observe,
            Scope.ROUTINE,
            budget_seconds=settings.budget_of(database, "database_optimization"),
            say=say,
        )
    rules = analysis.facts.rules
    return {
        "database": database,
        "server_version": identity.server_version,
        "analyzed_at": utc_now().isoformat(),
        "xid_age": rules.database_xid_age,
        "multixact_age": rules.database_multixact_age,
        "freeze_max_age": rules.freeze_max_age,
        "multixact_freeze_max_age": rules.multixact_freeze_max_age,
        "estimated_seconds": round(analysis.plan.estimated_seconds, 3),
        "holders": describe_holders(analysis.plan.holders),
        "tables": describe_tables(analysis),
        "notes": list(analysis.plan.notes),
    }
