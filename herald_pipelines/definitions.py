"""What Dagster loads. Assembles; nothing else."""

import os
from pathlib import Path

from herald_pipelines.assembly import build_definitions
from herald_pipelines.environment import Environment

defs = build_definitions(Environment.load(os.environ, Path.cwd()))
