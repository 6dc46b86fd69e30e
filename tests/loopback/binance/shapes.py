"""Binance's JSON shapes of what the core holds; numbers are texts with the venue's decimals."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import Any

from tests.loopback import figures
from tests.loopback.accounts import Account, Income, Margin, Position
from tests.loopback.binance.request import native
from tests.loopback.instruments import ZERO, Instrument, Listing
from tests.loopback.matching import Core
from tests.loopback.orders import Kind, Order, Status, Trade

Document = dict[str, Any]
_EIGHT = Decimal("1e-8")
_STATUS = {Listing.TRADING: "TRADING", Listing.HALTED: "BREAK", Listing.DELISTING: "SETTLING"}


def money(value: Decimal) -> str:
    """Write an amount with eight decimals."""
    return format(value.quantize(_EIGHT, rounding=ROUND_HALF_EVEN), "f")


def stepped(value: Decimal, step: Decimal) -> str:
    """Write a price or a size with the decimals of its step."""
    return format(value.quantize(step, rounding=ROUND_DOWN), "f")


def symbol_info(instrument: Instrument) -> Document:
    """Return one entry of exchangeInfo."""
    tick, lot = format(instrument.tick, "f"), format(instrument.lot, "f")
    largest = format(instrument.max_contracts, "f")
    band = instrument.price_band
    size = {"maxQty": largest, "minQty": lot, "stepSize": lot}
    return {
        "symbol": native(instrument.name),
        "pair": native(instrument.name),
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": _STATUS[instrument.listing],
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "marginAsset": instrument.quote,
        "pricePrecision": _places(instrument.tick),
        "quantityPrecision": _places(instrument.lot),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "permissionSets": ["GRID", "COPY"],
        "filters": [
            {"filterType": "PRICE_FILTER", "maxPrice": "4529764", "minPrice": tick,
             "tickSize": tick},
            {"filterType": "LOT_SIZE", **size},
            {"filterType": "MARKET_LOT_SIZE", **size},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
            {"filterType": "MIN_NOTIONAL", "notional": format(instrument.min_notional, "f")},
            {"filterType": "PERCENT_PRICE", "multiplierDecimal": "4",
             "multiplierDown": f"{1 - band:.4f}", "multiplierUp": f"{1 + band:.4f}"},
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT",
                       "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    }  # fmt: skip


def _places(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def order(found: Order, instrument: Instrument) -> Document:
    """Return an order as a query shows it."""
    request = found.request
    return {
        "orderId": found.order_id,
        "symbol": native(request.instrument),
        "status": found.status.value,
        "clientOrderId": request.client_order_id,
        "price": stepped(request.price or ZERO, instrument.tick),
        "avgPrice": money(found.average),
        "origQty": stepped(request.contracts, instrument.lot),
        "executedQty": stepped(found.filled, instrument.lot),
        "cumQuote": money(instrument.contract_size * found.turnover),
        "timeInForce": request.force.value,
        "type": request.kind.value,
        "reduceOnly": request.reduce_only,
        "closePosition": False,
        "side": request.side.value,
        "positionSide": request.book.value,
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": request.kind.value,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "NONE",
        "goodTillDate": 0,
        "time": found.created_ms,
        "updateTime": found.updated_ms,
    }


def placed(found: Order, instrument: Instrument, *, result: bool) -> Document:
    """Return the answer to a placement.

    Only with newOrderRespType=RESULT, and only for an order that does not stay, does the venue
    wait for the matching; every other order is shown as it was accepted.
    """
    document = order(found, instrument)
    final = found.request.kind is Kind.MARKET or found.request.force.value in ("IOC", "FOK")
    if not (result and final):
        nothing = stepped(ZERO, instrument.lot)
        document |= {"status": Status.NEW.value, "avgPrice": "0.00", "executedQty": nothing}
        document |= {"cumQuote": money(ZERO), "updateTime": found.created_ms}
    document["cumQty"] = document["executedQty"]
    del document["time"]
    return document


def canceled(found: Order, instrument: Instrument) -> Document:
    """Return the answer to a cancellation."""
    document = order(found, instrument)
    document["cumQty"] = document["executedQty"]
    del document["time"], document["avgPrice"]
    return document


def trade(done: Trade, instrument: Instrument) -> Document:
    """Return one of the account's own trades."""
    return {
        "symbol": native(done.instrument),
        "id": done.trade_id,
        "orderId": done.order_id,
        "side": done.side.value,
        "price": stepped(done.price, instrument.tick),
        "qty": stepped(done.contracts, instrument.lot),
        "realizedPnl": money(done.realized),
        "quoteQty": money(instrument.notional(done.contracts, done.price)),
        "commission": money(done.fee),
        "commissionAsset": instrument.quote,
        "time": done.at_ms,
        "positionSide": done.book.value,
        "buyer": done.side.sign > 0,
        "maker": done.maker,
    }


def income(entry: Income, instrument: Instrument) -> Document:
    """Return one movement of the wallet."""
    return {
        "symbol": native(entry.instrument),
        "incomeType": entry.kind.value,
        "income": money(entry.amount),
        "asset": instrument.quote,
        "info": entry.kind.value,
        "time": entry.at_ms,
        "tranId": entry.income_id,
        "tradeId": "" if entry.trade_id is None else str(entry.trade_id),
    }


def position_risk(core: Core, account: Account, position: Position) -> Document:
    """Return a position as positionRisk v3 shows it."""
    instrument = core.instruments[position.instrument]
    notional = instrument.notional(position.contracts, instrument.mark)
    margin = figures.position_margin(account, position, core.instruments)
    isolated = figures.isolated_margin(account, position, core.instruments)
    liquidation = figures.liquidation_price(account, position, core.instruments)
    return {
        "symbol": native(position.instrument),
        "positionSide": position.book.value,
        "positionAmt": stepped(position.contracts, instrument.lot),
        "entryPrice": money(position.entry),
        "breakEvenPrice": money(position.entry),
        "markPrice": money(instrument.mark),
        "unRealizedProfit": money(position.unrealized(instrument)),
        "liquidationPrice": money(liquidation) if position.contracts else "0",
        "isolatedMargin": money(isolated),
        "notional": money(notional),
        "marginAsset": instrument.quote,
        "isolatedWallet": money(margin) if isolated else money(ZERO),
        "initialMargin": money(margin),
        "maintMargin": money(figures.position_maintenance(position, instrument)),
        "positionInitialMargin": money(margin),
        "openOrderInitialMargin": "0",
        "adl": 1,
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": position.updated_ms,
    }


def position_risk_v2(core: Core, account: Account, position: Position) -> Document:
    """Return a position as positionRisk v2 shows it, with its modes and without its margins."""
    document = position_risk(core, account, position)
    for name in ("marginAsset", "initialMargin", "maintMargin", "positionInitialMargin",
                 "openOrderInitialMargin", "adl", "bidNotional", "askNotional"):  # fmt: skip
        del document[name]
    margin = account.margin(position.instrument, position.book)
    return document | {
        "leverage": str(account.leverage(position.instrument, position.book)),
        "maxNotionalValue": "100000000",
        "marginType": "cross" if margin is Margin.CROSS else "isolated",
        "isAutoAddMargin": "false",
    }
