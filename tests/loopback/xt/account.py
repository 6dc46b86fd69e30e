"""XT's account routes: balance, positions, funding, fees, leverage and margin by book."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.loopback import figures
from tests.loopback.accounts import Account, IncomeKind, Margin
from tests.loopback.matching import Core
from tests.loopback.orders import Refused
from tests.loopback.settling import set_leverage, set_margin
from tests.loopback.xt import shapes
from tests.loopback.xt.errors import XtError, refused
from tests.loopback.xt.request import Request

_MARGINS = {"CROSSED": Margin.CROSS, "ISOLATED": Margin.ISOLATED}


def balances(request: Request) -> Any:
    """GET balance/list."""
    return [shapes.balance(request.core, request.account)]


def account_info(request: Request) -> Any:
    """GET account/info."""
    number = int(hashlib.sha256(request.account.name.encode()).hexdigest()[:8], 16)
    return {
        "accountId": number,
        "userId": number,
        "allowOpenPosition": True,
        "allowTrade": True,
        "allowTransfer": request.account.may_withdraw,
        "openTime": "1600000000000",
        "state": 0,
    }


def positions(request: Request) -> Any:
    """GET position/list: books ever touched, those of size zero included."""
    names = {instrument.name for instrument in request.chosen()}
    return [
        shapes.position(request.core, request.account, held)
        for held in request.account.positions.values()
        if held.instrument in names
    ]


def breaks(request: Request) -> Any:
    """GET position/break-list: where each held position would be liquidated."""
    names = {instrument.name for instrument in request.chosen()}
    rows = []
    for held in request.account.held():
        if held.instrument in names:
            document = shapes.position(request.core, request.account, held)
            ruin = figures.liquidation_price(request.account, held, request.core.instruments)
            kept = ("symbol", "positionSide", "positionType", "contractType", "positionSize",
                    "entryPrice", "isolatedMargin", "leverage")  # fmt: skip
            prices = {"breakPrice": shapes.plain(ruin), "calMarkPrice": document["markPrice"]}
            rows.append({name: document[name] for name in kept} | prices)
    return rows


def fundings(request: Request) -> Any:
    """GET balance/funding-rate-list: payments, newest first."""
    names = {instrument.name for instrument in request.chosen()}
    rows = [
        entry
        for entry in request.account.incomes
        if entry.kind is IncomeKind.FUNDING_FEE and entry.instrument in names
    ]
    return request.scroll(
        request.window(rows, lambda entry: entry.at_ms),
        lambda entry: shapes.funding(entry, request.core.instruments[entry.instrument]),
    )


def step_rate(request: Request) -> Any:
    """GET user/step-rate: the same fees for every contract."""
    first = request.listed()[0]
    return {
        "specialType": False,
        "vipProType": False,
        "stepRateProName": None,
        "discountLevel": 0,
        "makerFee": shapes.plain(first.maker_rate),
        "takerFee": shapes.plain(first.taker_rate),
        "levelReturnDay": 90,
        "totalTradeVolume": "0",
        "walletBalance": shapes.plain(request.account.wallet),
        "nextLvTradeVolume": "200000",
        "nextLvMakerFee": shapes.plain(first.maker_rate),
        "nextLvTakerFee": shapes.plain(first.taker_rate),
        "feeSource": "step_rate",
    }


def change_leverage(request: Request) -> Any:
    """POST position/adjust-leverage of one book."""
    name = request.instrument().name
    leverage = int(request.number("leverage"))
    try:
        set_leverage(request.core, request.account, name, leverage, request.now_ms, request.book())
    except Refused as no:
        raise refused(no.refusal) from None


def change_margin(request: Request) -> Any:
    """POST position/change-type of one book."""
    margin = _MARGINS.get(request.text("positionType"))
    if margin is None:
        raise XtError("invalid_params", "Parameter positionType is unknown")
    try:
        set_margin(request.core, request.account, request.instrument().name, margin,
                   request.book())  # fmt: skip
    except Refused as no:
        raise refused(no.refusal) from None
    return {}


def listen_key(request: Request) -> Any:
    """GET user/listen-key: the same one for as long as the account exists."""
    return key_of(request.account)


def key_of(account: Account) -> str:
    """Return an account's listen key."""
    return hashlib.sha256(f"xt listen {account.key}".encode()).hexdigest()[:45].upper()


def listener(core: Core, key: str) -> Account | None:
    """Return the account whose listen key this is."""
    return next((each for each in core.accounts.values() if key_of(each) == key), None)
