"""The tables readers look at: what a reader sees right after every commit, and folded anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from rebalancer.core.breaks import Break, BreakEnd, BreakEnded, BreakFound, BreakKind
from rebalancer.core.methodology import Trigger
from rebalancer.core.order import Fill, OrderIntent, OrderSide, OrderStatus, Outcome, PositionSide
from rebalancer.core.records import (
    FixedSettled,
    FundLaunched,
    FundWiped,
    IntentCreated,
    NavStruck,
    OrderMoved,
    PointSet,
    Record,
    RunMoved,
    RunOpened,
    ScopeChanged,
    Settlement,
    Traded,
    TradingChanged,
    TradingState,
    VerdictChanged,
)
from rebalancer.core.run import RunPlan, RunStatus
from rebalancer.core.scope import Scope
from rebalancer.store.reader import open_reader
from rebalancer.store.rows import (
    FillRow,
    FixedRow,
    FundRow,
    NavRow,
    OrderRow,
    RunRow,
    ScopeRow,
    VerdictRow,
)
from rebalancer.store.sql import SqlStore, open_store
from rebalancer.store.tables import FILLS, ORDERS, PROJECTIONS, VERDICTS
from rebalancer.store.target import reading_engine, target, writing_engine

pytest_plugins = ["tests.store.postgres"]

D = Decimal
BTC = "BTC/USDT:USDT"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "postgres":
        yield request.getfixturevalue("postgres_url")
    else:
        yield f"sqlite:///{tmp_path}/desk.db"


def launched(fund: str, at_ms: int = 1) -> FundLaunched:
    return FundLaunched(at_ms=at_ms, fund=fund, account="main", shares=D("1.5"), cash=D(150))


def opened(run_id: str = "r1", fund: str = "BTC3L", opened_ms: int = 20) -> RunOpened:
    plan = RunPlan(
        run_id=run_id,
        fund=fund,
        trigger=Trigger.FIXED,
        reason="due",
        target_leverage=D(3),
        target_units={BTC: D("3.30")},
        delta_units={BTC: D("0.30")},
        marks={BTC: D(105)},
        base_nav=D(115),
        base_prices={BTC: D(105)},
        nav=D(115),
        leverage=D("2.7"),
        due_ms=(20,),
        opened_ms=opened_ms,
    )
    return RunOpened(at_ms=opened_ms, plan=plan)


def moved(status: RunStatus, at_ms: int, *, worthless: bool = False) -> RunMoved:
    return RunMoved(
        at_ms=at_ms,
        fund="BTC3L",
        run_id="r1",
        status=status,
        reason=f"now {status}",
        nav=D("114.9"),
        leverage=None if worthless else D(3),
        cost=D("0.1"),
        marks={BTC: D(105)},
        slippage=D("0.04"),
        traded_notional=D("31.5"),
    )


def intent(order_id: str, seq: int) -> IntentCreated:
    order = OrderIntent(
        client_order_id=order_id,
        account="main",
        contract=BTC,
        seq=seq,
        side=OrderSide.BUY,
        position_side=PositionSide.NET,
        contracts=D(300),
        units=D("0.300"),
        mark=D(105),
        limit_price=D("105.50"),
        reduce_only=seq % 2 == 0,
        wanted={"BTC3L": D("0.3")},
        created_ms=20 + seq,
    )
    return IntentCreated(at_ms=20 + seq, intent=order)


def evidence(order_id: str, outcome: Outcome, filled: Decimal | None = None) -> OrderMoved:
    return OrderMoved(
        at_ms=30,
        client_order_id=order_id,
        outcome=outcome,
        filled_contracts=filled,
        venue_order_id="v9" if outcome is Outcome.ACCEPTED else "",
        reason=f"told {outcome}",
    )


def traded(trade_id: str, order_id: str, contracts: Decimal, *, forced: bool = False) -> Traded:
    return Traded(
        at_ms=31,
        account="main",
        contract=BTC,
        position_side=PositionSide.NET,
        fill=Fill(
            trade_id=trade_id,
            client_order_id=order_id,
            price=D("105.1"),
            contracts=contracts,
            fee=D("-0.01"),
            at_ms=29,
        ),
        units=contracts / 1000,
        allocations={"BTC3L": contracts / 1000},
        fees={"BTC3L": D("-0.01")},
        slippage={"BTC3L": D("0.03")},
        forced=forced,
    )


A_BREAK = Break(
    kind=BreakKind.POSITION,
    account="main",
    contract=BTC,
    units=D("-0.5"),
    cause="sold by hand",
    repair="rebalancer adopt",
)


def a_day() -> list[Record]:
    """One fund rebalances, another is wiped."""
    return [
        launched("BTC3L"),
        launched("BTC3S", at_ms=2),
        PointSet(
            at_ms=3, fund="BTC3L", nav=D(100), prices={BTC: D("100.0")}, leverage=D(3), opened_ms=3
        ),
        VerdictChanged(at_ms=4, fund="BTC3L", trigger=Trigger.NONE, reason="inside"),
        VerdictChanged(at_ms=20, fund="BTC3L", trigger=Trigger.FIXED, reason="due"),
        opened(),
        intent("o1", 1),
        intent("o2", 2),
        evidence("o1", Outcome.ACCEPTED),
        evidence("o2", Outcome.UNKNOWN),
        traded("t1", "o1", D(100)),
        traded("t2", "o1", D("185.50")),
        evidence("o1", Outcome.CLOSED, D("285.5")),
        traded("t3", "", D(7), forced=True),
        moved(RunStatus.INCOMPLETE, 32),
        moved(RunStatus.WORKING, 33),
        moved(RunStatus.DONE, 40),
        FixedSettled(40, "BTC3L", due_ms=20, settlement=Settlement.RUN, reason="", run_id="r1"),
        FixedSettled(41, "BTC3S", due_ms=20, settlement=Settlement.MISSED, reason="late"),
        NavStruck(50, "BTC3L", 49, D("114.90"), D(115), D("172.35"), D("1.5"), marks={BTC: D(105)}),
        TradingChanged(at_ms=51, fund="BTC3L", state=TradingState.HALTED, reason="operator"),
        FundWiped(at_ms=52, fund="BTC3S", reason="gap", nav=D(-1), prices={BTC: D(140)}),
        ScopeChanged(53, Scope.ACCOUNT, "main", TradingState.HALTED, "audit"),
        ScopeChanged(54, Scope.DESK, "", TradingState.HALTED, "drill"),
        ScopeChanged(55, Scope.DESK, "", TradingState.ACTIVE, "over"),
        BreakFound(56, 1, A_BREAK),
        BreakFound(57, 2, A_BREAK),
        BreakEnded(58, 1, BreakEnd.ADOPTED, "moved by hand"),
    ]


async def everything_in(store: SqlStore) -> Mapping[str, list[Any]]:
    """What the tables hold once they have followed the journal."""
    await store.load()
    return tables_of(store)


def tables_of(store: SqlStore) -> Mapping[str, list[Any]]:
    """What the tables hold now."""
    engine = reading_engine(store._writer._session.place)
    with engine.begin() as connection:
        rows = {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in PROJECTIONS
        }
    engine.dispose()
    return rows


async def test_a_reader_sees_the_day_while_the_desk_runs(url: str) -> None:
    store = open_store(url)
    await store.commit(a_day())
    with open_reader(url) as reader:
        long, short = reader.funds()
        assert long == FundRow(
            name="BTC3L",
            account="main",
            shares=D("1.5"),
            launched_ms=1,
            state=TradingState.HALTED,
            state_reason="operator",
            last_run_id="r1",
            point_nav=D(100),
            point_leverage=D(3),
            point_prices={BTC: D(100)},
            point_ms=3,
        )
        assert (short.state, short.state_reason, short.point_nav) == ("wiped", "gap", None)
        assert reader.verdicts() == (VerdictRow("BTC3L", Trigger.FIXED, "due", 20),)
        assert reader.fixed("BTC3L") == (FixedRow("BTC3L", 20, Settlement.RUN, "", "r1"),)
        assert reader.fixed("BTC3S") == (FixedRow("BTC3S", 20, Settlement.MISSED, "late", ""),)
        assert reader.navs("BTC3L") == (
            NavRow("BTC3L", 49, D("114.9"), D(115), D("172.35"), D("1.5")),
        )
        halted = ScopeRow(Scope.ACCOUNT, "main", TradingState.HALTED, "audit", 53)
        assert reader.scopes() == (halted,)
        still_open, ended = reader.breaks()
        assert (still_open.number, still_open.units, still_open.how) == (2, D("-0.5"), None)
        assert (ended.how, ended.end_reason, ended.ended_ms) == ("adopted", "moved by hand", 58)
        assert reader.runs() == (
            RunRow(
                run_id="r1",
                fund="BTC3L",
                trigger=Trigger.FIXED,
                status=RunStatus.DONE,
                reason="due",
                status_reason="now done",
                opened_ms=20,
                ended_ms=40,
                target_leverage=D(3),
                leverage_before=D("2.7"),
                leverage_after=D(3),
                nav_before=D(115),
                nav_after=D("114.9"),
                cost=D("0.1"),
                slippage=D("0.04"),
                traded_notional=D("31.5"),
                delta_units={BTC: D("0.3")},
            ),
        )
    await store.close()


async def test_an_order_shows_its_evidence_and_the_sum_of_its_fills(url: str) -> None:
    store = open_store(url)
    await store.commit(a_day())
    with open_reader(url) as reader:
        unknown, closed = reader.orders()
        assert closed == OrderRow(
            client_order_id="o1",
            account="main",
            contract=BTC,
            seq=1,
            side=OrderSide.BUY,
            position_side=PositionSide.NET,
            contracts=D(300),
            wanted={"BTC3L": D("0.3")},
            limit_price=D("105.5"),
            reduce_only=False,
            status=OrderStatus.CLOSED,
            reason="told closed",
            venue_order_id="v9",
            filled_contracts=D("285.5"),
            closed_contracts=D("285.5"),
            created_ms=21,
        )
        assert (unknown.status, unknown.reduce_only) == (OrderStatus.UNKNOWN, True)
        assert [fill.trade_id for fill in reader.fills()] == ["t3", "t2", "t1"]
        assert reader.fills(limit=1) == (
            FillRow(
                account="main",
                trade_id="t3",
                client_order_id="",
                contract=BTC,
                price=D("105.1"),
                contracts=D(7),
                units=D("0.007"),
                fee=D("-0.01"),
                at_ms=29,
                forced=True,
            ),
        )
    await store.close()


async def test_a_fill_after_the_close_counts_and_leaves_the_order_closed(url: str) -> None:
    store = open_store(url)
    await store.commit([intent("o1", 1), traded("t1", "o1", D(10))])
    await store.commit([evidence("o1", Outcome.CLOSED), traded("t2", "o1", D("0.5"))])
    with open_reader(url) as reader:
        (order,) = reader.orders()
        assert order.status is OrderStatus.CLOSED
        assert (order.filled_contracts, order.closed_contracts) == (D("10.5"), D(10))
    await store.close()


async def test_trades_of_two_contracts_that_have_one_number_are_both_shown(url: str) -> None:
    """Venues number trades by market."""
    store = open_store(url)
    other = replace(traded("t1", "o2", D(7)), contract="ETH/USDT:USDT")
    await store.commit([traded("t1", "o1", D(10)), other])
    with open_reader(url) as reader:
        assert {(each.contract, each.contracts) for each in reader.fills()} == {
            (BTC, D(10)),
            ("ETH/USDT:USDT", D(7)),
        }
    await store.close()


async def test_a_run_that_is_resumed_has_not_ended(url: str) -> None:
    store = open_store(url)
    await store.commit([opened(), moved(RunStatus.INCOMPLETE, 32, worthless=True)])
    with open_reader(url) as reader:
        (run,) = reader.runs("BTC3L")
        assert (run.status, run.ended_ms, run.leverage_after) == ("incomplete", None, None)
        assert reader.runs("BTC3S") == ()
    await store.close()


async def test_the_newest_runs_come_first_and_no_more_than_asked_for(url: str) -> None:
    store = open_store(url)
    await store.commit([opened(f"r{n}", opened_ms=n) for n in (1, 3, 2)])
    with open_reader(url) as reader:
        assert [run.run_id for run in reader.runs(limit=2)] == ["r3", "r2"]
    await store.close()


async def test_commits_of_one_record_and_one_of_all_lead_to_the_same_tables(
    url: str, tmp_path: Path
) -> None:
    other = f"sqlite:///{tmp_path}/other.db"
    together, apart = open_store(url), open_store(other)
    await together.commit(a_day())
    for record in a_day():
        await apart.commit([record])
    assert await everything_in(together) == await everything_in(apart)
    await together.close()
    await apart.close()


async def test_folding_the_journal_anew_gives_the_tables_that_were_kept_up(url: str) -> None:
    store = open_store(url)
    for record in a_day():
        await store.commit([record])
    kept_up = await everything_in(store)
    assert all(kept_up.values())
    await store.rebuild()
    assert tables_of(store) == kept_up
    await store.commit([launched("ETH3L")])
    await store.close()


async def test_folding_anew_repairs_what_somebody_did_to_the_tables(url: str) -> None:
    store = open_store(url)
    await store.commit(a_day())
    right = await everything_in(store)
    await store.close()
    engine = writing_engine(target(url))
    with engine.begin() as connection:
        connection.execute(update(ORDERS).values(status="accepted"))
        connection.execute(delete(FILLS))
        connection.execute(insert(VERDICTS).values(fund="X", trigger="none", reason="", at_ms=1))
    engine.dispose()
    again = open_store(url)
    assert await everything_in(again) != right
    await again.rebuild()
    assert tables_of(again) == right
    await again.close()
