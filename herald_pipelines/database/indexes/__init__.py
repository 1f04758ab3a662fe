"""Index maintenance: what each index costs and gives, and rebuilding the bloated ones with proof of the gain.

facts.py       frozen data about indexes, as the catalog tells it
bloat.py       pure: how much of an index is waste, in three tiers
verdicts.py    pure: unused, duplicate, redundant, inefficient, invalid, bloated; with DDL and its inverse
plan.py        pure: which indexes to rebuild, in what order, within which limits
store.py       reads from the target, reads and writes of the ops database
rebuild.py     carries a plan out, one index at a time, each between two ledger rows
assets.py      the tasks and their assets and checks
"""
