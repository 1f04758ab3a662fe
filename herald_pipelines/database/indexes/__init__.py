"""Index maintenance: what each index costs and gives, and rebuilding the bloated ones with proof of the gain.

facts.py                                frozen data about indexes, as the catalog tells it
bloat.py (btree_build, duplicates)      pure: how much of an index is waste, in three tiers
verdicts.py (overlaps, ddl)             pure: unused, duplicate, redundant, inefficient, invalid, bloated, with DDL
plan.py                                 pure: which indexes to rebuild, in what order, within which limits
store.py (disk)                         reads from the target
history.py                              reads and writes of the ops database
analysis.py                             reading, judging and planning put together
rebuild.py (leftovers)                  carries a plan out, one index at a time, each between two ledger rows
assets.py (tables)                      the tasks, their assets and their checks
"""
