"""The maintaining host: real files and modes, real repositories, pip-audit with a source of our own."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import pytest
from scanning import NOW

from herald_pipelines.database.security.dependencies import audit_packages
from herald_pipelines.database.security.facts import HostFacts, PackageAudit
from herald_pipelines.database.security.findings import Judgement, Severity, Unreadable, judge
from herald_pipelines.database.security.hosts import read_host_facts
from herald_pipelines.database.security.rules import HOST_RULES
from herald_pipelines.settings import load_settings

SECRET = "hunter2-and-more"


@dataclass
class Host:
    """A folder with settings and secrets, closed to others."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str = SECRET, mode: int = 0o600) -> Path:
        path = self.folder / name
        path.parent.mkdir(mode=0o700, exist_ok=True, parents=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def facts(self) -> HostFacts:
        """Read what is there; packages have tests of their own."""
        packages = PackageAudit(1, (), ())
        return read_host_facts(load_settings(self.environ, self.folder), self.environ, packages)

    def judgement(self) -> Judgement:
        return judge(HOST_RULES, self.facts(), NOW)

    def found(self) -> set[str]:
        return {finding.id for finding in self.judgement().findings}

    def hidden(self) -> dict[str, str]:
        return {each.rule: each.reason for each in self.judgement().hidden}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Give a sound host."""
    folder = tmp_path / "etc of 'ours'"
    folder.mkdir(mode=0o700)
    host = Host(folder)
    host.write("secrets/url")
    host.write("secrets/key")
    host.write(
        "herald.yaml",
        "version: 1\n"
        "databases: {shop: {url: {file: secrets/url}}}\n"
        f"backup: {{store: 'file://{tmp_path}/store', passphrases: [{{file: secrets/key}}]}}\n",
        0o644,
    )
    (tmp_path / "store").mkdir(mode=0o700)
    return host


def test_a_sound_host_is_clean(host: Host) -> None:
    assert host.found() == set()
    assert host.hidden() == {}


def test_modes_of_every_secret_that_the_settings_name(host: Host) -> None:
    for name in ("url", "key"):
        (host.folder / "secrets" / name).chmod(0o644)
    assert host.found() == {f"secret_file_mode:{host.folder}/secrets/{name}" for name in ("url", "key")}
    for finding in host.judgement().findings:
        subprocess.run(["/bin/sh", "-c", finding.found.fix], check=True, cwd="/")
    assert host.found() == set()


def test_a_secret_that_is_gone_is_not_well(host: Host) -> None:
    (host.folder / "secrets" / "key").unlink()
    assert host.found() == set()
    assert host.hidden() == {"secret_file_mode": f"{host.folder}/secrets/key: no such file or directory"}


def test_folders_settings_and_store(host: Host, tmp_path: Path) -> None:
    (host.folder / "secrets").chmod(0o777)
    (host.folder / "herald.yaml").chmod(0o666)
    (tmp_path / "store").chmod(0o770)
    assert host.found() == {
        f"open_folder:{host.folder}/secrets",
        f"settings_mode:{host.folder}/herald.yaml",
        f"store_mode:{tmp_path}/store",
    }
    (host.folder / "secrets").chmod(0o1777)
    (tmp_path / "store").chmod(0o755)
    given = {each.id: each.found.severity for each in host.judgement().findings}
    assert f"open_folder:{host.folder}/secrets" not in given
    assert given[f"store_mode:{tmp_path}/store"] is Severity.LOW


def test_a_bucket_is_not_visible(host: Host) -> None:
    yaml = (host.folder / "herald.yaml").read_text()
    host.write("herald.yaml", yaml.replace(yaml.split("store: '")[1].split("'")[0], "s3://bucket/x"))
    assert list(host.hidden()) == ["store_mode"]


def test_secrets_in_clear_are_found_by_their_line_and_stay_there(host: Host) -> None:
    yaml = (host.folder / "herald.yaml").read_text()
    host.write(
        "herald.yaml", f"{yaml}# the old one\n# password: {SECRET}\n# postgresql://role:{SECRET}@db/shop\n"
    )
    judgement = host.judgement()
    assert {each.id for each in judgement.findings} == {
        f"secret_in_settings:{host.folder}/herald.yaml a password",
        f"secret_in_settings:{host.folder}/herald.yaml a url with a password",
    }
    assert "line 5 of" in judgement.findings[0].found.evidence
    assert {each.found.severity for each in judgement.findings} == {Severity.HIGH}
    assert SECRET not in repr(judgement) + repr(host.facts())


def git(host: Host, *words: str) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(host.folder), "LC_ALL": "C"}
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.net")
    subprocess.run(["git", *identity, *words], cwd=host.folder, check=True, capture_output=True, env=environ)


def test_a_secret_that_git_has(host: Host) -> None:
    host.write(".env", f"SHOP_URL=postgresql://a:{SECRET}@b/c\n")
    git(host, "init")
    assert host.found() == set()
    git(host, "add", "secrets/key", ".env")
    assert host.found() == {f"secret_tracked:{host.folder}/{name}" for name in ("secrets/key", ".env")}
    git(host, "rm", "--cached", "secrets/key", ".env")
    assert host.found() == set()
    host.write("herald.yaml", (host.folder / "herald.yaml").read_text() + f"# password: {SECRET}\n")
    git(host, "add", "herald.yaml")
    (finding,) = host.judgement().findings
    assert (finding.rule, finding.found.severity) == ("secret_in_settings", Severity.CRITICAL)


def test_settings_that_are_a_link_into_a_repository(host: Host) -> None:
    git(host, "init")
    kept = host.folder / "kept"
    kept.mkdir(mode=0o700)
    (host.folder / "secrets" / "key").rename(kept / "key")
    (host.folder / "secrets" / "key").symlink_to(kept / "key")
    git(host, "add", "kept/key")
    assert host.found() == {f"secret_tracked:{host.folder}/secrets/key"}


def test_settings_of_dagster_are_looked_at(host: Host) -> None:
    home = host.write("dagster/dagster.yaml", f"storage: {{postgres: {{password: {SECRET}}}}}\n").parent
    host.environ["DAGSTER_HOME"] = str(home)
    assert host.found() == {f"secret_in_settings:{home}/dagster.yaml a password"}


def test_git_runs_nothing_that_a_repository_names(host: Host, tmp_path: Path) -> None:
    git(host, "init")
    git(host, "config", "core.fsmonitor", f"touch '{tmp_path}/ran'; false")
    host.found()
    assert not (tmp_path / "ran").exists()


def test_a_repository_without_git_is_not_visible(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    git(host, "init")
    monkeypatch.setenv("PATH", str(host.folder))
    assert "secret_tracked" in host.hidden()
    assert "'git' was not found" in host.hidden()["secret_tracked"]


class Source(BaseHTTPRequestHandler):
    """Answers as OSV does: one package has a weakness."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
        affected = {
            "package": {"name": "psutil", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}],
        }
        weak = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "summary": "weak", "affected": [affected]}
        body = json.dumps({"vulns": [weak]} if asked == "psutil" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Give the url of a source of weaknesses that pip-audit asks."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Source)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/v1/query"
    monkeypatch.setenv("PIP_AUDIT_VULNERABILITY_SERVICE", "osv")
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", url)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        yield url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_package_with_a_known_weakness(source: str) -> None:
    audit = audit_packages()
    assert isinstance(audit, PackageAudit), audit
    assert audit.audited > 50
    (weak,) = audit.found
    assert (weak.package, weak.version, weak.id, weak.fixed_in) == (
        "psutil",
        version("psutil"),
        "PYSEC-2026-1",
        ("99.0",),
    )


def test_a_source_that_does_not_answer_is_not_visible(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", "http://127.0.0.1:1/v1/query")
    audit = audit_packages()
    assert isinstance(audit, Unreadable)
    assert audit.reason.startswith("pip-audit gave no answer: ")


def test_without_pip_audit_it_is_not_visible(tmp_path: Path) -> None:
    """In an interpreter that does not find it."""
    script = (
        "import sys; sys.modules['pip_audit'] = None\n"
        "from herald_pipelines.database.security.dependencies import audit_packages\n"
        "print(audit_packages().reason)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "pip-audit is not installed", done.stderr
