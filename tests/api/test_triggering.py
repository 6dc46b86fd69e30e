"""The prices at which rules fire, over HTTP: those of `rebalancer triggers`, for operators only."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from rebalancer.core.fund import PriceSource
from rebalancer.sim.explain import Past, trigger_document, triggers_of
from tests.api.rig import published
from tests.factories import BTC, desk, fund


async def test_each_rule_is_told_with_the_price_that_fires_it(tmp_path: Path) -> None:
    """The losing side of min(15 %, 45 % / 3) from a rebalancing point at 100 is 85."""
    async with published(tmp_path, desk(fund("BTC3L", 3), fund("BTC3S", -3))) as at_work:
        await at_work.price(98)
        told = (await at_work.private.get("/api/v1/tokens/BTC3L/triggers")).json()
        short = (await at_work.private.get("/api/v1/tokens/BTC3S/triggers")).json()
    first = told["items"][0]
    assert (first["trigger"], first["fires"], first["source"]) == (
        "price_move",
        "at or below",
        "mark",
    )
    assert first["prices"] == {BTC: "85"}
    assert Decimal(first["move"]).quantize(Decimal("0.0001")) == Decimal("-0.1327")
    assert (short["items"][0]["fires"], short["items"][0]["prices"]) == (
        "at or above",
        {BTC: "115"},
    )
    moves = [abs(Decimal(item["move"])) for item in told["items"]]
    assert moves == sorted(moves), "the nearest first"


async def test_they_are_those_of_the_command_line(tmp_path: Path) -> None:
    basket = {BTC: Decimal("0.5"), "ETH/USDT:USDT": Decimal("0.5")}
    known = desk(fund("BTC3L", 3), fund("TWO2L", 2, basket=basket))
    async with published(tmp_path, known) as at_work:
        await at_work.price(104)
        state = at_work.daemon.state
        for name in state.funds:
            told = (await at_work.private.get(f"/api/v1/tokens/{name}/triggers")).json()["items"]
            wanted = [
                trigger_document(each)
                for each in triggers_of(Past(at_work.clock.now_ms(), state, {}), state.funds[name])
            ]
            assert told == wanted
        assert state.market.price(BTC, PriceSource.MARK) == 104


async def test_the_public_is_not_told_where_the_desk_will_trade(tmp_path: Path) -> None:
    async with published(tmp_path) as at_work:
        answer = await at_work.public.get("/api/v1/tokens/BTC3L/triggers")
    assert answer.status_code == 404
