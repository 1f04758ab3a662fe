"""Settings: one herald.yaml as frozen models, secrets by reference.

    models.py     what may be said, with defaults and units
    backup.py     the same of backups
    performance.py  the same of the performance of queries
    security.py   the same of security
    partitions.py the same of partitioned tables
    health.py     the same of health checks
    fields.py     what the models are made of: the strict base, names, numbers with their limits
    urls.py       what the models take for a url, and references to secrets
    conninfo.py   database urls as connection parameters
    files.py      text files that operators name
    document.py   YAML text as data, with the line of every key
    mistakes.py   pydantic's errors as sentences for people
    loading.py    finding the file, loading it, `herald config check`
    secrets.py    secrets, resolved when they are used and not before

Not here: opening what the settings name.
"""

from herald_pipelines.settings.backup import BackupSettings, FilesSettings
from herald_pipelines.settings.fields import OPS
from herald_pipelines.settings.loading import check_config, describe, find_calendar, load_settings
from herald_pipelines.settings.models import (
    SAMPLE,
    CatchUpSettings,
    DatabaseSettings,
    Guards,
    IndexSettings,
    OpsSettings,
    Settings,
    TaskSettings,
)
from herald_pipelines.settings.partitions import PartitionSettings
from herald_pipelines.settings.performance import PerformanceSettings
from herald_pipelines.settings.secrets import resolve_secret, resolve_url
from herald_pipelines.settings.security import AcceptedRisk, SecuritySettings
from herald_pipelines.settings.urls import CapabilityUrls, SecretRef

__all__ = [
    "OPS",
    "SAMPLE",
    "AcceptedRisk",
    "BackupSettings",
    "CapabilityUrls",
    "CatchUpSettings",
    "DatabaseSettings",
    "FilesSettings",
    "Guards",
    "IndexSettings",
    "OpsSettings",
    "PartitionSettings",
    "PerformanceSettings",
    "SecretRef",
    "SecuritySettings",
    "Settings",
    "TaskSettings",
    "check_config",
    "describe",
    "find_calendar",
    "load_settings",
    "resolve_secret",
    "resolve_url",
]
