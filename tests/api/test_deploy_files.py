"""The dashboard and the alert rules ask for metrics that exist, and each alert has its section."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from rebalancer.api.board import Board
from rebalancer.api.metrics import Metrics
from rebalancer.api.service import COUNTED
from rebalancer.clock import VirtualClock

ROOT = Path(__file__).resolve().parents[2]
RULES = yaml.safe_load((ROOT / "deploy/prometheus/rebalancer.rules.yml").read_text())
DASHBOARD = json.loads((ROOT / "deploy/grafana/rebalancer.dashboard.json").read_text())
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
ALERTS: list[dict[str, Any]] = RULES["groups"][0]["rules"]
EXPRESSIONS = [
    *(rule["expr"] for rule in ALERTS),
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]),
]


def known() -> set[str]:
    """Return the name of every sample the desk shows."""
    metrics = Metrics(Board(()), VirtualClock(), "paper", lambda: True)
    names = {name for name, _, _ in COUNTED}
    for family in text_string_to_metric_families(metrics.text().decode()):
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        names |= {family.name + suffix for suffix in suffixes.get(family.type, [""])}
    return names


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_that_is_asked_for_exists(expression: str) -> None:
    asked = set(re.findall(r"rebalancer_[a-z_]+", expression))
    assert asked <= known()
    assert asked or "up{" in expression or expression == "vector(1)"
    assert expression.count("(") == expression.count(")")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_every_alert_says_how_bad_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket", "none"}
    file, _, place = alert["annotations"]["runbook"].partition("#")
    assert (file, place) == ("docs/runbook.md", alert["alert"].lower())
    section = RUNBOOK.split(f"\n## {alert['alert']}\n")[1].split("\n## ")[0]
    assert re.search(r"^1\. ", section, re.MULTILINE) or "Nothing to do" in section


def test_the_runbook_has_no_section_that_no_alert_leads_to() -> None:
    sections = re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE)
    assert sections == [alert["alert"] for alert in ALERTS]


def test_the_check_of_names_can_fail() -> None:
    assert "rebalancer_fund_navs" not in known()
    assert "rebalancer_fund_nav_quote" in known()


def test_every_metric_stands_on_a_panel() -> None:
    asked = " ".join(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    shown = set(re.findall(r"rebalancer_[a-z_]+", asked))
    # Of a histogram one of three is enough; when a counter began is told by the counter.
    whole = {re.sub("_(bucket|sum|count)$", "", name) for name in known() - shown}
    hidden = whole - {re.sub("_(bucket|sum|count)$", "", name) for name in shown}
    assert {name for name in hidden if not name.endswith("_created")} == set()


def test_panels_do_not_cover_each_other() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        mine = {
            (place["x"] + right, place["y"] + down)
            for right in range(place["w"])
            for down in range(place["h"])
        }
        assert not mine & cells
        assert max(right for right, _ in mine) < 24
        cells |= mine
