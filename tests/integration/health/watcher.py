"""A process that looks once, for tests that kill it: `python watcher.py OPS_URL ISO_TIME`."""

import sys
from datetime import datetime

from clinic import fixed

from herald_pipelines.health import watch as watching
from herald_pipelines.health.results import Status
from herald_pipelines.resources.postgres import Postgres

# It is killed where it waits, however long it takes until somebody sees that it does.
watching.STATEMENT_SECONDS = watching.LOOK_SECONDS = 600.0
ops = Postgres(sys.argv[1], "ops", "watcher", read_only=False, lock_timeout_seconds=600)
watching.Watch().look(ops, [fixed("x", Status.HEALTHY)], datetime.fromisoformat(sys.argv[2]), keep_months=13)
