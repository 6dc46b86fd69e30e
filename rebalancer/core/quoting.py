"""Takes quotes of tokens: judges the premium over the account NAV, and the quote itself."""

from __future__ import annotations

from decimal import Decimal

from rebalancer.core.actions import Severity
from rebalancer.core.events import TokenQuoted
from rebalancer.core.premium import PremiumStage, PremiumStaged, PremiumTerms, TokenQuote
from rebalancer.core.records import TradingState
from rebalancer.core.state import FundState
from rebalancer.core.trust import fresh
from rebalancer.core.work import Work

_TITLES = {
    PremiumStage.WARN: (Severity.WARNING, "premium_warn"),
    PremiumStage.HALT: (Severity.CRITICAL, "premium_halt"),
    PremiumStage.NONE: (Severity.INFO, "premium_released"),
}


def on_quote(work: Work, event: TokenQuoted) -> None:
    """Take what the market shows of one token; what is not a live quote is no premium."""
    fund = work.state.funds.get(event.fund)
    if fund is None or fund.fund.premium is None:
        return
    terms = fund.fund.premium
    if fund.quotes_since_ms is None:
        fund.quotes_since_ms = event.at_ms
    price = None
    if not event.problem:
        price = _middle(event)
        quoted_ms = event.at_ms if event.quoted_ms is None else min(event.quoted_ms, event.at_ms)
        if price is not None and (fund.quote is None or quoted_ms >= fund.quote.at_ms):
            fund.quote = TokenQuote(price, quoted_ms)
    problem = _problem(fund, terms, event, price)
    if problem and not fund.quote_problem:
        text = f"{terms.market}: {problem}; the premium of {fund.name} is not known"
        work.alert(Severity.WARNING, "quote_dead", fund.name, text)
    fund.quote_problem = problem
    if not problem and price is not None:
        _judge(work, fund, terms)


def _middle(event: TokenQuoted) -> Decimal | None:
    """Return the middle of a book that has two sides, the bid not over the ask."""
    if event.bid is None or event.ask is None or not 0 < event.bid <= event.ask:
        return None
    return (event.bid + event.ask) / 2


def _problem(
    fund: FundState, terms: PremiumTerms, event: TokenQuoted, price: Decimal | None
) -> str:
    """Say what keeps the market from being a live quote; empty where it is one.

    One question that fails is no news: only when no live quote came for `max_age`.
    """
    if not event.problem and price is None:
        missing = [side for side in ("bid", "ask") if getattr(event, side) is None]
        return f"there is no {' and no '.join(missing)}" if missing else "the book is crossed"
    last_ms = fund.quotes_since_ms if fund.quote is None else fund.quote.at_ms
    if last_ms is None or event.at_ms - last_ms <= terms.max_age_ms:
        return ""
    seconds = (event.at_ms - last_ms) // 1_000
    return f"no new quote for {seconds} s" + (f": {event.problem}" if event.problem else "")


def _judge(work: Work, fund: FundState, terms: PremiumTerms) -> None:
    """Move the stage, where the NAV is one that the price can be held against."""
    ended = fund.launched_ms is None or fund.trading is TradingState.WIPED or not fund.shares
    if ended or not fresh(work, fund, for_fixed=False):
        return  # a NAV from an old price would make a premium of the market's own move
    worth = work.worth(fund)
    premium = None if worth is None else fund.premium(worth.nav, work.now_ms)
    if worth is None or premium is None or fund.quote is None:
        return
    price = fund.quote.price
    before, stage = fund.premium_stage, terms.next_stage(fund.premium_stage, premium)
    if stage is before:
        return
    work.record(
        PremiumStaged(
            at_ms=work.now_ms,
            fund=fund.name,
            stage=stage,
            market=terms.market,
            price=price,
            nav=worth.nav,
            premium=premium,
            marks=worth.marks,
            prices=worth.other_prices,
        )
    )
    severity, name = _TITLES[stage]
    text = (
        f"{terms.market} {price.normalize():f} is {premium:+.2%} from the NAV of {worth.nav:.8f}"
        f"{_consequence(fund, stage)}"
    )
    work.alert(severity, name, fund.name, text)
    warn_of_conversion(work, fund)
    if fund.flows:
        work.due.add(fund.name)  # what waited may be dealt now


def _consequence(fund: FundState, stage: PremiumStage) -> str:
    if stage is PremiumStage.HALT:
        return f": no flows of {fund.name} are taken; tell the exchange that lists it"
    return ": flows are open" if stage is PremiumStage.NONE else ""


def warn_of_conversion(work: Work, fund: FundState) -> None:
    """Warn a second time where a premium and a merge or split meet: the conversion destroys it."""
    if fund.announced is None or fund.premium_stage is PremiumStage.NONE:
        return
    words = fund.announced.conversion.words
    text = (
        f"a {words} of {fund.name} is announced while its token is far from the NAV "
        f"({fund.premium_stage}): who buys before it loses the premium in it; tell the exchange"
    )
    work.alert(Severity.CRITICAL, "premium_and_conversion", fund.name, text)
