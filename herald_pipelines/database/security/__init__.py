"""Security: what is weak about a database, its server and the host that maintains it; what is new, and what is accepted.

findings.py                             what a rule is, what it gives, and judging by all of them
facts.py                                frozen data, as server and host tell it; what could not be read says why
releases.py                             PostgreSQL's releases, as far as this version knows them
rules_roles.py, rules_grants.py, rules_functions.py, rules_server.py, rules_hba.py, rules_host.py
                                        pure: the rules, each a function from facts to findings
rules.py                                all rules
acceptance.py                           pure: risks that the operator accepts, until a day
store.py, hosts.py, dependencies.py     read the target, the host's files, the installed packages
history.py                              reads and writes of the ops database
scan.py                                 reading and judging put together
report.py, checks.py                    pure: rows, tables and asset checks of what was found
assets.py                               the tasks
"""
