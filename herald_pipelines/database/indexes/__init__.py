"""Index maintenance: what each index costs and gives, and rebuilding the bloated ones with proof of the gain.

facts.py                                frozen data about indexes, as the catalog tells it
bloat.py (btree_build, duplicates)      pure: how much of an index is waste, in three tiers
verdicts.py (overlaps, ddl)             pure: unused, duplicate, redundant, inefficient, invalid, bloated, with DDL
plan.py                                 pure: which indexes to rebuild, in what order, within which limits
store.py (disk)                         reads from the target
history.py                              reads and writes of the ops database
analysis.py                             reading, judging and planning put together
rebuild.py (context, obstacles)         carries a plan out: what must wait, what is left out, and why
reindex.py (leftovers)                  rebuilds one index between two ledger rows; drops what interrupted rebuilds left
checks.py (report, tables)              pure: verdicts on the whole, rows and tables of what became of it
assets.py                               the tasks, their assets and their checks
"""
