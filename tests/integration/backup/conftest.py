"""A repository of backups in a folder, with a key of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from making import file_repository, make_backup

from herald_pipelines.backup.facts import Manifest
from herald_pipelines.backup.repository import Repository
from herald_pipelines.resources.gpg import keyless_gpg

Backer = Callable[..., Manifest]


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Repository]:
    """Give a repository in a folder of the test."""
    with keyless_gpg() as gpg:
        yield file_repository(tmp_path, gpg)


@pytest.fixture
def back_up(repo: Repository) -> Backer:
    """Give what makes a backup of a database, by its url."""
    return lambda url, **options: make_backup(repo, url, **options)
