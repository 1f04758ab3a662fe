"""Restores for tests; `python restoring.py FOLDER URL NAME` makes restores that kill themselves, one a line that it reads."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from making import file_repository

from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.facts import Manifest
from herald_pipelines.backup.inventory import Backup
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_database import RestoreReport, restore_database, undo_restore
from herald_pipelines.backup.restore_recovery import working
from herald_pipelines.backup.selection import find_backup
from herald_pipelines.resources.clients import find_clients
from herald_pipelines.resources.gpg import keyless_gpg
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.settings.conninfo import with_database
from herald_pipelines.values import Say, utc_now

SERVER_ROLES = ("shop_owner", "shop_app", 'odd "role" 100% é', "shop_boss")

FIRST = {"create": "create database", "swap": "begin"}
"""How the first statement begins of what is done."""


def address(url: str) -> Postgres:
    """Return the address of the capability restore."""
    return Postgres(url, "shop", "database_restore")


def backup_of(repo: Repository, manifest: Manifest) -> Backup:
    """Return a backup as the catalog has it."""
    return find_backup(read_catalog(repo), manifest.id)


def restore(repo: Repository, manifest: Manifest, url: str, name: str, **options: Any) -> RestoreReport:
    """Restore a backup."""
    said: Say = options.pop("say", lambda _text: None)
    return restore_database(
        repo,
        backup_of(repo, manifest),
        address(url),
        name=name,
        programs={},
        now=options.pop("now", utc_now()),
        say=said,
        **options,
    )


def undo(repo: Repository, url: str, name: str, **options: Any) -> Mapping[str, Any]:
    """Take a restore back."""
    return undo_restore(repo, address(url), name=name, now=utc_now(), say=lambda _text: None, **options)


def tidy(repo: Repository, url: str, name: str) -> None:
    """Do what every call does first."""
    with working(repo, address(url), name, lambda _text: None):
        pass


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with cursor(url) as opened:
        opened.execute(query)
        return opened.fetchall() if opened.description else []


@contextmanager
def cursor(url: str) -> Generator[psycopg2.extensions.cursor]:
    """Give a cursor in autocommit."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as opened:
            yield opened
    finally:
        connection.close()


def databases(url: str) -> dict[str, bool]:
    """Return the databases of a server, and whether one may connect."""
    found = rows(with_database(url, "template1"), "select datname, datallowconn from pg_database")
    return {name: allowed for name, allowed in found if not name.startswith("template")}


def text_dump(url: str, major: int) -> str:
    """Return a database as text: schema, rows, large objects."""
    done = subprocess.run(
        [find_clients(major, {}).pg_dump, "--no-password", f"--dbname={url}"],
        capture_output=True,
        text=True,
        check=True,
    )
    # Names of a moment, which no other dump has.
    return "\n".join(
        line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))
    )


def die_at(number: int, first: str = "") -> None:
    """Let this process kill itself right before its statement of a number is sent, counted from one that begins so."""
    run = Session._run
    count, counting = 0, False

    def counted(self: Session, statement: str, *arguments: Any) -> Any:
        nonlocal count, counting
        counting = counting or statement.startswith(first)
        if counting and count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        count += counting
        return run(self, statement, *arguments)

    Session._run = counted  # pyright: ignore[reportAttributeAccessIssue]


class Victim:
    """Makes restores that are killed: forked from a process that has loaded everything."""

    def __init__(self, folder: Path, url: str, name: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(folder), url, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, doing: str, number: int) -> bool:
        """Restore, or undo, and die at a statement (of the creation's, the swap's) or moment; false when it ends before."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{doing} {number}\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        assert code in (0, signal.SIGKILL), f"the victim ended with {code}"
        return code == signal.SIGKILL

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


def _serve(folder: Path, url: str, name: str) -> None:
    for line in sys.stdin:
        doing, number = line.split()
        child = os.fork()
        if child == 0:
            if doing == "moment":
                threading.Timer(int(number) / 1000, os.kill, (os.getpid(), signal.SIGKILL)).start()
            else:
                die_at(int(number), FIRST.get(doing, ""))
            with keyless_gpg() as own:
                repo = file_repository(folder, own)
                if doing == "undo":
                    undo(repo, url, name)
                else:
                    restore(repo, read_catalog(repo).backups[-1].manifest, url, name)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        code = os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), *sys.argv[2:4])
