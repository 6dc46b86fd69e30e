"""How much and into which orders: plans books, makes intents, and says when a run is over."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from rebalancer.core.actions import Severity, SubmitOrder
from rebalancer.core.books import book_of, plan_alone
from rebalancer.core.charging import begin_cash_period
from rebalancer.core.delisting import followed, gone
from rebalancer.core.fund import NavKind, PriceSource
from rebalancer.core.instant import duration
from rebalancer.core.limits import (
    Part,
    Refused,
    check_account,
    check_exposure,
    check_gross,
    check_part,
)
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ZERO, total
from rebalancer.core.opening import halt
from rebalancer.core.order import OrderIntent, client_order_id
from rebalancer.core.planner import Book, BookPlan, Leg, Skip, Want, collar_price, plan_book
from rebalancer.core.records import Crossed, IntentCreated, PointSet, ShortfallCovered
from rebalancer.core.run import Run, RunPlan, RunStatus
from rebalancer.core.slicing import child_limit_units, market_did_the_rest, time_limit_ms
from rebalancer.core.state import FundState
from rebalancer.core.work import BookKey, Work

#: rounds without a fill after which a run gives up until its cool-down is over
FRUITLESS_ROUNDS_MAX = 5
#: runs whose orders may be priced by a mark that nothing confirms: what is left of a wiped fund
#: cannot wait, and an operator's word is the second opinion
_ON_ONE_TICK = frozenset({Trigger.GAP, Trigger.MANUAL})


def plan_orders(work: Work, key: BookKey) -> None:
    """Plan one book for all funds whose runs want something of it, and make the intents."""
    account, symbol = key
    if work.state.working_on(account, symbol):
        return
    mark = work.state.market.price(symbol, PriceSource.MARK)
    wanting = {
        name: fund
        for name in work.state.holders.get(symbol, ())
        if _may_order(work, fund := work.state.funds[name], account, symbol)
    }
    for fund in wanting.values():
        work.touch(fund)
    while wanting and mark is not None:
        book = book_of(work, key, mark)
        wants = {name: want_of(work, fund, symbol, mark) for name, fund in wanting.items()}
        plan = plan_book(book, wants)
        refused = _refuse(work, wanting, wants, plan, book)
        if not refused:
            _carry_out(work, key, plan, mark)
            return
        for name, reason in refused.items():
            work.skips.append((key, Skip(name, wants[name].units, reason)))
            halt(work, wanting.pop(name), reason)


def _may_order(work: Work, fund: FundState, account: str, symbol: str) -> bool:
    run = fund.run
    if run is None or run.status is not RunStatus.WORKING or fund.fund.account != account:
        return False
    if symbol not in run.plan.target_units or run.next_slice_ms > work.now_ms:
        return False
    over = market_did_the_rest(run, fund.holding, work.worth(fund))
    if over:
        work.touch(fund)  # the run ends now, though another fund's order may have brought us here
    if over or work.state.permission(fund, symbol).halted:
        return False
    limit_ms = fund.fund.age_limit_ms(for_fixed=run.plan.trigger is Trigger.FIXED)
    market, mark = work.state.market, (symbol, PriceSource.MARK)
    # Without every price its limits cannot be checked.
    blind = run.plan.trigger is not Trigger.GAP and work.worth(fund) is None
    # One wild tick must not be what a slice is priced by: its collar would be around that.
    unsure = run.plan.trigger not in _ON_ONE_TICK and not market.confirmed(*mark)
    if blind or unsure or not market.fresh(*mark, work.now_ms, limit_ms):
        fund.restless = True
        return False
    if run.fruitless_rounds >= FRUITLESS_ROUNDS_MAX:
        _give_up(work, fund, f"{run.fruitless_rounds} orders in a row brought no fill")
        return False
    return True


def want_of(work: Work, fund: FundState, symbol: str, mark: Decimal) -> Want:
    """Return what the fund's run still wants of a contract, and the most one order may carry.

    What its trading state does not let through is not wanted now; it makes the run incomplete.
    """
    run = fund.run
    if run is None:
        return Want(units=ZERO)
    held = fund.holding.units.get(symbol, ZERO)
    whole = run.plan.target_units[symbol] - held
    units = work.state.permission(fund, symbol).lets_through(held, whole)
    part = Part(units=units, mark=mark, held=held)
    return Want(
        units=units,
        child_units=child_limit_units(fund.fund, run.plan.trigger, part),
        min_notional=fund.fund.execution.min_notional,
    )


def _refuse(
    work: Work,
    wanting: Mapping[str, FundState],
    wants: Mapping[str, Want],
    plan: BookPlan,
    book: Book,
) -> dict[str, str]:
    """Return the funds whose part breaks a limit, with the reason."""
    refused = {}
    account = work.state.accounts[next(iter(wanting.values())).fund.account]
    margin = account_margin(work, account.account.name, plan, book)
    for name, fund in wanting.items():
        run, worth = fund.run, work.worth(fund)
        if run is None or worth is None or run.plan.trigger is Trigger.GAP:
            continue  # a wiped fund is flattened whatever its limits say
        held = fund.holding.units.get(book.contract.symbol, ZERO)
        whole = Part(units=wants[name].units, mark=book.mark, held=held)
        part = Part(units=plan.wanted.get(name, ZERO), mark=book.mark, held=held)
        problem: Refused | None = None
        if part.units:
            problem = check_part(fund.fund, run, fund.spent(work.now_ms), part)
        elif not plan.crosses.get(name) and _slice_too_small(book, wants[name]):
            problem = Refused("max_child: one lot is more than an order of this fund may carry")
        if problem is None:
            more = abs(part.units) + abs(plan.crosses.get(name, ZERO))
            lot_units = book.contract.units_in(book.contract.lot)
            problem = check_gross(run, book.contract.symbol, more, lot_units)
        if problem is None and worth.equity > 0 and whole.units:
            gross = fund.holding.gross(worth.marks)
            problem = check_exposure(fund.fund, account.account, worth, gross, whole)
        if problem is None and not whole.reduces:
            problem = check_account(account.account, margin)
        if problem is not None:
            refused[name] = problem.reason
    return refused


def account_margin(work: Work, name: str, plan: BookPlan, book: Book) -> tuple[Decimal, Decimal]:
    """Return (equity, gross notional) of an account after `plan`, at the marks that are known.

    Funds that hold a contract without a mark are left out: what they owe is only half of them.
    """
    account, market = work.state.accounts[name], work.state.market
    equity, gross, blind = account.cash, ZERO, set()
    for symbol, units in account.held.items():
        mark = market.price(symbol, PriceSource.MARK)
        if mark is None:
            blind |= {symbol} if units else set()
            continue
        equity += units * mark
        gross += abs(units) * mark
    traded = total(leg.units for leg in plan.legs)
    gross += (abs(book.net_units + traded) - abs(book.net_units)) * book.mark
    for fund in work.state.funds.values() if blind else ():
        if fund.fund.account == name and not blind.isdisjoint(fund.holding.units):
            equity -= fund.holding.cash + total(
                units * (market.price(symbol, PriceSource.MARK) or ZERO)
                for symbol, units in fund.holding.units.items()
            )
    return equity, gross


def _slice_too_small(book: Book, want: Want) -> bool:
    return bool(plan_alone(book, want, sliced=False).legs) and not plan_alone(book, want).legs


def _carry_out(work: Work, key: BookKey, plan: BookPlan, mark: Decimal) -> None:
    account, symbol = key
    if plan.crosses:
        work.record(Crossed(work.now_ms, account, symbol, mark, plan.crosses))
    work.skips.extend((key, skip) for skip in plan.skips)
    work.skipped.update((account, symbol, skip.fund) for skip in plan.skips)
    net = total(leg.units for leg in plan.legs)
    for leg in plan.legs:
        parts = {name: units * (leg.units / net) for name, units in plan.wanted.items()}
        intent = _intent(work, key, leg, mark, parts)
        work.record(IntentCreated(work.now_ms, intent))
        work.actions.append(SubmitOrder(intent))


def _intent(
    work: Work, key: BookKey, leg: Leg, mark: Decimal, wanted: Mapping[str, Decimal]
) -> OrderIntent:
    account, symbol = key
    seq = work.state.accounts[account].order_seq + 1
    collar_bps = min(_collar_bps(work.state.funds[name]) for name in wanted)
    return OrderIntent(
        client_order_id=client_order_id(work.state.id_seed, account, symbol, seq),
        account=account,
        contract=symbol,
        seq=seq,
        side=leg.side,
        position_side=leg.position_side,
        contracts=leg.contracts,
        units=leg.units,
        mark=mark,
        limit_price=collar_price(leg.side, mark, collar_bps),
        reduce_only=leg.reduce_only,
        wanted=wanted,
        created_ms=work.now_ms,
    )


def _collar_bps(fund: FundState) -> Decimal:
    emergency, run = fund.fund.methodology.emergency, fund.run
    if emergency is not None and run is not None and run.plan.trigger is Trigger.EMERGENCY:
        return emergency.collar_bps or fund.fund.execution.collar_bps
    return fund.fund.execution.collar_bps


def end_run_if_settled(work: Work, fund: FundState) -> bool:
    """End the fund's run when nothing of it can be traded any more; say whether it ended."""
    run = fund.run
    if run is None or run.status is not RunStatus.WORKING:
        return False
    worked_ms = work.now_ms - run.working_since_ms
    if worked_ms > time_limit_ms(fund):
        _give_up(work, fund, f"not at its target after {duration(worked_ms)}")
        return False
    if any(work.state.working_on(fund.fund.account, symbol) for symbol in run.plan.target_units):
        return False
    reason = "the market brought leverage to where the run aimed"
    if not market_did_the_rest(run, fund.holding, work.worth(fund)):
        reason, barred = "at its target within one lot", _barred(work, fund, run)
        if barred is None:
            return False
        if barred:
            _give_up(work, fund, barred)
            return False
    work.move_run(fund, RunStatus.DONE, reason)
    _set_point(work, fund, run)
    return True


def _give_up(work: Work, fund: FundState, reason: str) -> None:
    work.move_run(fund, RunStatus.INCOMPLETE, reason)
    work.alert(Severity.WARNING, "run_incomplete", fund.name, reason)


def _barred(work: Work, fund: FundState, run: Run) -> str | None:
    """Say which trading state keeps the run from its target; "" at it, None if it can go on."""
    account, barred = fund.fund.account, ""
    if fund.fund.index_only:
        return ""  # without orders it is at its target from the moment its run was opened
    # Nothing more comes of what is gone; a run of nothing else is ended as one that fell short.
    absent = gone(work.state, fund) if followed(work.state, fund, work.now_ms) else frozenset()
    for symbol, target in run.plan.target_units.items():
        mark = work.state.market.price(symbol, PriceSource.MARK)
        if target == fund.holding.units.get(symbol, ZERO):
            continue  # whatever its price: one that is listed no more has none
        if symbol in absent:
            continue
        if mark is None:
            return None
        if (account, symbol, fund.name) in work.skipped:
            continue
        book = book_of(work, (account, symbol), mark)
        want = want_of(work, fund, symbol, mark)
        if plan_alone(book, want, sliced=False).legs:
            return None
        whole = target - fund.holding.units.get(symbol, ZERO)
        if whole != want.units and plan_alone(book, Want(units=whole), sliced=False).legs:
            barred = work.state.permission(fund, symbol).text
    return barred


def account_base(fund: FundState, plan: RunPlan, now_ms: int) -> Decimal | None:
    """Return what a share of the account is worth at the prices that sized the run, costs paid.

    Not at the prices of its end: the formula counts from those that sized it, and what the market
    did in between would count twice. None where nobody knows them.
    """
    if not fund.holding.units.keys() <= plan.marks.keys():
        return None
    equity = fund.holding.equity(plan.marks) - fund.accrued(now_ms)
    return equity / fund.shares if equity > 0 else None


def _set_point(work: Work, fund: FundState, run: Run) -> None:
    plan = run.plan
    worth = work.worth(fund)
    if plan.trigger is Trigger.GAP:
        if worth is not None and worth.equity < 0:
            work.record(ShortfallCovered(work.now_ms, fund.name, fund.fund.account, -worth.equity))
        return
    if not fund.shares:
        # Its last holder was paid at the dealing NAV: what selling made of it is the desk's.
        if worth is not None and worth.equity:
            work.record(ShortfallCovered(work.now_ms, fund.name, fund.fund.account, -worth.equity))
        return
    if not plan.sets_point:
        return
    nav = plan.base_nav * run.base_scale
    if fund.fund.formula_base is NavKind.ACCOUNT:
        nav = account_base(fund, plan, work.now_ms) or nav
    work.record(
        PointSet(
            at_ms=work.now_ms,
            fund=fund.name,
            nav=nav,
            prices=plan.base_prices,
            leverage=plan.target_leverage,
            weights=plan.base_weights,
            opened_ms=plan.opened_ms,
            source=fund.fund.price_source,
        )
    )
    begin_cash_period(work, fund)
