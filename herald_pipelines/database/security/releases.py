"""PostgreSQL's releases, as far as this version of ours knows them; with each minor release here is one to write.

From the project's announcements of releases and its versioning policy (five years of support for a major version).
"""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Major:
    """A major version."""

    newest_minor: int
    support_ends: date
    """The last minor release is of about that day."""


KNOWN_ON = date(2026, 8, 13)
"""Day of the newest release that is in the list."""
NEXT_ON = date(2026, 11, 12)
"""From then on the list is stale: minor releases come each second Thursday of February, May, August and November."""

MAJORS = {
    14: Major(24, date(2026, 11, 12)),
    15: Major(19, date(2027, 11, 11)),
    16: Major(15, date(2028, 11, 9)),
    17: Major(11, date(2029, 11, 8)),
    18: Major(6, date(2030, 11, 14)),
}
