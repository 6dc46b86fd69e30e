"""XT's JSON shapes of what the core holds; sizes are whole contracts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.loopback import figures
from tests.loopback.accounts import Account, Income, Margin, Position
from tests.loopback.instruments import ZERO, Instrument, Listing
from tests.loopback.matching import Core
from tests.loopback.orders import Book, Order, Status, Trade
from tests.loopback.xt.request import native

Document = dict[str, Any]


def plain(value: Decimal) -> str:
    """Write a number with eighteen decimals at most and no zeros behind."""
    written = format(round(value, 18), "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def _places(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def symbol_detail(instrument: Instrument, number: int) -> Document:
    """Return one entry of the symbol list."""
    trading = instrument.listing is Listing.TRADING
    base, quote = instrument.base.lower(), instrument.quote.lower()
    return {
        "id": number,
        "symbol": native(instrument.name),
        "symbolGroupId": number,
        "pair": native(instrument.name),
        "contractType": "PERPETUAL",
        "productType": "perpetual",
        "predictEventType": None,
        "predictEventParam": None,
        "predictEventSort": None,
        "underlyingType": "U_BASED",
        "contractSize": plain(instrument.contract_size),
        "tradeSwitch": instrument.listing is not Listing.HALTED,
        "openSwitch": trading,
        "isDisplay": True,
        "isOpenApi": instrument.listing is not Listing.HALTED,
        "state": 0,
        "initLeverage": 20,
        "initPositionType": "CROSSED",
        "baseCoin": base,
        "spotCoin": base,
        "quoteCoin": quote,
        "baseCoinPrecision": 8,
        "baseCoinDisplayPrecision": 4,
        "quoteCoinPrecision": 8,
        "quoteCoinDisplayPrecision": 4,
        "quantityPrecision": _places(instrument.lot),
        "pricePrecision": _places(instrument.tick),
        "supportOrderType": "LIMIT,MARKET",
        "supportTimeInForce": "GTC,FOK,IOC,GTX",
        "supportEntrustType": (
            "TAKE_PROFIT,STOP,TAKE_PROFIT_MARKET,STOP_MARKET,TRAILING_STOP_MARKET"
        ),
        "supportPositionType": "CROSSED,ISOLATED",
        "minQty": plain(instrument.lot),
        "minNotional": plain(instrument.min_notional),
        "maxNotional": "25000000",
        "multiplierDown": plain(instrument.price_band),
        "multiplierUp": plain(instrument.price_band),
        "maxOpenOrders": 200,
        "maxEntrusts": 120,
        "makerFee": plain(instrument.maker_rate),
        "takerFee": plain(instrument.taker_rate),
        "liquidationFee": "0.0125",
        "marketTakeBound": "0.05",
        "depthPrecisionMerge": 5,
        "labels": [],
        "plates": [1],
        "onboardDate": 1_654_857_001_000,
        "minStepPrice": plain(instrument.tick),
        "minPrice": None,
        "maxPrice": None,
        "deliveryDate": None,
        "deliveryPrice": None,
        "deliveryCompletion": False,
        "fastTrackCallbackRate1": "0.01",
        "fastTrackCallbackRate2": "0.02",
        "minTrackCallbackRate": "0.001",
        "maxTrackCallbackRate": "0.1",
        "latestPriceDeviation": "0.0100",
    }


def ticker(instrument: Instrument, now_ms: int) -> Document:
    """Return a day on which the price was always the present one."""
    last = plain(instrument.last)
    return {
        "t": now_ms,
        "s": native(instrument.name),
        "c": last,
        "h": last,
        "l": last,
        "a": "1000",
        "v": plain(instrument.notional(Decimal(1000), instrument.last)),
        "o": last,
        "r": "0",
    }


def aggregate(instrument: Instrument, now_ms: int) -> Document:
    """Return a ticker with index, mark, best bid and best ask."""
    return ticker(instrument, now_ms) | {
        "i": plain(instrument.index),
        "m": plain(instrument.mark),
        "bp": plain(instrument.best_bid.price),
        "ap": plain(instrument.best_ask.price),
    }


def state(order: Order) -> str:
    """Return the venue's word for where an order stands."""
    if order.status in (Status.CANCELED, Status.EXPIRED) and order.filled:
        return "PARTIALLY_CANCELED"
    return order.status.value


def order(found: Order, instrument: Instrument, account: Account) -> Document:
    """Return an order as lists and details show it."""
    request = found.request
    frozen = ZERO
    if found.open:
        price = request.price or instrument.mark
        leverage = account.leverage(request.instrument, request.book)
        frozen = instrument.notional(found.remaining, price) / leverage
    realized = sum((trade.realized for trade in found.trades), ZERO)
    return {
        "orderId": str(found.order_id),
        "clientOrderId": request.client_order_id or None,
        "symbol": native(request.instrument),
        "contractSize": plain(instrument.contract_size),
        "orderType": request.kind.value,
        "orderSide": request.side.value,
        "positionSide": request.book.value,
        "positionType": _margin(account, request.instrument, request.book),
        "timeInForce": request.force.value,
        "closePosition": False,
        "price": plain(request.price or ZERO),
        "origQty": plain(request.contracts),
        "avgPrice": plain(found.average),
        "executedQty": plain(found.filled),
        "marginFrozen": plain(frozen),
        "remark": None,
        "sourceId": None,
        "sourceType": "DEFAULT",
        "forceClose": found.liquidation,
        "leverage": account.leverage(request.instrument, request.book),
        "openPrice": None,
        "closeProfit": plain(realized) if figures.closes(request) else None,
        "state": state(found),
        "createdTime": found.created_ms,
        "updatedTime": found.updated_ms,
        "welfareAccount": False,
        "triggerPriceType": None,
        "triggerProfitPrice": None,
        "profitDelegateOrderType": None,
        "profitDelegateTimeInForce": None,
        "profitDelegatePrice": None,
        "triggerStopPrice": None,
        "stopDelegateOrderType": None,
        "stopDelegateTimeInForce": None,
        "stopDelegatePrice": None,
        "markPrice": plain(instrument.mark),
        "profit": False,
    }


def trade(done: Trade, instrument: Instrument) -> Document:
    """Return one of the account's own trades; the venue does not tell its side."""
    return {
        "orderId": str(done.order_id),
        "execId": str(done.trade_id),
        "symbol": native(done.instrument),
        "quantity": plain(done.contracts),
        "price": plain(done.price),
        "fee": plain(done.fee),
        "feeCoin": instrument.quote.lower(),
        "timestamp": done.at_ms,
        "takerMaker": "MAKER" if done.maker else "TAKER",
    }


def position(core: Core, account: Account, held: Position) -> Document:
    """Return a position; its size has no sign, its book tells the side."""
    instrument = core.instruments[held.instrument]
    closing = _resting(account, held, closes=True)
    opening = _resting(account, held, closes=False)
    frozen = sum(
        (
            figures.order_margin(account, order, core.instruments)
            for order in account.open_orders()
            if order.request.instrument == held.instrument and order.request.book is held.book
        ),
        ZERO,
    )
    return {
        "symbol": native(held.instrument),
        "positionType": _margin(account, held.instrument, held.book),
        "positionSide": held.book.value,
        "contractType": "PERPETUAL",
        "positionSize": plain(abs(held.contracts)),
        "closeOrderSize": plain(closing),
        "availableCloseSize": plain(abs(held.contracts) - closing),
        "entryPrice": plain(held.entry),
        "openOrderSize": plain(opening),
        "isolatedMargin": plain(figures.position_margin(account, held, core.instruments)),
        "openOrderMarginFrozen": plain(frozen),
        "realizedProfit": plain(held.realized),
        "autoMargin": False,
        "leverage": account.leverage(held.instrument, held.book),
        "markPrice": plain(instrument.mark),
    }


def _resting(account: Account, held: Position, *, closes: bool) -> Decimal:
    return sum(
        (
            order.remaining
            for order in account.open_orders()
            if order.request.instrument == held.instrument
            and order.request.book is held.book
            and figures.closes(order.request) == closes
        ),
        ZERO,
    )


def _margin(account: Account, instrument: str, book: Book) -> str:
    return "CROSSED" if account.margin(instrument, book) is Margin.CROSS else "ISOLATED"


def balance(core: Core, account: Account) -> Document:
    """Return the one balance there is."""
    isolated = sum(
        (
            figures.position_margin(account, held, core.instruments)
            for held in account.held()
            if account.margin(held.instrument, held.book) is Margin.ISOLATED
        ),
        ZERO,
    )
    margins = figures.position_margins(account, core.instruments)
    return {
        "coin": "usdt",
        "walletBalance": plain(account.wallet),
        "openOrderMarginFrozen": plain(figures.order_margins(account, core.instruments)),
        "isolatedMargin": plain(isolated),
        "crossedMargin": plain(margins - isolated),
        "availableBalance": plain(figures.available(account, core.instruments)),
        "bonus": "0",
        "coupon": "0",
    }


def funding(entry: Income, instrument: Instrument) -> Document:
    """Return one funding payment; below zero where the account paid."""
    return {
        "id": str(entry.income_id),
        "symbol": native(entry.instrument),
        "cast": plain(entry.amount),
        "coin": instrument.quote.lower(),
        "positionSide": entry.book.value,
        "createdTime": entry.at_ms,
    }
