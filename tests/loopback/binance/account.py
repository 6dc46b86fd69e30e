"""Binance's account routes: balances, positions, income, fees, and the modes that can be set."""

from __future__ import annotations

from typing import Any

from tests.loopback import figures
from tests.loopback.accounts import Margin, Position
from tests.loopback.binance import shapes
from tests.loopback.binance.errors import POSITION_SIDE_REFUSALS, BinanceError, refused
from tests.loopback.binance.request import Request, native
from tests.loopback.instruments import Instrument
from tests.loopback.orders import Book, Refused
from tests.loopback.settling import set_hedged, set_leverage, set_margin

_MARGINS = {"ISOLATED": Margin.ISOLATED, "CROSSED": Margin.CROSS}
_DONE = {"code": 200, "msg": "success"}


def account_v3(request: Request) -> Any:
    """GET v3/account: sums, one asset, and the positions that are held."""
    asset = _asset(request)
    del asset["marginAvailable"]
    return {
        **_totals(request),
        "assets": [asset],
        "positions": [_account_position(request, held) for held in request.account.held()],
    }


def account_v2(request: Request) -> Any:
    """GET v2/account: also the rights, and every position with its modes."""
    positions = []
    for position in _every_position(request):
        margin = request.account.margin(position.instrument, position.book)
        instrument = request.core.instruments[position.instrument]
        document = _account_position(request, position)
        del document["isolatedMargin"], document["notional"], document["isolatedWallet"]
        positions.append(
            document
            | {
                "positionInitialMargin": document["initialMargin"],
                "openOrderInitialMargin": "0",
                "leverage": str(request.account.leverage(position.instrument, position.book)),
                "isolated": margin is Margin.ISOLATED,
                "entryPrice": shapes.money(position.entry),
                "maxNotional": "100000000",
                "bidNotional": "0",
                "askNotional": "0",
                "positionAmt": shapes.stepped(position.contracts, instrument.lot),
            }
        )
    rights = account_config(request)
    del rights["dualSidePosition"]
    return {**rights, **_totals(request), "assets": [_asset(request)], "positions": positions}


def account_config(request: Request) -> Any:
    """GET accountConfig."""
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": request.account.may_withdraw,
        "dualSidePosition": request.account.hedged,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }


def balance(request: Request) -> Any:
    """GET balance."""
    asset = _asset(request)
    return [
        {
            "accountAlias": "SgsR",
            "asset": asset["asset"],
            "balance": asset["walletBalance"],
            "crossWalletBalance": asset["crossWalletBalance"],
            "crossUnPnl": asset["crossUnPnl"],
            "availableBalance": asset["availableBalance"],
            "maxWithdrawAmount": asset["maxWithdrawAmount"],
            "marginAvailable": True,
            "updateTime": request.now_ms,
        }
    ]


def position_risk_v3(request: Request) -> Any:
    """GET v3/positionRisk: only what is held."""
    names = {instrument.name for instrument in request.chosen()}
    return [
        shapes.position_risk(request.core, request.account, position)
        for position in request.account.held()
        if position.instrument in names
    ]


def position_risk_v2(request: Request) -> Any:
    """GET v2/positionRisk: every symbol, held or not."""
    names = {instrument.name for instrument in request.chosen()}
    return [
        shapes.position_risk_v2(request.core, request.account, position)
        for position in _every_position(request)
        if position.instrument in names
    ]


def income(request: Request) -> Any:
    """GET income."""
    names = {instrument.name for instrument in request.chosen()}
    kind = request.params.get("incomeType", "")
    rows = [
        entry
        for entry in request.account.incomes
        if entry.instrument in names and kind in ("", entry.kind.value)
    ]
    return [
        shapes.income(entry, request.core.instruments[entry.instrument])
        for entry in request.page(rows, lambda entry: entry.at_ms, 100)
    ]


def commission_rate(request: Request) -> Any:
    """GET commissionRate."""
    instrument = request.instrument()
    return {
        "symbol": native(instrument.name),
        "makerCommissionRate": format(instrument.maker_rate, "f"),
        "takerCommissionRate": format(instrument.taker_rate, "f"),
    }


def order_limits(request: Request) -> Any:
    """GET rateLimit/order."""
    return list(request.order_limits)


def leverage_bracket(request: Request) -> Any:
    """GET leverageBracket: one bracket per symbol."""

    def shape(instrument: Instrument) -> shapes.Document:
        bracket = {
            "bracket": 1,
            "initialLeverage": instrument.max_leverage,
            "notionalCap": 100_000_000,
            "notionalFloor": 0,
            "maintMarginRatio": float(instrument.maintenance_rate),
            "cum": 0.0,
        }
        return {"symbol": native(instrument.name), "brackets": [bracket]}

    return [shape(instrument) for instrument in request.chosen()]


def symbol_config(request: Request) -> Any:
    """GET symbolConfig."""
    return [
        {
            "symbol": native(instrument.name),
            "marginType": _margin_name(request.account.margin(instrument.name, Book.NET)),
            "isAutoAddMargin": False,
            "leverage": request.account.leverage(instrument.name, Book.NET),
            "maxNotionalValue": "100000000",
        }
        for instrument in request.chosen()
    ]


def position_mode(request: Request) -> Any:
    """GET positionSide/dual."""
    return {"dualSidePosition": request.account.hedged}


def assets_mode(_request: Request) -> Any:
    """GET multiAssetsMargin: always single-asset."""
    return {"multiAssetsMargin": False}


def change_position_mode(request: Request) -> Any:
    """POST positionSide/dual."""
    request.text("dualSidePosition")
    try:
        set_hedged(request.account, hedged=request.flag("dualSidePosition"))
    except Refused as no:
        raise refused(no.refusal, POSITION_SIDE_REFUSALS) from None
    return _DONE


def change_margin(request: Request) -> Any:
    """POST marginType."""
    margin = _MARGINS.get(request.text("marginType"))
    if margin is None:
        raise BinanceError(-1128, "Combination of optional parameters invalid.")
    try:
        set_margin(request.core, request.account, request.instrument().name, margin)
    except Refused as no:
        raise refused(no.refusal) from None
    return _DONE


def change_leverage(request: Request) -> Any:
    """POST leverage."""
    instrument = request.instrument()
    request.text("leverage")
    leverage = request.integer("leverage", 0)
    try:
        set_leverage(request.core, request.account, instrument.name, leverage, request.now_ms)
    except Refused as no:
        raise refused(no.refusal) from None
    return {
        "leverage": leverage,
        "maxNotionalValue": "100000000",
        "symbol": native(instrument.name),
    }


def restrictions(request: Request) -> Any:
    """GET sapi account/apiRestrictions: what the key may do."""
    return {
        "ipRestrict": request.account.ip_restricted,
        "createTime": 1_600_000_000_000,
        "enableReading": True,
        "enableWithdrawals": request.account.may_withdraw,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": True,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enableSpotAndMarginTrading": False,
        "enablePortfolioMarginTrading": False,
    }


def _margin_name(margin: Margin) -> str:
    return "CROSSED" if margin is Margin.CROSS else "ISOLATED"


def _every_position(request: Request) -> list[Position]:
    books = (Book.LONG, Book.SHORT) if request.account.hedged else (Book.NET,)
    held = request.account.positions
    return [
        held.get((name, book), Position(instrument=name, book=book))
        for name in request.core.instruments
        for book in books
    ]


def _account_position(request: Request, position: Position) -> shapes.Document:
    risk = shapes.position_risk(request.core, request.account, position)
    return {
        "symbol": risk["symbol"],
        "positionSide": risk["positionSide"],
        "positionAmt": risk["positionAmt"],
        "unrealizedProfit": risk["unRealizedProfit"],
        "isolatedMargin": risk["isolatedMargin"],
        "notional": risk["notional"],
        "isolatedWallet": risk["isolatedWallet"],
        "initialMargin": risk["initialMargin"],
        "maintMargin": risk["maintMargin"],
        "updateTime": risk["updateTime"],
    }


def _sums(request: Request) -> dict[str, str]:
    account, instruments = request.account, request.core.instruments
    of_positions = figures.position_margins(account, instruments)
    of_orders = figures.order_margins(account, instruments)
    sums = {
        "walletBalance": account.wallet,
        "unrealizedProfit": figures.unrealized(account, instruments),
        "marginBalance": figures.equity(account, instruments),
        "maintMargin": figures.maintenance(account, instruments),
        "initialMargin": of_positions + of_orders,
        "positionInitialMargin": of_positions,
        "openOrderInitialMargin": of_orders,
        "crossWalletBalance": account.wallet,
        "crossUnPnl": figures.unrealized(account, instruments),
        "availableBalance": figures.available(account, instruments),
        "maxWithdrawAmount": figures.available(account, instruments),
    }
    return {name: shapes.money(value) for name, value in sums.items()}


def _asset(request: Request) -> shapes.Document:
    return {
        "asset": "USDT",
        **_sums(request),
        "marginAvailable": True,
        "updateTime": request.now_ms,
    }


def _totals(request: Request) -> shapes.Document:
    kept = ("availableBalance", "maxWithdrawAmount")
    return {
        name if name in kept else f"total{name[0].upper()}{name[1:]}": value
        for name, value in _sums(request).items()
    }
