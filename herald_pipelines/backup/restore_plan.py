"""Decides whether a backup of a database can be restored to a server, and says how. Pure: facts in, a plan out.

Whatever would make the restore fail is said here, before anything is touched (restore_refusals.py has the reasons). Not
here: reading the facts (restore_facts.py), doing it (restore_database.py).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from herald_pipelines.backup.facts import DatabaseFacts
from herald_pipelines.backup.restore_names import Stage, stage_name, time_suffix
from herald_pipelines.backup.restore_refusals import (
    Occupant,
    Refusal,
    Request,
    Selection,
    ServerFacts,
    against_backup,
    against_occupant,
    against_room,
    against_selection,
    against_server,
    shown,
    work_bytes,
)
from herald_pipelines.errors import GuardRefusal
from herald_pipelines.values import format_bytes, format_seconds

__all__ = ["RestorePlan", "Selection", "plan_database_restore"]


@dataclass(frozen=True)
class RestorePlan:
    """What a restore would do."""

    backup: str
    source: str
    """Url of the store."""
    server: str
    """Who is asked, where: for people."""
    name: str
    """Of the database in the end."""
    kept_as: str | None
    """What the present one is then called; None: there is none, or it is not touched."""
    new_roles: tuple[str, ...]
    missing_tablespaces: tuple[str, ...]
    work_bytes: int
    """Needed in the work folder for the clear archive."""
    server_bytes: int
    """Needed where the server keeps its data."""
    steps: tuple[str, ...]
    refusals: tuple[Refusal, ...]
    notes: tuple[str, ...]
    expected_seconds: float | None
    """What the last drill or proof took."""

    def require(self) -> None:
        """Raise unless it can be done.

        Raises:
            GuardRefusal: with every reason.
        """
        if self.refusals:
            raise GuardRefusal(
                f"{self.backup} cannot be restored: " + "; ".join(each.reason for each in self.refusals),
                hint="; ".join(dict.fromkeys(each.hint for each in self.refusals)),
            )

    def document(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "backup": self.backup,
            "source": self.source,
            "server": self.server,
            "database": self.name,
            "kept_as": self.kept_as,
            "new_roles": list(self.new_roles),
            "missing_tablespaces": list(self.missing_tablespaces),
            "work_bytes": self.work_bytes,
            "server_bytes": self.server_bytes,
            "expected_seconds": self.expected_seconds,
            "steps": list(self.steps),
            "refusals": [{"reason": each.reason, "hint": each.hint} for each in self.refusals],
            "notes": list(self.notes),
        }


def plan_database_restore(request: Request, server: ServerFacts, now: datetime) -> RestorePlan:
    """Say what a restore would do, and what stands against it.

    Args:
        request: what is asked for.
        server: as it is now.
        now: for the name that the present database is kept under.
    """
    manifest, name = request.manifest, request.name
    facts = manifest.database
    if facts is None:
        refusal = Refusal(f"{manifest.id} is a backup of {manifest.kind}", "name a backup of a database")
        return _plan(request, None, (), (), (refusal,), ())
    occupant = server.occupant
    swapped = occupant is not None and not request.selection
    kept_as = stage_name(name, Stage.BEFORE, time_suffix(now), server.databases) if swapped else None
    new_roles = tuple(role for role in facts.roles if role not in server.roles)
    missing_tablespaces = tuple(each for each in request.tablespaces if each not in server.tablespaces)
    refusals = (
        *request.problems,
        *against_backup(request),
        *against_server(facts, server, new_roles),
        *against_room(request, facts, server),
        *(against_occupant(occupant, server) if swapped and occupant is not None else ()),
        *against_selection(request, facts, occupant),
    )
    notes = tuple(_notes(facts, server, occupant if swapped else None, missing_tablespaces))
    return _plan(request, kept_as, new_roles, missing_tablespaces, refusals, notes)


def _notes(
    facts: DatabaseFacts,
    server: ServerFacts,
    occupant: Occupant | None,
    missing_tablespaces: tuple[str, ...],
) -> list[str]:
    notes: list[str] = []
    if missing_tablespaces:
        notes.append(
            f"the tablespaces {shown(missing_tablespaces)} are not on the server: everything goes to the default one"
        )
    if server.major > facts.server_version // 10000:
        notes.append(f"the dump is of PostgreSQL {facts.server_version // 10000} and goes to {server.major}")
    if occupant is not None and occupant.sessions:
        notes.append(f"{len(occupant.sessions)} sessions in {occupant.name!r} will be ended for the swap")
    if server.free_bytes is None:
        notes.append("how much room the server has cannot be seen from here")
    return notes


def _plan(
    request: Request,
    kept_as: str | None,
    new_roles: tuple[str, ...],
    missing_tablespaces: tuple[str, ...],
    refusals: tuple[Refusal, ...],
    notes: tuple[str, ...],
) -> RestorePlan:
    manifest = request.manifest
    facts = manifest.database
    size = work_bytes(request)
    what = "the selected part" if request.selection else "it"
    steps = [
        f"fetch {format_bytes(manifest.stored_bytes)} of {manifest.id} from {request.source}, decrypt and verify",
        f"keep the clear archive of {format_bytes(size)} in {request.work_folder} until it is restored",
    ]
    if new_roles:
        steps.append(f"create the missing roles {shown(new_roles)}")
    steps.append(f"restore {what} into a new database, analyse it, and compare its tables with the manifest")
    if kept_as is not None:
        steps.append(f"close {request.name!r}, end its sessions, and rename it to {kept_as!r}")
    steps.append(f"give the new database the name {request.name!r}, in the same transaction")
    if request.expected_seconds is not None:
        steps.append(f"about {format_seconds(request.expected_seconds)}, as the last time")
    return RestorePlan(
        backup=manifest.id,
        source=request.source,
        server=request.server,
        name=request.name,
        kept_as=kept_as,
        new_roles=new_roles,
        missing_tablespaces=missing_tablespaces,
        work_bytes=size,
        server_bytes=facts.size_bytes if facts is not None else 0,
        steps=tuple(steps),
        refusals=refusals,
        notes=notes,
        expected_seconds=request.expected_seconds,
    )
