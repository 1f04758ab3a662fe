"""Gives the asset health_history to whoever takes it as an input: a pandas DataFrame, read from the Parquet in the store."""

from typing import TYPE_CHECKING

import dagster as dg

from herald_pipelines.backup.repository import repository
from herald_pipelines.environment import Environment
from herald_pipelines.health.assets import day_of, object_key
from herald_pipelines.resources.object_store.base import ObjectMissing
from herald_pipelines.task_assets import group_windows

if TYPE_CHECKING:
    import pandas as pd

MOST_BYTES = 64 * 1024**2
"""Of one day: a thousand checks have some 25,000 rows."""


class HealthFrames(dg.IOManager):
    """Reads what the task has written: its window is done only when that is in the store."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Do nothing: the task wrote it."""

    def load_input(self, context: dg.InputContext) -> "pd.DataFrame":
        """Return the hours and days of the windows that are asked for; a day that nobody watched has no row.

        Raises:
            StoreUnavailable, StoreRefused: the store cannot be read, which is not an empty answer.
        """
        # pandas takes half a second to load, and most processes of ours never need it.
        from herald_pipelines.health.frames import join, read_parquet  # noqa: PLC0415

        windows = sorted(
            {each for found in group_windows(context.asset_partition_keys).values() for each in found}
        )
        frames: list[pd.DataFrame] = []
        with repository(self._environment.settings, self._environment.targets.environ) as place:
            place.store.check()
            for window in windows:
                try:
                    content = place.store.get(
                        object_key(place.platform, day_of(window)), most_bytes=MOST_BYTES
                    )
                except ObjectMissing:
                    continue
                frames.append(read_parquet(content))
        return join(frames)
