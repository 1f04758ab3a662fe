"""Maintenance, recovery and support of a PostgreSQL platform, as one Dagster lineage graph."""
