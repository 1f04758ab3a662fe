"""Known weaknesses of the installed Python packages, by pip-audit, which asks a source of them over the network.

Which source is the operator's to say, in pip-audit's own variables (PIP_AUDIT_VULNERABILITY_SERVICE, PIP_AUDIT_OSV_URL).
Not here: judging (rules_host.py).
"""

import json
import sys
from importlib.util import find_spec
from typing import Any

from herald_pipelines.database.security.facts import PackageAudit, Vulnerability
from herald_pipelines.database.security.findings import Unreadable
from herald_pipelines.errors import HeraldError
from herald_pipelines.records import clean
from herald_pipelines.resources.commands import run

AUDIT_SECONDS = 300
"""For some two hundred packages, each a request where the source takes no more at once."""
REQUEST_SECONDS = 15
OWN_PACKAGE = "herald-pipelines"
FOUND_OR_NOT = (0, 1)
"""Exit codes of pip-audit; 1 is also that it failed, and then it prints no document."""


def audit_packages() -> PackageAudit | Unreadable:
    """Ask about every package of this Python; where that cannot be done, say why."""
    if find_spec("pip_audit") is None:
        return Unreadable("pip-audit is not installed")
    options = ("--format", "json", "--progress-spinner", "off", "--timeout", str(REQUEST_SECONDS))
    try:
        result = run(
            [sys.executable, "-m", "pip_audit", *options],
            timeout_seconds=AUDIT_SECONDS,
            ok_codes=FOUND_OR_NOT,
        )
    except HeraldError as error:
        return Unreadable(clean(error.message))
    audit = parse_audit(result.stdout)
    if audit is None:
        said = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        return Unreadable(f"pip-audit gave no answer: {clean(said[-1]) if said else 'it said nothing'}")
    return audit


def parse_audit(text: str) -> PackageAudit | None:
    """Return what pip-audit's JSON says; None where it is none.

    >>> parse_audit('{"dependencies": [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "?"}]}')
    PackageAudit(audited=1, found=(), unknown=('b',))
    >>> parse_audit("") is parse_audit('{"dependencies": [{"version": "1"}]}') is None
    True
    """
    try:
        return _read_audit(json.loads(text)["dependencies"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _read_audit(packages: list[dict[str, Any]]) -> PackageAudit:
    audited = [package for package in packages if "skip_reason" not in package]
    return PackageAudit(
        audited=len(audited),
        found=tuple(
            Vulnerability(
                package=package["name"],
                version=package["version"],
                id=each["id"],
                aliases=tuple(each.get("aliases", ())),
                fixed_in=tuple(each.get("fix_versions", ())),
            )
            for package in audited
            for each in package["vulns"]
        ),
        unknown=tuple(
            package["name"]
            for package in packages
            if "skip_reason" in package and package["name"] != OWN_PACKAGE
        ),
    )
