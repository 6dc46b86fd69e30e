"""The engine: one pure step from an event to records and actions (architecture: the core).

`step` changes the state it is handed by folding in the records it makes; it reads no clock, does no
IO and draws no random number, so the same state and event give the same step, bit for bit. A state
whose step raised must be thrown away: the desk stops and starts again from its records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rebalancer.core.accruing import end_accrual, on_funding_expected
from rebalancer.core.actions import Action, Severity
from rebalancer.core.applying import open_planned, refuse_other_orders, refuse_plan
from rebalancer.core.arming import arm, next_alarm_ms
from rebalancer.core.backing import on_balance
from rebalancer.core.breaking import on_answer, paper_break
from rebalancer.core.cash_account import RateQuote
from rebalancer.core.commands import on_command, on_contract_changed, on_kill_switch
from rebalancer.core.consolidating import on_consolidation
from rebalancer.core.deciding import decide
from rebalancer.core.events import (
    BalanceReported,
    ClockStepped,
    Commanded,
    CommandKind,
    ConfigurationOffered,
    ConsolidationAsked,
    ContractChanged,
    Event,
    FillReported,
    FlowsRequested,
    FundingExpected,
    FundingPaid,
    HistoryReported,
    KillSwitchFound,
    LiquidationReported,
    OrderReported,
    OrderSettled,
    PlanOffered,
    PositionsReported,
    PricesObserved,
    RateObserved,
    TokenQuoted,
    WindDownAsked,
)
from rebalancer.core.flowing import on_flows
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import duration
from rebalancer.core.listing import on_history
from rebalancer.core.market import Key
from rebalancer.core.methodology import Trigger
from rebalancer.core.outcomes import on_fill, on_liquidation, on_order, on_positions
from rebalancer.core.planner import Skip
from rebalancer.core.quoting import on_quote
from rebalancer.core.records import ClockSetBack, FundingPosted, Record
from rebalancer.core.relisting import on_listing
from rebalancer.core.reloading import on_configuration
from rebalancer.core.setback import forget_after
from rebalancer.core.state import DeskState
from rebalancer.core.stranded import on_settled, tell_of_stranded
from rebalancer.core.trading import end_run_if_settled, plan_orders
from rebalancer.core.trial import copy_of
from rebalancer.core.winding import on_wind_down
from rebalancer.core.work import BookKey, Work
from rebalancer.errors import ensure

#: rounds of decide, plan and settle in one step; more would mean that a rule fires for ever
ROUNDS_MAX = 10


@dataclass(frozen=True, slots=True)
class Step:
    """What one event led to."""

    records: tuple[Record, ...] = ()
    actions: tuple[Action, ...] = ()
    skips: tuple[tuple[BookKey, Skip], ...] = ()


QUIET = Step()


def step(state: DeskState, event: Event, forced: Trigger | None = None) -> Step:
    """Take one event; return the records to commit and the actions to carry out after that.

    Raises BrokenInvariant when a promise of the desk does not hold; then `state` is void.
    """
    taken = react(state, event, forced)
    if state.unarmed:
        rest(state)
    return taken


def react(state: DeskState, event: Event, forced: Trigger | None = None) -> Step:
    """Do what `step` does but for `rest`, which an order need not wait for.

    It is made good before the next event, so that whenever it comes, nothing is decided otherwise.
    """
    if state.unarmed:
        rest(state)
    now_ms = state.now_ms = event.at_ms
    left = _take_prices(state, event) if type(event) is PricesObserved else None
    next_alarm_ms = state.alarms.next_ms
    alarmed = next_alarm_ms is not None and next_alarm_ms <= now_ms
    handle = _HANDLERS.get(type(event))
    if handle is None and left is None and not alarmed:
        return QUIET
    crossed, refused = left or (set(), {})
    work = Work(state, now_ms, forced=forced, due=crossed)
    for key, problem in refused.items():
        _refuse_tick(work, key, problem)
    if handle is not None:
        handle(work, event)
    # Funding comes first of what happens at one instant (spec section 2).
    if alarmed and type(event) is not FundingPaid:
        work.due |= state.alarms.due(event.at_ms)
    if work.due or work.books or work.touched:
        _settle(work)
    return Step(tuple(work.records), tuple(work.actions), tuple(work.skips))


def rest(state: DeskState) -> None:
    """Set the price ranges of the funds that the last event touched."""
    if not state.unarmed:
        return
    for fund in state.in_order(state.unarmed):
        arm(state, fund, state.worth)
    state.unarmed.clear()


def begin(state: DeskState) -> None:
    """Arm a state that came from records: every fund is looked at with its next price."""
    for fund in state.funds.values():
        fund.restless = True
        arm(state, fund, state.worth)
        state.alarms.set_for(fund.name, 0)


def next_wake_ms(state: DeskState) -> int | None:
    """Return when the engine wants to be woken, whatever the prices do."""
    return state.alarms.next_ms


def _settle(work: Work) -> None:
    """Decide, plan and end runs until nothing more follows; then set the alarms anew.

    The ranges of the same funds are out of date until `rest`.
    """
    state = work.state
    for _ in range(ROUNDS_MAX):
        due, work.due = state.in_order(work.due), set()
        for fund in due:
            decide(work, fund)
        for key in sorted(work.books):
            plan_orders(work, key)
        work.books.clear()
        for fund in state.in_order(work.touched):
            if end_run_if_settled(work, fund) and work.forced is None:
                work.due.add(fund.name)
        if not work.due:
            break
    ensure(not work.due, f"a step does not come to rest: {sorted(work.due)}")
    for fund in state.in_order(work.touched):
        state.alarms.set_for(fund.name, next_alarm_ms(fund, work.now_ms))
    state.unarmed |= work.touched


def _take_prices(state: DeskState, event: PricesObserved) -> tuple[set[str], dict[Key, str]] | None:
    """Take every tick; return the funds whose range it leaves and the ticks that are refused.

    None where there are neither. This is all that happens for a tick that crosses nothing: its
    cost does not depend on how many funds there are.
    """
    market, watch = state.market, state.watch
    now_ms, confirmed = event.at_ms, event.confirmed
    left: tuple[set[str], dict[Key, str]] | None = None
    for tick in event.ticks:
        problem = market.observe(tick, now_ms, trusted=confirmed)
        if problem is None and watch.quiet((tick.contract, tick.source), tick.price):
            continue
        crossed, refused = left = left or (set(), {})
        key = (tick.contract, tick.source)
        if problem is not None:
            refused[key] = problem
        else:
            crossed |= watch.crossed(key, tick.price)
    return left


def _refuse_tick(work: Work, key: Key, problem: str) -> None:
    refusing = work.state.market.refusing
    if key not in refusing:
        work.alert(
            Severity.WARNING, "price_refused", f"{key[0]} {key[1]}", f"price refused: {problem}"
        )
    refusing[key] = problem


def _on_funding(work: Work, event: FundingPaid) -> None:
    mark = event.mark
    end_accrual(work.state, event)
    if mark is None:
        mark = work.state.market.price(event.contract, PriceSource.MARK)
    if mark is None:
        return
    held = {
        name: units
        for name in work.state.holders.get(event.contract, ())
        if (fund := work.state.funds[name]).fund.account == event.account
        and (units := fund.holding.held_at(event.contract, event.settled_ms))
    }
    if not held or _is_booked(work, event):
        return
    work.record(
        FundingPosted(
            at_ms=work.now_ms,
            account=event.account,
            contract=event.contract,
            rate=event.rate,
            mark=mark,
            paid={name: event.rate * units * mark for name, units in held.items()},
            settled_ms=event.settled_ms,
            held=held,
        )
    )
    # What follows is decided with the next price: all funding of one instant is charged first.
    for name in held:
        arm(work.state, work.state.funds[name], work.worth)


def _on_rate(work: Work, event: RateObserved) -> None:
    before = work.state.rates.get(event.name)
    if before is None or event.as_of_ms >= before.at_ms:
        work.state.rates[event.name] = RateQuote(event.rate, event.as_of_ms)


def _on_clock_stepped(work: Work, event: ClockStepped) -> None:
    """Record that the clock went back, forget what is from the future, and look at every fund."""
    back = duration(event.from_ms - event.at_ms)
    work.record(ClockSetBack(work.now_ms, event.from_ms))
    text = f"the clock was set back by {back}: nothing waits for it to come there again"
    work.alert(Severity.WARNING, "clock_set_back", "", text)
    forget_after(work.state, work.now_ms)
    work.due |= work.state.funds.keys()


def _is_booked(work: Work, event: FundingPaid) -> bool:
    """Whether the settlement is on record: a watch that begins anew tells it again."""
    booked_ms = work.state.accounts[event.account].funded_ms.get(event.contract)
    return booked_ms is not None and event.settled_ms is not None and event.settled_ms <= booked_ms


def _on_command(work: Work, event: Commanded) -> None:
    if event.kind in (CommandKind.ADOPT, CommandKind.EXPLAIN):
        on_answer(work, event)
    else:
        on_command(work, event)


def _on_contract(work: Work, event: ContractChanged) -> None:
    on_contract_changed(work, event)
    on_listing(work, event)
    paper_break(work, event.contract)
    tell_of_stranded(work, event)


def _on_plan(work: Work, event: PlanOffered) -> None:
    """Carry out what was agreed where a trial leads to just that; else refuse it unchanged."""
    refuse_plan(work, event)
    if event.agreed is not None:
        tried = step(copy_of(work.state), replace(event, agreed=None))
        refuse_other_orders(event, tried.records)
    open_planned(work, event)


_HANDLERS: dict[type, Callable[[Work, Any], None]] = {
    OrderReported: on_order,
    FillReported: on_fill,
    FundingPaid: _on_funding,
    FundingExpected: on_funding_expected,
    LiquidationReported: on_liquidation,
    PositionsReported: on_positions,
    BalanceReported: on_balance,
    HistoryReported: on_history,
    Commanded: _on_command,
    OrderSettled: on_settled,
    ContractChanged: _on_contract,
    KillSwitchFound: on_kill_switch,
    FlowsRequested: on_flows,
    ConsolidationAsked: on_consolidation,
    WindDownAsked: on_wind_down,
    RateObserved: _on_rate,
    TokenQuoted: on_quote,
    ClockStepped: _on_clock_stepped,
    ConfigurationOffered: on_configuration,
    PlanOffered: _on_plan,
}
