"""Makes repositories and backups for tests; `python making.py FOLDER URL STREAMS` makes one backup, to be killed."""

import sys
from pathlib import Path

from herald_pipelines.backup.database import Origin, back_up_database
from herald_pipelines.backup.facts import Manifest
from herald_pipelines.backup.keys import KeyRing, passphrase_key
from herald_pipelines.backup.repository import Repository
from herald_pipelines.resources.gpg import Gpg, keyless_gpg
from herald_pipelines.resources.object_store.file_store import FileStore
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import Say, utc_now

PASSPHRASE = "kJ8s0dpqLmvTz4Xr9NwQ2yBhCfGaEu7R"
ORIGIN = Origin(window="2026-11-24", run_id=None, versions={"herald": "test"}, settings_sha256="0" * 64)


def file_repository(folder: Path, gpg: Gpg, passphrases: tuple[str, ...] = (PASSPHRASE,)) -> Repository:
    """Return a repository below a folder, made ready."""
    store = FileStore(folder / "store")
    store.prepare()
    work = folder / "work"
    work.mkdir(exist_ok=True, mode=0o700)
    ring = KeyRing(tuple(passphrase_key(each, "a test's passphrase") for each in passphrases))
    return Repository(store, ring, "herald", "testhost", gpg, Gpg(), work)


def make_backup(
    repo: Repository,
    url: str,
    *,
    name: str = "shop",
    say: Say = lambda _text: None,
    streams: int | None = None,
) -> Manifest:
    """Back a database up."""
    target = Postgres(url, name, "database_backup")
    return back_up_database(
        repo, target, target.identity(), {}, origin=ORIGIN, now=utc_now(), say=say, streams=streams
    )


if __name__ == "__main__":
    with keyless_gpg() as own:
        make_backup(file_repository(Path(sys.argv[1]), own), sys.argv[2], streams=int(sys.argv[3]))
