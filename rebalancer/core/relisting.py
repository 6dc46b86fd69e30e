"""A contract that its venue lists no more, and one that it lists again: told, and led over."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from rebalancer.core.actions import Severity
from rebalancer.core.delisting import ContractDelisted, MemberListed, frozen_at, gone
from rebalancer.core.events import Commanded, ContractChanged
from rebalancer.core.state import DeskState, FundState
from rebalancer.core.trust import good_price
from rebalancer.core.work import Work
from rebalancer.errors import CommandRefused, ensure


def on_listing(work: Work, event: ContractChanged) -> None:
    """Note that a contract is listed no more; tell of one that is listed again."""
    contract, known = event.contract, event.contract in work.state.delisted
    if contract in work.state.desk.unlisted:
        if not known:
            work.record(ContractDelisted(work.now_ms, contract))
    elif known and contract in work.state.holders:  # else no fund has it any more
        text = (
            f"{event.reason}: it stays frozen, and counts as cash where nothing of it is held, "
            f"until `rebalancer resume --contract {contract} --reason WHY`"
        )
        work.alert(Severity.WARNING, "contract_listed_again", contract, text)


def refuse_unpriced(state: DeskState, event: Commanded) -> None:
    """Raise CommandRefused where no live price can take the place of a frozen one yet."""
    for fund in _frozen_in(state, event.name):
        if _live(state, fund, event) is None:
            raise CommandRefused(
                f"contract {event.name} is listed again and {fund.name} would go on from its live "
                "price, of which none that is fresh and confirmed is known yet: try again"
            )


def lead_over(work: Work, event: Commanded) -> None:
    """Have every fund in which the contract is frozen go on from its live price, without a step."""
    for fund in _frozen_in(work.state, event.name):
        live = _live(work.state, fund, event)
        ensure(live is not None, f"a price of {event.name} went away while it was looked at")
        assert live is not None  # noqa: S101 - for the type checker; ensured above
        price, mark = live
        work.record(MemberListed(work.now_ms, fund.name, event.name, price, mark))


def _frozen_in(state: DeskState, contract: str) -> Iterator[FundState]:
    """Yield the launched funds whose formula NAV counts with a frozen price of the contract."""
    if contract not in state.delisted:
        return
    for fund in state.funds.values():
        frozen = fund.launched_ms is not None and frozen_at(fund, contract) != (None, None)
        if frozen and contract in gone(state, fund):
            yield fund


def _live(state: DeskState, fund: FundState, event: Commanded) -> tuple[Decimal, Decimal] | None:
    """Return the contract's price and mark as the fund sees them; None where one is not good."""
    price, mark = (
        good_price(state.market, fund, event.name, source, event.at_ms)
        for source in (fund.fund.price_source, fund.fund.mark_source)
    )
    return None if price is None or mark is None else (price, mark)
