"""Pure: rules on the host that maintains: files of keys and settings, the store, Python packages."""

from datetime import datetime
from shlex import quote

from packaging.version import InvalidVersion, Version

from herald_pipelines.database.security.facts import (
    FileFacts,
    HostFacts,
    PackageAudit,
    TextSecret,
    Vulnerability,
)
from herald_pipelines.database.security.findings import Found, Rule, Severity, Unreadable, Verdicts

Files = tuple[FileFacts, ...]

OTHERS = 0o007
WRITING = 0o022
FOREIGN = 0o027
"""Everything of others, and writing of the group, which may read: so that a secret of Kubernetes (0440) is well."""
OPEN_FOLDER = 0o077
MOST_NAMED = 5


def secret_files(files: Files, _facts: HostFacts, _now: datetime) -> Verdicts:
    """Find files with a secret that others may read, or change."""
    for file in files:
        if isinstance(file.mode, Unreadable):
            yield Unreadable(f"{file.path}: {file.mode.reason}", (file.path,))
        elif file.mode & FOREIGN:
            yield Found(
                file.path,
                Severity.HIGH,
                f"{file.path}, {file.what}, has mode {file.mode:04o}",
                f"chmod g-w,o= {quote(file.path)}  # and a new secret, where others may have read it",
            )


def key_folders(files: Files, _facts: HostFacts, _now: datetime) -> Verdicts:
    """Find folders of keys that others may look into."""
    for file in files:
        if isinstance(file.mode, Unreadable):
            yield Unreadable(f"{file.path}: {file.mode.reason}", (file.path,))
        elif file.mode & OPEN_FOLDER:
            yield Found(
                file.path,
                Severity.HIGH,
                f"{file.path}, {file.what}, has mode {file.mode:04o}",
                f"chmod go= {quote(file.path)}",
            )


def open_folders(files: Files, _facts: HostFacts, _now: datetime) -> Verdicts:
    """Find folders in which everybody may put another file in place of a key or of the settings."""
    for file in files:
        if isinstance(file.mode, Unreadable):
            yield Unreadable(f"{file.path}: {file.mode.reason}", (file.path,))
        else:
            yield Found(
                file.path,
                Severity.HIGH,
                f"everybody may replace what lies in {file.path} (mode {file.mode:04o})",
                f"chmod o-w {quote(file.path)}",
            )


def settings_files(files: Files, _facts: HostFacts, _now: datetime) -> Verdicts:
    """Find settings that everybody may change: they name the commands that we run."""
    for file in files:
        if isinstance(file.mode, Unreadable):
            yield Unreadable(f"{file.path}: {file.mode.reason}", (file.path,))
        elif file.mode & OTHERS & WRITING:
            yield Found(
                file.path,
                Severity.HIGH,
                f"everybody may change {file.path}, {file.what} (mode {file.mode:04o})",
                f"chmod o-w {quote(file.path)}",
            )


def store_mode(store: FileFacts, _facts: HostFacts, _now: datetime) -> Verdicts:
    """Find a store whose backups others may delete, or list."""
    if isinstance(store.mode, Unreadable):
        yield Unreadable(f"{store.path}: {store.mode.reason}", (store.path,))
    elif store.mode & WRITING:
        yield Found(
            store.path,
            Severity.HIGH,
            f"others may delete backups from {store.path} (mode {store.mode:04o})",
            f"chmod go-w {quote(store.path)}",
        )
    elif store.mode & OTHERS:
        yield Found(
            store.path,
            Severity.LOW,
            f"everybody may copy the backups, which are encrypted, from {store.path} (mode {store.mode:04o})",
            f"chmod o= {quote(store.path)}",
        )


def secrets_in_text(secrets: tuple[TextSecret, ...], facts: HostFacts, _now: datetime) -> Verdicts:
    """Find secrets in clear in the settings; worse where git has these."""
    for each in secrets:
        lines = ", ".join(map(str, each.lines))
        is_tracked = any(file.path == each.path and file.is_tracked is True for file in facts.settings)
        yield Found(
            f"{each.path} {each.kind}",
            Severity.CRITICAL if is_tracked else Severity.HIGH,
            f"line {lines} of {each.path} looks like {each.kind}{', and git has the file' if is_tracked else ''}",
            "write {env: NAME} or {file: PATH} in its place, and make a new secret",
        )


def tracked_secrets(files: Files, _facts: HostFacts, _now: datetime) -> Verdicts:
    """Find secrets that git has: everybody who ever clones it has them, too."""
    for file in files:
        if isinstance(file.is_tracked, Unreadable):
            yield Unreadable(f"{file.path}: {file.is_tracked.reason}", (file.path,))
        elif file.is_tracked:
            yield Found(
                file.path,
                Severity.CRITICAL,
                f"git has {file.path}, {file.what}",
                f"git rm --cached {quote(file.path)}  # a line in .gitignore, and a new secret",
            )


def vulnerable_packages(packages: PackageAudit, _facts: HostFacts, _now: datetime) -> Verdicts:
    """Find installed packages with a known weakness; of those that the source does not know, nothing is known."""
    for each in packages.found:
        also = f" ({', '.join(each.aliases)})" if each.aliases else ""
        yield Found(
            f"{each.package} {each.id}",
            Severity.HIGH,
            f"{each.package} {each.version} has {each.id}{also}",
            _fix_of(each),
        )
    if not packages.audited:
        yield Unreadable("its source knows none of the installed packages")
    elif packages.unknown:
        named = ", ".join(packages.unknown[:MOST_NAMED])
        more = f" and {len(packages.unknown) - MOST_NAMED} more" if len(packages.unknown) > MOST_NAMED else ""
        yield Unreadable(f"its source knows nothing of {named}{more}", packages.unknown)


def _fix_of(weakness: Vulnerability) -> str:
    """Name the lowest version above the installed one that fixes it; each branch of a package has one of its own."""
    if not weakness.fixed_in:
        return "no version fixes it yet"
    try:
        installed = Version(weakness.version)
        later = [each for each in sorted(weakness.fixed_in, key=Version) if Version(each) > installed]
    except InvalidVersion:
        later = []
    if not later:
        return f"install {weakness.package} with its fix (fixed in {', '.join(weakness.fixed_in)})"
    return f"install {weakness.package} {later[0]} or later"


RULES: tuple[Rule[HostFacts], ...] = (
    Rule("secret_file_mode", "only we read our secrets", lambda facts: facts.secrets, secret_files),
    Rule("key_folder_mode", "only we see our keys", lambda facts: facts.key_folders, key_folders),
    Rule(
        "open_folder",
        "nobody else replaces a key or the settings",
        lambda facts: facts.open_folders,
        open_folders,
    ),
    Rule("settings_mode", "only we change the settings", lambda facts: facts.settings, settings_files),
    Rule("store_mode", "only we change the store of backups", lambda facts: facts.store, store_mode),
    Rule(
        "secret_in_settings",
        "the settings hold no secret in clear",
        lambda facts: facts.text_secrets,
        secrets_in_text,
    ),
    Rule("secret_tracked", "git has no secret", lambda facts: facts.secrets, tracked_secrets),
    Rule(
        "vulnerable_dependency",
        "no installed Python package has a known weakness",
        lambda facts: facts.packages,
        vulnerable_packages,
        needs="pip install 'herald-pipelines[audit]', and a way to its source of vulnerabilities",
    ),
)
