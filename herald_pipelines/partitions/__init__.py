"""Partitions by time: made ahead, archived with proof, detached, dropped after a grace, and brought back.

    facts.py, bounds.py             partitioned tables as the catalog has them; what their bounds mean
    lifecycle.py, rules.py          what the ledger proves of a partition; the rules of herald.yaml
    plan.py, upcoming.py            policy: what is to be done, and which partitions are missing ahead
    store.py, content.py, history.py    reading the target, its rows, the ledger
    archive.py, proving.py, restoring.py    into the store, restored and compared, and what is taken of an archive
    creating.py, detaching.py, dropping.py, attaching.py    one change of the target each
    work.py                         what they work with
    archiving.py, cleanup.py        one partition after the other, each step between two ledger rows
    analysis.py, finding.py, returning.py, making.py
    report.py, checks.py, tables.py, bodies.py, assets.py

Not here: indexes of partitions (database.indexes), whole backups (backup).
"""
