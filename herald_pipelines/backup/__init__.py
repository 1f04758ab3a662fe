"""Backups that are proven, and recovery from nothing but the store and the key.

What all need:
    facts.py, inventory.py          manifests, proofs, leases; backups as a catalog has them
    keys.py, ring.py                what encrypts and signs, and the ring made of the settings
    repository.py, parts.py         store, keys and our place in it; parts opened
    streams.py, sealing.py, unsealing.py    one pass from clear bytes into the store, and back
    catalog.py, known.py, history.py, selection.py    what is in the store and in the ops database; which one is meant
    lease.py, progress.py, tables.py, checks.py

Making backups:
    database.py, sharing.py         pg_dump; which tables are dumped beside the rest
    files.py, roots.py, names.py, walk.py, file_reading.py, tar_stream.py, listing.py    trees

Proving and keeping:
    verify.py, dump_listing.py      in one pass, without a server
    deep.py, comparison.py, contents.py, proofs.py    restored and compared
    retention.py, removal.py, sweep.py, rekey.py
    drill.py

Recovering:
    restore_*.py, scratch.py        databases, into a server or a throw-away one
    files_*.py, extract.py, compare.py    trees
    recovery_plan.py, recovery.py   all of it, with the services stopped

The tasks: assets.py (backups), verification.py, keeping.py (retention), drilling.py.
Not here: the store itself and gpg (resources).
"""
