"""Hours and days of health as a pandas DataFrame and as Parquet. All that needs pandas: imported only where it is used."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import pandas as pd

TYPES = {
    "period": "string",
    "starts_at": "datetime64[us, UTC]",
    "subject": "string",
    "check_name": "string",
    "samples": "int64",
    "uptime_ratio": "float64",
    "degraded_ratio": "float64",
    "watched_ratio": "float64",
    "down_seconds": "float64",
    "duration_p50_ms": "float64",
    "duration_p95_ms": "float64",
    "duration_p99_ms": "float64",
    "recoveries": "int64",
    "mean_time_to_recover_seconds": "float64",
}
"""The columns of herald.health_hourly and herald.health_daily, with `period` (hour or day) before them."""


def make_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows of list_rollups as a DataFrame, whose columns have their types also where there is no row."""
    return pd.DataFrame.from_records([dict(row) for row in rows], columns=list(TYPES)).astype(TYPES)


def write_parquet(frame: pd.DataFrame) -> bytes:
    """Return a DataFrame as a Parquet file."""
    out = BytesIO()
    frame.to_parquet(out, engine="pyarrow", index=False)
    return out.getvalue()


def read_parquet(content: bytes) -> pd.DataFrame:
    """Return what `write_parquet` wrote."""
    return pd.read_parquet(BytesIO(content), engine="pyarrow").astype(TYPES)


def join(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all of them."""
    return pd.concat(frames, ignore_index=True) if frames else make_frame(())
