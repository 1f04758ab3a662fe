"""Pure: what was read from a database, a host or Dagster becomes a verdict. Each threshold says where it is from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from herald_pipelines.health.results import BADNESS, Previous, Status, Verdict
from herald_pipelines.values import format_bytes, format_seconds

Row = Mapping[str, Any]

CONNECTIONS_DEGRADED, CONNECTIONS_UNHEALTHY = 0.80, 0.95
"""Shares of max_connections, those for superusers left out (check_postgres warns at 90 %, is critical at 95 %)."""
WAITING_DEGRADED_SECONDS, WAITING_UNHEALTHY_SECONDS = 30.0, 300.0
FREEZE_FACTOR = 1.5
"""Times autovacuum_freeze_max_age: by then autovacuum should long have frozen it."""
FAILSAFE_AGE = 1_600_000_000
"""vacuum_failsafe_age: VACUUM drops everything else; the server stops writing at 2.1e9."""
LAG_UNHEALTHY_FACTOR = 10
RETAINED_DEGRADED_BYTES = 10 * 1024**3
"""A slot that keeps so much WAL has lost its consumer."""
HITS_DEGRADED, HITS_MIN_BLOCKS = 0.90, 10_000
"""Share of block reads found in shared_buffers; among fewer blocks a share says nothing."""
REQUESTED_CHECKPOINTS = 3
"""Checkpoints that WAL forced between two readings: max_wal_size is too small for what is written."""
DISK_DEGRADED, DISK_UNHEALTHY = 0.15, 0.05
"""Free shares of a file system."""
MEMORY_DEGRADED, MEMORY_UNHEALTHY = 0.10, 0.03
"""Available shares of memory, as the kernel counts it."""
HEARTBEAT_SECONDS = 300.0
"""Daemons beat every half minute; ten of them missing is no delay any more."""
QUEUED_SECONDS = 900.0
RUN_SECONDS = 43_200.0
"""After which Dagster ends a run (dagster.yaml)."""

REMOVED_SECONDS = 86_400.0
"""A daemon that has been silent for so long while others beat is one that this instance does not have any more."""
MOST_NAMED = 5
"""Names in a message."""
HIDDEN = "what other roles do is not visible: grant pg_monitor (sql/roles/observe.sql)"


@dataclass(frozen=True)
class Limits:
    """What differs between databases."""

    long_seconds: float = 300.0
    """Age of a transaction from which on it is long-running (the seed's 5 minutes)."""
    max_long: int = 5
    """More of them degrade (the seed's)."""
    max_lag_seconds: float = 60.0


def judge_activity(row: Row, limits: Limits, *, ping_ms: float, query: Verdict | None) -> Verdict:
    """Judge the connections of a server and the test query.

    Args:
        row: of read_activity.
        limits: of the database.
        ping_ms: how long connecting and asking took.
        query: what the test query gave, where there is one.
    """
    usable = max(row["max_connections"] - row["reserved_connections"], 1)
    ratio = row["connections"] / usable
    metrics = {
        "ping_ms": ping_ms,
        "open_connections": float(row["connections"]),
        "active_connections": float(row["active"]),
        "idle_connections": float(row["idle"]),
        "idle_in_transaction_connections": float(row["idle_in_transaction"]),
        "own_connections": float(row["own_connections"]),
        "usable_connections": float(usable),
        "connections_ratio": ratio,
        "long_running_queries": float(row["long_running"]),
        "longest_transaction_seconds": row["longest_seconds"],
        **(query.metrics if query else {}),
    }
    found: list[tuple[Status, str]] = []
    if row["is_standby"]:
        found.append((Status.UNHEALTHY, "the url leads to a standby, which cannot be written"))
    if row["hidden"]:
        found.append((Status.UNKNOWN, HIDDEN))
    if ratio >= CONNECTIONS_DEGRADED:
        status = Status.UNHEALTHY if ratio >= CONNECTIONS_UNHEALTHY else Status.DEGRADED
        found.append((status, f"{row['connections']} of {usable} connections are in use"))
    if row["long_running"] > limits.max_long:
        text = f"{row['long_running']} transactions run for more than {format_seconds(limits.long_seconds)}"
        found.append((Status.DEGRADED, text))
    if query is not None and query.status is not Status.HEALTHY:
        found.append((query.status, query.message))
    well = f"answers in {ping_ms:.0f} ms, {row['connections']} of {usable} connections"
    return sum_up(found, well, metrics)


def judge_blockers(rows: Sequence[Row]) -> Verdict:
    """Judge who holds up others, by how long those wait."""
    longest = max((row["waiting_seconds"] for row in rows), default=0.0)
    metrics = {
        "root_blockers": float(len(rows)),
        "waiting_sessions": float(sum(row["waiting"] for row in rows)),
        "longest_wait_seconds": longest,
    }
    status = (
        Status.UNHEALTHY
        if longest >= WAITING_UNHEALTHY_SECONDS
        else Status.DEGRADED
        if longest >= WAITING_DEGRADED_SECONDS
        else Status.HEALTHY
    )
    if not rows:
        return Verdict(status, "nobody waits for a lock", metrics)
    row = rows[0]
    who = (
        f"pid {row['pid']} ({row['application']} as {row['role']}, {row['state'] or 'not visible'})"
        if row["pid"]
        else "a prepared transaction"
    )
    message = f"{who} holds up {row['waiting']} for {format_seconds(row['waiting_seconds'])}"
    return Verdict(status, message, metrics)


def judge_ages(row: Row) -> Verdict:
    """Judge how near transaction and multixact numbers are to wrapping around."""
    found: list[tuple[Status, str]] = []
    for name, age, maximum in (
        ("transaction", row["xid_age"], row["freeze_max_age"]),
        ("multixact", row["multixact_age"], row["multixact_freeze_max_age"]),
    ):
        if age >= FAILSAFE_AGE:
            found.append(
                (Status.UNHEALTHY, f"the oldest {name} number is {age} old, beyond the failsafe age")
            )
        elif age >= FREEZE_FACTOR * maximum:
            found.append(
                (Status.DEGRADED, f"the oldest {name} number is {age} old, of {maximum} for freezing")
            )
    metrics = {"xid_age": float(row["xid_age"]), "multixact_age": float(row["multixact_age"])}
    return sum_up(
        found, f"oldest transaction {row['xid_age']}, oldest multixact {row['multixact_age']}", metrics
    )


def judge_standbys(row: Row, limits: Limits) -> Verdict:
    """Judge how far standbys are behind."""
    found: list[tuple[Status, str]] = []
    if row["hidden"]:
        found.append((Status.UNKNOWN, HIDDEN))
    lag = row["lag_seconds"]
    if lag > limits.max_lag_seconds:
        far = lag > LAG_UNHEALTHY_FACTOR * limits.max_lag_seconds
        status = Status.UNHEALTHY if far else Status.DEGRADED
        found.append(
            (status, f"a standby is {format_seconds(lag)} behind ({format_bytes(row['lag_bytes'])})")
        )
    if row["not_streaming"]:
        found.append((Status.DEGRADED, f"{row['not_streaming']} of {row['standbys']} standbys do not stream"))
    metrics = {
        "standbys": float(row["standbys"]),
        "lag_seconds": lag,
        "lag_bytes": float(row["lag_bytes"]),
    }
    return sum_up(
        found, f"{row['standbys']} standbys" if row["standbys"] else "no standby is connected", metrics
    )


def judge_slots(rows: Sequence[Row]) -> Verdict:
    """Judge whether slots keep WAL that nobody fetches, or lost some that somebody needs."""
    found: list[tuple[Status, str]] = []
    for row in rows:
        if row["wal_status"] == "lost" or row["invalidation_reason"]:
            found.append((Status.UNHEALTHY, f"slot {row['slot']} is lost"))
        elif row["wal_status"] == "unreserved":
            found.append((Status.DEGRADED, f"slot {row['slot']} is about to be lost"))
        elif (row["retained_bytes"] or 0) > RETAINED_DEGRADED_BYTES:
            found.append(
                (Status.DEGRADED, f"slot {row['slot']} keeps {format_bytes(row['retained_bytes'])} of WAL")
            )
    retained = float(max((row["retained_bytes"] or 0 for row in rows), default=0))
    inactive = float(sum(not row["active"] for row in rows))
    metrics = {"slots": float(len(rows)), "inactive_slots": inactive, "retained_bytes": retained}
    return sum_up(found, f"{len(rows)} slots", metrics)


def judge_cache(row: Row, previous: Previous | None) -> Verdict:
    """Judge the share of block reads found in shared_buffers since the reading before."""
    names = ("blocks_hit", "blocks_read")
    metrics = _counters(row, *names)
    grown = _grown(metrics, previous, names)
    if grown is None:
        return Verdict(Status.HEALTHY, "counted from now on", metrics)
    blocks = grown["blocks_hit"] + grown["blocks_read"]
    if blocks < HITS_MIN_BLOCKS:
        return Verdict(Status.HEALTHY, f"too few blocks to tell: {blocks:.0f}", metrics)
    ratio = grown["blocks_hit"] / blocks
    metrics["hit_ratio"] = ratio
    status = Status.DEGRADED if ratio < HITS_DEGRADED else Status.HEALTHY
    return Verdict(status, f"{ratio * 100:.1f} % of block reads were found in shared_buffers", metrics)


def judge_deadlocks(row: Row, previous: Previous | None) -> Verdict:
    """Judge whether sessions had to be ended because each waited for another, since the reading before."""
    metrics = _counters(row, "deadlocks")
    grown = _grown(metrics, previous, ("deadlocks",))
    if grown is None:
        return Verdict(Status.HEALTHY, "counted from now on", metrics)
    metrics["new_deadlocks"] = grown["deadlocks"]
    status = Status.DEGRADED if grown["deadlocks"] else Status.HEALTHY
    return Verdict(status, f"{grown['deadlocks']:.0f} deadlocks since the reading before", metrics)


def judge_checkpoints(row: Row, previous: Previous | None) -> Verdict:
    """Judge whether the amount of WAL, and not the clock, makes the checkpoints."""
    names = ("timed", "requested")
    metrics = _counters(row, *names)
    grown = _grown(metrics, previous, names)
    if grown is None:
        return Verdict(Status.HEALTHY, "counted from now on", metrics)
    metrics["new_requested"] = grown["requested"]
    forced = grown["requested"] >= REQUESTED_CHECKPOINTS and grown["requested"] > grown["timed"]
    message = f"{grown['requested']:.0f} checkpoints were requested and {grown['timed']:.0f} timed"
    return Verdict(Status.DEGRADED if forced else Status.HEALTHY, message, metrics)


def judge_room(what: str, free: int, total: int, *, degraded: float, unhealthy: float) -> Verdict:
    """Judge how much of a file system or of memory is left.

    Args:
        what: for the sentence: "the data directory".
        free: bytes.
        total: bytes.
        degraded: free share below which it is.
        unhealthy: the same.
    """
    ratio = free / total if total else 0.0
    status = (
        Status.UNHEALTHY if ratio < unhealthy else Status.DEGRADED if ratio < degraded else Status.HEALTHY
    )
    metrics = {"free_bytes": float(free), "total_bytes": float(total), "free_ratio": ratio}
    return Verdict(status, f"{what}: {format_bytes(free)} of {format_bytes(total)} free", metrics)


def judge_backups(row: Row, *, max_age_seconds: float, proof_seconds: float) -> Verdict:
    """Judge how old the newest backup is, and the newest that was restored and compared.

    Args:
        row: of read_backup_ages.
        max_age_seconds: how old a backup may be; a database that is new here has that long for its first.
        proof_seconds: how old a proof may be.
    """
    age, proof, known = row["backup_age_seconds"], row["proof_age_seconds"], row["known_seconds"]
    if age is None:
        new = known is None or known <= max_age_seconds
        text = "there is no backup yet" if new else "there is no backup"
        return Verdict(Status.DEGRADED if new else Status.UNHEALTHY, text)
    found: list[tuple[Status, str]] = []
    if age > max_age_seconds:
        found.append((Status.UNHEALTHY, f"the newest backup is {format_seconds(age)} old"))
    if proof is None:
        found.append((Status.DEGRADED, "no backup was restored and compared yet"))
    elif proof > proof_seconds:
        found.append((Status.DEGRADED, f"the newest proof is {format_seconds(proof)} old"))
    metrics = {"backup_age_seconds": age, **({} if proof is None else {"proof_age_seconds": proof})}
    return sum_up(found, f"the newest backup is {format_seconds(age)} old", metrics)


def judge_daemons(rows: Sequence[Row]) -> Verdict:
    """Judge whether Dagster's daemons live, by their heartbeats."""
    if not rows:
        return Verdict(Status.UNKNOWN, "no daemon of Dagster was ever seen")
    youngest = min(row["age_seconds"] for row in rows)
    if youngest <= HEARTBEAT_SECONDS:
        rows = [row for row in rows if row["age_seconds"] <= REMOVED_SECONDS]
    oldest = max(row["age_seconds"] for row in rows)
    silent = sorted(row["daemon_type"] for row in rows if row["age_seconds"] > HEARTBEAT_SECONDS)
    metrics = {
        "daemons": float(len(rows)),
        "silent_daemons": float(len(silent)),
        "oldest_heartbeat_seconds": oldest,
    }
    if silent:
        text = f"no heartbeat for {format_seconds(oldest)}: {', '.join(silent)}"
        return Verdict(Status.UNHEALTHY, text, metrics)
    return Verdict(Status.HEALTHY, f"{len(rows)} daemons live", metrics)


def judge_ticks(rows: Sequence[Row]) -> Verdict:
    """Judge whether the newest tick of each schedule and sensor went well."""
    failing = sorted(str(row["name"]) for row in rows if row["status"] == "FAILURE")
    metrics = {"instigators": float(len(rows)), "failing_instigators": float(len(failing))}
    if failing:
        return Verdict(Status.DEGRADED, f"the newest tick failed: {_name(failing)}", metrics)
    return Verdict(
        Status.HEALTHY, f"the newest ticks of {len(rows)} schedules and sensors went well", metrics
    )


def judge_runs(row: Row) -> Verdict:
    """Judge whether runs get their turn, and end."""
    found: list[tuple[Status, str]] = []
    if row["queued_seconds"] > QUEUED_SECONDS:
        found.append((Status.DEGRADED, f"a run waits for {format_seconds(row['queued_seconds'])}"))
    if row["stuck_starting"]:
        found.append((Status.DEGRADED, f"{row['stuck_starting']} runs do not start"))
    if row["running_seconds"] > RUN_SECONDS:
        found.append((Status.DEGRADED, f"a run is at work for {format_seconds(row['running_seconds'])}"))
    metrics = {
        "queued_runs": float(row["queued"]),
        "queued_seconds": row["queued_seconds"],
        "running_runs": float(row["running"]),
        "running_seconds": row["running_seconds"],
        "stuck_runs": float(row["stuck_starting"]),
    }
    return sum_up(found, f"{row['running']} runs at work, {row['queued']} wait", metrics)


def sum_up(found: Sequence[tuple[Status, str]], well: str, metrics: Mapping[str, float]) -> Verdict:
    """Return the verdict of the worst of what was found, which names it first; healthy where nothing was.

    Args:
        found: a status and a text each.
        well: the text where nothing was found.
        metrics: of the verdict.
    """
    if not found:
        return Verdict(Status.HEALTHY, well, metrics)
    first = sorted(found, key=lambda each: -BADNESS.index(each[0]))
    return Verdict(first[0][0], _name([text for _, text in first], "; "), metrics)


def _name(texts: Sequence[str], between: str = ", ") -> str:
    more = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return f"{between.join(texts[:MOST_NAMED])}{more}"


def _counters(row: Row, *names: str) -> dict[str, float]:
    return {name: float(row[name]) for name in (*names, "reset_at_seconds")}


def _grown(
    metrics: Mapping[str, float], previous: Previous | None, names: Sequence[str]
) -> dict[str, float] | None:
    """Return how much counters grew; None where they were reset, or nothing is known of before."""
    before = previous.metrics if previous else dict[str, float]()
    if not all(name in before for name in (*names, "reset_at_seconds")):
        return None
    grown = {name: metrics[name] - before[name] for name in names}
    if metrics["reset_at_seconds"] != before["reset_at_seconds"] or min(grown.values()) < 0:
        return None
    return grown
