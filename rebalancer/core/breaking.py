"""Finds breaks and ends them: what to record, what to halt, and what an operator can do."""

from __future__ import annotations

from decimal import Decimal

from rebalancer.core.actions import Severity
from rebalancer.core.breaks import (
    Break,
    BreakEnd,
    BreakEnded,
    BreakFound,
    BreakKind,
    VenueTrade,
)
from rebalancer.core.commands import set_scope
from rebalancer.core.events import Commanded, CommandKind
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import MINUTE_MS, duration
from rebalancer.core.money import ZERO, split_pro_rata, text, total
from rebalancer.core.order import Fill, PositionSide
from rebalancer.core.records import CommandTaken, Crossed, PositionsAdopted, Traded, TradingState
from rebalancer.core.scope import Scope
from rebalancer.core.state import AccountState, DeskState, FundState
from rebalancer.core.work import Work
from rebalancer.errors import CommandRefused

#: the account of funds that are index-only
ON_PAPER = ""


def find(work: Work, found: Break, *, halts: bool) -> int:
    """Record a break, tell of it and halt its account where `halts`; return its number."""
    number = work.state.break_count + 1
    work.record(BreakFound(work.now_ms, number, found))
    severity = Severity.CRITICAL if halts else Severity.WARNING
    work.alert(severity, f"break_{found.kind}", found.subject, f"break {number}: {found.cause}")
    if halts:
        halt_account(work, found.account, f"break {number}: {found.cause}")
    return number


def open_break(work: Work, kind: BreakKind, account: str, contract: str = "") -> int | None:
    """Return the number of the break of this kind that is open there; None where none is."""
    for number, each in work.state.breaks.items():
        if (each.kind, each.account, each.contract) == (kind, account, contract):
            return number
    return None


def vanished(work: Work, number: int, reason: str) -> None:
    """End a break that is no more, and tell of it."""
    account = work.state.breaks[number].account
    work.record(BreakEnded(work.now_ms, number, BreakEnd.VANISHED, reason))
    work.alert(Severity.INFO, "break_ended", account, f"break {number}: {reason}")


def booked(work: Work, found: Break, *, halts: bool = False) -> None:
    """Record a break whose cause is known and already in the books."""
    number = find(work, found, halts=halts)
    work.record(BreakEnded(work.now_ms, number, BreakEnd.BOOKED, "booked as the venue tells it"))


def halt_account(work: Work, account: str, reason: str) -> None:
    """Halt an account unless it is halted already."""
    known = work.state.scopes.get((Scope.ACCOUNT, account))
    if known is None or not known.halted:
        set_scope(work, Scope.ACCOUNT, account, TradingState.HALTED, reason)


def position_break(work: Work, account: str, contract: str, told: Decimal) -> None:
    """Compare what the venue holds with the records; find, change or end the break between them."""
    held = work.state.accounts[account].position(contract)
    # One that is listed no more is frozen: nothing else of its account trades from a wrong number.
    listed = contract not in work.state.desk.unlisted
    open_number = open_break(work, BreakKind.POSITION, account, contract)
    agreed = told == held and (listed or told != 0 or not _held(work.state, account, contract))
    if open_number is not None:
        known = work.state.breaks[open_number]
        if known.units == told - held and not agreed:
            if listed and (Scope.ACCOUNT, account) not in work.state.scopes:
                # Listed again: nothing was halted then. What an operator lets shrink may go on.
                halt_account(work, account, f"break {open_number}: {known.cause}")
            return
        reason = "the venue and the records agree again" if told == held else "it changed"
        vanished(work, open_number, reason)
    if agreed:
        return
    cause = f"the venue holds {text(told)} of {contract}, the records say {text(held)}"
    number = work.state.break_count + 1
    repair = f"rebalancer adopt {number} --reason WHY, or trade the difference away at the venue"
    if told == held:
        cause = f"the venue holds nothing of {contract}, funds hold it against each other"
    if not listed:
        cause += "; the contract is listed no more"
        repair = f"rebalancer adopt {number} --price PRICE --reason WHY, by what it was settled at"
    units = told - held
    find(
        work,
        Break(
            kind=BreakKind.POSITION,
            account=account,
            contract=contract,
            units=units,
            cause=cause,
            repair=repair,
        ),
        halts=listed,
    )


def paper_break(work: Work, contract: str) -> None:
    """Find or end the break of index-only funds that hold, on paper, what is listed no more.

    No venue will tell what became of it: a person says at what price it counts as settled.
    """
    number = open_break(work, BreakKind.POSITION, ON_PAPER, contract)
    if contract not in work.state.desk.unlisted:
        if number is not None:
            vanished(work, number, "the contract is listed again")
        return
    held = _held(work.state, ON_PAPER, contract)
    if not held or number is not None:
        return
    number = work.state.break_count + 1
    find(
        work,
        Break(
            kind=BreakKind.POSITION,
            account=ON_PAPER,
            contract=contract,
            units=-total(held.values()),
            cause=f"{', '.join(held)} count with {contract}, which is listed no more",
            repair=f"rebalancer adopt {number} --price PRICE --reason WHY, by its last price",
        ),
        halts=False,
    )


def refuse_answer(state: DeskState, command: Commanded) -> None:
    """Raise CommandRefused where a break cannot be ended in the way that was asked for."""
    known = ", ".join(str(number) for number in state.breaks) or "none"
    number = int(command.name) if command.name.isdecimal() else 0
    found = state.breaks.get(number)
    if found is None:
        raise CommandRefused(f"there is no open break {command.name}; open are {known}")
    if found.kind is BreakKind.FOREIGN_ORDER:
        raise CommandRefused(
            f"break {number} is an order that stands at the venue: cancel it there; the break ends "
            "by itself then"
        )
    if command.kind is CommandKind.EXPLAIN:
        if found.kind is BreakKind.POSITION:
            raise CommandRefused(
                f"break {number} is a position: adopt it, or trade it away at the venue; it ends "
                "by itself once both agree"
            )
        return
    if found.kind is not BreakKind.POSITION and not found.trades:
        raise CommandRefused(f"break {number} has nothing to adopt: explain it")
    _refuse_adoption(state, number, found)
    _refuse_price(state, number, found, command)


def _refuse_price(state: DeskState, number: int, found: Break, command: Commanded) -> None:
    """Raise CommandRefused where an operator's price is missing, or is not the one that counts."""
    given, now_ms = command.price, command.at_ms
    if found.trades:
        if given is not None:
            raise CommandRefused(
                f"the trades of break {number} have prices of their own: adopt it without --price"
            )
        return
    mark = _own_mark(state, found, now_ms)
    if mark is not None and given is not None:
        raise CommandRefused(
            f"the desk has a price of {found.contract} itself, {text(mark)}: adopt break {number} "
            "without --price"
        )
    if mark is None and given is None:
        then = "is known yet; try again, or give one with --price"
        if found.contract in state.desk.unlisted:
            then = "is known for it is listed no more; say with --price what it was settled at"
        age_ms = state.market.age_ms(found.contract, PriceSource.MARK, now_ms)
        if age_ms is not None:
            then = (
                f"came for {duration(age_ms)}; try again, or, where its venue settled it, say with "
                "--price at what"
            )
        raise CommandRefused(f"no price of {found.contract} {then}")


def _own_mark(state: DeskState, found: Break, now_ms: int) -> Decimal | None:
    """Return the desk's own mark of a break's contract; None: there is none, or it has stopped.

    A contract that its venue delists while the desk runs keeps the last one that it had.
    """
    age_ms = state.market.age_ms(found.contract, PriceSource.MARK, now_ms)
    limits = [fund.fund.max_age_ms for fund in _traders(state, found)]
    known = [limit_ms for limit_ms in limits if limit_ms is not None]
    if age_ms is not None and len(known) == len(limits) and age_ms > max((MINUTE_MS, *known)):
        return None
    return state.market.price(found.contract, PriceSource.MARK)


def _refuse_adoption(state: DeskState, number: int, found: Break) -> None:
    """Raise CommandRefused where a break could be booked, and cannot be now."""
    if not _weights(state, found):
        raise CommandRefused(
            f"no fund of account {found.account} trades {found.contract}: close the position at "
            "the venue; the break ends by itself then"
        )
    first = [
        str(other)
        for other, each in state.breaks.items()
        if each.trades and (each.account, each.contract) == (found.account, found.contract)
    ]
    if not found.trades and first:
        raise CommandRefused(
            f"break {number} is what the trades of break {', '.join(first)} made: adopt or explain "
            "those first; what they do not explain stays in a break"
        )
    if state.working_on(found.account, found.contract):
        raise CommandRefused(f"an order on {found.contract} is not settled yet; try again")


def on_answer(work: Work, event: Commanded) -> None:
    """Adopt or explain a break; the account stays halted until it is resumed."""
    refuse_answer(work.state, event)
    number = int(event.name)
    found = work.state.breaks[number]
    work.record(CommandTaken(work.now_ms, event.kind, event.scope, event.name, event.reason))
    how = BreakEnd.EXPLAINED
    if event.kind is CommandKind.ADOPT:
        how = BreakEnd.ADOPTED
        _adopt(work, number, found, event.price)
    work.record(BreakEnded(work.now_ms, number, how, event.reason))


def _adopt(work: Work, number: int, found: Break, given: Decimal | None) -> None:
    """Book the trades of a break; without any, its difference at the mark, for its price is lost.

    Where there is no mark, at the price `given`. Which fund an unknown trade was made for nobody
    can say: all that hold the contract share it.
    """
    mark = _own_mark(work.state, found, work.now_ms) or given or ZERO
    if found.account == ON_PAPER:
        _settle_on_paper(work, found, mark)
        return
    unlisted = VenueTrade(
        trade_id=f"break-{number}",
        order_id="",
        units=found.units,
        price=mark,
        fee=ZERO,
        at_ms=work.now_ms,
    )
    weights = _weights(work.state, found)
    account = work.state.accounts[found.account]
    contract = work.state.desk.contracts[found.contract]
    for trade in found.trades or ((unlisted,) if found.units else ()):
        work.record(
            Traded(
                at_ms=work.now_ms,
                account=found.account,
                contract=found.contract,
                position_side=_side(account, found),
                fill=Fill(
                    trade_id=trade.trade_id,
                    client_order_id="",
                    price=trade.price,
                    contracts=abs(trade.units) / contract.contract_size,
                    fee=trade.fee,
                    at_ms=trade.at_ms,
                ),
                units=trade.units,
                allocations=split_pro_rata(trade.units, weights),
                fees=split_pro_rata(trade.fee, weights),
                slippage=dict.fromkeys(weights, ZERO),
                forced=True,
            )
        )
    if not found.trades and found.contract in work.state.desk.unlisted:
        _settle_inside(work, found, mark)
    for name in weights:
        work.touch(work.state.funds[name])
    if found.trades:
        _compare_again(work, found)


def _settle_inside(work: Work, found: Break, price: Decimal) -> None:
    """Settle what funds hold of a delisted contract against each other, once the venue has none.

    Its venue saw but the difference of them, and nobody will ever trade the rest.
    """
    held = _held(work.state, found.account, found.contract)
    if held and not work.state.accounts[found.account].position(found.contract):
        units = {name: -each for name, each in held.items()}
        work.record(Crossed(work.now_ms, found.account, found.contract, price, units))


def _settle_on_paper(work: Work, found: Break, price: Decimal) -> None:
    """Have every index-only fund count with cash in the place of what is listed no more."""
    for name, units in _held(work.state, ON_PAPER, found.contract).items():
        sold, at = {found.contract: -units}, {found.contract: price}
        work.record(PositionsAdopted(work.now_ms, name, ON_PAPER, sold, at))
        work.touch(work.state.funds[name])


def _held(state: DeskState, account: str, contract: str) -> dict[str, Decimal]:
    """Return what each fund of an account holds of a contract, in signed base coins."""
    return {
        fund.name: units
        for fund in state.funds.values()
        if fund.fund.account == account and (units := fund.holding.units.get(contract))
    }


def _compare_again(work: Work, found: Break) -> None:
    """End or change the break in position that the trades of another one made."""
    booked_units = total(trade.units for trade in found.trades)
    number = open_break(work, BreakKind.POSITION, found.account, found.contract)
    if number is not None:
        held = work.state.accounts[found.account].position(found.contract)
        told = held - booked_units + work.state.breaks[number].units
        position_break(work, found.account, found.contract, told)


def _traders(state: DeskState, found: Break) -> list[FundState]:
    """Return the funds of the account whose basket has the contract of a break."""
    funds = (state.funds[name] for name in state.holders.get(found.contract, ()))
    return [fund for fund in funds if fund.fund.account == found.account]


def _weights(state: DeskState, found: Break) -> dict[str, Decimal]:
    """Return who takes part in an adoption: who holds the contract, else who trades it."""
    funds = [fund for fund in _traders(state, found) if fund.launched_ms is not None]
    held = {fund.name: abs(fund.holding.units.get(found.contract, ZERO)) for fund in funds}
    holding = {name: size for name, size in held.items() if size}
    return holding or {fund.name: abs(fund.fund.target_leverage) for fund in funds}


def _side(account: AccountState, found: Break) -> PositionSide:
    if not account.account.hedge:
        return PositionSide.NET
    stands = account.position(found.contract) or found.units
    return PositionSide.LONG if stands > 0 else PositionSide.SHORT
