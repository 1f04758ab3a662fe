"""What an operator sees: the demo's window in the web interface of `herald up`, in a real browser."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from herald_pipelines.resources.server_host import free_port
from herald_pipelines.supervisor import LOCATION

SCALE = "0.2"
"""Large enough for indexes that are worth a rebuild."""
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def herald(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "herald_pipelines.cli", *words],
        cwd=home,
        env={**os.environ, "HERALD_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def running_up(home: Path) -> Iterator[tuple[Path, str]]:
    """Give the home and address of a running `herald up` whose sample went through its windows."""
    demo = herald(home, "demo", "--scale", SCALE, "--json")
    assert demo.returncode == 0, demo.stderr
    assert json.loads(demo.stdout)["done"]["rebuilt"] > 0
    port = free_port()
    log = home / "up.log"
    with log.open("w") as output:
        up = subprocess.Popen(
            [sys.executable, "-m", "herald_pipelines.cli", "up", "--port", str(port)],
            cwd=home,
            env={**os.environ, "HERALD_HOME": str(home)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 120
        while "herald runs at" not in log.read_text():
            assert up.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.3)
        yield home, f"http://127.0.0.1:{port}"
    finally:
        children = psutil.Process(up.pid).children(recursive=True) if up.poll() is None else []
        up.send_signal(signal.SIGINT)
        assert up.wait(timeout=90) == 0, log.read_text()
        psutil.wait_procs(children, timeout=20)
        left = [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        assert left == [], "herald up left processes behind"


def ask(address: str, query: str) -> dict:
    request = urllib.request.Request(
        f"{address}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["data"]


def open_page(page: Page, url: str, text: str) -> None:
    page.goto(url)
    expect(page.get_by_text(text).first).to_be_visible(timeout=60_000)


def test_an_operator_sees_the_graph_and_the_materialized_window(running_up, chromium):
    home, address = running_up
    nodes = ask(
        address,
        "{ assetNodes { assetKey { path } groupName kinds owners { ... on TeamAssetOwner { team } } description"
        " assetMaterializations(limit: 1) { partition metadataEntries { label"
        " ... on IntMetadataEntry { intValue } ... on MarkdownMetadataEntry { mdStr } } } } }",
    )["assetNodes"]
    nodes = [node for node in nodes if node["groupName"] == "indexes"]
    by_name = {node["assetKey"]["path"][-1]: node for node in nodes}
    assert set(by_name) == {"index_stats", "index_analysis", "unused_index_report", "index_rebuild"}
    for node in nodes:
        assert node["kinds"] == ["postgres"]
        assert node["owners"] == [{"team": "database"}]
        assert node["description"]
        (materialization,) = node["assetMaterializations"]
        assert materialization["partition"].startswith("platform|")
    entries = by_name["index_analysis"]["assetMaterializations"][0]["metadataEntries"]
    assert next(each["intValue"] for each in entries if each["label"] == "indexes") > 50
    assert "| verdicts |" in next(each["mdStr"] for each in entries if each["label"] == "most_wasteful")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        # the graph of all groups shows each of several groups as one
        group = f"locations/__repository__@{LOCATION}/asset-groups/indexes/lineage"
        open_page(page, f"{address}/{group}", "index_rebuild")
        for name in ("index_stats", "index_analysis", "unused_index_report"):
            expect(page.get_by_text(name, exact=True).first).to_be_visible()
        page.screenshot(path=home / "graph.png")
        partition = by_name["index_rebuild"]["assetMaterializations"][0]["partition"]
        shown = urllib.parse.urlencode({"view": "partitions", "partition": partition})
        open_page(page, f"{address}/assets/herald/index_rebuild?{shown}", partition)
        expect(page.get_by_text("Materialized", exact=True).first).to_be_visible()
        expect(page.get_by_text("reclaimed_bytes").first).to_be_visible()
        open_page(page, f"{address}/assets/herald/index_rebuild?view=overview", "reclaimed_bytes")
        open_page(page, f"{address}/automation", "request_missed_windows")
        browser.close()
