"""Rules on the maintaining host, and what in a text looks like a secret."""

from dataclasses import replace
from pathlib import Path

import pytest
from sound import HOST, KEY, NOW, found, hidden

from herald_pipelines.backup.repository import DEFAULT_STORE
from herald_pipelines.backup.ring import DEFAULT_KEY
from herald_pipelines.database.security import hosts
from herald_pipelines.database.security.facts import FileFacts, PackageAudit, TextSecret, Vulnerability
from herald_pipelines.database.security.findings import Severity, Unreadable, judge
from herald_pipelines.database.security.hosts import find_clear
from herald_pipelines.database.security.rules import HOST_RULES

ROOT = Path(__file__).resolve().parents[4]


def test_a_sound_host_has_no_finding_and_nothing_hidden() -> None:
    assert found(HOST) == {}
    assert hidden(HOST) == {}


@pytest.mark.parametrize(
    ("mode", "is_open"), [(0o400, False), (0o440, False), (0o640, False), (0o660, True), (0o604, True), (0o602, True)]
)  # fmt: skip
def test_modes_of_files_with_secrets(mode: int, is_open: bool) -> None:  # noqa: FBT001
    given = found(replace(HOST, secrets=(replace(KEY, mode=mode),)))
    assert list(given) == (["secret_file_mode:/etc/herald/key"] if is_open else [])


def test_what_cannot_be_looked_at_is_hidden_and_hides_no_other() -> None:
    lost, opened = replace(KEY, path="/lost", mode=Unreadable("no such file")), replace(KEY, mode=0o644)
    facts = replace(HOST, secrets=(lost, opened))
    assert list(found(facts)) == ["secret_file_mode:/etc/herald/key"]
    assert hidden(facts) == {"secret_file_mode": "/lost: no such file"}


def test_the_store_is_worse_to_change_than_to_read() -> None:
    def severity(mode: int) -> Severity:
        store = FileFacts("/backups", "the store of backups", mode)
        return found(replace(HOST, store=store))["store_mode:/backups"].found.severity

    assert (severity(0o755), severity(0o770), severity(0o707)) == (Severity.LOW, Severity.HIGH, Severity.HIGH)
    assert hidden(replace(HOST, store=Unreadable("a bucket"))) == {"store_mode": "a bucket"}


def test_commands_quote_paths_as_a_shell_needs_them() -> None:
    odd = replace(KEY, path="/a b/k'ey", mode=0o644, is_tracked=True)
    given = found(replace(HOST, secrets=(odd,)))
    assert "chmod g-w,o= '/a b/k'\"'\"'ey'" in given["secret_file_mode:/a b/k'ey"].found.fix
    assert given["secret_tracked:/a b/k'ey"].found.severity is Severity.CRITICAL


def test_other_files() -> None:
    facts = replace(
        HOST,
        key_folders=(FileFacts("/g", "gpg's folder of keys", 0o750),),
        open_folders=(FileFacts("/o", "a folder", 0o777),),
        settings=(FileFacts("/s", "the settings", 0o666),),
        text_secrets=(TextSecret("/s", "a password", (3, 9)),),
    )
    given = found(facts)
    assert set(given) == {
        "key_folder_mode:/g",
        "open_folder:/o",
        "settings_mode:/s",
        "secret_in_settings:/s a password",
    }
    assert "line 3, 9 of /s" in given["secret_in_settings:/s a password"].found.evidence


def test_packages() -> None:
    weak = Vulnerability("requests", "2.0", "PYSEC-1", ("CVE-1",), ("2.1",))
    facts = replace(HOST, packages=PackageAudit(3, (weak,), ("ours",)))
    (finding,) = found(facts).values()
    assert finding.id == "vulnerable_dependency:requests PYSEC-1"
    assert finding.found.fix == "install requests 2.1 or later"
    assert "ours" in hidden(facts)["vulnerable_dependency"]


@pytest.mark.parametrize(
    ("installed", "fixed_in", "fix"),
    [
        ("2.5", ("1.9.4", "2.10", "2.6.1"), "install p 2.6.1 or later"),
        ("1.9", ("1.9.4", "2.6.1"), "install p 1.9.4 or later"),
        ("2.6", ("1.9.4",), "install p with its fix (fixed in 1.9.4)"),
        ("odd one", ("1.9.4", "2.0"), "install p with its fix (fixed in 1.9.4, 2.0)"),
        ("1.0", (), "no version fixes it yet"),
    ],
)
def test_the_fix_is_above_what_is_installed(installed: str, fixed_in: tuple[str, ...], fix: str) -> None:
    facts = replace(HOST, packages=PackageAudit(3, (Vulnerability("p", installed, "X", (), fixed_in),), ()))
    assert found(facts)["vulnerable_dependency:p X"].found.fix == fix


def test_a_source_that_knows_no_package_says_nothing_of_them() -> None:
    facts = replace(HOST, packages=PackageAudit(0, (), ("a", "b")))
    assert hidden(facts) == {"vulnerable_dependency": "its source knows none of the installed packages"}


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("url: postgresql://role:hunter2@db/shop", "a url with a password"),
        ("# url: 'postgres://a:b@c:5432/d'", "a url with a password"),
        ("url: postgresql://role@db:5432/shop", None),
        ("endpoint_url: https://s3.example.net:9000", None),
        ("password: hunter22", "a password"),
        ("#   passphrase: 'hunter22' # the old one", "a password"),
        ("  secret_access_key: wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", "a password"),
        ("  secret_access_key: {env: S3_KEY}", None),
        ("stop: [curl, --header, token=abcdefgh]", "a password"),
        ("stop: [env, PGPASSWORD=hunter2, psql]", "a password"),
        ('passphrase: "correct horse battery staple"', "a password"),
        ("secret: 'with spaces' # remark", "a password"),
        ("storage: {postgres: {username: a, password: hunter2}}", "a password"),
        ('storage: {"password":"x y", host: b}', "a password"),
        ("storage: {password: {env: SHOP_PASSWORD}, host: b}", None),
        ("storage: {password: [a], passwords: *all}", None),
        ("broker: redis://:hunter2@cache:6379/0", "a url with a password"),
        ("broker: redis://cache:6379/0", None),
        ("passphrases: # the first encrypts", None),
        ("# no password: ~/.pgpass or a certificate", None),
        ("signing_secrets: []", None),
        ("  - {file: secrets/backup-key-2026}", None),
        ("access_key_id: AKIAIOSFODNN7EXAMPLE", "an access key of AWS"),
        ("  -----BEGIN RSA PRIVATE KEY-----", "a private key"),
    ],
)
def test_what_looks_like_a_secret(line: str, kind: str | None) -> None:
    assert [each.kind for each in find_clear("f", line)] == ([kind] if kind else [])


def test_the_example_of_the_settings_looks_like_no_secret() -> None:
    assert find_clear("f", (ROOT / "deploy" / "herald.example.yaml").read_text()) == ()


def test_the_defaults_of_backups_are_looked_at() -> None:
    assert (hosts.DEFAULT_KEY, hosts.DEFAULT_STORE) == (DEFAULT_KEY, DEFAULT_STORE)


def test_what_could_not_be_seen_hides_itself_alone() -> None:
    weak = Vulnerability("requests", "2.0", "PYSEC-1", (), ("2.1",))
    facts = replace(
        HOST,
        secrets=(replace(KEY, path="/lost", mode=Unreadable("no such file")), replace(KEY, mode=0o644)),
        packages=PackageAudit(3, (weak,), ("ours",)),
    )
    known = found(facts)
    judgement = judge(HOST_RULES, facts, NOW)
    assert not any(judgement.hides(finding) for finding in known.values())
    for rule, path in (("secret_file_mode", "/lost"), ("vulnerable_dependency", "ours PYSEC-9")):
        (like,) = [finding for finding in known.values() if finding.rule == rule]
        assert judgement.hides(replace(like, found=replace(like.found, object_name=path)))
    whole = judge(HOST_RULES, replace(facts, packages=Unreadable("no way there")), NOW)
    assert whole.hides(known["vulnerable_dependency:requests PYSEC-1"])
