"""VACUUM and ANALYZE, table by table: what each one needs by PostgreSQL's own rules, worst first, with proof of the effect.

facts.py                    frozen data about tables, the server's rules and who holds the horizon
need.py                     pure: what a table needs, and how badly
plan.py (statements)        pure: what is done, in which order, within which budget, and what is left out
store.py                    reads from the target, and what the ledger has done already
analysis.py                 reading and planning put together
optimize.py (work)          carries a plan out: one table at a time between two ledger rows, with a before and an after
report.py, checks.py, display.py   pure: what became of it, verdicts on the whole, the UI's tables
assets.py                   the tasks, their assets and their checks
"""
