"""Takes flows, deals them, and opens the run that keeps the fund's leverage (spec section 5)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal

from rebalancer.core.accruing import funding_accrued
from rebalancer.core.actions import Severity
from rebalancer.core.capital import BatchTaken, FlowDealt, FlowRefused, FlowTaken
from rebalancer.core.charging import post_financing
from rebalancer.core.commands import fund_named
from rebalancer.core.delisting import followed
from rebalancer.core.events import FlowsRequested
from rebalancer.core.flow import (
    SHARE_PLACES,
    Deal,
    Flow,
    FlowKind,
    FlowRule,
    OnBusy,
    Register,
    beyond_limits,
    price,
)
from rebalancer.core.flow_limits import Dealing, check_deal
from rebalancer.core.instant import iso
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ZERO, total
from rebalancer.core.nav import Valuation
from rebalancer.core.opening import Aim, aim_at, open_run_to
from rebalancer.core.position import Prices, leverage
from rebalancer.core.records import TradingState
from rebalancer.core.rules.flow import closed_until_ms
from rebalancer.core.rules.view import Signal
from rebalancer.core.run import RunStatus
from rebalancer.core.state import DeskState, FundState
from rebalancer.core.work import Work
from rebalancer.errors import CommandRefused


def on_flows(work: Work, event: FlowsRequested) -> None:
    """Take one request, or a file of them: all or none. What was taken before changes nothing."""
    news = new_flows(work.state, event)
    if event.batch and event.batch not in work.state.batches:
        work.record(BatchTaken(work.now_ms, event.batch, event.digest, len(event.flows)))
    for flow in news:
        work.record(FlowTaken(work.now_ms, flow, event.batch))
        work.due.add(flow.fund)


def new_flows(state: DeskState, event: FlowsRequested) -> tuple[Flow, ...]:
    """Return the flows that were not taken before; raise CommandRefused for what cannot be."""
    known = state.batches.get(event.batch) if event.batch else None
    if known is not None:
        if known != event.digest:
            raise CommandRefused(
                f"batch {event.batch} was taken before with other flows; give a new batch another "
                "id"
            )
        return ()
    news: list[Flow] = []
    for flow in event.flows:
        fund = fund_named(state, flow.fund)
        before = fund.flow_keys.get(flow.key)
        if before is None:
            _refuse_where_shut(state, fund)
            _refuse_flow(fund, flow, event.at_ms, news)
            news.append(flow)
        elif not before.same_as(flow):
            raise CommandRefused(
                f"{flow.fund}: the key {flow.key} was used for {before.words}; "
                "a new request needs a key of its own"
            )
    return tuple(news)


def dealt_in(state: DeskState, fund: FundState) -> tuple[str, ...]:
    """Return the contracts that must be free to trade for a flow of the fund to be dealt.

    A fund of which nothing is listed any more trades none for who redeems, once it is closed.
    """
    members = followed(state, fund, state.now_ms)
    return members if members or fund.closed else fund.members(state.now_ms)


def _refuse_where_shut(state: DeskState, fund: FundState) -> None:
    if fund.flows_shut:
        raise CommandRefused(f"{fund.name} takes no flows: {fund.flows_shut}")
    for symbol in dealt_in(state, fund):
        permission = state.permission(fund, symbol)
        if permission.state is not TradingState.ACTIVE:
            raise CommandRefused(f"{fund.name} takes no flows: {permission.text}")


def _refuse_flow(fund: FundState, flow: Flow, now_ms: int, batch: Collection[Flow]) -> None:
    """Raise CommandRefused with the reason when `flow` cannot be taken now."""
    name, rule = fund.name, fund.fund.methodology.flow
    if rule is None:
        raise CommandRefused(f"{name} takes no flows: funds.{name}.rules.flow is switched off")
    if fund.launched_ms is None:
        raise CommandRefused(f"{name} is not launched yet: it waits for its first price")
    if fund.winding and flow.kind is FlowKind.SUBSCRIBE:
        raise CommandRefused(f"{name} is being closed: {fund.winding}")
    if flow.kind is FlowKind.SUBSCRIBE:
        problem = beyond_limits(flow.amount, rule)
        if problem is not None:
            raise CommandRefused(f"{name}: {flow.words}: {problem}")
    else:
        _refuse_redemption(fund, flow, batch)
    announced = fund.announced
    if announced is not None and now_ms >= announced.freeze_ms:
        raise CommandRefused(
            f"{name}: flows are shut until the {announced.conversion.words} is done"
        )
    busy = _busy(fund, rule, now_ms)
    if busy is not None and rule.on_busy is OnBusy.REFUSE:
        raise CommandRefused(f'{name}: {busy}; try again later (on_busy = "queue" would wait)')


def _refuse_redemption(fund: FundState, flow: Flow, batch: Collection[Flow]) -> None:
    waiting = total(
        each.amount
        for each in (*fund.flows.values(), *batch)
        if each.fund == fund.name and each.kind is FlowKind.REDEEM
    )
    free = fund.shares - waiting
    if flow.amount % SHARE_PLACES and flow.amount != free:  # what a merge left may have more
        raise CommandRefused(f"{fund.name}: shares have 8 decimals, {flow.amount:f} has more")
    if flow.amount > free:
        told = f", {waiting.normalize():f} of them are being redeemed" if waiting else ""
        raise CommandRefused(
            f"{fund.name}: {fund.shares.normalize():f} shares are outstanding{told}; "
            f"{flow.amount.normalize():f} cannot be redeemed"
        )


def _busy(fund: FundState, rule: FlowRule, now_ms: int) -> str | None:
    """Say why the fund cannot deal now."""
    if fund.run is not None:
        return f"a {fund.run.plan.trigger} run is under way"
    fixed = fund.fund.methodology.fixed
    if fixed is None or not rule.cutoff_ms:
        return None
    closed_ms = closed_until_ms(fixed, rule.cutoff_ms, now_ms)
    return None if closed_ms is None else f"flows are shut until the run of {iso(closed_ms)}"


def deal_flows(
    work: Work,
    fund: FundState,
    worth: Valuation,
    flows: Collection[Flow],
    aim: Decimal | None = None,
) -> bool:
    """Deal `flows` at one NAV, in the order in which they came; say whether any was.

    `aim` is the signed leverage of the rebalance that they join; None where there is none.
    """
    rule = fund.fund.methodology.flow
    if rule is None:
        return False
    post_financing(work, fund)
    fee_accrued = fund.fee_accrued(worth.equity, work.now_ms)
    funding = funding_accrued(work.state, fund, worth.marks, work.now_ms)
    register = Register(
        equity=worth.equity - fee_accrued - funding.amount,
        shares=fund.shares,
        outstanding=fund.shares,
        empty_nav=worth.formula_nav or fund.fund.initial_nav,
    )
    dealt, dealing = False, Dealing(worth, fund.shares, aim)
    for flow in flows:
        register = replace(register, outstanding=fund.shares)
        found = price(flow, rule, register)
        if isinstance(found, Deal):
            refused = check_deal(work, fund, dealing, found)
            found = found if refused is None else refused.reason
        if isinstance(found, str):
            work.record(FlowRefused(work.now_ms, fund.name, flow.key, found))
            continue
        dealt = True
        work.record(
            FlowDealt(
                at_ms=work.now_ms,
                fund=fund.name,
                account=fund.fund.account,
                flow=flow.key,
                kind=flow.kind,
                nav=register.nav,
                shares=found.shares,
                cash=found.cash,
                fee=found.fee,
                shares_after=fund.shares + found.shares,
                fee_accrued=fee_accrued,
                marks=worth.marks,
                prices=worth.other_prices,
                funding_accrued=funding.amounts,
                funding_expected=funding.expected,
                funding_unknown=funding.unknown,
            )
        )
    if dealt and funding.unknown:
        contracts = ", ".join(funding.unknown)
        text = (
            f"not all funding of {contracts} that has accrued is known: flows are dealt without it"
        )
        work.alert(Severity.WARNING, "funding_unknown", fund.name, text)
    return dealt


def open_flow_run(
    work: Work, fund: FundState, worth: Valuation, signal: Signal, shares_before: Decimal
) -> None:
    """Open the run that gives every new share the units that an old one has."""
    held = fund.holding.units
    if not fund.shares:
        aim = Aim(ZERO, dict.fromkeys(held, ZERO), sets_point=False)
    elif shares_before and held:
        scaled = {symbol: units * fund.shares / shares_before for symbol, units in held.items()}
        kept = leverage(_exposure(scaled, worth.marks), worth.equity)
        aim = Aim(kept, scaled, sets_point=False)
    else:
        aim = aim_at(work, fund, worth, ZERO if fund.winding else fund.fund.target_leverage)
    open_run_to(work, fund, worth, signal, aim)


def once_settled(fund: FundState, worth: Valuation) -> Valuation:
    """Return the valuation with the exposure that a flow's run is about to reach.

    Cash moved when the flow was dealt, units follow: the leverage in between is nobody's doing.
    Once the run has given up for now, it is what the fund has, and the backstop must see it.
    """
    run = fund.run
    if run is None or run.status is not RunStatus.WORKING or worth.equity <= 0:
        return worth
    if run.plan.trigger is not Trigger.FLOW:
        return worth
    exposure = _exposure(run.plan.target_units, worth.marks)
    return replace(worth, exposure=exposure, leverage=leverage(exposure, worth.equity))


def _exposure(units: Prices, marks: Prices) -> Decimal:
    return total(size * marks[symbol] for symbol, size in units.items())
