"""The tasks of partitions, their assets and their checks. Not here: what they do (bodies.py), Dagster (task_assets.py)."""

from herald_pipelines.partitions.bodies import (
    run_partition_archive,
    run_partition_cleanup,
    run_partition_inventory,
    run_upcoming_partitions,
)
from herald_pipelines.settings import Settings
from herald_pipelines.tasks import AssetInfo, CheckInfo, Task

GROUP = "partitions"
NO_RULE = "name its partitioned tables at databases.NAME.partitions in herald.yaml"


def has_rules(settings: Settings, database: str) -> bool:
    """Whether a database has rules for partitioned tables."""
    return bool(settings.database(database).partitions)


PARTITION_TASKS = (
    Task(
        name="partition_inventory",
        description="Reads every partition with its bounds, and says what becomes of it.",
        group=GROUP,
        assets=(
            AssetInfo(
                "partition_inventory",
                "Partitioned tables with their rules, and what is to be done with whom.",
            ),
        ),
        checks=(
            CheckInfo(
                "default_partitions_are_empty",
                "partition_inventory",
                "No default partition holds rows: each row found a partition of its own.",
            ),
            CheckInfo(
                "partitions_are_visible",
                "partition_inventory",
                "No partition's detaching is pending, which hides its rows.",
            ),
        ),
        body=run_partition_inventory,
        concerns=has_rules,
        concern=NO_RULE,
    ),
    Task(
        name="upcoming_partitions",
        description="Makes partitions ahead of time, each like its newest sibling.",
        group=GROUP,
        assets=(
            AssetInfo(
                "upcoming_partitions",
                "Partitions that were made ahead; every one is in herald.maintenance_log.",
                ("partition_inventory",),
            ),
        ),
        checks=(
            CheckInfo(
                "partitions_ahead",
                "upcoming_partitions",
                "Every table has as many partitions ahead as its rule says.",
            ),
        ),
        body=run_upcoming_partitions,
        acts=True,
        concerns=has_rules,
        concern=NO_RULE,
    ),
    Task(
        name="partition_archive",
        description="Puts expired partitions into the store, encrypted, and proves each by restoring it.",
        group=GROUP,
        assets=(
            AssetInfo(
                "partition_archive",
                "Expired partitions in the store, restored and compared; all are in herald.backup.",
                ("partition_inventory",),
            ),
        ),
        checks=(
            CheckInfo(
                "archives_are_proven",
                "partition_archive",
                "Every archive was restored, and holds the rows of its partition.",
            ),
            CheckInfo(
                "archives_are_kept",
                "partition_archive",
                "The store holds every archive that was made.",
            ),
        ),
        body=run_partition_archive,
        concerns=has_rules,
        concern=NO_RULE,
    ),
    Task(
        name="partition_cleanup",
        description="Detaches archived partitions, and drops them when their grace is over.",
        group=GROUP,
        assets=(
            AssetInfo(
                "partition_cleanup",
                "Partitions that were detached and dropped; every step is in herald.maintenance_log.",
                ("partition_archive",),
            ),
        ),
        checks=(
            CheckInfo(
                "nothing_is_in_the_way",
                "partition_cleanup",
                "Whatever is to be detached or dropped can be, and no partition's rows are invisible.",
            ),
        ),
        body=run_partition_cleanup,
        acts=True,
        concerns=has_rules,
        concern=NO_RULE,
    ),
)
