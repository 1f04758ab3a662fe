"""Partitioned tables as the catalog has them, as frozen data. Not here: reading them (store.py), judging them (plan.py)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from herald_pipelines.values import quote_identifier

TIME_TYPES = ("date", "timestamp", "timestamptz")
"""Of keys whose partitions expire by themselves."""


@dataclass(frozen=True)
class Partition:
    """A partition, which may be partitioned itself."""

    oid: int
    parent_oid: int
    schema: str
    name: str
    kind: str
    """pg_class.relkind: r, p, f."""
    bound: str
    """FOR VALUES ... or DEFAULT, with times in UTC."""
    is_detach_pending: bool
    size_bytes: int
    """Tables, TOAST and indexes; of all partitions below it."""
    estimated_rows: int
    """Of the last ANALYZE or VACUUM; of all partitions below it."""
    live_rows: int | None = None
    """Of the cumulative statistics; of default partitions alone."""
    has_foreign: bool = False
    """Whether a partition below it is a foreign table."""

    @property
    def label(self) -> str:
        """schema.name."""
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        """Its name, quoted."""
        return quote_identifier(self.schema, self.name)


@dataclass(frozen=True)
class Parent:
    """A partitioned table."""

    oid: int
    schema: str
    name: str
    strategy: str
    """pg_partitioned_table.partstrat: r, l, h."""
    keys: int
    key: str | None
    """The first key's column; null for an expression."""
    key_type: str | None
    """As people write it: timestamp with time zone."""
    type_name: str | None
    """As the catalog has it: timestamptz."""
    default_oid: int
    """0: there is no default partition."""
    publications: tuple[str, ...]
    """That name the table itself."""
    referenced_by: tuple[str, ...]
    """Foreign keys of other tables."""
    partitions: tuple[Partition, ...] = ()

    @property
    def label(self) -> str:
        """schema.name."""
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        """Its name, quoted."""
        return quote_identifier(self.schema, self.name)

    @property
    def default(self) -> Partition | None:
        """Its default partition."""
        return next((each for each in self.partitions if each.oid == self.default_oid), None)

    @property
    def why_manual(self) -> str | None:
        """Why nothing is done to it by itself; null: its partitions are ranges of time."""
        if self.strategy != "r":
            return (
                f"it is partitioned by {'list' if self.strategy == 'l' else 'hash'}, not by a range of time"
            )
        if self.keys != 1:
            return f"its key has {self.keys} columns"
        if self.key is None:
            return "its key is an expression"
        if self.type_name not in TIME_TYPES:
            return f"its key {self.key} is of type {self.key_type}, no time"
        return None


@dataclass(frozen=True)
class Inventory:
    """All partitioned tables of a database."""

    parents: tuple[Parent, ...]

    @cached_property
    def by_oid(self) -> Mapping[int, Parent]:
        """Them by oid."""
        return {each.oid: each for each in self.parents}

    def find(self, schema: str, name: str) -> Parent | None:
        """Return a partitioned table by its name."""
        return next((each for each in self.parents if (each.schema, each.name) == (schema, name)), None)


@dataclass(frozen=True)
class Relation:
    """A table that once was a partition."""

    oid: int
    schema: str
    name: str
    kind: str
    is_partition: bool
    size_bytes: int

    @property
    def label(self) -> str:
        """schema.name."""
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        """Its name, quoted."""
        return quote_identifier(self.schema, self.name)


@dataclass(frozen=True)
class Content:
    """The rows of a table, whatever their order."""

    rows: int
    digest: str
    """Sums of two 64-bit hashes of each row's text, in hexadecimal."""


@dataclass(frozen=True)
class Lifecycle:
    """What the ledger proves of one partition, by its oid."""

    oid: int
    name: str
    """schema.name as it was attached."""
    archive: Mapping[str, Any] | None = None
    """Result of the row that proves its archive: backup, rows, digest, bound."""
    detach: Mapping[str, Any] | None = None
    """Result of the row that proves that it was detached: parent, bound, name, detached_at."""
    attempt: Mapping[str, Any] | None = None
    """Evidence of a detaching whose end is not proven."""
    is_drop_open: bool = False
    """A drop was begun whose end is not proven."""
    is_over: bool = False
    """It was dropped, or somebody else dropped it."""
    returned_at: str | None = None
    """When it was brought back, in ISO."""
