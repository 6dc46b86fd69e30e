"""The dashboard: one static page, and its tables as plain HTML for readers without script."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TypeVar

from fastapi import APIRouter, Request, Response

from rebalancer.api import documents, writing
from rebalancer.api.assets import PAGE_POLICY, PAGE_PREFIX, Asset, asset, read_assets
from rebalancer.api.desk import DeskDoor
from rebalancer.api.pictures import Picture
from rebalancer.api.plain import PLAIN_PATH, Story, token_page, tokens_page
from rebalancer.api.problems import ApiProblem
from rebalancer.api.reading import (
    CONSOLIDATIONS,
    DECISIONS,
    DISTRIBUTIONS,
    PREMIUMS,
    Reads,
    Telling,
)
from rebalancer.api.routes import TokenName
from rebalancer.api.triggering import triggers_document
from rebalancer.store.reader import SqlReader

INDEX = "index.html"
#: the mark in the page that says which listener it came from
OPERATOR_MARK = b'data-listener="operator"'
PUBLIC_MARK = b'data-listener="public"'
#: what takes a reader without script to the tables; a listener that asks for a token has none
TO_PLAIN = b'<noscript><meta http-equiv="refresh" content="0; url=/plain"></noscript>\n'
#: rows of each list of a token
ROWS = 20
#: how often a list is looked for further back
LOOKS_MAX = 20
HTML = "text/html; charset=utf-8"

T = TypeVar("T", bound=documents.Document)


def dashboard_router(desk: DeskDoor, *, public: bool, guarded: bool) -> APIRouter:
    """Return the routes of the page; the public one shows neither positions nor commands.

    `guarded` says that the listener answers only with a token, which a browser without script
    cannot send.
    """
    assets = read_assets()
    body = assets[INDEX].body
    if public:
        body = body.replace(OPERATOR_MARK, PUBLIC_MARK)
    if guarded:
        body = body.replace(TO_PLAIN, b"")
    assets[INDEX] = asset(body, assets[INDEX].media_type)
    reads = Reads(desk, public=public)
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def index(request: Request) -> Response:
        return _send(request, assets[INDEX])

    @router.get(f"{PAGE_PREFIX}{{name}}")
    async def file(request: Request, name: str) -> Response:
        if name not in assets:
            raise ApiProblem(HTTPStatus.NOT_FOUND, "the page has no such file")
        return _send(request, assets[name])

    @router.get(PLAIN_PATH)
    async def plain() -> Response:
        """Show every token as one table of plain HTML."""
        tokens = [
            writing.token_document(picture, public=public) for picture in desk.board.in_order()
        ]
        return _plain(tokens_page(desk.mode, desk.clock.now_ms(), tokens))

    @router.get(f"{PLAIN_PATH}/{{tokenName}}")
    async def plain_token(name: TokenName) -> Response:
        """Show what a token is, holds and did as tables of plain HTML."""
        picture = reads.picture(name)
        told = await desk.store.read(lambda reader: _story(reader, picture, public=public))
        story = told if public else _with_holdings(told, picture, reads.basket_of(name))
        return _plain(token_page(desk.mode, desk.clock.now_ms(), story))

    return router


def _story(reader: SqlReader, picture: Picture, *, public: bool) -> Story:
    """Read what the records tell of a token."""
    name = picture.name
    return Story(
        token=writing.token_document(picture, public=public),
        rebalances=[
            writing.rebalance_document(row, public=public) for row in reader.runs(name, ROWS)
        ],
        strikes=[writing.strike_document(row) for row in reader.navs(name)[-ROWS:][::-1]],
        premiums=_newest(reader, PREMIUMS, name, documents.PremiumStep),
        consolidations=_newest(reader, CONSOLIDATIONS, name, documents.Consolidation),
        distributions=_newest(reader, DISTRIBUTIONS, name, documents.Distribution),
        decisions=None if public else _newest(reader, DECISIONS, name, documents.Decision),
    )


def _with_holdings(told: Story, picture: Picture, basket: documents.Basket) -> Story:
    """Add what is not for everybody and is not in the records."""
    return replace(
        told,
        basket=basket,
        triggers=triggers_document(picture),
        fees=writing.fees_document(picture),
    )


def _newest(reader: SqlReader, telling: Telling, name: str, kind: type[T]) -> list[T]:
    """Return the newest of a list, looked for further back where the first rows hold none."""
    found: list[T] = []
    before: int | None = None
    for _ in range(LOOKS_MAX):
        rows, before = reader.newest(telling.kinds, name, before, ROWS)
        told = (telling.write(row) for row in rows if telling.counts(row.record))
        found += [each for each in told if isinstance(each, kind)]
        if before is None or len(found) >= ROWS:
            break
    return found[:ROWS]


def _plain(text: str) -> Response:
    return _page(text.encode(), HTML, {"cache-control": "no-store"})


def _send(request: Request, found: Asset) -> Response:
    headers = {"etag": found.tag, "cache-control": "no-cache"}
    if found.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return _page(found.body, found.media_type, headers)


def _page(body: bytes, media_type: str, headers: dict[str, str]) -> Response:
    policy = {"content-security-policy": PAGE_POLICY}
    return Response(body, media_type=media_type, headers=headers | policy)
