"""Taking up a desk from its records, and refusing what does not fit them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from rebalancer.core.breaks import BreakFound
from rebalancer.core.events import PositionsReported
from rebalancer.core.fund import Account
from rebalancer.core.order import client_order_id
from rebalancer.core.records import (
    DeskOpened,
    DeskStarted,
    FundLaunched,
    TradingChanged,
    TradingState,
    VerdictChanged,
)
from rebalancer.core.state import Desk
from rebalancer.desk.recovery import Recovered, Start, recover
from rebalancer.errors import BrokenInvariant, ConfigRefused
from rebalancer.store.memory import MemoryStore
from tests.desk.rig import Moment, World, of
from tests.desk.test_daemon import at, world
from tests.factories import BTC, ETH, NOON, desk, fund

START = Start(NOON + 86_400_000, "paper", "digest", "another-desk")


@pytest.fixture
async def traded() -> tuple[World, MemoryStore]:
    """A desk that launched two funds and rebalanced one of them."""
    here, store = world(), MemoryStore()
    await here.live(store, [at(0, 100), at(1, 84), at(2, 84)])
    return here, MemoryStore(store.records)


async def recovered(store: MemoryStore, known: Desk) -> Recovered:
    return await recover(store, await store.load(), known, START)


async def test_a_new_store_is_opened_once_and_named() -> None:
    store = MemoryStore()
    state = (await recovered(store, desk())).state
    assert [type(record) for record in store.records] == [DeskOpened, DeskStarted]
    assert state.desk_id == "another-desk"


async def test_a_known_store_keeps_its_name(traded: tuple[World, MemoryStore]) -> None:
    here, store = traded
    state = (await recovered(store, here.desk)).state
    assert state.desk_id == "test-desk"
    assert len(of(store.records, DeskOpened)) == 1


async def test_a_start_says_in_which_mode_and_with_which_configuration() -> None:
    store = MemoryStore()
    await recovered(store, desk())
    assert store.records[-1] == DeskStarted(START.at_ms, "paper", "digest", 1)


async def test_recovering_a_quiet_store_again_writes_the_start_alone(
    traded: tuple[World, MemoryStore],
) -> None:
    here, store = traded
    first = (await recovered(store, here.desk)).state
    kept = store.records
    second = (await recovered(store, here.desk)).state
    starts = len(of(kept, DeskStarted))
    assert store.records == (*kept, DeskStarted(START.at_ms, "paper", "digest", starts + 1))
    assert repr(second.funds) == repr(first.funds)
    assert repr(second.accounts) == repr(first.accounts)


async def test_a_desk_restarted_twice_without_a_price_writes_the_start_alone(
    traded: tuple[World, MemoryStore],
) -> None:
    here, store = traded
    await here.live(store, [])
    again = MemoryStore(store.records)
    await here.live(again, [])
    (news,) = again.records[len(store.records) :]
    assert isinstance(news, DeskStarted)
    assert len(here.sent) == 2


async def test_what_was_settled_is_not_asked_for_again(traded: tuple[World, MemoryStore]) -> None:
    here, store = traded
    assert (await recovered(store, here.desk)).open_orders == ()


class TestRefusals:
    async def test_a_fund_that_left_the_configuration(
        self, traded: tuple[World, MemoryStore]
    ) -> None:
        _, store = traded
        kept = store.records
        with pytest.raises(ConfigRefused, match=r"^funds\.BTC1S: the store has this fund"):
            await recovered(store, desk(fund()))
        assert store.records == kept

    async def test_a_fund_that_moved_to_another_account(
        self, traded: tuple[World, MemoryStore]
    ) -> None:
        here, store = traded
        moved = replace(here.desk.funds["BTC3L"], account="other")
        accounts = {**here.desk.accounts, "other": Account(name="other")}
        known = replace(here.desk, funds={**here.desk.funds, "BTC3L": moved}, accounts=accounts)
        with pytest.raises(ConfigRefused, match=r"^funds\.BTC3L\.account: .* account main"):
            await recovered(store, known)

    async def test_a_contract_that_a_fund_still_holds(
        self, traded: tuple[World, MemoryStore]
    ) -> None:
        here, store = traded
        kept = store.records
        other = replace(here.desk.funds["BTC3L"], basket={ETH: Decimal(1)})
        known = desk(other, here.desk.funds["BTC1S"])
        with pytest.raises(ConfigRefused, match=r"^funds\.BTC3L\.basket: the fund has BTC/USDT"):
            await recovered(store, known)
        assert store.records == kept

    async def test_every_refusal_is_one_sentence(self, traded: tuple[World, MemoryStore]) -> None:
        _, store = traded
        with pytest.raises(ConfigRefused) as refused:
            await recovered(store, desk(fund("ETH3L")))
        assert "\n" not in str(refused.value)

    async def test_a_fund_never_launched_may_leave(self) -> None:
        here, store = world(), MemoryStore()
        unsure: list[Moment] = [(at_ms, {}) for at_ms in (NOON, NOON + 1)]
        await here.live(store, unsure)
        halted = TradingChanged(NOON, "BTC1S", TradingState.HALTED, "not yet")
        await MemoryStore.commit(store := MemoryStore(store.records), [halted])
        assert of(store.records, VerdictChanged)
        assert of(store.records, FundLaunched) == []
        assert (await recovered(MemoryStore(store.records), desk(fund()))).open_orders == ()


async def test_a_new_fund_joins_a_desk_that_trades(traded: tuple[World, MemoryStore]) -> None:
    here, store = traded
    wider = World(
        replace(here.desk, funds={**here.desk.funds, "BTC2L": fund("BTC2L", 2)}), here.clock
    )
    state = await wider.live(store, [at(3, 84), at(4, 84)])
    assert state.funds["BTC2L"].launched_ms is not None
    assert wider.positions(store.records)[BTC] == state.accounts["main"].position(BTC)


@pytest.mark.parametrize(("before", "after"), [("paper", "live"), ("live", "dry-run")])
async def test_real_and_simulated_trades_do_not_meet_in_one_store(
    traded: tuple[World, MemoryStore], before: str, after: str
) -> None:
    here, store = traded
    history = [
        replace(record, mode=before) if isinstance(record, DeskStarted) else record
        for record in await store.load()
    ]
    with pytest.raises(ConfigRefused) as refused:
        await recover(MemoryStore(history), history, here.desk, replace(START, mode=after))
    assert str(refused.value) == (
        f"store.url: the store was traded on in mode {before} and cannot go on in mode {after}: "
        "real and simulated trades must not mix; name another store"
    )
    await recover(MemoryStore(history), history, here.desk, replace(START, mode=before))


async def test_paper_and_dry_run_may_share_a_store(traded: tuple[World, MemoryStore]) -> None:
    here, store = traded
    history = await store.load()
    await recover(store, history, here.desk, replace(START, mode="dry-run"))


async def test_a_live_start_that_traded_nothing_leaves_the_store_free() -> None:
    history = [DeskOpened(NOON, "desk", "1"), DeskStarted(NOON, "live", "digest")]
    await recover(MemoryStore(history), history, desk(), START)


async def test_each_start_has_its_number_and_its_own_order_ids() -> None:
    store, ids = MemoryStore(), []
    for epoch in (1, 2, 3):
        start = replace(START, nonce=f"nonce-{epoch}")
        state = (await recover(store, await store.load(), desk(), start)).state
        assert state.epoch == epoch
        ids.append(client_order_id(state.id_seed, "main", BTC, 1))
    assert len(set(ids)) == 3
    assert [record.epoch for record in of(store.records, DeskStarted)] == [1, 2, 3]


async def test_a_start_that_is_out_of_turn_breaks_the_records() -> None:
    history = [DeskOpened(NOON, "desk", "1"), DeskStarted(NOON, "paper", "digest", 2)]
    with pytest.raises(BrokenInvariant, match="says that it is number 2"):
        await recovered(MemoryStore(history), desk())


async def test_an_old_backup_sends_nothing_until_the_venue_is_adopted(
    traded: tuple[World, MemoryStore],
) -> None:
    here, store = traded
    backup = store.records
    await here.live(store, [at(60, 84), at(61, 70), at(62, 70)])
    meanwhile = here.positions(store.records)[BTC]
    assert meanwhile != here.positions(backup)[BTC]
    sent, restored = len(here.sent), MemoryStore(backup)
    daemon = await here.wake(restored, [at(90, 70), at(91, 60), at(92, 60)])

    async def as_it_is() -> None:
        daemon.emit(PositionsReported(here.clock.now_ms(), "main", {BTC: meanwhile}))

    daemon.venues["main"].report_positions = as_it_is  # type: ignore[method-assign]
    await daemon.run(asyncio.Event())
    assert len(here.sent) == sent
    (found,) = of(restored.records, BreakFound)
    assert found.found.repair.startswith("rebalancer adopt 1")
    assert {alert.name for alert in here.alerts} >= {"break_position", "account_halted"}
