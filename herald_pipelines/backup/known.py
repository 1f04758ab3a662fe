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
    """What belongs to the context's database, ops has the files of the platform too: of this host, or of all hosts where
    this one verifies for the others."""
    lost: tuple[str, ...]
    recorded: tuple[Group, ...]
    """Groups that have recorded backups."""
    recorded_ids: tuple[str, ...]

    def backups(self, group: Group) -> tuple[Backup, ...]:
        """Return the backups of a group, oldest first."""
        return self.catalog.of(group.kind, group.name, group.host)


def know(context: TaskContext, place: Repository, *, for_others: bool = False) -> Known:
    """Read the store, and tell the ops database what it did not know.

    Args:
        context: of the task.
        place: where the store is.
        for_others: whether this is about the backups of other hosts too where this one alone has the private key.
    """
    place.store.check()
    catalog = read_catalog(place)
    recorded = ()
    if context.ops is not None:
        with context.ops.session() as session:
            if not context.dry_run:
                record_catalog(session, catalog, place.store.url)
            recorded = list_recorded(session, place.platform, place.store.url)
    all_hosts = for_others and place.host == context.settings.backup.full_verification_host
    names = [(Kind.DATABASE, context.database)]
    if context.database == OPS:
        names += [(kind, kind.value) for kind in (Kind.APPLICATION, Kind.CONFIGURATION)]
    groups = sorted(
        {
            Group(kind, name, each.manifest.host)
            for kind, name in names
            for each in catalog.of(kind, name, None if all_hosts else place.host)
        },
        key=lambda group: (list(Kind).index(group.kind), group.host),
    )
    if not any(group.kind is Kind.DATABASE for group in groups):
        groups.insert(0, Group(Kind.DATABASE, context.database, place.host))
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
