"""Performance of statements: what each query costs, and which became slower, from pg_stat_statements.

facts.py                   frozen data: counters, readings, activity, baselines
deltas.py                  pure: what was counted between two readings, whatever began anew in between
texts.py                   pure: what may be kept of a statement's text, and what may be planned
findings.py                pure: regressions, slow, new and vanished queries
store.py                   reads from the target, and what hinders that
plans.py                   plans of queries that others wrote, never executed
history.py (baselines)     reads and writes of the ops database
details.py                 texts, roles, plans and last windows of what is told of
analysis.py                reading, comparing and judging put together
checks.py (report, tables) pure: verdicts on the whole, rows and tables
assets.py                  the tasks, their assets and their checks
"""
