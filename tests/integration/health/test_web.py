"""The Riot API and endpoints, asked of a real HTTP server that answers as it is told."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from herald_pipelines.errors import UsageError
from herald_pipelines.health.results import Previous, Status, Verdict
from herald_pipelines.health.web import EndpointCheck, RiotCheck
from herald_pipelines.settings import SecretRef
from herald_pipelines.settings.health import EndpointSettings, RiotSettings

NOW = datetime(2026, 8, 13, 12, tzinfo=UTC)
KEY = "RGAPI-secret"
PATIENCE = 30.0


@dataclass
class Stub:
    """Answers each path with a status; None: it does not answer."""

    port: int = 0
    statuses: dict[str, int | None] = field(default_factory=dict)
    retry_after: str | None = None
    tokens: list[str | None] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def riot(self, *, timeout: float = PATIENCE) -> RiotCheck:
        url = f"http://127.0.0.1:{self.port}/{{region}}"
        settings = RiotSettings(api_key=SecretRef(env="RIOT_KEY"), url=url)
        # More than the settings allow: nothing here fails because the machine is busy.
        return RiotCheck(settings.model_copy(update={"timeout_seconds": timeout}), {"RIOT_KEY": KEY})

    def answer(self, **statuses: int | None) -> None:
        self.statuses = dict.fromkeys(("euw1", "na1", "kr", "eun1"), 200) | statuses


@pytest.fixture
def stub() -> Iterator[Stub]:
    told = Stub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.tokens.append(self.headers.get("X-Riot-Token"))
            status = told.statuses.get(self.path.strip("/"), 200)
            if status is None:
                told.over.wait(PATIENCE)
                return
            self.send_response(status)
            if told.retry_after is not None:
                self.send_header("Retry-After", told.retry_after)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002, ARG002
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        told.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield told
        told.over.set()
        server.shutdown()
        thread.join()


def latencies(verdict: Verdict) -> dict[str, float]:
    return {name: value for name, value in verdict.metrics.items() if name.startswith("latency_")}


def test_all_regions_are_asked_with_the_key(stub: Stub):
    stub.answer()
    verdict = stub.riot()(NOW, None)
    assert (verdict.status, verdict.message) == (Status.HEALTHY, "all 4 regions healthy")
    assert stub.tokens == [KEY] * 4
    assert set(latencies(verdict)) == {f"latency_{region}_ms" for region in ("euw1", "na1", "kr", "eun1")}
    assert min(latencies(verdict).values()) > 0
    assert (verdict.metrics["healthy_regions"], verdict.metrics["total_regions"]) == (4, 4)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 404, 302])
def test_a_region_that_is_down_degrades_and_all_of_them_are_an_outage(stub: Stub, status: int):
    stub.answer(kr=status)
    verdict = stub.riot()(NOW, None)
    assert verdict.status is Status.DEGRADED
    assert verdict.metrics["latency_kr_ms"] == -1
    assert f"kr (status {status})" in verdict.message
    stub.answer(euw1=status, na1=status, kr=status, eun1=status)
    verdict = stub.riot()(NOW, None)
    assert verdict.status is Status.UNHEALTHY
    assert set(latencies(verdict).values()) == {-1.0}


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_a_problem_of_the_key(stub: Stub, status: int):
    stub.answer(euw1=status, na1=status, kr=status, eun1=status)
    verdict = stub.riot()(NOW, None)
    assert verdict.status is Status.UNHEALTHY
    assert "the API key was refused in euw1, na1, kr, eun1" in verdict.message
    assert "down" not in verdict.message
    assert min(latencies(verdict).values()) > 0
    assert KEY not in verdict.message


def test_too_many_requests_are_no_outage_and_are_waited_for(stub: Stub):
    stub.answer(na1=429)
    stub.retry_after = "120"
    verdict = stub.riot()(NOW, None)
    assert verdict.status is Status.HEALTHY
    assert verdict.metrics["retry_at_seconds"] == NOW.timestamp() + 120

    asked = len(stub.tokens)
    before = Previous(NOW, verdict.metrics)
    waiting = stub.riot()(NOW + timedelta(seconds=119), before)
    assert waiting.status is Status.UNKNOWN
    assert set(waiting.metrics) == {"retry_at_seconds"}  # what was not measured is not told again
    assert len(stub.tokens) == asked
    again = stub.riot()(NOW + timedelta(seconds=121), before)
    assert again.status is Status.HEALTHY
    assert len(stub.tokens) == asked + 4

    stub.retry_after = "Wed, 21 Oct 2026 07:28:00 GMT"
    stub.answer(euw1=429, na1=429, kr=429, eun1=429)
    verdict = stub.riot()(NOW, None)
    assert verdict.status is Status.UNKNOWN
    assert verdict.metrics["retry_at_seconds"] == NOW.timestamp() + 60


def test_a_region_that_does_not_answer_leaves_the_others(stub: Stub):
    stub.answer(kr=None)
    verdict = stub.riot(timeout=5.0)(NOW, None)
    assert verdict.metrics["latency_kr_ms"] == -1
    assert verdict.metrics["healthy_regions"] == 3
    assert "no answer within 5 s" in verdict.message


def test_a_key_that_is_not_there_is_said(stub: Stub):
    check = RiotCheck(stub.riot().settings, {})
    with pytest.raises(UsageError, match="RIOT_KEY is not set"):
        check(NOW, None)


def test_endpoints(stub: Stub):
    stub.answer(sick=500, moved=302)

    def ask(path: str, **options: int) -> Verdict:
        url = f"http://127.0.0.1:{stub.port}/{path}"
        settings = EndpointSettings(name="site", url=url, **options)
        return EndpointCheck(settings.model_copy(update={"timeout_seconds": PATIENCE}))(NOW, None)

    assert ask("well").status is Status.HEALTHY
    assert ask("sick").message == "answers 500 where 200 was expected"
    assert ask("moved", status=302).status is Status.HEALTHY
    gone = EndpointCheck(EndpointSettings(name="site", url="http://127.0.0.1:1/"))(NOW, None)
    assert (gone.status, gone.metrics["latency_ms"]) == (Status.UNHEALTHY, -1.0)
    assert "refused" in gone.message
