"""The whole way with a store on S3, by the commands of an operator: made ready, backed up, proven, kept, lost, recovered."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from operating import Platform

from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.facts import Kind
from herald_pipelines.backup.recovery_plan import Mode
from herald_pipelines.backup.repository import repository
from herald_pipelines.backup.sweep import sweep
from herald_pipelines.operations_backup import create, hold, list_backups, prepare_store, rekey
from herald_pipelines.operations_restore import drill, undo
from herald_pipelines.operations_retention import retention
from herald_pipelines.operations_runs import migrate
from herald_pipelines.registry import TASKS
from herald_pipelines.settings import load_settings
from herald_pipelines.values import utc_now
from s3_server import ACCESS_KEY, SECRET_KEY, S3Server
from servers import TestServer

OLD, NEW = (5000, "first", "first"), (10, "second", "second")
NEW_KEY = "Zq4nVx8sLw2TgYb6HcRk0mPjDf3EaUoJ"


class S3Platform(Platform):
    """A platform with its store on S3, which keeps all that its commands say."""

    def __init__(self, folder: Path, server: TestServer, s3: S3Server) -> None:
        self.bucket, self.s3 = s3.create_bucket(), s3
        self.said = ""
        super().__init__(
            folder,
            server,
            ops=server.create_database(),
            backup={
                "store": f"s3://{self.bucket}/production",
                "s3": {
                    "endpoint_url": s3.endpoint_url,
                    "region": "us-east-1",
                    "access_key_id": {"env": "S3_ID"},
                    "secret_access_key": {"env": "S3_SECRET"},
                },
            },
            secrets={
                "S3_ID": ACCESS_KEY,
                "S3_SECRET": SECRET_KEY,
                "HERALD_DAGSTER_URL": server.create_database(),
            },
        )

    def herald(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        done = super().herald(*arguments, **environ)
        self.said += done.stdout + done.stderr
        return done

    def ids(self) -> set[str]:
        """Return the backups that there are."""
        return {each["id"] for each in self.ask(list_backups, database=None)["backups"]}


@pytest.fixture
def platform(
    tmp_path: Path, pg18: TestServer, s3_server: S3Server, capfd: pytest.CaptureFixture[str]
) -> Iterator[S3Platform]:
    """Give a platform of its own; whatever its commands say, they tell no secret."""
    tmp_path.chmod(0o755)
    platform = S3Platform(tmp_path, pg18, s3_server)
    yield platform
    said = platform.said + "".join(capfd.readouterr())
    for secret in (SECRET_KEY, (tmp_path / "key").read_text().strip(), NEW_KEY):
        assert secret not in said


def test_made_verified_and_swept_by_the_calendar(platform: S3Platform) -> None:
    never = platform.herald("backup", "create", "--database", "shop")
    assert (never.returncode, "herald backup prepare" in never.stderr) == (1, True), never.stderr
    platform.ask(prepare_store)
    platform.ask(migrate)
    platform.document("run", "database_backup", "--database", "shop")
    verified = platform.document("run", "backup_verification", "--database", "shop")
    assert verified["databases"][0]["summary"]["verified"] == 1
    made = platform.ids()

    _be_killed(platform)
    assert platform.ids() == made, "the backups before it are as they were, and it is none"


def test_proven_encrypted_anew_lost_and_recovered(platform: S3Platform) -> None:
    platform.ask(prepare_store)
    platform.ask(migrate)
    for kind, database in ((Kind.DATABASE, "shop"), (Kind.APPLICATION, None), (Kind.CONFIGURATION, None)):
        platform.ask(create, kind=kind, database=database, dry_run=False)
    drilled, code = platform.ask(drill, database=None, dry_run=False)
    assert ([each["passed"] for each in drilled["backups"]], code) == ([True, True, True], 0)
    _keep(platform)
    _lose_and_recover(platform)


def _be_killed(platform: S3Platform) -> None:
    """Be killed in the middle of an upload of several parts; what is left is removed as soon as it is old enough."""
    large = platform.application / "large"
    subprocess.run(["dd", "if=/dev/urandom", f"of={large}", "bs=1M", "count=40", "status=none"], check=True)
    client, where = platform.s3.client(), {"Bucket": platform.bucket}
    making = subprocess.Popen(
        platform.command("backup", "create", "--kind", "application"),
        cwd=platform.folder,
        env=platform.environ(),
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not client.list_multipart_uploads(**where).get("Uploads"):
        assert time.monotonic() < deadline
        assert making.poll() is None, "it was faster than this test"
        time.sleep(0.01)
    making.send_signal(signal.SIGKILL)
    making.wait(timeout=60)
    large.unlink()
    (left,) = platform.ask(list_backups, database=None)["unfinished"]
    assert left["being_made"] is True

    environ = platform.environ()
    settings = load_settings(environ, platform.folder, tasks=TASKS)
    with repository(settings, environ) as place:
        options: dict[str, Any] = {"known": (), "say": lambda _text: None, "pause": lambda _seconds: None}
        (young,) = sweep(place, read_catalog(place), now=utc_now(), **options)
        assert young.reason == "young"
        grace = utc_now() - utc_now()
        (swept,) = sweep(place, read_catalog(place), now=utc_now(), grace=grace, **options)
        assert swept.removed > 0
        assert read_catalog(place).unfinished == ()
    assert not client.list_multipart_uploads(**where).get("Uploads")


def _keep(platform: S3Platform) -> None:
    """Hold one, encrypt all anew and throw the old key away; nothing is old enough to go."""
    platform.ask(hold, wanted=min(platform.ids()), reason="case 4711")
    (platform.folder / "new-key").write_text(NEW_KEY + "\n")
    (platform.folder / "new-key").chmod(0o600)
    platform.configure({"passphrases": [{"file": "new-key"}, {"file": "key"}]})
    assert len(platform.ask(rekey, wanted=None, dry_run=False)["rekeyed"]) == 3
    platform.configure({"passphrases": [{"file": "new-key"}]})
    kept = platform.ask(retention, yes=True)
    assert ({each["fate"] for each in kept["backups"]}, kept["doubts"]) == ({"stays"}, [])
    assert "held" in {each["reason"] for each in kept["backups"]}


def _lose_and_recover(platform: S3Platform) -> None:
    """Lose everything with our own database, and recover by the new key; the proofs are still theirs."""
    platform.change_all()
    platform.execute(
        f"drop database {platform.ops.rpartition('/')[2]} with (force)", url=platform.server.url("postgres")
    )
    assert platform.state() == NEW
    done = platform.document("restore", "latest-proven", "--mode", "full", "--yes")
    assert [each["kind"] for each in done["results"]] == ["database", "application", "configuration"]
    assert platform.state() == OLD
    platform.ask(undo, mode=Mode.DATABASE, database="shop", yes=True)
    assert platform.state() == (10, "first", "first")
