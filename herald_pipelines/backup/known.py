"""What the store and the ops database know of the backups of one database; the ops database is told what it did not know."""

from dataclasses import dataclass

from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.facts import Kind
from herald_pipelines.backup.history import find_lost, list_recorded, record_catalog
from herald_pipelines.backup.inventory import Backup, Catalog
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.retention import Group
from herald_pipelines.settings import OPS
from herald_pipelines.tasks import TaskContext


@dataclass(frozen=True)
class Known:
    """What the store and the ops database know."""

    place: Repository
    catalog: Catalog
    groups: tuple[Group, ...]
    """What belongs to the context's database: ops has the files of the platform too."""
    lost: tuple[str, ...]
    recorded: tuple[Group, ...]
    """Groups that have recorded backups."""
    recorded_ids: tuple[str, ...]

    def backups(self, group: Group) -> tuple[Backup, ...]:
        """Return the backups of a group, oldest first."""
        return self.catalog.of(group.kind, group.name, group.host)


def know(context: TaskContext, place: Repository) -> Known:
    """Read the store, and tell the ops database what it did not know."""
    place.store.check()
    catalog = read_catalog(place)
    recorded = ()
    if context.ops is not None:
        with context.ops.session() as session:
            if not context.dry_run:
                record_catalog(session, catalog, place.store.url)
            recorded = list_recorded(session, place.platform, place.store.url)
    groups = [Group(Kind.DATABASE, context.database, place.host)]
    if context.database == OPS:
        groups += [
            Group(kind, kind.value, place.host)
            for kind in (Kind.APPLICATION, Kind.CONFIGURATION)
            if catalog.of(kind, kind.value, place.host)
        ]
    mine = {(each.kind, each.name, each.host) for each in groups}
    return Known(
        place=place,
        catalog=catalog,
        groups=tuple(groups),
        lost=tuple(
            find_lost([each for each in recorded if (each.kind, each.name, each.host) in mine], catalog)
        ),
        recorded=tuple({Group(each.kind, each.name, each.host) for each in recorded}),
        recorded_ids=tuple(each.id for each in recorded),
    )
