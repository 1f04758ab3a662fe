"""`herald queries`: takes the environment and what was asked, gives a JSON-able document. Not here: parsing, printing."""

from collections.abc import Mapping
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from herald_pipelines import console
from herald_pipelines.bootstrap import running
from herald_pipelines.database.statements.analysis import analyze_statements
from herald_pipelines.database.statements.report import describe_analysis
from herald_pipelines.environment import Environment
from herald_pipelines.errors import HeraldError
from herald_pipelines.operations import reachable_ops
from herald_pipelines.values import Capability, Say, utc_now

Environ = Mapping[str, str]
Document = dict[str, Any]
TASK = "queries"


def queries(environ: Environ, cwd: Path, *, database: str | None, limit: int) -> tuple[Document, int]:
    """Read and judge the statements of one database or of all; reads only, with or without an ops database.

    Returns:
        The document, and the exit code: 1 where a database could not be read.

    Raises:
        UsageError: no such database, or nothing is set up yet.
    """
    environment = Environment.load(environ, cwd)
    settings, now = environment.settings, utc_now()
    names = settings.names() if database is None else (database,)
    own = all(settings.database(name).url is not None for name in names)
    # A database of the operator's own is looked at before anything of ours is set up, too.
    with (
        console.progress() as say,
        nullcontext() if own and not environment.is_set_up else running(environment, say),
    ):
        entries = [_look(environment, name, limit, now, say) for name in names]
    code = 1 if any(entry["error"] is not None for entry in entries) else 0
    return {"analyzed_at": now.isoformat(), "databases": entries}, code


def _look(environment: Environment, database: str, limit: int, now: datetime, say: Say) -> Document:
    settings, notes = environment.settings, list[str]()
    try:
        observe = environment.targets.postgres(database, Capability.OBSERVE, TASK)
        identity = observe.identity()
        analysis = analyze_statements(
            observe,
            reachable_ops(environment, notes, TASK),
            identity,
            settings.performance_of(database),
            window=None,
            record=False,
            is_ours=settings.database(database).url is None,
            budget_seconds=settings.budget_of(database, "performance_analysis"),
            now=now,
            say=say,
            top=limit,
        )
    except HeraldError as error:
        # One database that is away hides none of the others.
        return {"database": database, "server_version": None, "error": str(error)}
    document = describe_analysis(analysis)
    return {
        "database": database,
        "server_version": identity.server_version,
        "error": None,
        **document,
        "notes": [*notes, *document["notes"]],
    }
