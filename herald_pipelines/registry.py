"""The tasks that exist, by name. A new domain is registered here and in the calendar, and nowhere else."""

from collections.abc import Mapping

from herald_pipelines.database.indexes.assets import INDEX_TASKS
from herald_pipelines.tasks import Task

TASKS: Mapping[str, Task] = {task.name: task for task in INDEX_TASKS}
