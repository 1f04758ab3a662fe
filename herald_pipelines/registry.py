"""The tasks that exist, by name, and where they run. A new domain is registered here and in the calendar alone."""

from collections.abc import Mapping

from herald_pipelines.backup.assets import CAPTURE_TASKS
from herald_pipelines.backup.drilling import DRILL_TASK
from herald_pipelines.backup.keeping import RETENTION_TASK
from herald_pipelines.backup.verification import VERIFICATION_TASK
from herald_pipelines.database.indexes.assets import INDEX_TASKS
from herald_pipelines.database.maintenance import MAINTENANCE_TASKS
from herald_pipelines.database.security.assets import SECURITY_TASKS
from herald_pipelines.database.statements.assets import STATEMENT_TASKS
from herald_pipelines.database.tables.assets import TABLE_TASKS
from herald_pipelines.health.assets import HEALTH_TASKS
from herald_pipelines.partitions.assets import PARTITION_TASKS
from herald_pipelines.settings import Settings
from herald_pipelines.tasks import Task

BACKUP_TASKS = (*CAPTURE_TASKS, VERIFICATION_TASK, RETENTION_TASK, DRILL_TASK)
TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        *BACKUP_TASKS,
        *INDEX_TASKS,
        *TABLE_TASKS,
        *MAINTENANCE_TASKS,
        *STATEMENT_TASKS,
        *SECURITY_TASKS,
        *PARTITION_TASKS,
        *HEALTH_TASKS,
    )
}


def is_enabled(settings: Settings, database: str, task: str) -> bool:
    """Return whether a task runs on a database: it concerns it, and is not disabled there."""
    known = TASKS.get(task)
    return settings.is_enabled(database, task) and (known is None or known.concerns(settings, database))
