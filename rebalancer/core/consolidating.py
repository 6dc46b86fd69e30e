"""Proposes, announces and carries out consolidations; flows are shut in between."""

from __future__ import annotations

from rebalancer.core.actions import Severity
from rebalancer.core.capital import (
    Consolidated,
    ConsolidationAnnounced,
    ConsolidationCancelled,
    ConsolidationProposed,
)
from rebalancer.core.commands import fund_named
from rebalancer.core.consolidation import Conversion, ConversionKind
from rebalancer.core.events import ConsolidationAsked
from rebalancer.core.instant import iso
from rebalancer.core.methodology import Trigger
from rebalancer.core.nav import Valuation
from rebalancer.core.quoting import warn_of_conversion
from rebalancer.core.records import TradingState
from rebalancer.core.rules.view import Signal
from rebalancer.core.run import RunStatus
from rebalancer.core.state import DeskState, FundState
from rebalancer.core.trust import price_not_good
from rebalancer.core.work import Work
from rebalancer.errors import CommandRefused

#: a proposal needs a price beyond doubt, like the dealing of a flow
_SIGNAL = Signal(trigger=Trigger.FLOW, reason="consolidation")


def follow_consolidation(work: Work, fund: FundState, worth: Valuation) -> Valuation:
    """Propose what the NAV asks for, or carry out what was announced once its freeze has come."""
    if not fund.shares or worth.equity <= 0:
        return worth
    announced = fund.announced
    if announced is None:
        _propose(work, fund, worth)
        return worth
    if work.now_ms < announced.freeze_ms:
        return worth
    work.refuse_flows(fund, f"a {announced.conversion.words} comes first; ask again after it")
    if fund.run is not None and fund.run.status is RunStatus.WORKING:
        return worth
    _convert(work, fund, worth, announced.conversion)
    return work.worth(fund) or worth


def _propose(work: Work, fund: FundState, worth: Valuation) -> None:
    conversion = fund.fund.consolidation.proposal(worth.nav)
    if conversion is None or conversion == fund.proposal:
        return
    if price_not_good(work, fund, worth, _SIGNAL) is not None:
        return
    work.record(
        ConsolidationProposed(
            work.now_ms,
            fund.name,
            conversion.kind,
            conversion.ratio,
            worth.nav,
            marks=worth.marks,
            prices=worth.other_prices,
        )
    )
    words = f"the NAV is {worth.nav:.8f}: a {conversion.words} is proposed"
    if not fund.fund.consolidation.auto:
        work.alert(Severity.WARNING, "consolidation_proposed", fund.name, words)
        return
    _announce(work, fund, conversion, words)


def _announce(work: Work, fund: FundState, conversion: Conversion, reason: str) -> None:
    freeze_ms = work.now_ms + fund.fund.consolidation.notice_ms
    work.record(
        ConsolidationAnnounced(
            work.now_ms, fund.name, conversion.kind, conversion.ratio, freeze_ms, reason
        )
    )
    text = f"{conversion.words} of {fund.name}: flows are shut from {iso(freeze_ms)}"
    work.alert(Severity.WARNING, "consolidation_announced", fund.name, text)
    warn_of_conversion(work, fund)


def _convert(work: Work, fund: FundState, worth: Valuation, conversion: Conversion) -> None:
    """Convert all shares in one record; the equity, the units and the leverage stay."""
    after = conversion.shares(fund.shares)
    work.record(
        Consolidated(
            at_ms=work.now_ms,
            fund=fund.name,
            kind=conversion.kind,
            ratio=conversion.ratio,
            shares_before=fund.shares,
            shares_after=after,
            nav_before=worth.nav,
            nav_after=worth.equity / after,
            equity=worth.equity,
            number=fund.conversions + 1,
            marks=worth.marks,
            prices=worth.other_prices,
        )
    )
    text = f"{conversion.words}: {worth.nav:.8f} became {worth.equity / after:.8f}"
    work.alert(Severity.INFO, "consolidated", fund.name, text)


def on_consolidation(work: Work, event: ConsolidationAsked) -> None:
    """Announce a conversion, or take an announcement back."""
    fund, conversion = refuse_consolidation(work.state, event)
    if conversion is None:
        work.record(ConsolidationCancelled(work.now_ms, fund.name, event.reason))
    else:
        _announce(work, fund, conversion, event.reason)
    work.due.add(fund.name)


def refuse_consolidation(
    state: DeskState, event: ConsolidationAsked
) -> tuple[FundState, Conversion | None]:
    """Return what is asked for (None: to cancel); raise CommandRefused where it cannot be."""
    fund = fund_named(state, event.fund)
    name, announced = fund.name, fund.announced
    if event.cancel:
        if announced is None:
            raise CommandRefused(f"{name}: no consolidation is announced")
        return fund, None
    if announced is not None:
        raise CommandRefused(
            f"{name}: a {announced.conversion.words} is announced already; cancel it first"
        )
    if fund.trading is TradingState.WIPED:
        raise CommandRefused(f"{name} was ended by the gap rule")
    if not fund.shares:
        raise CommandRefused(f"{name}: no shares are outstanding")
    return fund, _asked(state, fund, event)


def _asked(state: DeskState, fund: FundState, event: ConsolidationAsked) -> Conversion:
    """Return the conversion that is named, else the one that is proposed and still asked for."""
    if event.ratio is None:
        worth = state.worth(fund)
        wanted = None if worth is None else fund.fund.consolidation.proposal(worth.nav)
        if wanted is None or wanted != fund.proposal:
            raise CommandRefused(f"{fund.name}: nothing is proposed; name a ratio")
        return wanted
    if event.ratio < 2:
        raise CommandRefused(f"{fund.name}: a ratio is 2 or more")
    kind = ConversionKind.SPLIT if event.split else ConversionKind.MERGE
    conversion = Conversion(kind=kind, ratio=event.ratio)
    if not conversion.shares(fund.shares):
        raise CommandRefused(f"{fund.name}: a {conversion.words} would leave no shares")
    return conversion
