"""A process that rebuilds one index and can be killed: python rebuild_worker.py URL OPS_URL SCHEMA.INDEX."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from rebuilding import rebuild

from herald_pipelines.database.indexes.rebuild import Patience

if __name__ == "__main__":
    target_url, ops_url, name = sys.argv[1:]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    rebuild(target_url, ops_url, name, patience=Patience(probe=2, lock=60, holder_age=300, poll=0.1))
