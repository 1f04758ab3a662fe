"""Health checks: asked again and again, judged, kept.

results.py   what a check is and says; how it stands after a result (pure)
rules.py     what was read becomes a verdict (pure); ahead.py the same of partitions
web.py       the Riot API and HTTP endpoints
checks.py    the checks that the settings ask for
runner.py    asks them beside one another, each with a timeout
history.py   the ops database: results, how each check stands, hours and days
watch.py     one look at what is due, after the other
report.py    verdicts, documents and tables; frames.py hours and days as a pandas DataFrame and as Parquet
assets.py    the tasks health_checks and health_history
"""
