r"""Names of files as text that every JSON reader takes, and patterns on them. Pure.

A path of the file system is bytes; Python has those that are no UTF-8 as surrogates. In manifests and listings such a byte
is `\xNN`, what is not printable `\uNNNN`, and a backslash is doubled.
"""

import fnmatch
import re
from collections.abc import Sequence

_ESCAPED = re.compile(r"\\(?:(\\)|x([89a-f][0-9a-f])|u([0-9a-f]{4})|U([0-9a-f]{8}))")
_FIRST_BYTE, _LAST_BYTE, _SURROGATE = 0xDC80, 0xDCFF, 0xDC00
_WIDE = 0xFFFF


def show_name(name: str) -> str:
    r"""Write a name of the file system for manifests and people.

    >>> show_name("/srv/a b/é"), show_name("/srv/new\nline\\n"), show_name("/srv/\udcff")
    ('/srv/a b/é', '/srv/new\\u000aline\\\\n', '/srv/\\xff')
    """
    if name.isprintable() and "\\" not in name:
        return name
    return "".join(map(_show, name))


def read_name(text: str) -> str:
    r"""Return the name of the file system that `show_name` wrote.

    >>> read_name(show_name("/srv/\udcff\\\n\U000e0001")) == "/srv/\udcff\\\n\U000e0001"
    True

    Raises:
        ValueError: it wrote no such thing.
    """
    name = _ESCAPED.sub(_read, text) if "\\" in text else text
    if show_name(name) != text:
        raise ValueError(f"no name: {text[:100]!a}")
    return name


def split_path(path: str) -> tuple[str, ...]:
    """Return the parts of an absolute path as it is written: a listing is in the order of these.

    >>> split_path("/srv/a"), split_path("/srv//a/..")
    (('srv', 'a'), ('srv', '', 'a', '..'))
    """
    return tuple(path.split("/")[1:])


def is_plain(path: str) -> bool:
    """Whether an absolute path has only names in it: no empty part, no dots, no NUL.

    >>> [is_plain(each) for each in ("/srv/a", "srv/a", "/", "/srv/../a", "/srv/./a", "/srv//a", "/srv/a/")]
    [True, False, False, False, False, False, False]
    """
    return (
        path.startswith("/")
        and "\0" not in path
        and all(part not in ("", ".", "..") for part in split_path(path))
    )


def compile_excludes(patterns: Sequence[str]) -> re.Pattern[str]:
    r"""Compile patterns to be used with `fullmatch` on absolute paths, as GNU tar understands --exclude.

    `*`, `?` and `[...]` match `/` and a leading dot too; a pattern may begin after any `/`; what lies below a match matches.
    So `*/node_modules/*` leaves out all that is in such a folder, and keeps the folder itself, empty.

    >>> excludes = compile_excludes(["*/node_modules/*", "*.pyc", r"/srv/\*"])
    >>> [bool(excludes.fullmatch(p)) for p in ("/a/node_modules", "/a/node_modules/.bin/x", "/a/x.pyc", "/srv/*/b", "/srv/b")]
    [False, True, True, True, False]
    """
    return _compile(
        [f"{'' if pattern.startswith('*') else '(?:.*/)?'}{_translate(pattern)}" for pattern in patterns]
    )


def compile_selection(patterns: Sequence[str]) -> re.Pattern[str]:
    """Compile absolute paths or patterns, to be used with `fullmatch`: each stands for what it matches and all below.

    >>> selection = compile_selection(["/srv/app/public", "/etc/*.conf"])
    >>> [bool(selection.fullmatch(path)) for path in ("/srv/app/public/x", "/srv/app/publican", "/etc/a.conf")]
    [True, False, True]
    """
    return _compile([_translate(pattern) for pattern in patterns])


def _compile(alternatives: Sequence[str]) -> re.Pattern[str]:
    # Of no alternative at all: what nothing matches.
    return re.compile("|".join(f"(?:{each}(?:/.*)?)" for each in alternatives) or r"(?!)", re.DOTALL)


def _translate(pattern: str) -> str:
    # In a shell's pattern a backslash takes the meaning of what follows; fnmatch knows brackets alone for that.
    plain = re.sub(
        r"\\(.)", lambda found: f"[{found[1]}]" if found[1] in "*?[" else found[1], pattern, flags=re.DOTALL
    )
    return fnmatch.translate(plain).removesuffix(r"\Z")


def _show(letter: str) -> str:
    number = ord(letter)
    if letter == "\\":
        return r"\\"
    if _FIRST_BYTE <= number <= _LAST_BYTE:
        return f"\\x{number - _SURROGATE:02x}"
    if letter.isprintable():
        return letter
    return f"\\u{number:04x}" if number <= _WIDE else f"\\U{number:08x}"


def _read(found: re.Match[str]) -> str:
    backslash, byte, narrow, wide = found.groups()
    if backslash:
        return "\\"
    return chr(_SURROGATE + int(byte, 16)) if byte else chr(int(narrow or wide, 16))
