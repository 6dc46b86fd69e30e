"""Merges, the adjusted series, the gap and the end of a fund, from the command line."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from rebalancer.core.capital import Consolidated
from rebalancer.core.consolidation import ConversionKind
from rebalancer.core.instant import DAY_MS
from rebalancer.core.records import NavStruck
from rebalancer.store.sql import open_store
from tests.cli.conftest import Run
from tests.cli.test_operating import Desk, desk
from tests.factories import BTC, NOON, D

__all__ = ["desk"]


def test_an_announcement_and_its_end_reach_the_desk(run: Run, desk: Desk) -> None:
    desk.answer = (
        b'{"ok": true, "at_ms": 1, "run_id": null, "announced": '
        b'[{"kind": "merge", "ratio": 10, "freeze_at": "2026-01-02T12:00:00Z"}]}\n'
    )
    answer = run("consolidate", "BTC3L", "--ratio", "10")
    assert answer.out == (
        "BTC3L: a merge by 10 is announced; flows are shut from 2026-01-02T12:00:00Z\n"
    )
    assert run("cancel", "BTC3L").out == "BTC3L: cancelled\n"
    assert run("close", "BTC3L", "--reason", "no demand").out == "BTC3L: is being closed\n"
    assert desk.asked == [
        {"command": "consolidate", "fund": "BTC3L", "ratio": 10, "split": False},
        {"command": "consolidate", "fund": "BTC3L", "cancel": True},
        {"command": "close", "fund": "BTC3L", "reason": "no demand"},
    ]


@pytest.mark.usefixtures("store")
def test_a_preview_changes_nothing_and_conserves_the_equity(run: Run) -> None:
    document = run("consolidate", "BTC3L", "--ratio", "10", "--preview", "--json").json
    assert document["conversion"] == "merge 10:1"
    assert document["shares"] == {"before": "10000", "after": "1000"}
    assert document["equity"]["before"] == document["equity"]["after"]
    assert Decimal(document["nav"]["after"]) == 10 * Decimal(document["nav"]["before"])
    people = run("consolidate", "BTC3L", "--ratio", "10", "--preview")
    assert "nothing was changed" in people.err
    refused = run("consolidate", "BTC3L", "--preview")
    assert (refused.code, refused.sentence) == (
        2,
        "the NAV of BTC3L asks for nothing; name a --ratio",
    )


def test_the_series_is_adjusted_for_what_came_after(run: Run, folder: Path, store: Path) -> None:
    del store
    struck = [
        NavStruck(NOON + day * DAY_MS, "BTC3L", NOON + day * DAY_MS, nav, nav, D(30), shares)
        for day, nav, shares in ((1, D("0.03"), D(1_000)), (2, D("0.3"), D(100)))
    ]
    merged = Consolidated(
        NOON + DAY_MS + 1,
        "BTC3L",
        ConversionKind.MERGE,
        10,
        D(1_000),
        D(100),
        D("0.03"),
        D("0.3"),
        D(30),
        1,
    )

    async def write() -> None:
        opened = open_store(f"sqlite:///{folder}/desk.db")
        await opened.load()
        await opened.commit([struck[0], merged, struck[1]])
        await opened.close()

    asyncio.run(write())
    assert [row["nav"] for row in run("series", "BTC3L", "--json").json] == ["0.3", "0.3"]
    assert [row["shares"] for row in run("series", "BTC3L", "--json").json] == ["100", "100"]
    assert [row["nav"] for row in run("series", "BTC3L", "--raw", "--json").json] == ["0.03", "0.3"]
    assert "0.30000000" in run("series", "BTC3L").out
    assert "the store knows no fund BTC9L; known are" in run("series", "BTC9L").err


@pytest.mark.usefixtures("store")
def test_the_gap_between_the_navs_by_its_causes(run: Run) -> None:
    document = run("nav", "BTC3L", "--gap", "--json").json["BTC3L"]
    told = run("nav", "BTC3L", "--json").json["BTC3L"]
    parts = {cause: Decimal(amount) for cause, amount in document.items() if cause != "gap"}
    assert sum(parts.values()) == Decimal(document["gap"])
    assert Decimal(document["gap"]) == Decimal(told["nav"]) - Decimal(told["formula_nav"])
    assert "timing" in run("nav", "--gap").out
    assert run("nav", "BTC9L", "--gap").code == 2
    assert BTC not in document
