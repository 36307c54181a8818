"""The dashboard that comes along shows what the server counts: no other names, and every name."""

from __future__ import annotations

import json
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.running import RunningServer

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana-dashboard.json"
SUFFIXES = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket"]}
FROM_THE_SCRAPE = {"instance", "le"}


def queries() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


def names_in(query: str) -> set[str]:
    return set(re.findall(r"\b(?:catena|process)_\w+", query))


async def test_the_dashboard_and_the_metrics_agree(server: RunningServer) -> None:
    await server.post("/responses", {"model": "m", "input": "hi"})
    text = (await server.http.get(f"{server.url}/metrics")).text
    told = {
        f"{family.name}{suffix}"
        for family in text_string_to_metric_families(text)
        for suffix in SUFFIXES.get(family.type, [""])
    }
    shown = set().union(*map(names_in, queries()))
    assert shown - told == set()
    assert {name for name in told if name.startswith("catena_")} - shown == set()


async def test_every_metric_is_documented(server: RunningServer) -> None:
    text = (await server.http.get(f"{server.url}/metrics")).text
    told = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(text)
        if family.name.startswith("catena_")
    }
    page = (DASHBOARD.parents[1] / "docs" / "operations.md").read_text()
    assert set(re.findall(r"`(catena_\w+)`", page)) == told


async def test_the_dashboard_groups_by_labels_that_there_are(server: RunningServer) -> None:
    await server.post("/responses", {"model": "m", "input": "hi"})
    text = (await server.http.get(f"{server.url}/metrics")).text
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    checked = 0
    for query in queries():
        (name, *_) = names_in(query)
        if name not in labels:  # an error that did not happen
            continue
        wanted = {label for group in re.findall(r"by \(([\w, ]+)\)", query) for label in group.split(", ")}
        assert wanted <= labels[name] | FROM_THE_SCRAPE, query
        checked += bool(wanted)
    assert checked > 8


def test_panels_do_not_overlap_and_have_their_own_ids() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
