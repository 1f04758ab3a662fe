"""Checks of what answers over HTTP: the Riot Games API by region, and endpoints of the platform."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import Thread

from herald_pipelines.errors import HeraldError
from herald_pipelines.health.results import Previous, Status, Verdict
from herald_pipelines.resources.http import Answer, get
from herald_pipelines.settings import resolve_secret
from herald_pipelines.settings.health import EndpointSettings, RiotSettings

DOWN_MS = -1.0
"""Latency of a region that is down (the seed's)."""
KEY_REFUSED = (401, 403)
TOO_MANY = 429
WELL = 200
DEFAULT_RETRY_SECONDS = 60.0
MOST_RETRY_SECONDS = 3600.0
RETRY_METRIC = "retry_at_seconds"


@dataclass(frozen=True)
class RiotAnswers:
    """What each region said: an answer, or why there was none."""

    answers: Mapping[str, Answer | str]
    now: datetime


def judge_riot(asked: RiotAnswers) -> Verdict:
    """Judge the API by its regions: none healthy is unhealthy, fewer than all degraded (the seed's).

    A refused key is a problem of the key, not of the API; too many requests are no outage.
    """
    kinds = {region: _kind(answer) for region, answer in asked.answers.items()}
    healthy, refused, limited = (
        [region for region, kind in kinds.items() if kind == wanted]
        for wanted in ("healthy", "refused", "limited")
    )
    down = [f"{region} ({_why(asked.answers[region])})" for region, kind in kinds.items() if kind == "down"]
    retry = max((_retry_seconds(asked.answers[region]) for region in limited), default=0.0)
    metrics = {
        f"latency_{region}_ms": DOWN_MS
        if isinstance(answer, str) or kinds[region] == "down"
        else answer.seconds * 1000
        for region, answer in asked.answers.items()
    }
    total = len(asked.answers)
    metrics |= {
        "healthy_regions": float(len(healthy)),
        "total_regions": float(total),
        "key_refused_regions": float(len(refused)),
        "limited_regions": float(len(limited)),
    }
    latencies = [metrics[f"latency_{region}_ms"] for region in healthy]
    if latencies:
        metrics["avg_latency_ms"] = sum(latencies) / len(latencies)
    if limited:
        metrics[RETRY_METRIC] = asked.now.timestamp() + retry
    texts = [
        *([f"the API key was refused in {', '.join(refused)}"] if refused else []),
        *([f"down: {', '.join(down)}"] if down else []),
        *([f"too many requests in {', '.join(limited)}, asked again in {retry:.0f} s"] if limited else []),
    ]
    if not healthy and (down or refused) and not limited:
        return Verdict(Status.UNHEALTHY, f"no region is healthy: {'; '.join(texts)}", metrics)
    if down or refused:
        return Verdict(
            Status.DEGRADED, f"{len(healthy)} of {total} regions healthy: {'; '.join(texts)}", metrics
        )
    if limited:
        status = Status.HEALTHY if healthy else Status.UNKNOWN
        return Verdict(status, texts[0], metrics)
    return Verdict(Status.HEALTHY, f"all {total} regions healthy", metrics)


def _kind(answer: Answer | str) -> str:
    if isinstance(answer, str):
        return "down"
    if answer.status in KEY_REFUSED:
        return "refused"
    return {WELL: "healthy", TOO_MANY: "limited"}.get(answer.status, "down")


def _why(answer: Answer | str) -> str:
    return answer if isinstance(answer, str) else f"status {answer.status}"


def _retry_seconds(answer: Answer | str) -> float:
    text = "" if isinstance(answer, str) else answer.headers.get("retry-after", "").strip()
    return min(float(text), MOST_RETRY_SECONDS) if text.isdecimal() else DEFAULT_RETRY_SECONDS


@dataclass(frozen=True)
class RiotCheck:
    """Asks every region for its status, all at once."""

    settings: RiotSettings
    environ: Mapping[str, str] = field(repr=False)

    def __call__(self, now: datetime, previous: Previous | None) -> Verdict:
        """Ask, unless the API said when it may be asked again."""
        before = previous.metrics if previous else dict[str, float]()
        wait = before.get(RETRY_METRIC, 0.0) - now.timestamp()
        if 0 < wait <= MOST_RETRY_SECONDS:
            until = {RETRY_METRIC: before[RETRY_METRIC]}
            return Verdict(Status.UNKNOWN, f"too many requests: asked again in {wait:.0f} s", until)
        token = resolve_secret(self.settings.api_key, self.environ)
        answers: dict[str, Answer | str] = dict.fromkeys(self.settings.regions, "no answer")

        def ask(region: str) -> None:
            try:
                answers[region] = get(
                    self.settings.url.replace("{region}", region),
                    timeout_seconds=self.settings.timeout_seconds,
                    headers={"X-Riot-Token": token},
                )
            except HeraldError as error:
                answers[region] = error.message

        threads = [Thread(target=ask, args=(region,), daemon=True) for region in self.settings.regions]
        give_up_at = time.monotonic() + self.settings.timeout_seconds * 2
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, give_up_at - time.monotonic()))
        return judge_riot(RiotAnswers(dict(answers), now))


@dataclass(frozen=True)
class EndpointCheck:
    """Asks one endpoint."""

    settings: EndpointSettings

    def __call__(self, _now: datetime, _previous: Previous | None) -> Verdict:
        """Ask."""
        try:
            answer = get(self.settings.url, timeout_seconds=self.settings.timeout_seconds)
        except HeraldError as error:
            return Verdict(Status.UNHEALTHY, error.message, {"latency_ms": DOWN_MS})
        metrics = {"latency_ms": answer.seconds * 1000, "http_status": float(answer.status)}
        if answer.status != self.settings.status:
            text = f"answers {answer.status} where {self.settings.status} was expected"
            return Verdict(Status.UNHEALTHY, text, metrics)
        return Verdict(Status.HEALTHY, f"answers {answer.status} in {answer.seconds * 1000:.0f} ms", metrics)
