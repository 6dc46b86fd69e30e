"""Carries out a plan that an operator saw: the same orders, or nothing at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from rebalancer.core.commands import refuse_rebalance
from rebalancer.core.delisting import gone
from rebalancer.core.events import Agreed, CommandKind, PlannedOrder, PlanOffered
from rebalancer.core.fingerprint import fingerprints, moved_on
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import duration, iso
from rebalancer.core.methodology import TO_TARGET, Trigger
from rebalancer.core.money import ONE, text
from rebalancer.core.opening import open_run
from rebalancer.core.records import (
    CommandTaken,
    Crossed,
    IntentCreated,
    Record,
    RunOpened,
    TradingChanged,
    TradingState,
    VerdictChanged,
)
from rebalancer.core.reloading import adopt_at_point
from rebalancer.core.rules.view import Signal, percent
from rebalancer.core.run import RunStatus
from rebalancer.core.scope import Scope
from rebalancer.core.state import DeskState, FundState
from rebalancer.core.trust import fresh
from rebalancer.core.work import Work
from rebalancer.errors import CommandRefused

AGAIN = "make a new plan"


def refuse_plan(work: Work, event: PlanOffered) -> None:
    """Raise CommandRefused where a plan cannot be carried out now; nothing has changed then."""
    if not event.funds:
        raise CommandRefused("the plan has no fund that could be rebalanced")
    for name in event.funds:
        problem = not_plannable(work, name)
        if problem is not None:
            raise CommandRefused(problem)
    if event.agreed is not None:
        _refuse_late(event.at_ms, event.agreed)
        _refuse_moved(work.state, event, event.agreed)


def not_plannable(work: Work, name: str) -> str | None:
    """Say why a fund cannot be rebalanced by a plan now; None where it can."""
    try:
        refuse_rebalance(work.state, name)
    except CommandRefused as refused:
        return str(refused)
    return next(_obstacles(work, work.state.funds[name]), None)


def _obstacles(work: Work, fund: FundState) -> Iterator[str]:
    """Yield what keeps a launched fund that may trade from being rebalanced at once."""
    state, name = work.state, fund.name
    if fund.run is not None and fund.run.status is RunStatus.WORKING:
        yield f"{name} has a run under way ({fund.run.plan.run_id}); plan again once it is over"
    if not fresh(work, fund, for_fixed=False):
        yield f"{name} waits for a fresh price"
    worth = state.worth(fund)
    if worth is None or worth.equity <= 0:
        yield f"{name} has no equity to size with"
        return
    for symbol in fund.fund.basket_at(work.now_ms):
        if symbol not in worth.marks:
            yield f"{name} waits for the first price of {symbol}"
        elif not fund.fund.index_only and state.working_on(fund.fund.account, symbol):
            yield f"{name} waits: an order on {symbol} is not over yet"


def open_planned(work: Work, event: PlanOffered) -> None:
    """Open a run to target for each fund, sized by the prices of the plan."""

    def planned(symbol: str, source: PriceSource) -> Decimal | None:
        return event.prices.get((symbol, source)) or work.state.market.price(symbol, source)

    for name in event.funds:
        fund = work.state.funds[name]
        work.record(
            CommandTaken(work.now_ms, CommandKind.REBALANCE, Scope.FUND, name, event.reason)
        )
        adopt_at_point(work, fund)
        rule = fund.fund.methodology.manual
        worth = work.state.worth_by(fund, planned)
        if worth is not None:
            goal = rule.goal if rule is not None else TO_TARGET
            signal = Signal(trigger=Trigger.MANUAL, reason=event.reason, goal=goal)
            open_run(work, fund, worth, signal)
        work.touch(fund)


def orders_of(records: Iterable[Record]) -> tuple[PlannedOrder, ...]:
    """Return the orders among the records, as a plan writes them."""
    return tuple(
        PlannedOrder(
            account=record.intent.account,
            contract=record.intent.contract,
            side=record.intent.side,
            position_side=record.intent.position_side,
            contracts=record.intent.contracts,
            reduce_only=record.intent.reduce_only,
        )
        for record in records
        if isinstance(record, IntentCreated)
    )


def refuse_other_orders(event: PlanOffered, records: Sequence[Record]) -> None:
    """Raise CommandRefused where a trial of the plan did not lead to what was agreed."""
    opened = {record.plan.fund for record in records if isinstance(record, RunOpened)}
    for name in event.funds:
        if name not in opened:
            raise CommandRefused(f"{name} would not be rebalanced: {_why(name, records)}; {AGAIN}")
    agreed = event.agreed
    if agreed is None:
        return
    found = orders_of(records)
    if sorted(map(str, found)) != sorted(map(str, agreed.orders)):
        planned, now = (", ".join(map(str, each)) or "no order" for each in (agreed.orders, found))
        raise CommandRefused(f"the orders would be others: planned {planned}; now {now}; {AGAIN}")
    crossed = {
        (record.account, record.contract, name): units
        for record in records
        if isinstance(record, Crossed)
        for name, units in record.units.items()
    }
    if crossed != dict(agreed.crosses):
        raise CommandRefused(f"what crosses inside the desk would be something else; {AGAIN}")


def _why(name: str, records: Iterable[Record]) -> str:
    for record in records:
        if isinstance(record, TradingChanged) and record.fund == name:
            if record.state is TradingState.HALTED:
                return f"it would be halted: {record.reason}"
        elif isinstance(record, VerdictChanged) and record.fund == name:
            return record.reason
    return "no run would be opened"


def _refuse_late(now_ms: int, agreed: Agreed) -> None:
    if now_ms > agreed.expires_ms:
        late = duration(now_ms - agreed.expires_ms)
        raise CommandRefused(
            f"the plan was good until {iso(agreed.expires_ms)}, which is {late} ago; {AGAIN}"
        )
    if now_ms < agreed.as_of_ms:
        raise CommandRefused(
            f"the plan is of {iso(agreed.as_of_ms)}, which is still to come by this desk's clock; "
            f"{AGAIN}"
        )


def _refuse_moved(state: DeskState, event: PlanOffered, agreed: Agreed) -> None:
    if agreed.desk_id != state.desk_id:
        raise CommandRefused(
            f"the plan is of another desk ({agreed.desk_id or 'unnamed'}, this is "
            f"{state.desk_id}); {AGAIN}"
        )
    if agreed.config_digest != state.config_digest:
        raise CommandRefused(
            f"the configuration changed since the plan (it was {agreed.config_digest[:12]}, now "
            f"{state.config_digest[:12]} is in force); {AGAIN}"
        )
    moved = moved_on(agreed.fingerprints, fingerprints(state, event.funds))
    if moved:
        raise CommandRefused(f"the desk moved on since the plan: {', '.join(moved)}; {AGAIN}")
    for key in sorted(_keys(state, event.funds)):
        then, now = event.prices.get(key), state.market.price(*key)
        if then is None or now is None:
            raise CommandRefused(f"the plan has no {key[1]} price of {key[0]}; {AGAIN}")
        move = now / then - ONE
        if abs(move) > agreed.max_move:
            raise CommandRefused(
                f"the {key[1]} price of {key[0]} moved by {percent(move)} since the plan, from "
                f"{text(then)} to {text(now)}, and desk.plan_max_move allows "
                f"{percent(agreed.max_move)}; {AGAIN}"
            )


def _keys(state: DeskState, names: Iterable[str]) -> set[tuple[str, PriceSource]]:
    """Return the prices that size the funds."""
    return {
        (symbol, source)
        for fund in (state.funds[name] for name in names)
        for symbol in {**fund.basket, **fund.holding.units}.keys() - gone(state, fund)
        for source in fund.fund.sources
    }


def sizing_prices(state: DeskState, names: Iterable[str]) -> dict[tuple[str, PriceSource], Decimal]:
    """Return every price that a plan of these funds is sized by, as the market has it now."""
    keys = _keys(state, names)
    known = {key: state.market.price(*key) for key in sorted(keys)}
    return {key: price for key, price in known.items() if price is not None}
