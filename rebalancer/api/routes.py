"""The routes of the read side of `/api/v1`: every document of the desk, as GET."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from rebalancer.api import documents, writing
from rebalancer.api.answers import CURSOR_CHARACTERS_MAX, LIMIT_DEFAULT, LIMIT_MAX, answer
from rebalancer.api.desk import DeskDoor
from rebalancer.api.klines import INTERVALS_MS
from rebalancer.api.reading import (
    CONSOLIDATIONS,
    DECISIONS,
    DISTRIBUTIONS,
    LAST_MS,
    PREMIUMS,
    Reads,
)
from rebalancer.api.triggering import triggers_document

TokenName = Annotated[str, Path(alias="tokenName", pattern="^[A-Za-z0-9_-]{1,32}$")]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]
Cursor = Annotated[str | None, Query(max_length=CURSOR_CHARACTERS_MAX)]
Interval = Annotated[str, Query(pattern=f"^({'|'.join(INTERVALS_MS)})$")]
StartTime = Annotated[int, Query(alias="startTime", ge=0, le=LAST_MS)]
EndTime = Annotated[int, Query(alias="endTime", ge=0, le=LAST_MS)]


def _page_of(item: type[documents.Document]) -> Any:
    return documents.Page.__class_getitem__(item)


def read_router(desk: DeskDoor, *, public: bool) -> APIRouter:
    """Return the routes of the read side."""
    reads = Reads(desk, public=public)
    router = APIRouter(prefix="/api/v1")
    _about_the_desk(router, reads, public=public)
    _about_a_token(router, reads, public=public)
    _about_its_history(router, reads, public=public)
    if not public:
        _about_what_it_holds(router, reads)
    return router


def _about_the_desk(router: APIRouter, reads: Reads, *, public: bool) -> None:
    token = documents.Token if public else documents.PrivateToken
    run = documents.Rebalance if public else documents.PrivateRebalance

    @router.get("/status", response_model=documents.Status, tags=["desk"])
    async def status(request: Request) -> Response:
        """Say which desk this is and whether it is ready."""
        return reads.status(request)

    @router.get("/tokens", response_model=_page_of(token), tags=["tokens"])
    async def tokens(
        request: Request, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
    ) -> Response:
        """List the tokens by name, with NAV, leverage and state."""
        return reads.tokens(request, limit, cursor)

    @router.get("/schedule", response_model=documents.Schedule, tags=["desk"])
    async def schedule(request: Request) -> Response:
        """List the next fixed time of each token, the soonest first."""
        return reads.schedule(request)

    @router.get("/rebalances", response_model=_page_of(run), tags=["history"])
    async def rebalances(
        request: Request, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
    ) -> Response:
        """List the runs of all tokens, the newest first."""
        return await reads.rebalances(request, None, limit, cursor)

    if public:
        return

    @router.get("/alerts", response_model=documents.Alerts, tags=["desk"])
    async def alerts(request: Request) -> Response:
        """List the alerts whose cause lasts, the gravest first."""
        return reads.alerts(request)

    @router.get("/decisions", response_model=documents.Page[documents.Decision], tags=["history"])
    async def decisions(
        request: Request, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
    ) -> Response:
        """List why tokens traded and why not, the newest first; a page may have no items."""
        return await reads.told(request, None, DECISIONS, (limit, cursor))


def _about_a_token(router: APIRouter, reads: Reads, *, public: bool) -> None:
    token = documents.Token if public else documents.PrivateToken
    one = "/tokens/{tokenName}"

    @router.get(one, response_model=token, tags=["tokens"])
    async def show(request: Request, name: TokenName) -> Response:
        """Show a token."""
        return answer(request, writing.token_document(reads.picture(name), public=public))

    @router.get(f"{one}/nav", response_model=documents.Nav, tags=["tokens"])
    async def nav(request: Request, name: TokenName) -> Response:
        """Show both NAVs of a token."""
        return answer(request, writing.nav_document(reads.picture(name)))

    @router.get(f"{one}/klines", response_model=list[documents.KlineRow], tags=["tokens"])
    async def klines(
        request: Request,
        name: TokenName,
        interval: Interval = "1m",
        start_ms: StartTime = 0,
        end_ms: EndTime = LAST_MS,
        limit: Limit = 500,
    ) -> Response:
        """List candles of the account NAV: minutes since the start, days from the strikes."""
        return await reads.klines(request, name, interval, (start_ms, end_ms, limit))


def _about_its_history(router: APIRouter, reads: Reads, *, public: bool) -> None:
    run = documents.Rebalance if public else documents.PrivateRebalance
    one = "/tokens/{tokenName}"

    @router.get(f"{one}/strikes", response_model=documents.Page[documents.Strike], tags=["history"])
    async def strikes(
        request: Request, name: TokenName, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
    ) -> Response:
        """List the daily NAVs of a token, the newest first."""
        return await reads.strikes(request, name, limit, cursor)

    @router.get(f"{one}/rebalances", response_model=_page_of(run), tags=["history"])
    async def rebalances(
        request: Request, name: TokenName, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
    ) -> Response:
        """List the runs of a token, the newest first."""
        return await reads.rebalances(request, name, limit, cursor)

    @router.get(
        f"{one}/consolidations",
        response_model=documents.Page[documents.Consolidation],
        tags=["history"],
    )
    async def consolidations(
        request: Request, name: TokenName, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
    ) -> Response:
        """List the merges and splits of a token, the newest first; a page may have no items."""
        return await reads.told(request, name, CONSOLIDATIONS, (limit, cursor))

    @router.get(
        f"{one}/distributions",
        response_model=documents.Page[documents.Distribution],
        tags=["history"],
    )
    async def distributions(
        request: Request, name: TokenName, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
    ) -> Response:
        """List the cash paid out to holders, the newest first; a page may have no items."""
        return await reads.told(request, name, DISTRIBUTIONS, (limit, cursor))

    @router.get(
        f"{one}/premiums", response_model=documents.Page[documents.PremiumStep], tags=["history"]
    )
    async def premiums(
        request: Request, name: TokenName, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
    ) -> Response:
        """List the changes of the premium's stage, the newest first; a page may have no items."""
        return await reads.told(request, name, PREMIUMS, (limit, cursor))


def _about_what_it_holds(router: APIRouter, reads: Reads) -> None:
    one = "/tokens/{tokenName}"

    @router.get(f"{one}/basket", response_model=documents.Basket, tags=["tokens"])
    async def basket(request: Request, name: TokenName) -> Response:
        """Show what a token holds, with margin and the way to liquidation."""
        return answer(request, reads.basket_of(name))

    @router.get(f"{one}/triggers", response_model=documents.Triggers, tags=["tokens"])
    async def triggers(request: Request, name: TokenName) -> Response:
        """List the prices at which each rule of a token fires, the nearest first."""
        return answer(request, triggers_document(reads.picture(name)))

    @router.get(f"{one}/fees", response_model=documents.Fees, tags=["tokens"])
    async def fees(request: Request, name: TokenName) -> Response:
        """Show what a token has paid so far."""
        return answer(request, writing.fees_document(reads.picture(name)))

    @router.get(
        f"{one}/decisions", response_model=documents.Page[documents.Decision], tags=["history"]
    )
    async def decisions(
        request: Request, name: TokenName, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
    ) -> Response:
        """List why a token traded and why not, the newest first."""
        return await reads.told(request, name, DECISIONS, (limit, cursor))
