"""The dashboard: one static page, and the same table as plain HTML for readers without script."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from html import escape
from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from rebalancer.api.assets import PAGE_POLICY, PAGE_PREFIX, Asset, asset, read_assets
from rebalancer.api.desk import DeskDoor
from rebalancer.api.pictures import Picture
from rebalancer.api.problems import ApiProblem
from rebalancer.api.writing import nav_state
from rebalancer.core.instant import iso

PLAIN_PATH = "/plain"
INDEX = "index.html"
#: the mark in the page that says which listener it came from
OPERATOR_MARK = b'data-listener="operator"'
PUBLIC_MARK = b'data-listener="public"'
_COLUMNS = (
    "Token",
    "NAV",
    "Formula NAV",
    "NAV is",
    "Leverage",
    "Target",
    "Band",
    "Issued",
    "Next rebalance (UTC)",
    "State",
)


def dashboard_router(desk: DeskDoor, *, public: bool) -> APIRouter:
    """Return the routes of the page; the public one shows neither positions nor commands."""
    assets = read_assets()
    if public:
        body = assets[INDEX].body.replace(OPERATOR_MARK, PUBLIC_MARK)
        assets[INDEX] = asset(body, assets[INDEX].media_type)
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
        text = plain_page(desk.mode, desk.clock.now_ms(), desk.board.in_order())
        return _page(text.encode(), "text/html; charset=utf-8", {"cache-control": "no-store"})

    return router


def _send(request: Request, found: Asset) -> Response:
    headers = {"etag": found.tag, "cache-control": "no-cache"}
    if found.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return _page(found.body, found.media_type, headers)


def _page(body: bytes, media_type: str, headers: dict[str, str]) -> Response:
    policy = {"content-security-policy": PAGE_POLICY}
    return Response(body, media_type=media_type, headers=headers | policy)


def plain_page(mode: str, now_ms: int, pictures: Iterable[Picture]) -> str:
    """Return the table of tokens as a whole HTML document."""
    heads = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    rows = "".join(_row(picture) for picture in pictures)
    at = escape(iso(now_ms)[:19].replace("T", " "))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>rebalancer: tokens</title>'
        f'<link rel="stylesheet" href="{PAGE_PREFIX}style.css"></head><body class="plain"><main>'
        f"<h1>Tokens, {escape(mode)} desk</h1><p>As of {at} UTC. Load the page again for newer "
        'numbers; <a href="/">the dashboard</a> updates by itself.</p><div class="scroll" '
        'tabindex="0" role="region" aria-label="Table of tokens"><table>'
        f"<caption>NAV and leverage of each token</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div></main></body></html>"
    )


def _row(picture: Picture) -> str:
    view, band = picture.view, picture.fund.methodology.leverage_band
    due = "-" if view.next_fixed_ms is None else iso(view.next_fixed_ms)[:16].replace("T", " ")
    cells = (
        _number(view.nav, 4),
        _number(view.formula_nav, 4),
        nav_state(picture),
        _number(view.leverage, 3),
        _number(view.target_leverage, 2),
        f"{_number(band.lower, 2)} to {_number(band.upper, 2)}" if band else "-",
        _number(view.shares, 2),
        due,
        f"{view.trading} {picture.state_reason}".strip(),
    )
    head = f'<th scope="row">{escape(view.fund)}</th>'
    return "<tr>" + head + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _number(value: Decimal | None, places: int) -> str:
    return "-" if value is None else f"{value:,.{places}f}"
