"""How long a restore takes, against `gpg -d | psql` into the same server, in one run; and in a scratch server.

    python benchmarks/restore.py [--scale S] [--rounds N]

The database is the sample platform; scale 1 is about 110 MB, the default makes more than 1 GB. The server is durable, as
those that are restored into are. Each side restores its own kind of file from the same disk: the seed's is `pg_dump | gpg`
with its options. Ours counts whole: fetching, decrypting, verifying, restoring, ANALYZE (which the other leaves out),
comparing and the swap. In the scratch server it counts without making the server, which is told apart. Sides take turns,
and the medians are compared. Targets: 1.0 and 0.7. Prints one JSON line.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from _servers import benchmark_server, say

from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.database import Origin, back_up_database
from herald_pipelines.backup.keys import KeyRing, passphrase_key
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_database import restore_database
from herald_pipelines.backup.scratch import restore_into_scratch, scratch_server
from herald_pipelines.backup.selection import find_backup
from herald_pipelines.resources.clients import find_clients
from herald_pipelines.resources.gpg import Gpg, keyless_gpg
from herald_pipelines.resources.object_store.file_store import FileStore
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.sample.platform import create_sample
from herald_pipelines.values import utc_now

PASSPHRASE = "a-passphrase-of-the-benchmark-Kq7Zp2"
MAJOR = 18
TARGET_RATIO, TARGET_SCRATCH_RATIO = 1.0, 0.7
# The seed's, with the file of the key where gpg takes it.
SEED_OPTIONS = (
    "--cipher-algo AES256 --compress-algo 1 --s2k-mode 3 --s2k-digest-algo SHA512 --s2k-count 65536"
)


def shell(text: str, **variables: str) -> float:
    """Run a line of bash, every part of which must succeed; return the seconds."""
    started = time.monotonic()
    subprocess.run(
        ["bash", "-o", "pipefail", "-ec", text],
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=12.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with (
        benchmark_server(MAJOR, durable=True) as server,
        keyless_gpg() as gpg,
        tempfile.TemporaryDirectory(prefix="herald-bench-") as name,
    ):
        if isinstance(server, str):
            raise SystemExit(server)
        folder = Path(name)
        folder.chmod(0o711)
        (folder / "key").write_text(PASSPHRASE)
        (folder / "gnupg").mkdir(mode=0o700)
        (folder / "work").mkdir(mode=0o711)
        store = FileStore(folder / "store")
        store.prepare()
        ring = KeyRing((passphrase_key(PASSPHRASE, "the benchmark's passphrase"),))
        place = Repository(store, ring, "herald", "bench", gpg, Gpg(), folder / "work")
        server.create_database("bench")
        source = Postgres(server.url("bench"), "bench")
        report = create_sample(source, scale=options.scale, now=utc_now(), say=say)
        origin = Origin(window=None, run_id=None, versions={}, settings_sha256="")
        manifest = back_up_database(
            place, source, source.identity(), {}, origin=origin, now=utc_now(), say=say
        )
        backup = find_backup(read_catalog(place), manifest.id)
        programs = find_clients(MAJOR, {}).folder
        variables = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "URL": server.url("bench"),
            "SEED_URL": server.url("seed"),
            "FOLDER": name,
            "GPG": f"gpg --homedir {name}/gnupg --batch --quiet --pinentry-mode loopback --no-symkey-cache"
            f" --passphrase-file {name}/key",
        }
        shell(f'pg_dump "$URL" | $GPG {SEED_OPTIONS} --symmetric --output "$FOLDER/seed.gpg"', **variables)
        seconds: dict[str, list[float]] = {"seed": [], "ours": [], "scratch": [], "scratch_start": []}
        maintenance = Postgres(server.url("postgres"), "bench", read_only=False)

        def drop(database: str) -> None:
            with maintenance.session(autocommit=True) as session:
                session.execute(f"drop database if exists {database} with (force)")
                session.execute("checkpoint")

        for _ in range(options.rounds):
            server.create_database("seed")
            seconds["seed"].append(
                shell(
                    '$GPG --decrypt "$FOLDER/seed.gpg" | psql -q -v ON_ERROR_STOP=1 "$SEED_URL"', **variables
                )
            )
            drop("seed")
            started = time.monotonic()
            done = restore_database(
                place, backup, maintenance, name="ours", programs={}, now=utc_now(), say=say
            )
            seconds["ours"].append(time.monotonic() - started)
            say(f"seed {seconds['seed'][-1]:.1f}, ours {seconds['ours'][-1]:.1f}: {dict(done.seconds)}")
            drop("ours")
            started = time.monotonic()
            with scratch_server(MAJOR, {}, place.work_folder) as scratch:
                seconds["scratch_start"].append(time.monotonic() - started)
                started = time.monotonic()
                _, filled = restore_into_scratch(place, backup, scratch, now=utc_now(), say=say)
                seconds["scratch"].append(time.monotonic() - started)
            say(f"scratch {seconds['scratch'][-1]:.1f}: {filled.seconds}")
        median = {side: statistics.median(each) for side, each in seconds.items()}
        print(
            json.dumps(
                {
                    "benchmark": "restore",
                    "database_bytes": report.size_bytes,
                    "clear_bytes": manifest.clear_bytes,
                    "processors": len(os.sched_getaffinity(0)),
                    "seconds": {side: [round(one, 2) for one in each] for side, each in seconds.items()},
                    "ratio": round(median["ours"] / median["seed"], 3),
                    "scratch_ratio": round(median["scratch"] / median["seed"], 3),
                    "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                    "target_ratio": TARGET_RATIO,
                    "target_scratch_ratio": TARGET_SCRATCH_RATIO,
                }
            )
        )


if __name__ == "__main__":
    main()
