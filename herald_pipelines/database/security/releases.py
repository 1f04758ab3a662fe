"""PostgreSQL's releases, as far as this version of ours knows them; with each minor release here is one to write.

From the project's announcements of releases and its versioning policy (five years of support for a major version).
Those of November 2026 are confirmed by packages: 18.7, 17.12 and 16.16 by Alpine Linux's of 12 November, 15.20 by
Debian 12's security updates, 14.25, the last of its major, by a release of an application of 19 November. A number may
be left out: the packages of August 2026 went from 18.4 to 18.6. A server newer than the list is never called behind.
"""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Major:
    """A major version."""

    newest_minor: int
    support_ends: date
    """The last minor release is of about that day."""


KNOWN_ON = date(2026, 11, 12)
"""Day of the newest release that is in the list."""
NEXT_ON = date(2027, 2, 11)
"""From then on the list is stale: minor releases come each second Thursday of February, May, August and November."""

MAJORS = {
    14: Major(25, date(2026, 11, 12)),
    15: Major(20, date(2027, 11, 11)),
    16: Major(16, date(2028, 11, 9)),
    17: Major(12, date(2029, 11, 8)),
    18: Major(7, date(2030, 11, 14)),
}
