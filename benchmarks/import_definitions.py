"""How long loading the definitions takes against importing Dagster alone: fresh interpreters in turn, medians.

    python benchmarks/import_definitions.py [--runs N]

Target: at most twice.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ALONE = "import dagster"
LOADED = "import herald_pipelines.definitions"


def seconds(code: str, folder: str) -> float:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HERALD_")}
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, env=environ)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        seconds(LOADED, folder)
        pairs = [(seconds(ALONE, folder), seconds(LOADED, folder)) for _ in range(runs)]
    print(
        json.dumps(
            {
                "benchmark": "import_definitions",
                "runs": runs,
                "import_dagster_seconds": round(statistics.median(alone for alone, _ in pairs), 3),
                "load_definitions_seconds": round(statistics.median(loaded for _, loaded in pairs), 3),
                "ratio": round(statistics.median(loaded / alone for alone, loaded in pairs), 2),
                "target_ratio": 2.0,
            }
        )
    )


if __name__ == "__main__":
    main()
