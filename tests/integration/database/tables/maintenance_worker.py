"""A process that maintains the tables of a database and can be killed: python maintenance_worker.py URL OPS_URL."""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))
sys.path.insert(0, str(Path(__file__).parent))

from maintaining import maintain

if __name__ == "__main__":
    target_url, ops_url = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    maintain(target_url, ops_url, budget_seconds=3600, lock_wait_seconds=3600)
