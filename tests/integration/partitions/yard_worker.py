"""Runs one task on a yard, and stands still where it is told to: python yard_worker.py HOME TASK WINDOW [WORDS]."""

import os
import sys
import time
from pathlib import Path

from herald_pipelines.environment import Environment
from herald_pipelines.registry import TASKS
from herald_pipelines.tasks import execute_task
from herald_pipelines.values import utc_now

if __name__ == "__main__":
    home, task, window, stop_at = sys.argv[1:]
    environment = Environment.load(dict(os.environ), Path(home))

    def say(text: str) -> None:
        if stop_at and text.startswith(stop_at):
            sys.stdout.write("stopped\n")
            sys.stdout.flush()
            time.sleep(600)

    execute_task(
        TASKS[task],
        "shop",
        covered=(window,),
        late=False,
        dry_run=False,
        now=utc_now(),
        run_id="worker",
        settings=environment.settings,
        targets=environment.targets,
        say=say,
    )
    sys.stdout.write("ended\n")
