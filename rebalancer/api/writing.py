"""From pictures and rows of the store to documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from rebalancer.api import documents
from rebalancer.api.klines import Kline
from rebalancer.api.margins import margin_document, position_documents
from rebalancer.api.pictures import Picture
from rebalancer.core.capital import Consolidated, FinancingPosted, factor_since
from rebalancer.core.footing import Footing
from rebalancer.core.instant import DAY_MS
from rebalancer.core.money import text, text_or_none
from rebalancer.core.premium import PremiumStaged
from rebalancer.core.records import FixedSettled, RunOpened, VerdictChanged
from rebalancer.desk.alert_book import Entry
from rebalancer.store.rows import JournalRow, NavRow, RunRow


def nav_state(picture: Picture) -> str:
    """Say how far the NAV can be believed."""
    if picture.view.nav is None:
        return "WAITING"
    return "STALE" if picture.view.stale else "LIVE"


def nav_document(picture: Picture) -> documents.Nav:
    """Return both NAVs."""
    return documents.Nav(**_nav_fields(picture))


def token_document(picture: Picture, *, public: bool) -> documents.Token:
    """Return the token, with what it holds unless it is for everybody."""
    fund, view, point = picture.fund, picture.view, picture.point
    band, fee, flow = fund.methodology.leverage_band, fund.management_fee, fund.methodology.flow
    fields = _nav_fields(picture) | {
        "description": fund.description,
        "risk_statement": fund.risk_statement,
        "underlying": [
            documents.Member(symbol=symbol, weight=text(weight))
            for symbol, weight in picture.basket.items()
        ],
        "state": view.trading,
        "state_reason": picture.state_reason,
        "rebalancing": view.run,
        "pre_nav": None if point is None else text(point.nav),
        "last_rebalance": None
        if point is None
        else documents.Point(
            time=point.at_ms,
            nav=text(point.nav),
            leverage=text(point.leverage),
            prices={symbol: text(price) for symbol, price in point.prices.items()},
        ),
        "next_rebalance_time": view.next_fixed_ms,
        "lower_band": text(band.lower) if band else None,
        "upper_band": text(band.upper) if band else None,
        "daily_management_fee": text(fee.daily) if fee else "0",
        "purchase_fee_pct": text(flow.creation_fee) if flow else None,
        "redeem_fee_pct": text(flow.redemption_fee) if flow else None,
        "index_only": fund.index_only,
    }
    if public:
        return documents.Token(**fields)
    return documents.PrivateToken(
        **fields,
        market_problem=picture.quote_problem,
        equity=text_or_none(view.equity),
        basket=basket_words(picture.units),
        current_baskets=basket_items(picture.units, picture.marks),
    )


def _nav_fields(picture: Picture) -> dict[str, Any]:
    view, watched, quote = picture.view, picture.fund.premium, picture.quote
    return {
        "token_name": view.fund,
        "nav": text_or_none(view.nav),
        "formula_nav": text_or_none(view.formula_nav),
        "nav_time": view.price_at_ms,
        "nav_state": nav_state(picture),
        "real_leverage": text_or_none(view.leverage),
        "target_leverage": text(view.target_leverage),
        "token_issued": text(view.shares),
        "market": None if watched is None else watched.market,
        "market_price": None if quote is None else text(quote.price),
        "premium": text_or_none(view.premium),
        "premium_stage": view.premium_stage or None,
        "timestamp": view.at_ms,
    }


def basket_words(units: Mapping[str, Decimal]) -> str:
    """Write what is held as the BLVT interface does: "-4.1 BTCUSDT"."""
    return ", ".join(f"{text(held)} {market_name(symbol)}" for symbol, held in units.items())


def market_name(symbol: str) -> str:
    """Write a contract as venues do: BTCUSDT of BTC/USDT:USDT."""
    return symbol.partition(":")[0].replace("/", "")


def basket_items(
    units: Mapping[str, Decimal], marks: Mapping[str, Decimal]
) -> list[documents.BasketItem]:
    """Return amounts with their value where there is a mark."""
    return [
        documents.BasketItem(
            symbol=symbol,
            amount=text(amount),
            notional_value=text(amount * marks[symbol]) if symbol in marks else None,
        )
        for symbol, amount in units.items()
    ]


def basket_document(picture: Picture, shared: Footing | None) -> documents.Basket:
    """Return what the token holds; `shared` is the footing of its account."""
    return documents.Basket(
        token_name=picture.name,
        token_issued=text(picture.view.shares),
        basket=basket_words(picture.units),
        current_baskets=basket_items(picture.units, picture.marks),
        positions=position_documents(picture),
        margin=margin_document(picture, shared),
        timestamp=picture.view.at_ms,
    )


def fees_document(picture: Picture) -> documents.Fees:
    """Return what the token has paid so far, and what it will owe next."""
    costs = picture.costs
    return documents.Fees(
        token_name=picture.name,
        trading_fees=text(costs.fees),
        slippage=text(costs.slippage),
        funding=text(costs.funding),
        management_fee=text(costs.management_fee),
        accrued_management_fee=text(picture.fee_accrued),
        accrued_funding=text_or_none(picture.funding_accrued),
        financing=text(costs.financing),
        timestamp=picture.view.at_ms,
    )


def rebalance_document(row: RunRow, *, public: bool) -> documents.Rebalance:
    """Return a run, with what it traded unless it is for everybody."""
    fields: dict[str, Any] = {
        "rebalance_id": row.run_id,
        "token_name": row.fund,
        "time": row.opened_ms,
        "end_time": row.ended_ms,
        "trigger": str(row.trigger),
        "reason": row.reason,
        "status": str(row.status),
        "target_leverage": text(row.target_leverage),
        "leverage_before": text_or_none(row.leverage_before),
        "leverage_after": text_or_none(row.leverage_after),
        "nav_before": text(row.nav_before),
        "nav_after": text_or_none(row.nav_after),
    }
    if public:
        return documents.Rebalance(**fields)
    return documents.PrivateRebalance(
        **fields,
        status_reason=row.status_reason,
        cost=text(row.cost),
        slippage=text_or_none(row.slippage),
        traded_notional=text_or_none(row.traded_notional),
        deltas=basket_items(row.delta_units, {}),
    )


def decision_document(row: JournalRow) -> documents.Decision:
    """Return a verdict, a run or the end of a fixed instant as a decision."""
    record = row.record
    if isinstance(record, RunOpened):
        said = (record.plan.fund, str(record.plan.trigger), record.plan.reason)
    elif isinstance(record, FixedSettled):
        said = (record.fund, "fixed", f"{record.settlement}: {record.reason}")
    elif isinstance(record, VerdictChanged):
        said = (record.fund, str(record.trigger), record.reason)
    else:
        raise TypeError(f"{type(record).__name__} is no decision")
    name, trigger, reason = said
    return documents.Decision(
        sequence=row.seq, token_name=name, time=record.at_ms, trigger=trigger, reason=reason
    )


def consolidation_document(row: JournalRow) -> documents.Consolidation:
    """Return a merge or a split that was carried out."""
    record = row.record
    if not isinstance(record, Consolidated):
        raise TypeError(f"{type(record).__name__} is no consolidation")
    return documents.Consolidation(
        token_name=record.fund,
        time=record.at_ms,
        kind=str(record.kind),
        ratio=record.ratio,
        nav_before=text(record.nav_before),
        nav_after=text(record.nav_after),
        issued_before=text(record.shares_before),
        issued_after=text(record.shares_after),
    )


def distribution_document(row: JournalRow) -> documents.Distribution:
    """Return cash that was paid out."""
    record = row.record
    if not isinstance(record, FinancingPosted):
        raise TypeError(f"{type(record).__name__} is no distribution")
    return documents.Distribution(
        token_name=record.fund, time=record.at_ms, kind="coupon", amount=text(record.coupon)
    )


def premium_document(row: JournalRow) -> documents.PremiumStep:
    """Return a change of the premium's stage."""
    record = row.record
    if not isinstance(record, PremiumStaged):
        raise TypeError(f"{type(record).__name__} is no change of a premium")
    return documents.PremiumStep(
        token_name=record.fund,
        time=record.at_ms,
        stage=str(record.stage),
        market=record.market,
        market_price=text(record.price),
        nav=text(record.nav),
        premium=text(record.premium),
    )


def alerts_document(open_alerts: Iterable[Entry], now_ms: int) -> documents.Alerts:
    """Return what needs a person."""
    items = [
        documents.AlertItem(
            name=entry.alert.name,
            subject=entry.alert.subject,
            severity=str(entry.alert.severity),
            text=entry.alert.text,
            since=entry.opened_ms,
            count=entry.count,
        )
        for entry in open_alerts
    ]
    return documents.Alerts(items=items, timestamp=now_ms)


def strike_document(row: NavRow) -> documents.Strike:
    """Return a daily NAV."""
    return documents.Strike(
        token_name=row.fund,
        time=row.boundary_ms,
        nav=text(row.nav),
        formula_nav=text(row.formula_nav),
        equity=text(row.equity),
        token_issued=text(row.shares),
    )


def kline_row(kline: Kline) -> list[str | int]:
    """Return a candle in the shape of lvtKlines."""
    return [
        kline.open_ms,
        text(kline.open),
        text(kline.high),
        text(kline.low),
        text(kline.close),
        "0" if kline.leverage is None else text(kline.leverage),
        kline.close_ms,
        "0",
        kline.updates,
        "0" if kline.formula is None else text(kline.formula),
        "0" if kline.market is None else text(kline.market),
        "0",
    ]


def _in_todays_shares(row: NavRow, conversions: Sequence[Consolidated]) -> NavRow:
    factor = factor_since(conversions, row.boundary_ms)
    return replace(row, nav=row.nav * factor, formula_nav=row.formula_nav * factor)


def day_klines(strikes: Sequence[NavRow], conversions: Sequence[Consolidated]) -> list[Kline]:
    """Return the candle of each day between two strikes in today's shares, oldest first.

    The day opens at the strike before and closes at its own; between them no NAV is on record, so
    that high and low are the higher and the lower of the two.
    """
    strikes = [_in_todays_shares(row, conversions) for row in strikes]
    made = []
    for before, row in zip([strikes[0], *strikes] if strikes else [], strikes, strict=False):
        made.append(
            Kline(
                open_ms=row.boundary_ms - DAY_MS,
                close_ms=row.boundary_ms - 1,
                open=before.nav,
                high=max(before.nav, row.nav),
                low=min(before.nav, row.nav),
                close=row.nav,
                leverage=None,
                formula=row.formula_nav,
                first_ms=before.boundary_ms,
                last_ms=row.boundary_ms,
                updates=1 if before is row else 2,
            )
        )
    return made
