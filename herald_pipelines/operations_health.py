"""`herald health`: takes the environment and what was asked, gives a JSON-able document. Reads only.

Not here: parsing (cli_health.py), printing (console_health.py), asking and judging (health).
"""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from herald_pipelines import console
from herald_pipelines.bootstrap import running
from herald_pipelines.environment import Environment
from herald_pipelines.errors import HeraldError
from herald_pipelines.health.checks import build_checks
from herald_pipelines.health.history import Standing, previous_of, read_standings
from herald_pipelines.health.report import count, describe
from herald_pipelines.health.results import Key, Status, worst
from herald_pipelines.health.runner import Runner
from herald_pipelines.settings import OPS
from herald_pipelines.values import utc_now

Document = dict[str, Any]


def health(environ: Mapping[str, str], cwd: Path, *, database: str | None) -> tuple[Document, int]:
    """Ask every check once, and return what they said and the exit code: 1 where one is unhealthy.

    Raises:
        UsageError: no such database, or nothing is set up.
    """
    environment = Environment.load(environ, cwd)
    settings = environment.settings
    names = settings.names() if database is None else (database,)
    for name in names:
        settings.database(name)
    own = tuple(name for name in names if name != OPS and settings.database(name).url is not None)
    # Databases of the operator's own are asked before anything of ours is set up, too.
    bare = bool(own) and settings.embedded and not environment.is_set_up
    notes: list[str] = []
    with console.progress() as say, nullcontext() if bare else running(environment, say):
        known = _read_known(environment, notes)
        checks = build_checks(environment.targets, own if bare else names)
        say(f"asking {len(checks)} checks")
        executed = Runner().run(checks, previous_of(known), now := utc_now())
    statuses = [each.result.status for each in executed]
    document = {
        "checked_at": now.isoformat(),
        "status": worst(statuses).value,
        "summary": count(statuses),
        "checks": describe(executed, known),
        "notes": notes,
    }
    return document, 1 if Status.UNHEALTHY in statuses else 0


def _read_known(environment: Environment, notes: list[str]) -> dict[Key, Standing]:
    try:
        with environment.targets.ops("health", read_only=True).session() as session:
            if session.fetch("health/find_tables"):
                return read_standings(session)
            notes.append("no history: the ops database holds no schema of ours (herald migrate creates it)")
    except HeraldError as error:
        notes.append(f"no history: {error.message}")
    return {}
