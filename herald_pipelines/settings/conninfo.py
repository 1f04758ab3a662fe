"""Database urls as libpq's connection parameters: one parser, so that what was checked is what is connected with.

No error repeats any part of a url: where one is written wrongly, a piece of its password may stand anywhere.
Not here: which urls may hold a password.
"""

import re
from collections.abc import Iterator
from ipaddress import IPv6Address
from urllib.parse import quote, unquote

EXAMPLE = "postgresql://role@host:5432/database"
SCHEMES = ("postgresql://", "postgres://")
SECRETS = frozenset({"password", "sslpassword"})
_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_CHOICES = {
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "load_balance_hosts": ("disable", "random"),
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "sslsni": ("0", "1"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
}
_FREE = frozenset(
    {"host", "krbsrvname", "passfile", "password", "port", "require_auth", "sslcert", "sslcrl", "sslcrldir"}
    | {"sslkey", "sslpassword", "sslrootcert", "user"}
)
PARAMETERS = (*sorted({*_CHOICES, *_FREE}),)
"""What may follow the `?`. The other parameters of libpq are ours (timeouts, options) or name other sources (service)."""

_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NO_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})")
_PORT = re.compile(r"[0-9]{1,5}")
_HIGHEST_PORT = 65535


def parse_url(url: str) -> dict[str, str]:
    """Return the connection parameters that a database url stands for, percent escapes resolved once.

    Several hosts give lists, as libpq takes them.

    >>> parse_url("postgresql://role@[::1]:5433/my%20db?sslmode=require")
    {'user': 'role', 'host': '::1', 'port': '5433', 'dbname': 'my db', 'sslmode': 'require'}
    >>> parse_url("postgresql://a,b:5433/shop")
    {'host': 'a,b', 'port': ',5433', 'dbname': 'shop'}

    Raises:
        ValueError: it is no such url. The text goes on from a name of the url ("has more than one @").
    """
    scheme = next((each for each in SCHEMES if url.startswith(each)), None)
    if scheme is None:
        raise ValueError(f"is not a url such as {EXAMPLE}")
    _check_signs(url)
    before, question, query = url.removeprefix(scheme).partition("?")
    authority, _, name = before.partition("/")
    if "@" in name + query:
        raise ValueError("has an @ behind a / or ?: write / ? and @ of a password as %2F, %3F and %40")
    if "/" in name:
        raise ValueError("has more than one / behind the host: write / of a name or password as %2F")
    if not name:
        raise ValueError(f"names no database: write {EXAMPLE}")
    credentials, _, hosts = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    given = [("user", user), ("password", password), *_read_hosts(hosts), ("dbname", name)]
    found = {key: _decode(value, key) for key, value in given if value}
    if question:
        for key, value in _read_query(query):
            if key in found:
                raise ValueError(f"says the {key} twice")
            found[key] = value
    if "host" in found or "port" in found:
        _check_hosts(found.get("host", ""), found.get("port", ""))
    return found


def with_database(url: str, name: str) -> str:
    """Return a database url that leads to another database of the same server, by the same way.

    >>> with_database("postgresql://role@host:5433/shop?sslmode=require", "a/b")
    'postgresql://role@host:5433/a%2Fb?sslmode=require'
    """
    before, question, query = url.partition("?")
    return f"{before.rpartition('/')[0]}/{quote(name, safe='')}{question}{query}"


def _check_signs(url: str) -> None:
    if _NO_TEXT.search(url):
        raise ValueError("has a control character or a line break in it")
    if url.count("@") > 1:
        raise ValueError("has more than one @: write @ of a password as %40")
    if "#" in url:
        raise ValueError("has a #: write it as %23")
    if _NO_ESCAPE.search(url):
        raise ValueError("has a % that begins no escape: write it as %25")


def _decode(text: str, key: str) -> str:
    value = unquote(text, errors="replace")
    # whatever it is made of, a password is sent and never shown
    if "\ufffd" in value or "\0" in value or (key not in SECRETS and _NO_TEXT.search(value)):
        raise ValueError("has an escape that stands for no character, or for a control character")
    return value


def _read_hosts(hosts: str) -> list[tuple[str, str]]:
    """Return the host and the port parameter of what stands between the @ and the database."""
    found = [re.fullmatch(r"(?:\[([^\[\]]+)\]|([^:\[\]]*))(?::([^:]*))?", each) for each in hosts.split(",")]
    parts = [each.groups(default="") for each in found if each is not None]
    if len(parts) < len(found):
        raise ValueError("has a host that is no name and no address: IPv6 stands in brackets")
    lists = {"host": [address + name for address, name, _ in parts], "port": [port for _, _, port in parts]}
    return [(key, ",".join(values) if any(values) else "") for key, values in lists.items()]


def _read_query(query: str) -> Iterator[tuple[str, str]]:
    for pair in query.split("&"):
        key, equals, value = pair.partition("=")
        key = unquote(key, errors="replace")
        if key not in PARAMETERS or not equals:
            raise ValueError(f"has an unknown parameter (known: {', '.join(PARAMETERS)})")
        value, known = _decode(value, key), _CHOICES.get(key)
        if known and value not in known:
            raise ValueError(f"has an unknown {key} (known: {', '.join(known)})")
        yield key, value


def _check_hosts(hosts: str, ports: str) -> None:
    names, numbers = hosts.split(","), ports.split(",")
    if not all(map(_is_host, names)):
        raise ValueError("has a host that is no name and no address")
    if not all(not each or (_PORT.fullmatch(each) and 0 < int(each) <= _HIGHEST_PORT) for each in numbers):
        raise ValueError(f"has a port that is no number from 1 to {_HIGHEST_PORT}")
    if len(numbers) not in (1, len(names)):
        raise ValueError("has as many ports as hosts only in part: give one, or one for each host")


def _is_host(name: str) -> bool:
    """Whether it is a name, an address, a folder of sockets, or nothing, which is the default folder."""
    if not name or name.startswith("/") or _HOST.fullmatch(name):
        return True
    try:
        IPv6Address(name)
    except ValueError:
        return False
    return True
