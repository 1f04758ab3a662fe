"""Checks run beside one another: a hung one harms no other, and whatever is raised is a result."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from threading import Event

import pytest

from herald_pipelines.errors import DatabaseUnavailable, UsageError
from herald_pipelines.health.results import Previous, Probe, Status, Verdict
from herald_pipelines.health.runner import Runner

NOW = datetime(2026, 8, 13, 12, tzinfo=UTC)
PATIENCE = 120.0


def probe(name: str, ask: Callable[[], Verdict], *, timeout: float = PATIENCE) -> Probe:
    return Probe("x", name, 30.0, lambda _now, _previous: ask(), time.monotonic, timeout_seconds=timeout)


def well() -> Verdict:
    return Verdict(Status.HEALTHY, "well", {"n": 1.0})


def fail(error: Exception) -> Callable[[], Verdict]:
    def ask() -> Verdict:
        raise error

    return ask


@pytest.fixture
def gate() -> Iterator[Event]:
    event = Event()
    yield event
    event.set()


def test_what_is_raised_is_a_result():
    checks = [
        probe("well", well),
        probe("gone", fail(DatabaseUnavailable("connecting to x: refused"))),
        probe("wrong", fail(UsageError("the environment variable KEY is not set"))),
        probe("defect", fail(ZeroDivisionError("password=hunter2"))),
    ]
    found = {each.check.name: each.result for each in Runner().run(checks, {}, NOW)}
    assert {name: result.status.value for name, result in found.items()} == {
        "well": "healthy",
        "gone": "unhealthy",
        "wrong": "unknown",
        "defect": "unknown",
    }
    assert found["well"].timestamp == NOW
    assert found["defect"].message == "ZeroDivisionError: password=***"


def test_hung_checks_harm_no_other_even_where_they_take_all_places(gate: Event):
    def hang() -> Verdict:
        gate.wait(PATIENCE)
        return well()

    runner = Runner(at_once=2)
    checks = [
        *(probe(f"hung{n}", hang, timeout=0.2) for n in range(4)),
        *(probe(f"well{n}", well) for n in range(20)),
    ]
    found = {each.check.name: each.result for each in runner.run(checks, {}, NOW)}
    assert len(found) == 24
    assert {name for name, result in found.items() if result.status is not Status.HEALTHY} == {
        f"hung{n}" for n in range(4)
    }
    assert "no answer within" in found["hung0"].message

    # Not asked again while its thread has not come back, and asked again once it has.
    (again,) = runner.run(checks[:1], {}, NOW)
    assert "has not come back" in again.result.message
    gate.set()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        (again,) = runner.run([probe("hung0", well)], {}, NOW)
        if again.result.status is Status.HEALTHY:
            break
        time.sleep(0.02)
    assert again.result.status is Status.HEALTHY


def test_waiting_ends_for_all_at_once(gate: Event):
    def hang() -> Verdict:
        gate.wait(PATIENCE)
        return well()

    found = Runner(at_once=1).run([probe("a", hang), probe("b", hang)], {}, NOW, within_seconds=0.2)
    # The second was never begun: nobody looked, so there is no result.
    assert [(each.check.name, each.result.status) for each in found] == [("a", Status.UNHEALTHY)]


def test_a_check_is_told_what_it_said_before():
    before = Previous(NOW, {"n": 41.0})

    def ask(_now: datetime, previous: Previous | None) -> Verdict:
        assert previous is not None
        return Verdict(Status.HEALTHY, "", {"n": previous.metrics["n"] + 1})

    check = Probe("x", "counter", 30.0, ask, time.monotonic)
    (found,) = Runner().run([check], {("x", "counter"): before}, NOW)
    assert found.result.metrics == {"n": 42.0}


def test_a_result_can_be_written_whatever_was_said():
    said = Verdict(
        Status.HEALTHY, "a\udcff" + "x" * 9000, {"nan": float("nan"), "endless": float("inf"), "n": 1.0}
    )
    (found,) = Runner().run([probe("odd", lambda: said)], {}, NOW)
    assert found.result.metrics == {"n": 1.0}
    assert len(found.result.message) == 2000
    assert found.result.message.encode().startswith(b"a?x")
