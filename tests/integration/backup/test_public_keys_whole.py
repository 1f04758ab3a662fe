"""Public keys the whole way: a host that only writes, and the one with the private key that proves and restores."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from operating import Platform
from public_keys import make_key_pair

from herald_pipelines.backup.facts import Kind
from herald_pipelines.backup.recovery_plan import Mode, Wish
from herald_pipelines.errors import GuardRefusal, UsageError
from herald_pipelines.operations_backup import create, rekey, verify
from herald_pipelines.operations_restore import restore
from herald_pipelines.operations_runs import migrate
from herald_pipelines.resources.gpg import Gpg, Recipients
from servers import TestServer

OLD, NEW = (5000, "first", "first"), (10, "second", "second")


@pytest.fixture
def vault() -> Iterator[tuple[Gpg, str]]:
    """Give the folder of keys of the host with the private key, and the key's fingerprint."""
    with make_key_pair() as pair:
        yield pair


def gpg(home: Path, *arguments: str, given: bytes = b"") -> bytes:
    """Run gpg with a folder of keys."""
    unasked = ("--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "")
    argv = ["gpg", "--homedir", str(home), *unasked, *arguments]
    return subprocess.run(argv, input=given, capture_output=True, check=True).stdout


def fingerprint_of(home: Path, mail: str) -> str:
    """Return the fingerprint of a key."""
    listed = gpg(home, "--list-keys", "--with-colons", mail).decode()
    return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))


def homes(vault: Gpg, tmp_path: Path) -> tuple[Path, Path]:
    """Return the folder of the private keys, and one with the public ones alone."""
    assert vault.home is not None
    public = tmp_path / "public"
    public.mkdir(mode=0o700)
    gpg(public, "--import", given=gpg(vault.home, "--export"))
    return vault.home, public


def run_check(platform: Platform, task: str, check: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a task on the database; returns its summary, and what the ops database has of a check."""
    done = platform.document("run", task, "--database", "shop")
    ((passed, summary),) = platform.execute(
        "select passed, metadata ->> 'summary' from herald.check_result"
        f" where database = 'shop' and check_name = '{check}' order by id desc limit 1",
        url=platform.ops,
    )
    (database,) = done["databases"]
    return database["summary"], {"passed": passed, "summary": summary}


def test_the_host_that_writes_cannot_read_and_the_vault_proves(
    tmp_path: Path, pg18: TestServer, vault: tuple[Gpg, str]
) -> None:
    tmp_path.chmod(0o755)
    own, fingerprint = vault
    private, public = homes(own, tmp_path)
    (tmp_path / "signing").write_text("kJ8s0dpqLmvTz4Xr9NwQ2yBhCfGaEu7R\n")
    (tmp_path / "signing").chmod(0o600)
    keys: dict[str, Any] = {
        "passphrases": None,
        "recipients": [fingerprint],
        "signing_secrets": [{"file": "signing"}],
        "full_verification_host": "vault",
    }
    writer = {**keys, "host": "db1", "gnupg_home": str(public)}
    reader = {**keys, "host": "vault", "gnupg_home": str(private)}
    platform = Platform(
        tmp_path, pg18, ops=pg18.create_database(), secrets={"HERALD_DAGSTER_URL": pg18.create_database()}
    )
    platform.ask(migrate)

    platform.configure(writer)
    for kind, database in ((Kind.DATABASE, "shop"), (Kind.APPLICATION, None), (Kind.CONFIGURATION, None)):
        platform.ask(create, kind=kind, database=database, dry_run=False)
    summary, check = run_check(platform, "backup_verification", "backup_is_verified")
    assert (summary["verified"], check["passed"]) == (1, False)
    assert check["summary"].endswith("vault does that")
    drilled, check = run_check(platform, "disaster_recovery_test", "drill_passed")
    assert (drilled["drilled"], check) == (
        0,
        {"passed": True, "summary": "vault drills with database shop of db1"},
    )
    refused, code = platform.ask(restore, wish=Wish("latest", Mode.DATABASE), yes=True)
    assert code == GuardRefusal.exit_code
    assert "no private key that opens shop" in str(refused["parts"][0]["plan"]["refusals"])
    with pytest.raises(UsageError, match="no private key that opens application"):
        platform.ask(restore, wish=Wish("latest", Mode.FULL), yes=True)

    platform.configure(reader)
    summary, check = run_check(platform, "backup_verification", "backup_is_verified")
    assert (summary["verified"], check["passed"]) == (1, True)
    drilled, check = run_check(platform, "disaster_recovery_test", "drill_passed")
    assert (drilled["drilled"], check["passed"]) == (1, True)
    platform.change_all()
    assert platform.state() == NEW
    _, code = platform.ask(restore, wish=Wish("latest", Mode.FULL), yes=True)
    assert (code, platform.state()) == (0, OLD)

    # Another key comes, and nobody changes the secret that signs.
    gpg(private, "--quick-generate-key", "second@example.net", "future-default", "default", "never")
    second = fingerprint_of(private, "second@example.net")
    platform.configure({"recipients": [second]})
    assert len(platform.ask(rekey, wanted=None, dry_run=False)["rekeyed"]) == 3
    gpg(private, "--yes", "--delete-secret-keys", fingerprint)
    verdict, passed = platform.ask(verify, wanted="latest", kind=Kind.DATABASE, database="shop", deep=False)
    assert (passed, verdict["proof"]["scope"]) == (True, "full")


def test_what_hinders_a_key_is_named(tmp_path: Path, vault: tuple[Gpg, str]) -> None:
    own, fingerprint = vault
    private, public = homes(own, tmp_path)
    gpg(private, "--quick-generate-key", "signs@example.net", "ed25519", "sign", "never")
    past = ("--faked-system-time", "20200101T000000")
    gpg(private, *past, "--quick-generate-key", "old@example.net", "future-default", "default", "2020-06-01")
    gpg(private, "--quick-generate-key", "revoked@example.net", "future-default", "default", "never")
    revoked = fingerprint_of(private, "revoked@example.net")
    text = (private / "openpgp-revocs.d" / f"{revoked}.rev").read_bytes()
    gpg(private, "--import", given=text.replace(b":-----BEGIN", b"-----BEGIN"))
    signs, old = (fingerprint_of(private, f"{name}@example.net") for name in ("signs", "old"))

    def problem(gpg: Gpg, *fingerprints: str) -> str | None:
        return gpg.find_problem(Recipients(fingerprints))

    assert problem(own, fingerprint) is None
    assert problem(own, fingerprint, signs) == f"{signs} cannot encrypt: it has no valid subkey that may"
    assert problem(own, old) == f"{old} is expired"
    assert problem(own, revoked, fingerprint) == f"{revoked} is revoked"
    assert problem(Gpg(public), signs) == f"{signs} is not in gpg's folder of keys"
    shutil.rmtree(public)
