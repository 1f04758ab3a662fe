"""What a backup costs, against the seed's pipeline and against the fastest dump there is, in one run.

    python benchmarks/backup_capture.py [--data json|jsonb|platform] [--megabytes M] [--rounds R]

    limit   pg_dump -Fc -Z0 to /dev/null: what one stream can do at best, with nothing done to it
    seed    pg_dump | gpg --symmetric with zip compression, into a file
    ours    the whole backup: pg_dump, zstd, gpg, both hashes, globals, manifest, into a file:// store with fsync
    verify  fetched, decrypted, decompressed, both hashes, the archive's listing

The rounds take turns, so that what else the machine does is shared; each figure is the median. Ours runs in a process of its
own, whose peak memory is told. Targets: at most 0.48 of the seed's time and 0.82 of its bytes, at most 1.45 of the limit,
verification at most 0.25 of the backup's time, under 250 MB of memory. Prints one JSON line.

The data is matches as JSON with many keys, kept as `json` or `jsonb`, or the sample platform, whose rows are short and
random. What pg_dump itself takes bounds every backup from below: `limit_to_seed` is the least that `time_to_seed` can be.
It takes so long over jsonb that no backup of that can reach 0.48.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _matches import fill_matches
from _servers import benchmark_server, say

from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.database import Origin, back_up_database
from herald_pipelines.backup.facts import Scope
from herald_pipelines.backup.keys import KeyRing, passphrase_key
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.verify import verify_backup
from herald_pipelines.resources.clients import find_clients
from herald_pipelines.resources.gpg import Gpg, keyless_gpg
from herald_pipelines.resources.object_store.file_store import FileStore
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.sample.platform import create_sample
from herald_pipelines.values import utc_now

PASSPHRASE = "a-passphrase-of-the-benchmark-4711-0815"
MAJOR = 18
MEGABYTES_OF_SCALE = 28
SEED_GPG = (
    "gpg --homedir gnupg --batch --yes --quiet --pinentry-mode loopback --passphrase-file key --cipher-algo AES256"
    " --compress-algo 1 --s2k-mode 3 --s2k-digest-algo SHA512 --s2k-count 65536 --symmetric --no-symkey-cache"
)
"""As the seed calls it, but for --keyfile, which gpg does not have."""


def open_repository(folder: Path, gpg: Gpg) -> Repository:
    """Return a repository in a folder."""
    store = FileStore(folder / "store")
    store.prepare()
    ring = KeyRing((passphrase_key(PASSPHRASE, "the benchmark's passphrase"),))
    return Repository(store, ring, "bench", "bench", gpg, Gpg(), folder)


def run_ours(folder: Path, url: str) -> None:
    """Make one backup and verify it; prints seconds and peak memory."""
    target = Postgres(url, "bench", "backup")
    with keyless_gpg() as gpg:
        place = open_repository(folder, gpg)
        identity = target.identity()
        started = time.perf_counter()
        origin = Origin(window=None, run_id=None, versions={}, settings_sha256="0" * 64)
        manifest = back_up_database(
            place, target, identity, {}, origin=origin, now=utc_now(), say=lambda _text: None
        )
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        backup = read_catalog(place).backups[-1]
        started = time.perf_counter()
        proof = verify_backup(place, backup, Scope.FULL, {}, now=utc_now(), say=lambda _text: None)
        verify_seconds = time.perf_counter() - started
        assert proof.passed, proof.reason
    print(json.dumps({
        "seconds": seconds, "verify_seconds": verify_seconds, "peak_bytes": peak,
        "stored_bytes": manifest.stored_bytes, "clear_bytes": manifest.clear_bytes,
    }))  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=("json", "jsonb", "platform"), default="json")
    parser.add_argument("--megabytes", type=int, default=1200, help="about the size of the dump")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ours", nargs=2, metavar=("FOLDER", "URL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours:
        run_ours(Path(options.ours[0]), options.ours[1])
        return
    with benchmark_server(MAJOR) as server, tempfile.TemporaryDirectory(prefix="herald-bench-") as name:
        if isinstance(server, str):
            raise SystemExit(server)
        folder = Path(name)
        server.create_database("bench")
        url = server.url("bench")
        writer = Postgres(url, "bench", "bench").writable(statement_timeout_seconds=3600)
        say(f"making {options.megabytes} MB of {options.data}")
        if options.data != "platform":
            fill_matches(writer, options.megabytes, options.data)
        else:
            create_sample(writer, scale=options.megabytes / MEGABYTES_OF_SCALE, now=utc_now(), say=say)
        with writer.session() as session:
            size = session.execute("select pg_database_size(current_database()) as bytes")[0]["bytes"]
        environ = writer.client_environment()
        programs = find_clients(MAJOR, {}).folder
        (folder / "key").write_text(PASSPHRASE + "\n")
        (folder / "gnupg").mkdir(mode=0o700)

        def limit() -> dict[str, float]:
            return timed(f"{programs}/pg_dump -Fc -Z0 >/dev/null", environ, folder)

        def seed() -> dict[str, float]:
            return timed(f"{programs}/pg_dump | {SEED_GPG} --output seed.gpg", environ, folder)

        def ours() -> dict[str, float]:
            argv = [sys.executable, __file__, "--ours", str(folder), url]
            return json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)

        sides: dict[str, Callable[[], dict[str, float]]] = {"limit": limit, "seed": seed, "ours": ours}
        found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
        for number in range(options.rounds + 1):
            for side, run in sides.items():
                result = run()
                say(f"round {number}: {side} {result['seconds']:.2f} s")
                if number:  # the first fills the caches
                    found[side].append(result)
        seed_bytes = (folder / "seed.gpg").stat().st_size
    print(json.dumps(report(found, seed_bytes, options.data, size)))


def timed(shell: str, environ: dict[str, str], folder: Path) -> dict[str, float]:
    """Run a pipeline and return its seconds."""
    started = time.perf_counter()
    subprocess.run(["bash", "-o", "pipefail", "-ec", shell], check=True, env=environ, cwd=folder)
    return {"seconds": time.perf_counter() - started}


def report(
    found: dict[str, list[dict[str, float]]], seed_bytes: int, data: str, size: int
) -> dict[str, object]:
    """Return the figures with their ratios."""

    def median(side: str, key: str = "seconds") -> float:
        return statistics.median(each[key] for each in found[side])

    ours, stored = median("ours"), median("ours", "stored_bytes")
    return {
        "benchmark": "backup_capture",
        "data": data,
        "database_bytes": size,
        "clear_bytes": median("ours", "clear_bytes"),
        "limit_seconds": round(median("limit"), 3),
        "seed_seconds": round(median("seed"), 3),
        "backup_seconds": round(ours, 3),
        "verify_seconds": round(median("ours", "verify_seconds"), 3),
        "seed_bytes": seed_bytes,
        "stored_bytes": stored,
        "time_to_seed": round(ours / median("seed"), 3),
        "limit_to_seed": round(median("limit") / median("seed"), 3),
        "bytes_to_seed": round(stored / seed_bytes, 3),
        "time_to_limit": round(ours / median("limit"), 3),
        "verify_to_backup": round(median("ours", "verify_seconds") / ours, 3),
        "peak_bytes": max(each["peak_bytes"] for each in found["ours"]),
        "targets": {"time_to_seed": 0.48, "bytes_to_seed": 0.82, "time_to_limit": 1.45, "verify_to_backup": 0.25,
                    "peak_bytes": 250 * 1024**2},
    }  # fmt: skip


if __name__ == "__main__":
    main()
