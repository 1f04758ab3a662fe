"""The sample platform of the demo: a gaming-analytics database with what years of production leave behind.

    platform.py    makes it: tables, partitions, indexes, real bloat; deterministic by seed and day
    shape.py       how many rows, and on which days
    workload.py    asks it what the platform's pages ask, so that the statistics views have something to tell

Not here: anything that a real database is maintained with. The SQL is in sql/sample and sql/queries/sample.
"""
