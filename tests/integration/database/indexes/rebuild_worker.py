"""A process that rebuilds one index and can be killed: python rebuild_worker.py URL OPS_URL SCHEMA.INDEX."""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from rebuilding import rebuild

from herald_pipelines.database.indexes.context import Patience

if __name__ == "__main__":
    target_url, ops_url, name = sys.argv[1:]
    # As the commands do: all three end it as Ctrl-C would.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    # It waits for whoever holds it up until it is stopped.
    patience = Patience(probe=2, lock=3600, holder_age=3600, poll=0.1)
    rebuild(target_url, ops_url, name, budget_seconds=3600, patience=patience)
