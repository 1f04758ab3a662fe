"""`herald security`: takes the environment and what was asked, gives a JSON-able document. Reads only.

Not here: parsing (cli_security.py), printing (console_security.py), reading and judging (database/security).
"""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from herald_pipelines import console
from herald_pipelines.bootstrap import running
from herald_pipelines.database.security.acceptance import check_accepted
from herald_pipelines.database.security.report import describe
from herald_pipelines.database.security.scan import compare, scan_database
from herald_pipelines.environment import Environment
from herald_pipelines.errors import HeraldError
from herald_pipelines.values import Capability, Say, utc_now

Document = dict[str, Any]
TASK = "security_scans"


def security(environ: Mapping[str, str], cwd: Path, *, database: str | None) -> tuple[Document, int]:
    """Find what is weak about a database, or about all; each by itself, and the exit code: 1 where one failed.

    Raises:
        UsageError: no such database, or the settings accept what does not exist.
    """
    environment = Environment.load(environ, cwd)
    settings = environment.settings
    check_accepted(settings)
    names = settings.names() if database is None else (database,)
    own = [name for name in names if settings.database(name).url is not None]
    # Databases of the operator's own are looked at before anything of ours is set up, too.
    bare = bool(own) and not environment.is_set_up
    with console.progress() as say, nullcontext() if bare else running(environment, say):
        entries = [
            _look(environment, name, say)
            if not bare or name in own
            else {"database": name, "error": "it is not set up yet (herald migrate does it)"}
            for name in names
        ]
    failed = any(entry["error"] for entry in entries if not bare or entry["database"] in own)
    return {"databases": entries}, 1 if failed else 0


def _look(environment: Environment, name: str, say: Say) -> Document:
    now = utc_now()
    try:
        observe = environment.targets.postgres(name, Capability.OBSERVE, "security")
        identity = observe.identity()
        scan = scan_database(observe, environment.settings, environment.environ, now=now, say=say)
    except HeraldError as error:
        return {"database": name, "error": error.message}
    entry: Document = {
        "database": name,
        "error": None,
        "server_version": identity.server_version,
        "scanned_at": now.isoformat(),
        "notes": [],
    }
    past = None
    try:
        past = compare(environment.targets.ops("security", read_only=True), identity, scan, task=TASK)
    except HeraldError as error:
        past = error
    if isinstance(past, HeraldError):
        entry["notes"] = [f"no history, so nothing is called new or resolved: {past.message}"]
        past = None
    return entry | describe(scan, past)
