"""The page as it is served: what is in it, who may have it, and the table without script."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from rebalancer.api import writing
from rebalancer.api.access import Gate, Policy
from rebalancer.api.app import create_app
from rebalancer.api.assets import PAGE_PATHS, PAGE_POLICY, PAGE_PREFIX, read_assets
from rebalancer.api.plain import Story, Table, price, token_page, tokens_page
from rebalancer.api.tokens import Keyring
from rebalancer.clock import VirtualClock
from tests.api.rig import published
from tests.factories import NOON, fund
from tests.factories import desk as make_desk

FILES = {name: found.body.decode() for name, found in read_assets().items()}
FIRST_PAINT_BYTES_MAX = 100_000


async def test_the_page_comes_with_its_own_policy_and_no_other(tmp_path: Path) -> None:
    async with published(tmp_path) as desk:
        for path in ["/", *(PAGE_PREFIX + name for name in FILES), "/plain"]:
            answer = await desk.private.get(path)
            assert answer.status_code == 200
            assert answer.headers.get_list("content-security-policy") == [PAGE_POLICY]
            assert answer.headers["x-content-type-options"] == "nosniff"


async def test_what_is_known_already_is_not_sent_again(tmp_path: Path) -> None:
    async with published(tmp_path) as desk:
        first = await desk.private.get("/page/main.js")
        again = await desk.private.get(
            "/page/main.js", headers={"if-none-match": first.headers["etag"]}
        )
        assert (first.headers["content-type"], again.status_code, again.content) == (
            "text/javascript; charset=utf-8",
            304,
            b"",
        )


@pytest.mark.parametrize("path", ["/page/nothing.js", "/page/", "/page/..%2fapp.py", "/page"])
async def test_nothing_but_the_files_of_the_page_is_served(tmp_path: Path, path: str) -> None:
    async with published(tmp_path) as desk:
        answer = await desk.private.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (
            404,
            "application/problem+json",
        )


async def test_the_page_knows_which_listener_it_came_from(tmp_path: Path) -> None:
    async with published(tmp_path) as desk:
        for client, listener in ((desk.private, "operator"), (desk.public, "public")):
            assert f'data-listener="{listener}"' in (await client.get("/")).text


async def test_the_page_may_be_had_without_a_token_and_no_figure_may(tmp_path: Path) -> None:
    """Its own script asks for the token, so that it must be there before one is."""

    async def inside(_scope: object, _receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b"in"})  # type: ignore[operator]

    policy = Policy(hosts=frozenset({"localhost"}), needs_token=True)
    gate = Gate(inside, policy, Keyring(tmp_path / "tokens"), VirtualClock(NOON))
    transport = httpx.ASGITransport(gate)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert {(await client.get(path)).status_code for path in PAGE_PATHS} == {200}
        for path in ("/plain", "/api/v1/tokens", "/page/other"):
            assert (await client.get(path)).status_code == 401


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    page = FILES["index.html"]
    assert not re.findall(r"\sstyle=|\son[a-z]+=|<style|<script(?! type=\"module\" src=)", page)
    for name, text in FILES.items():
        addresses = set(re.findall(r"(?:https?:)?//[a-z][^\s\"'`)]*", text))
        assert addresses <= {"http://www.w3.org/2000/svg"} | {a for a in addresses if " " in a}, (
            name
        )
        assert "innerHTML" not in text
        assert "eval(" not in text


def test_every_file_that_is_named_exists_and_every_file_is_named() -> None:
    named = set(re.findall(r"/page/([a-z]+\.[a-z]+)", FILES["index.html"]))
    for name, text in FILES.items():
        if name.endswith(".js"):
            named |= set(re.findall(r'from "\./([a-z]+\.js)"', text))
    assert named == set(FILES) - {"index.html"}


def test_first_paint_is_small() -> None:
    assert sum(len(text.encode()) for text in FILES.values()) < FIRST_PAINT_BYTES_MAX


def cells_of(text: str, first: str) -> list[str]:
    """Return what stands in the row of a page that begins with this."""
    row = re.search(rf'<tr><th scope="row"[^>]*>(?:<a[^>]*>)?{first}(?:</a>)?</th>(.*?)</tr>', text)
    assert row is not None, first
    return re.findall("<td[^>]*>(.*?)</td>", row[1])


async def test_the_plain_table_has_the_numbers_without_script(tmp_path: Path) -> None:
    async with published(tmp_path) as desk:
        await desk.price(110)
        for client in (desk.private, desk.public):
            text = (await client.get("/plain")).text
            cells = cells_of(text, "BTC3L")
            # 3x of 10 % on top of 100; 330 of exposure on 130.
            assert cells[:5] == ["130.0000", "130.0000", "LIVE", "2.538", "3.00"]
            assert cells[-1] == "active"
            assert "<caption>" in text
            assert "paper desk" in text
            assert '<a href="/plain/BTC3L">' in text


async def test_the_plain_page_of_a_token_tells_what_it_holds_and_did(tmp_path: Path) -> None:
    known = make_desk(fund("BTC3L", 3, initial_shares=Decimal(1)))
    async with published(tmp_path, known) as desk:
        await desk.price(110)
        text = (await desk.private.get("/plain/BTC3L")).text
    assert cells_of(text, "BTC/USDT:USDT")[0] == "1.0000", "the basket"
    position = cells_of(text.split("<caption>Positions</caption>")[1], "BTC/USDT:USDT")
    assert position[:3] == ["3.0000", "110.0000", "330.00"]
    triggers = text.split("<caption>Trigger prices</caption>")[1]
    # The losing side of min(15 %, 45 % / 3) from 100.
    assert cells_of(triggers, "price_move") == [
        "mark of BTC/USDT:USDT at or below 85.0000",
        "-22.73 %",
    ]
    assert "launch" in text.split("<caption>Rebalances</caption>")[1]
    assert "<caption>Paid so far" in text
    assert "No market of this token is watched." in text


async def test_the_plain_page_hides_from_the_public_what_is_held(tmp_path: Path) -> None:
    async with published(tmp_path) as desk:
        text = (await desk.public.get("/plain/BTC3L")).text
        assert (await desk.public.get("/plain/BTC9L")).status_code == 404
    assert "<caption>Basket</caption>" in text
    assert "<caption>Rebalances</caption>" in text
    for hidden in ("Positions", "Trigger prices", "Paid so far", "Decisions", "Slippage", "Traded"):
        assert hidden not in text


async def test_a_reader_without_script_is_taken_to_the_tables_where_no_token_is_asked_for(
    tmp_path: Path,
) -> None:
    led = 'http-equiv="refresh" content="0; url=/plain"'
    async with published(tmp_path) as desk:
        for client in (desk.private, desk.public):
            assert led in (await client.get("/")).text
        guarded = create_app(desk.service._desk, public=False, metrics=None, guarded=True)
        transport = httpx.ASGITransport(guarded)
        async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
            page = (await client.get("/")).text
    assert led not in page
    assert 'href="/plain"' in page


async def test_what_an_operator_wrote_cannot_become_part_of_the_page(tmp_path: Path) -> None:
    async with published(tmp_path) as desk:
        picture = desk.service.board.in_order()[0]
        marked = replace(picture, state_reason='halted: <script src="//x">')
        token = writing.token_document(marked, public=False)
        for text in (
            tokens_page("paper", NOON, [token]),
            token_page("paper", NOON, Story(token=token)),
            Table('"<script>"', ("<script>",), [["<script>"]], links=['"><script>']).html(),
        ):
            assert "<script" not in text
            assert "&lt;script" in text


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("57812.4", "57,812.40"),
        ("3.14159", "3.1416"),
        ("0.1412345", "0.14123"),
        ("0.000012345678", "0.000012346"),
        ("0", "0.00"),
        (None, "\N{EN DASH}"),
    ],
)
def test_a_price_keeps_five_significant_digits(told: str | None, shown: str) -> None:
    assert price(told) == shown


async def test_a_candle_carries_the_ideal_beside_the_nav(tmp_path: Path) -> None:
    """The tenth number, which BLVT clients ignore: the page draws both lines from one answer."""
    async with published(tmp_path) as desk:
        await desk.price(110)
        (row,) = (await desk.private.get("/api/v1/tokens/BTC3L/klines")).json()
        assert len(row) == 12
        assert (Decimal(row[4]), Decimal(row[9])) == (Decimal(130), Decimal(130))
