"""Reads what the ledger holds of partitions. Not here: what it proves (lifecycle.py)."""

from herald_pipelines.partitions.facts import Lifecycle
from herald_pipelines.partitions.lifecycle import fold_steps
from herald_pipelines.resources.postgres import Session
from herald_pipelines.values import DatabaseIdentity


def read_lifecycles(ops: Session, identity: DatabaseIdentity) -> dict[int, Lifecycle]:
    """Return what the ledger proves of the partitions of a database, by oid.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    return fold_steps(
        ops.fetch(
            "partitions/list_steps",
            database=identity.name,
            system_identifier=identity.system_identifier,
            database_oid=identity.database_oid,
        )
    )
