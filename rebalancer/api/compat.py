"""Drop-in adapters: the native documents in the words of three exchanges, for clients that exist.

Off unless `api.compat` names them. They only read; what the desk does not know (funding rates,
limits of a day, prices of a market) is left out and not made up. Paths and words are those of
Binance BLVT, of Bybit v5 (whose interface ended in July 2025) and of Gate v4, but for one: whether
a NAV is of an old price, which none of them says.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from rebalancer.api import writing
from rebalancer.api.answers import answer
from rebalancer.api.desk import DeskDoor
from rebalancer.api.pictures import Picture
from rebalancer.api.reading import LAST_MS, Reads
from rebalancer.api.routes import EndTime, Interval, StartTime
from rebalancer.core.contract import Contract
from rebalancer.core.instant import SECOND_MS
from rebalancer.core.money import text, text_or_none

Asked = Annotated[str, Query(max_length=64)]
Limit = Annotated[int, Query(ge=1, le=1_000)]
#: Binance: invalid symbol; Bybit: parameter error
BINANCE_BAD_SYMBOL = -1121
BYBIT_BAD_REQUEST = 10_001


def compat_router(desk: DeskDoor, venues: tuple[str, ...], *, public: bool) -> APIRouter:
    """Return the routes of the chosen venues."""
    router = APIRouter(prefix="/compat", include_in_schema=False)
    for venue in venues:
        _VENUES[venue](router, desk, public=public)
    return router


def _binance(router: APIRouter, desk: DeskDoor, *, public: bool) -> None:
    reads = Reads(desk, public=public)

    @router.get("/binance/sapi/v1/blvt/tokenInfo")
    async def token_info(
        request: Request, name: Annotated[str, Query(alias="tokenName", max_length=64)] = ""
    ) -> Response:
        """Return one token or all, as `GET /sapi/v1/blvt/tokenInfo`."""
        if name and name not in desk.names:
            return _binance_refusal(request)
        pictures = [reads.picture(name)] if name else desk.board.in_order()
        return answer(request, [_blvt(picture, public=public) for picture in pictures])

    @router.get("/binance/fapi/v1/lvtKlines")
    async def klines(
        request: Request,
        symbol: Asked,
        interval: Interval,
        start_ms: StartTime = 0,
        end_ms: EndTime = LAST_MS,
        limit: Limit = 500,
    ) -> Response:
        """Return candles of the NAV, as `GET /fapi/v1/lvtKlines`."""
        if symbol not in desk.names:
            return _binance_refusal(request)
        return await reads.klines(request, symbol, interval, (start_ms, end_ms, limit))


def _binance_refusal(request: Request) -> Response:
    refused = answer(request, {"code": BINANCE_BAD_SYMBOL, "msg": "Invalid symbol."})
    refused.status_code = HTTPStatus.BAD_REQUEST
    return refused


def _blvt(picture: Picture, *, public: bool) -> dict[str, Any]:
    token = writing.token_document(picture, public=public).model_dump(by_alias=True)
    members = ", ".join(writing.market_name(member["symbol"]) for member in token["underlying"])
    shared = (
        *("tokenName", "description", "tokenIssued", "nav", "realLeverage"),
        *("dailyManagementFee", "purchaseFeePct", "redeemFeePct", "navState", "timestamp"),
    )
    baskets = [
        {**item, "symbol": writing.market_name(item["symbol"])}
        for item in token.get("currentBaskets", ())
    ]
    return {name: token[name] for name in shared} | {
        "underlying": members,
        "basket": token.get("basket", ""),
        "currentBaskets": baskets,
    }


def _bybit(router: APIRouter, desk: DeskDoor, *, public: bool) -> None:
    reads = Reads(desk, public=public)

    def enveloped(code: int, words: str, result: dict[str, Any]) -> dict[str, Any]:
        return {
            "retCode": code,
            "retMsg": words,
            "result": result,
            "retExtInfo": {},
            "time": desk.clock.now_ms(),
        }

    @router.get("/bybit/v5/spot-lever-token/reference")
    async def reference(
        request: Request, name: Annotated[str, Query(alias="ltCoin", max_length=64)]
    ) -> Response:
        """Return a token, as `GET /v5/spot-lever-token/reference`."""
        if name not in desk.names:
            return answer(request, enveloped(BYBIT_BAD_REQUEST, "ltCoin is not known", {}))
        picture = reads.picture(name)
        view = picture.view
        result = {
            "ltCoin": name,
            "nav": text_or_none(view.nav) or "",
            "navTime": str(view.price_at_ms or ""),
            "navState": writing.nav_state(picture),
            "circulation": text(view.shares),
            "basket": "" if public else writing.basket_words(picture.units),
            "leverage": text_or_none(view.leverage) or "",
        }
        return answer(request, enveloped(0, "success", result))


def _gate(router: APIRouter, desk: DeskDoor, *, public: bool) -> None:
    del public  # nothing in it is hidden

    @router.get("/gate/spot/tickers")
    async def tickers(
        request: Request,
        pair: Annotated[str, Query(alias="currency_pair", max_length=64)] = "",
    ) -> Response:
        """Return the NAV fields of `GET /spot/tickers`, of one token or of all."""
        found = [_gate_ticker(picture) for picture in desk.board.in_order()]
        if pair:
            found = [ticker for ticker in found if ticker["currency_pair"] == pair]
        if pair and not found:
            refused = answer(
                request, {"label": "INVALID_CURRENCY_PAIR", "message": "Invalid currency pair"}
            )
            refused.status_code = HTTPStatus.BAD_REQUEST
            return refused
        return answer(request, found)


def _gate_ticker(picture: Picture) -> dict[str, Any]:
    quote = Contract(next(iter(picture.basket))).quote
    point = picture.point
    return {
        "currency_pair": f"{picture.name}_{quote}",
        "etf_net_value": text_or_none(picture.view.nav) or "",
        "etf_pre_net_value": "" if point is None else text(point.nav),
        "etf_pre_timestamp": 0 if point is None else point.at_ms // SECOND_MS,
        "etf_leverage": text_or_none(picture.view.leverage) or "",
        "nav_state": writing.nav_state(picture),
    }


_VENUES = {"binance": _binance, "bybit": _bybit, "gate": _gate}
