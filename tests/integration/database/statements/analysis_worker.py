"""A process that analyses the statements of the bank and can be killed: python analysis_worker.py WINDOW."""

import os
import sys
from pathlib import Path

from herald_pipelines.database.statements.assets import STATEMENT_TASKS
from herald_pipelines.environment import Environment
from herald_pipelines.tasks import execute_task
from herald_pipelines.values import utc_now


def main() -> None:
    """Execute the task once, and tell on stdout what happens."""
    environment = Environment.load(os.environ, Path.cwd())
    execute_task(
        STATEMENT_TASKS[0],
        "bank",
        covered=(sys.argv[1],),
        late=False,
        dry_run=False,
        now=utc_now(),
        run_id="worker",
        settings=environment.settings,
        targets=environment.targets,
        say=print,
    )


if __name__ == "__main__":
    main()
