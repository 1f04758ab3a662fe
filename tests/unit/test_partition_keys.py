"""The keys of the partitions, by which runs are found again in Dagster, the ledger and scripts."""

from datetime import UTC, date, datetime, time

from contract_files import check_text
from herald_pipelines.scheduling import partitions_of
from herald_pipelines.slots import Cadence, Slot, windows_opened

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def test_partition_keys() -> None:
    lines: list[str] = []
    for cadence in Cadence:
        slot = Slot("slot", cadence, (), date(2026, 11, 1), time(2, 30), every_minutes=30)
        keys = partitions_of(slot, ("platform",)).get_partition_keys(current_time=NOW)
        newest = windows_opened(slot, datetime(2026, 11, 1, tzinfo=UTC), NOW)[-1]
        assert f"platform|{newest}" in keys
        lines.append(f"{cadence:<8} platform|{newest}")
    check_text("partition_keys.txt", "\n".join(lines))
