"""Settings: one herald.yaml as frozen models, secrets by reference. Not here: opening what they name.

models.py    what may be said, with defaults and units
document.py  YAML text to data, with the line of every key
mistakes.py  pydantic's errors as sentences for people
loading.py   finding the file, loading it, `herald config check`
secrets.py   secrets, resolved when they are used and not before
"""

from herald_pipelines.settings.loading import check_config, describe, load_settings
from herald_pipelines.settings.models import (
    OPS,
    SAMPLE,
    CapabilityUrls,
    CatchUpSettings,
    DatabaseSettings,
    Guards,
    IndexSettings,
    OpsSettings,
    SecretRef,
    Settings,
    TaskSettings,
)
from herald_pipelines.settings.secrets import resolve_secret

__all__ = [
    "OPS",
    "SAMPLE",
    "CapabilityUrls",
    "CatchUpSettings",
    "DatabaseSettings",
    "Guards",
    "IndexSettings",
    "OpsSettings",
    "SecretRef",
    "Settings",
    "TaskSettings",
    "check_config",
    "describe",
    "load_settings",
    "resolve_secret",
]
