"""What bounds mean: moments, steps, names. Steps meet at their ends, across months, leap days and changes of the clock."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herald_pipelines.partitions.bounds import (
    Span,
    Step,
    find_step,
    name_next,
    read_span,
    with_suffix,
    write_moment,
)

ZONE = ZoneInfo("UTC")
PARIS = ZoneInfo("Europe/Paris")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("bound", "zone", "lower", "upper"),
    [
        ("FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')", ZONE, "2026-01-01", "2026-02-01"),
        ("FOR VALUES FROM ('2026-01-01') TO ('2026-07-01')", PARIS, "2025-12-31T23:00", "2026-06-30T22:00"),
        ("FOR VALUES FROM ('2026-01-01 00:00:00') TO ('2026-01-02 12:30:00.5')", ZONE, "2026-01-01", "2026-01-02T12:30:00.5"),
        ("FOR VALUES FROM ('2026-01-01 05:30:00+05:30') TO ('2026-02-01 00:00:00+00')", PARIS, "2026-01-01", "2026-02-01"),
        ("FOR VALUES FROM (MINVALUE) TO ('2026-02-01')", ZONE, None, "2026-02-01"),
        ("FOR VALUES FROM ('2026-02-01') TO (MAXVALUE)", ZONE, "2026-02-01", None),
        ("FOR VALUES FROM ('-infinity') TO ('infinity')", ZONE, None, None),
    ],
)  # fmt: skip
def test_bounds_are_moments(bound: str, zone: ZoneInfo, lower: str | None, upper: str | None):
    assert read_span(bound, zone) == Span(lower and at(lower), upper and at(upper))


@pytest.mark.parametrize(
    "bound", ["DEFAULT", "FOR VALUES IN ('2026-01-01')", "FOR VALUES WITH (modulus 2, remainder 1)"]
)
def test_what_is_no_range_has_no_span(bound: str):
    assert read_span(bound, ZONE) is None


@pytest.mark.parametrize(
    "text", ["'44 BC'", "'0044-03-15 BC'", "'12026-01-01'", "'9999-12-31'", "10", "'a', 'b'"]
)
def test_what_is_no_time_of_ours_is_refused(text: str):
    with pytest.raises(ValueError, match="no time"):
        read_span(f"FOR VALUES FROM ({text}) TO (MAXVALUE)", ZONE)


def test_months_of_a_time_zone_are_months():
    begins = [datetime(2026, month, 1, tzinfo=PARIS).astimezone(UTC) for month in (2, 3, 4, 5)]
    spans = [Span(lower, upper) for lower, upper in pairwise(begins)]
    step = find_step(spans, PARIS)
    assert step == Step(1, timedelta())
    assert step.after(at("2026-10-31T23:00"), PARIS) == at("2026-11-30T23:00")
    # In another zone they are no months, and differ in length.
    assert find_step(spans, ZONE) is None


@pytest.mark.parametrize("hours", [1, 6, 24, 168])
def test_other_steps_are_lengths(hours: int):
    length = timedelta(hours=hours)
    spans = [Span(at("2026-11-02") + n * length, at("2026-11-02") + (n + 1) * length) for n in range(3)]
    step = find_step(spans, ZONE)
    assert step is not None
    assert step.after(at("2026-11-23"), ZONE) == at("2026-11-23") + length


@given(
    st.sampled_from([*(Step(n, timedelta()) for n in (1, 3, 12)), Step(0, timedelta(1)), Step(0, timedelta(7))]),
    st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Pacific/Chatham"]),
    st.integers(2000, 2080),
    st.integers(1, 12),
)  # fmt: skip
def test_a_step_is_found_again_from_what_it_made(step: Step, zone_name: str, year: int, month: int):
    zone = ZoneInfo(zone_name)
    lower = datetime(year, month, 1, tzinfo=zone).astimezone(UTC)
    spans: list[Span] = []
    for _ in range(4):
        upper = step.after(lower, zone)
        assert upper > lower
        spans.append(Span(lower, upper))
        lower = upper
    assert find_step(spans, zone) == step


@pytest.mark.parametrize(
    ("names", "lowers", "following", "expected"),
    [
        (["m_2026_10", "m_2026_11"], ["2026-10-01", "2026-11-01"], "2026-12-01", "m_2026_12"),
        (["m_p202610", "m_p202611"], ["2026-10-01", "2026-11-01"], "2026-12-01", "m_p202612"),
        (["m20261129", "m20261130"], ["2026-11-29", "2026-11-30"], "2026-12-01", "m20261201"),
        (["m_2026w48", "m_2026w49"], ["2026-11-23", "2026-11-30"], "2026-12-07", "m_2026w50"),
        (["m_2026_q3", "m_2026_q4"], ["2026-07-01", "2026-10-01"], "2027-01-01", "m_2027_q1"),
        (["m_2025", "m_2026"], ["2025-01-01", "2026-01-01"], "2027-01-01", "m_2027"),
        (["m_2026_11_30_22", "m_2026_11_30_23"], ["2026-11-30T22:00", "2026-11-30T23:00"], "2026-12-01", "m_2026_12_01_00"),
        (["a 2026-10 z", "a 2026-11 z"], ["2026-10-01", "2026-11-01"], "2026-12-01", "a 2026-12 z"),
        # Of no pattern, or one that gives a name that is taken.
        (["first", "second"], ["2026-10-01", "2026-11-01"], "2026-12-01", "m_20261201"),
        (["m_2026"], ["2026-11-01"], "2026-12-01", "m_20261201"),
        ([], [], "2026-12-01T06:00", "m_20261201_0600"),
    ],
)  # fmt: skip
def test_the_next_is_named_as_its_siblings(
    names: list[str], lowers: list[str], following: str, expected: str
):
    named = list(zip(names, map(at, lowers), strict=True))
    assert name_next("m", named, at(following), ZONE) == expected


@given(st.text(min_size=1, max_size=80), st.integers(1, 2**32))
def test_a_suffix_is_never_cut(name: str, oid: int):
    suffix = f"_detached_{oid}"
    made = with_suffix(name, suffix)
    assert made.endswith(suffix)
    assert len(made.encode(errors="surrogatepass")) <= 63


def test_moments_are_written_for_their_type():
    moment = at("2026-06-30T22:00")
    assert write_moment(moment, "date", PARIS) == "2026-07-01"
    assert write_moment(moment, "timestamp", PARIS) == "2026-07-01 00:00:00"
    assert write_moment(moment, "timestamptz", PARIS) == "2026-06-30T22:00:00+00:00"
