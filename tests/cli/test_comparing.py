"""A dry run held against what a live desk did: run by run, at the same instants."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from rebalancer.configured import desk_of
from rebalancer.settings import parse
from rebalancer.store.memory import MemoryStore
from rebalancer.store.sql import open_store
from tests.cli.conftest import CONFIG, MINUTE, Run
from tests.desk.rig import World
from tests.factories import BTC, DUE, NOON

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def other(folder: Path) -> Path:
    """A desk that saw the same fall a little later and a bit deeper, and a fixed time after it."""
    world = World(desk_of(parse(CONFIG)))
    world.clock.set(NOON)
    kept = MemoryStore()
    prices = [(0, 100), (1, 100), (2, 83), (3, 83)]

    async def live() -> None:
        moments = [(NOON + n * MINUTE, {BTC: Decimal(p)}) for n, p in prices]
        await world.live(kept, [*moments, (DUE, {BTC: Decimal(84)})])
        written = open_store(f"sqlite:///{folder}/other.db")
        await written.commit(kept.records)
        await written.close()

    asyncio.run(live())
    return folder / "other.db"


def test_runs_of_one_fund_and_rule_are_held_together(run: Run, other: Path) -> None:
    document = run("orders", "--compare", str(other), "--json").json
    pairs = {(each["fund"], each["trigger"]): each for each in document["pairs"]}
    assert set(pairs) == {("BTC3L", "launch"), ("BTC1S", "launch"), ("BTC3L", "price_move")}
    launch, fall = pairs["BTC3L", "launch"], pairs["BTC3L", "price_move"]
    assert launch["difference_units"] == {}
    here, there = (Decimal(fall[side]["delta_units"][BTC]) for side in ("here", "there"))
    assert Decimal(fall["difference_units"][BTC]) == there - here
    assert there != here
    ordered = Decimal(fall["there"]["ordered_contracts"][BTC])
    assert abs(ordered - there) < Decimal("0.001")
    assert [each["trigger"] for each in document["only_there"]] == ["fixed", "fixed"]
    assert document["only_here"] == []


def test_people_see_both_sides_and_what_only_one_did(run: Run, other: Path) -> None:
    answer = run("orders", "--compare", f"sqlite:///{other}")
    assert answer.code == 0
    assert "Runs of both stores" in answer.out
    assert answer.err.count("only there: 2026-01-02T02:30:00Z") == 2


def test_a_narrow_window_keeps_them_apart(run: Run, other: Path) -> None:
    document = run("orders", "--compare", str(other), "--within", "30s", "--json").json
    assert [each["trigger"] for each in document["only_here"]] == ["price_move"]


def test_a_store_that_is_not_there(run: Run) -> None:
    answer = run("orders", "--compare", "missing.db")
    assert answer.code == 2
    assert "there is no store" in answer.err
