"""Pure: rules on the server's version and its settings."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from herald_pipelines.database.security.facts import DatabaseFacts
from herald_pipelines.database.security.findings import (
    WHOLE_SERVER,
    Found,
    Rule,
    Severity,
    Unreadable,
    Verdicts,
)
from herald_pipelines.database.security.releases import KNOWN_ON, MAJORS, NEXT_ON

SETTINGS = (
    "listen_addresses", "log_connections", "log_file_mode", "logging_collector", "password_encryption", "ssl",
    "ssl_min_protocol_version",
)  # fmt: skip
"""What the rules ask for."""
CIS = "CIS PostgreSQL 18 v1.0.0"
SETTINGS_NEED = "pg_read_all_settings, which pg_monitor holds"
NOTICE = timedelta(days=182)
"""Half a year before its support ends, the way to the next major version wants to be planned."""
EVERYWHERE = frozenset({"*", "0.0.0.0", "::"})  # noqa: S104 - what is looked for
OLD_PROTOCOLS = frozenset({"TLSv1", "TLSv1.1"})
OTHERS = 0o007
OFF = frozenset({"off", "", "false", "no", "0"})
"""Of log_connections, which is a text from 18 on."""


def outdated_minor(version: int, _facts: DatabaseFacts, now: datetime) -> Verdicts:
    """Compare with the newest minor release that is known; a stale list calls nothing up to date."""
    number, minor = divmod(version, 10000)
    major = MAJORS.get(number)
    if major is None:
        yield Unreadable(f"PostgreSQL {number} is not in the list of releases of {KNOWN_ON}")
        return
    stale = now.date() >= NEXT_ON
    doubt = f"the list of releases is of {KNOWN_ON}, and newer ones were due on {NEXT_ON}"
    if minor < major.newest_minor:
        yield Found(
            WHOLE_SERVER,
            Severity.HIGH,
            f"the server is {number}.{minor}, and {number}.{major.newest_minor} fixes known weaknesses"
            + (f"; {doubt}" if stale else f" (list of releases of {KNOWN_ON})"),
            "install the newest minor release and restart the server: no dump is needed",
        )
    elif stale:
        yield Unreadable(f"the server is {number}.{minor}, {doubt}")


def ended_support(version: int, _facts: DatabaseFacts, now: datetime) -> Verdicts:
    """Find a major version that gets no fixes any more, or soon."""
    number = version // 10000
    major = MAJORS.get(number)
    if major is None:
        yield Unreadable(f"PostgreSQL {number} is not in the list of releases of {KNOWN_ON}")
        return
    left = major.support_ends - now.date()
    if left <= NOTICE:
        ended = left <= timedelta(0)
        yield Found(
            WHOLE_SERVER,
            Severity.HIGH if ended else Severity.LOW,
            f"the support of PostgreSQL {number} {'ended' if ended else 'ends'} on {major.support_ends}",
            "upgrade to a later major version",
        )


def ssl_off(settings: Mapping[str, str], _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find that sessions from other machines are in clear."""
    if missing := _missing(settings, "ssl", "listen_addresses"):
        yield missing
    elif settings["ssl"] != "on" and not is_loopback(settings["listen_addresses"]):
        yield Found(
            WHOLE_SERVER,
            Severity.HIGH,
            f"ssl is off, and the server listens on {settings['listen_addresses']}",
            "alter system set ssl = on, with a certificate, and hostssl in pg_hba.conf",
        )


def old_protocol(settings: Mapping[str, str], _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find that protocols are allowed that RFC 8996 deprecates."""
    if missing := _missing(settings, "ssl", "ssl_min_protocol_version"):
        yield missing
    elif settings["ssl"] == "on" and settings["ssl_min_protocol_version"] in {*OLD_PROTOCOLS, ""}:
        yield Found(
            WHOLE_SERVER,
            Severity.MEDIUM,
            f"ssl_min_protocol_version is '{settings['ssl_min_protocol_version']}'",
            "alter system set ssl_min_protocol_version = 'TLSv1.2'",
        )


def unlogged_connections(settings: Mapping[str, str], _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find that nobody could tell who was connected; where none but this machine is, its own log tells."""
    if missing := _missing(settings, "log_connections", "listen_addresses"):
        yield missing
    elif settings["log_connections"].lower() in OFF and not is_loopback(settings["listen_addresses"]):
        yield Found(
            WHOLE_SERVER,
            Severity.LOW,
            "log_connections is off: nobody can tell later who was connected",
            "alter system set log_connections = on",
        )


def open_logs(settings: Mapping[str, str], _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find that everybody on the server may read its log, which holds statements with their values."""
    if missing := _missing(settings, "logging_collector", "log_file_mode"):
        yield missing
    elif settings["logging_collector"] == "on" and int(settings["log_file_mode"], 8) & OTHERS:
        yield Found(
            WHOLE_SERVER,
            Severity.MEDIUM,
            f"log_file_mode is {settings['log_file_mode']}: the server's log is open to everybody there",
            "alter system set log_file_mode = '0600'",
        )


def md5_encryption(settings: Mapping[str, str], _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find that new passwords are stored as MD5."""
    if missing := _missing(settings, "password_encryption"):
        yield missing
    elif settings["password_encryption"] == "md5":  # noqa: S105 - no password
        yield Found(
            WHOLE_SERVER,
            Severity.MEDIUM,
            f"password_encryption is '{settings['password_encryption']}': new passwords are stored as MD5",
            "alter system set password_encryption = 'scram-sha-256'",
        )


def listening_everywhere(settings: Mapping[str, str], _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find that the server listens on every address, also on those that its machine gets later."""
    if missing := _missing(settings, "listen_addresses"):
        yield missing
    elif EVERYWHERE & set(_addresses(settings["listen_addresses"])):
        yield Found(
            WHOLE_SERVER,
            Severity.LOW,
            f"listen_addresses is '{settings['listen_addresses']}'",
            "alter system set listen_addresses = '<the addresses that clients use>', and a restart",
        )


def is_loopback(listen_addresses: str) -> bool:
    """Return whether a server is reached from its own machine alone.

    >>> is_loopback("localhost, 127.0.0.1"), is_loopback(""), is_loopback("*"), is_loopback("127.0.0.1,10.0.0.5")
    (True, True, False, False)
    """
    return all(
        each in {"localhost", "::1"} or each.startswith("127.") for each in _addresses(listen_addresses)
    )


def _addresses(listen_addresses: str) -> list[str]:
    return [each.strip() for each in listen_addresses.split(",") if each.strip()]


def _missing(settings: Mapping[str, str], *names: str) -> Unreadable | None:
    missing = [name for name in names if name not in settings]
    return Unreadable(f"{', '.join(missing)} is not shown to the role") if missing else None


RULES: tuple[Rule[DatabaseFacts], ...] = (
    Rule(
        "minor_outdated",
        "the server has the newest minor release",
        lambda facts: facts.server_version,
        outdated_minor,
        reference="CIS PostgreSQL 18 v1.0.0, 1.5",
        needs="a newer version of herald, whose list of releases is newer",
    ),
    Rule(
        "major_end_of_life",
        "the server's major version is supported",
        lambda facts: facts.server_version,
        ended_support,
        reference="PostgreSQL versioning policy",
        needs="a newer version of herald, whose list of releases is newer",
    ),
    *(
        Rule(name, title, lambda facts: facts.settings, judge, reference=reference, needs=SETTINGS_NEED)
        for name, title, judge, reference in (
            ("ssl_off", "sessions from other machines are encrypted", ssl_off, f"{CIS}, 6.8"),
            ("ssl_old_protocol", "TLS 1.2 is the oldest protocol", old_protocol, "RFC 8996"),
            ("log_connections_off", "connections are logged", unlogged_connections, f"{CIS}, 3.1.20"),
            ("log_file_mode", "the server's log is not open to everybody", open_logs, f"{CIS}, 3.1.6"),
            (
                "password_encryption_md5",
                "new passwords are stored as SCRAM",
                md5_encryption,
                "PostgreSQL documentation, Password Authentication",
            ),
            (
                "listens_everywhere",
                "the server listens where clients are",
                listening_everywhere,
                f"{CIS}, 5.2",
            ),
        )
    ),
)
