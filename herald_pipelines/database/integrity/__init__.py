"""Whether b-trees are sound: amcheck looks through them within a budget, the longest unchecked first.

plan.py      pure: b-trees and earlier verdicts in, what to look through out; rows of what was found
amcheck.py   reads both, looks through one index at a time between two ledger rows
checks.py    pure: the verdict on the whole
"""
