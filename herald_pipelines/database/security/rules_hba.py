"""Pure: rules on pg_hba.conf. A line that an earlier one covers never holds, and is not judged."""

from collections.abc import Iterator
from datetime import datetime
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from herald_pipelines.database.security.facts import DatabaseFacts, HbaRule
from herald_pipelines.database.security.findings import Found, Rule, Severity, Verdicts

Lines = tuple[HbaRule, ...]
Network = IPv4Network | IPv6Network

HBA_NEED = "grant select on pg_hba_file_rules and execute on function pg_hba_file_rules() to the role, or a superuser"
ALL, REPLICATION, LOCAL = "all", "replication", "local"
MAY_BE_CLEAR = frozenset({"host", "hostnossl", "hostnogssenc"})
"""Types of lines that sessions without encryption match as well."""


class Reach(IntEnum):
    """From where a line lets sessions in."""

    SOCKET = 0
    LOOPBACK = 1
    NETWORK = 2
    EVERYWHERE = 3


def trusting(lines: Lines, _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find lines that ask for no proof of who it is."""
    for line in holding(lines):
        if line.method == "trust":
            remote = reach_of(line) >= Reach.NETWORK
            who = "whoever reaches the server" if remote else "every user of the server's machine"
            yield _found(
                line,
                Severity.CRITICAL if remote else Severity.HIGH,
                f"lets {who} in as any role that it names",
                "scram-sha-256 in place of trust",
            )
        elif line.method == "ident" and reach_of(line) >= Reach.NETWORK:
            yield _found(
                line, Severity.HIGH, "believes the client's machine who its user is", "scram-sha-256 in place of ident"
            )  # fmt: skip


def clear_passwords(lines: Lines, _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find lines that have the password itself sent."""
    for line in holding(lines):
        if line.method == "password":
            on_wire = line.type in MAY_BE_CLEAR and reach_of(line) >= Reach.NETWORK
            yield _found(
                line,
                Severity.HIGH if on_wire else Severity.MEDIUM,
                f"has passwords sent as they are{', in clear through the network' if on_wire else ''}",
                "scram-sha-256 in place of password",
            )


def md5_method(lines: Lines, _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find lines that take MD5; with a password stored as SCRAM, they ask for that."""
    for line in holding(lines):
        if line.method == "md5":
            yield _found(
                line, Severity.LOW, "takes passwords that are stored as MD5", "scram-sha-256 in place of md5"
            )


def whole_internet(lines: Lines, _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find lines for every address there is."""
    for line in holding(lines):
        if reach_of(line) is Reach.EVERYWHERE and line.method not in {"reject", "trust"}:
            yield _found(
                line, Severity.MEDIUM, "lets sessions from every address try", "the networks of the clients in its place"
            )  # fmt: skip


def unencrypted(lines: Lines, _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find lines that sessions in clear match, from other machines."""
    for line in holding(lines):
        if line.type in MAY_BE_CLEAR and line.method != "reject" and reach_of(line) >= Reach.NETWORK:
            yield _found(
                line, Severity.MEDIUM, "lets in sessions that are not encrypted", f"hostssl in place of {line.type}"
            )  # fmt: skip


def broken_lines(lines: Lines, _facts: DatabaseFacts, _now: datetime) -> Verdicts:
    """Find lines that the server cannot read: with one, no reload takes anything of the file."""
    for line in lines:
        if line.is_broken:
            where = _place(line)
            yield Found(
                where,
                Severity.MEDIUM,
                f"{where} cannot be read: the file is not taken at a reload, nor at a start",
                "select line_number, error from pg_hba_file_rules where error is not null",
            )


def holding(lines: Lines) -> Iterator[HbaRule]:
    """Yield the lines that some session can match."""
    earlier: list[HbaRule] = []
    for line in lines:
        if line.is_broken:
            continue
        if not any(covers(each, line) for each in earlier):
            yield line
        earlier.append(line)


def covers(first: HbaRule, later: HbaRule) -> bool:
    """Return whether every session that would match the later line matches the first."""
    of_type = first.type == later.type or (first.type == "host" and later.type != LOCAL)
    # `all` does not stand for replication.
    databases = first.databases == later.databases or (
        ALL in first.databases and REPLICATION not in later.databases
    )
    users = first.users == later.users or ALL in first.users
    return of_type and databases and users and _encloses(first, later)


def reach_of(line: HbaRule) -> Reach:
    """Return from where a line lets sessions in."""
    if line.type == LOCAL:
        return Reach.SOCKET
    if line.address in {"localhost", "samehost"}:
        return Reach.LOOPBACK
    if line.address == ALL:
        return Reach.EVERYWHERE
    network = _network(line)
    if network is None:
        return Reach.NETWORK
    if network.prefixlen == 0:
        return Reach.EVERYWHERE
    return Reach.LOOPBACK if network.is_loopback else Reach.NETWORK


def _encloses(first: HbaRule, later: HbaRule) -> bool:
    if first.type == LOCAL or (first.address, first.netmask) == (later.address, later.netmask):
        return True
    if first.address == ALL:
        return True
    outer, inner = _network(first), _network(later)
    return (
        outer is not None
        and inner is not None
        and outer.version == inner.version
        and int(outer.network_address) <= int(inner.network_address)
        and int(inner.broadcast_address) <= int(outer.broadcast_address)
    )


def _network(line: HbaRule) -> Network | None:
    """Return a line's network; none where it is given by a name."""
    try:
        bits = int(ip_address(line.netmask or "")).bit_count()
        return ip_network(f"{line.address}/{bits}", strict=False)
    except ValueError:
        return None


def _place(line: HbaRule) -> str:
    return f"line {line.line} of {line.file or 'pg_hba.conf'}"


def _found(line: HbaRule, severity: Severity, what: str, fix: str) -> Found:
    network = _network(line)
    address = str(network) if network is not None else line.address
    words = [line.type, ",".join(line.databases), ",".join(line.users), *([address] if address else [])]
    text = " ".join([*words, line.method])
    return Found(
        text, severity, f"{_place(line)}, `{text}`, {what}", f"{fix} in {_place(line)}, then pg_reload_conf()"
    )


RULES: tuple[Rule[DatabaseFacts], ...] = tuple(
    Rule(name, title, lambda facts: facts.hba, judge, reference=reference, needs=HBA_NEED)
    for name, title, judge, reference in (
        ("hba_trust", "nobody gets in without a proof", trusting, "CIS PostgreSQL 18 v1.0.0, 5.3 and 5.4"),
        ("hba_password", "no password is sent as it is", clear_passwords, "CIS PostgreSQL 18 v1.0.0, 5.3 and 5.4"),
        ("hba_md5", "passwords stored as MD5 are not taken", md5_method, "PostgreSQL documentation, Password Authentication"),
        ("hba_everywhere", "only the networks of clients get in", whole_internet, "CIS PostgreSQL 18 v1.0.0, 5.4"),
        ("hba_unencrypted", "sessions from other machines are encrypted", unencrypted, "CIS PostgreSQL 18 v1.0.0, 5.4"),
        ("hba_broken_line", "the server can read every line", broken_lines, None),
    )
)  # fmt: skip
