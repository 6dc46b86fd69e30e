"""Random days on which contracts are delisted and listed again and configurations are reloaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from rebalancer.core.capital import ManagementFeeCharged
from rebalancer.core.cash_account import CashAccount
from rebalancer.core.configuration import ConfigurationChanged
from rebalancer.core.delisting import ContractDelisted, what_frees
from rebalancer.core.events import (
    Commanded,
    CommandKind,
    ConfigurationOffered,
    ContractChanged,
    Event,
    FlowsRequested,
    FundingPaid,
    OrderSettled,
    PositionsReported,
    PricesObserved,
)
from rebalancer.core.fees import ManagementFee
from rebalancer.core.flow import Flow, FlowKind, FlowRule, OnBusy
from rebalancer.core.folding import apply, fold
from rebalancer.core.fund import Execution, Fund, PriceSource
from rebalancer.core.methodology import (
    BasketChange,
    Destination,
    Elapsed,
    Goal,
    LeverageBand,
    Reconstitution,
    Trigger,
)
from rebalancer.core.records import DeskStarted, FundWiped, PointSet, RunOpened
from rebalancer.core.scope import Scope
from rebalancer.core.state import DeskState
from rebalancer.core.verification import Verifier
from tests.core.test_random_days import Day, durable, hourly, new_day
from tests.factories import BTC, ETH, NOON, Bench, D, fund, move_rule, rules

#: hedged every fourth
SEEDS = range(4)
HALVES = {BTC: D("0.5"), ETH: D("0.5")}
TERMS = CashAccount(reference=D("0.02"), spread=D("0.01"))
#: runs that go elsewhere than to the target of their fund
ELSEWHERE = {Trigger.GAP, Trigger.WIND_DOWN, Trigger.FLOW, Trigger.LEVERAGE_BAND}


def listed_funds() -> list[Fund]:
    """Return baskets and single contracts, with flows, fees, cash accounts, and two on paper."""
    often, tight = hourly(*range(0, 24, 2)), move_rule("0.03")
    queue = FlowRule(on_busy=OnBusy.QUEUE)
    change = BasketChange(due_ms=NOON + 5 * 3_600_000, basket={BTC: D("0.3"), ETH: D("0.7")})
    leaves = BasketChange(due_ms=NOON + 4 * 3_600_000, basket={BTC: D(1)})
    edge = LeverageBand(lower=D("1.7"), upper=D("2.3"), goal=Goal(Destination.EDGE))
    sliced = Execution(max_child_notional=D(100_000), interval_ms=2_000)

    def busy(target: str, **over: Any) -> dict[str, Any]:
        return {"methodology": rules(target, fixed=often, price_move=tight, flow=queue, **over)}

    fee = ManagementFee(daily=D("0.003"))
    return [
        fund("L", 3, **busy("3"), management_fee=fee),
        fund("X", 2, basket=HALVES, **busy("2"), cash_account=TERMS, management_fee=fee),
        fund("Y", -1, basket=HALVES, **busy("-1"), execution=sliced),
        fund("Z", 2, basket=HALVES, **busy("2", leverage_band=edge), execution=sliced),
        fund("R", 2, basket=HALVES, **busy("2", reconstitution=Reconstitution(changes=(change,)))),
        fund("V", 2, basket=HALVES, **busy("2", reconstitution=Reconstitution(changes=(leaves,)))),
        fund("E", 2, basket={ETH: D(1)}, **busy("2")),
        fund("P", 2, account="", basket=HALVES, **busy("2"), management_fee=fee),
        fund("Q", -2, account="", basket=HALVES, **busy("-2", elapsed=Elapsed(days=1))),
    ]


class Listings(Day):
    """A day on which ETH comes and goes and the configuration changes all the time."""

    def __init__(self, made: Bench, seed: int) -> None:
        super().__init__(made, seed)
        self.texts: dict[str, Mapping[str, Fund]] = {"": dict(made.desk.funds)}
        self.count = 0

    # --- what happens --------------------------------------------------------------------------

    def next(self) -> Event:
        roll = self.dice.random()
        if roll < 0.10:
            self.bench.later(1)
            return self._flow()
        if roll < 0.20:
            self.bench.later(1)
            return self._reload()
        if roll < 0.30:
            self.bench.later(ms=10)
            return self._operator()
        return super().next()

    def _tick(self) -> Event:
        while True:
            event = super()._tick()
            assert isinstance(event, PricesObserved)
            if event.ticks[0].contract not in self.bench.desk.unlisted:
                return event

    def _funding(self) -> Event:
        event = super()._funding()
        assert isinstance(event, FundingPaid)
        gone = event.contract in self.bench.desk.unlisted
        return replace(event, contract=BTC, mark=self.prices[BTC]) if gone else event

    def _order(self) -> Event:
        gone = self.bench.desk.unlisted
        self.open = [each for each in self.open if each.contract not in gone]
        return super()._order() if self.open else self._tick()

    def _flow(self) -> Event:
        name = self.dice.choice(list(self.bench.state.funds))
        kind = self.dice.choice(list(FlowKind))
        shares = self.bench.state.funds[name].shares
        amount = D(self.dice.randrange(1_000, 50_000))
        if kind is FlowKind.REDEEM:
            amount = D(self.dice.randrange(1, 900))
            if shares and self.dice.random() < 0.1:
                amount = shares
        self.count += 1
        asked = Flow(fund=name, key=f"k{self.count}", kind=kind, amount=amount)
        return FlowsRequested(self.bench.now_ms, (asked,))

    def _reload(self) -> Event:
        state, dice = self.bench.state, self.dice
        old = self.texts[state.config_digest]
        factors = [D(1), D(1), D("0.9"), D("1.1")]
        new = {}
        for name, each in old.items():
            started = self.texts[""][name]
            new[name] = replace(
                each,
                target_leverage=started.target_leverage * dice.choice(factors),
                execution=replace(each.execution, collar_bps=D(dice.choice([50, 100]))),
            )
        self.count += 1
        digest = f"d{self.count}"
        self.texts[digest] = new
        later = {n for n in new if new[n].target_leverage != old[n].target_leverage}
        return ConfigurationOffered(
            self.bench.now_ms, state.config_digest, digest, new, frozenset(later)
        )

    def _operator(self) -> Event:
        """Return what mends something, or rebalances."""
        now, state, dice = self.bench.now_ms, self.bench.state, self.dice
        able: list[Event] = []
        for number, found in state.breaks.items():
            price = None
            if found.contract in state.desk.unlisted:
                price = self.prices[found.contract] * D("0.9")
            able.append(Commanded(now, CommandKind.ADOPT, str(number), "so", Scope.DESK, price))
        for order in state.orders.values():
            intent = order.intent
            if intent.contract in state.desk.unlisted:
                filled = dice.choice([order.filled_contracts, intent.contracts])
                price = intent.limit_price if filled > order.filled_contracts else None
                able.append(OrderSettled(now, intent.client_order_id, filled, price, D(0), "seen"))
        able += [
            Commanded(now, CommandKind.RESUME, name, "back", scope) for scope, name in state.scopes
        ]
        if not able:
            return self._command()
        return dice.choice(able)

    # --- starts --------------------------------------------------------------------------------

    def restart(self, unlisted: frozenset[str]) -> None:
        """Crash, and begin again on the newest configuration with other contracts listed."""
        made = self.bench
        kept, digest = made.actions, made.state.config_digest
        made.desk = replace(made.desk, unlisted=unlisted, funds=self.texts[digest])
        self.bench = made.restarted()
        self.bench.actions = kept
        if digest:
            started = DeskStarted(made.now_ms, "live", digest)
            apply(self.bench.state, started)
            self.bench.records.append(started)
        for symbol in sorted(unlisted):
            self.take(ContractChanged(made.now_ms, symbol, "gone"))
        for symbol in sorted(self.bench.state.delisted - unlisted):
            self.take(ContractChanged(made.now_ms, symbol, "again"))
        self.known()

    def take(self, event: Event) -> None:
        self.play(event)
        self.hold()

    def known(self) -> None:
        for symbol, price in self.prices.items():
            if symbol not in self.bench.desk.unlisted:
                self.bench.known(price, symbol=symbol)
        self.hold()

    def settled_by_venue(self) -> None:
        """Have the venue tell what the account holds, without what it settled."""
        account, gone = self.bench.state.accounts["main"], self.bench.desk.unlisted
        told = {s: account.position(s) for s in (BTC, ETH) if s not in gone and account.position(s)}
        self.take(PositionsReported(self.bench.now_ms, "main", told))

    # --- what is promised ----------------------------------------------------------------------

    def formulas(self) -> dict[str, Decimal]:
        state = self.bench.state

        def price_of(symbol: str, _source: PriceSource) -> Decimal | None:
            return self.prices[symbol]

        found = {}
        for name, each in state.funds.items():
            if each.launched_ms is not None:
                worth = state.worth_by(each, price_of)
                if worth is not None:
                    found[name] = worth.formula_nav
        return found

    def hold(self) -> None:
        """Hold what is true of every fund at any moment."""
        state = self.bench.state
        account = state.accounts["main"]
        for symbol in (BTC, ETH):
            holders = [each for each in state.funds.values() if not each.fund.index_only]
            held = sum(each.holding.units.get(symbol, D(0)) for each in holders)
            assert held == account.position(symbol)
        for name, each in state.funds.items():
            assert each.fund == self.texts[each.config_digest][name], "a mixture"
            if each.launched_ms is None or not each.shares:
                continue
            worth = state.worth(each)
            if worth is None:
                prices = (state.market.price(one, PriceSource.MARK) for one in each.fund.symbols)
                assert what_frees(state, each) or None in prices
            else:
                assert abs(worth.nav * each.shares - worth.equity) < D("1e-40")

    def goes_on(self, before: Mapping[str, Decimal], event: Event, known: int) -> None:
        """Hold that no formula NAV took a step by a command.

        But for one that frees a fund of what is delisted: from then on a frozen price counts.
        """
        news = self.bench.records[known:]
        if not isinstance(event, Commanded) or event.kind is CommandKind.ADOPT:
            return
        if any(isinstance(each, PointSet | FundWiped | ManagementFeeCharged) for each in news):
            return
        after = self.formulas()
        for name in before.keys() & after.keys():
            assert abs(after[name] - before[name]) < D("1e-40"), (name, event)


def lived(seed: int, steps: int) -> Listings:
    """Return a day of random events, each followed by a look at every promise."""
    day = Listings(new_day(seed, listed_funds(), hedge=seed % 4 == 3).bench, seed)
    for _ in range(steps):
        before, event, known = day.formulas(), day.next(), len(day.bench.records)
        day.play(event)
        day.goes_on(before, event, known)
        day.hold()
        if day.dice.random() < 0.03:
            day.restart(frozenset({ETH} if day.dice.random() < 0.5 else ()))
        if day.bench.desk.unlisted and day.dice.random() < 0.2:
            day.settled_by_venue()
    return day


def on_record(state: DeskState) -> dict[str, Any]:
    """Return what records give back: all but the settings, and those that wait."""
    found = durable(state)
    for each in found["funds"].values():
        del each["fund"], each["waiting"]
    return found


def mixtures(day: Listings) -> list[RunOpened]:
    """Return the runs to another target than that of the configuration of their digest.

    But for those that go elsewhere: the last holder's leaving ends a fund within any run.
    """
    return [
        record
        for record in day.bench.of(RunOpened)
        if (plan := record.plan).trigger not in ELSEWHERE
        and (plan.target_leverage or plan.sets_point)
        and plan.target_leverage != day.texts[plan.config_digest][plan.fund].target_leverage
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_contracts_come_and_go_and_settings_change_and_every_promise_holds(seed: int) -> None:
    day = lived(seed, 250)
    made = day.bench
    assert on_record(fold(made.desk, made.records)) == on_record(made.state)
    verifier = Verifier(made.desk, made.state.config_digest)
    for record in made.records:
        verifier.take(record)
    verifier.end()
    assert verifier.problems == []
    assert mixtures(day) == []
    assert made.of(ConfigurationChanged)
    assert made.of(ContractDelisted)
