"""Each scripted fault puts on the wire what its name says, before or after the order is taken."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import ccxt
import pytest

from tests.loopback.clients import client
from tests.loopback.faults import Fault, Shape, Taken
from tests.loopback.presets import KEY, SECRET, binance
from tests.loopback.server import LoopbackVenue

BTC = "BTC/USDT:USDT"
HOLD_MS = 200


@pytest.fixture
async def venue() -> AsyncIterator[LoopbackVenue]:
    async with LoopbackVenue(binance()) as running:
        yield running


class Heard:
    """What a bare socket heard: the bytes, how it ended, and how long it took."""

    def __init__(self, data: bytes, end: str, took_ms: float) -> None:
        self.data, self.end, self.took_ms = data, end, took_ms
        self.head, _, self.body = data.partition(b"\r\n\r\n")
        self.status = self.head.partition(b"\r\n")[0].decode(errors="replace")
        lines = self.head.decode(errors="replace").split("\r\n")[1:]
        self.headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }


def place_order(venue: LoopbackVenue, client_id: str = "rfault") -> bytes:
    """Return the bytes of a signed order; the connection is to be closed after the answer."""
    query = urlencode(
        {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "MARKET",
            "quantity": "0.01",
            "newClientOrderId": client_id,
            "newOrderRespType": "RESULT",
            "timestamp": str(venue.now_ms()),
        }
    )
    signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
    return (
        f"POST /fapi/v1/order?{query}&signature={signature} HTTP/1.1\r\nHost: x\r\n"
        f"X-MBX-APIKEY: {KEY}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ).encode()


async def hear(venue: LoopbackVenue, request: bytes) -> Heard:
    loop = asyncio.get_running_loop()
    began = loop.time()
    reader, writer = await asyncio.open_connection("127.0.0.1", venue.port)
    writer.write(request)
    data, end = b"", "closed"
    try:
        async with asyncio.timeout(20):
            while piece := await reader.read(65536):
                data += piece
    except ConnectionResetError:
        end = "reset"
    finally:
        writer.close()
    return Heard(data, end, (loop.time() - began) * 1000)


def taken(venue: LoopbackVenue) -> int:
    return len(venue.core.accounts[KEY].orders)


@pytest.mark.parametrize("when", Taken)
@pytest.mark.parametrize("shape", Shape)
async def test_the_order_is_taken_when_the_fault_says_so(
    venue: LoopbackVenue, shape: Shape, when: Taken
):
    venue.faults.plan(Fault(shape=shape, taken=when, hold_ms=HOLD_MS, late_ms=30, path="order$"))
    await hear(venue, place_order(venue))
    if when is Taken.LATER:
        for _ in range(100):
            if taken(venue):
                break
            await asyncio.sleep(0.01)
    assert taken(venue) == (0 if when is Taken.NEVER else 1)
    assert [fault.shape for fault, _ in venue.faults.done] == [shape]


async def test_late_means_after_the_answer(venue: LoopbackVenue):
    venue.faults.plan(Fault(shape=Shape.UNKNOWN, taken=Taken.LATER, late_ms=300))
    heard = await hear(venue, place_order(venue))
    assert (heard.status, taken(venue)) == ("HTTP/1.1 503 Service Unavailable", 0)
    await asyncio.sleep(0.45)
    (order,) = venue.core.accounts[KEY].orders.values()
    assert order.created_ms - venue.calls[-1].at_ms >= 300


SILENT = {Shape.SILENCE: "closed", Shape.CLOSE: "closed", Shape.RESET: "reset"}


@pytest.mark.parametrize("shape", SILENT)
async def test_shapes_without_a_byte(venue: LoopbackVenue, shape: Shape):
    venue.faults.plan(Fault(shape=shape, hold_ms=HOLD_MS))
    heard = await hear(venue, place_order(venue))
    assert (heard.data, heard.end) == (b"", SILENT[shape])
    assert (heard.took_ms >= HOLD_MS) == (shape is Shape.SILENCE)


async def faulty(venue: LoopbackVenue, shape: Shape) -> Heard:
    venue.faults.plan(Fault(shape=shape, hold_ms=HOLD_MS))
    return await hear(venue, place_order(venue))


async def test_body_cut_short_by_close_and_by_reset(venue: LoopbackVenue):
    for shape, end in ((Shape.CUT_BODY, "closed"), (Shape.RESET_IN_BODY, "reset")):
        heard = await faulty(venue, shape)
        assert heard.status == "HTTP/1.1 200 OK"
        assert 0 < len(heard.body) < int(heard.headers["content-length"])
        assert heard.end == end


async def test_chunks_without_the_last(venue: LoopbackVenue):
    heard = await faulty(venue, Shape.CUT_CHUNK)
    assert heard.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in heard.headers
    size, _, rest = heard.body.partition(b"\r\n")
    assert len(rest) == int(size, 16) + 2
    assert not heard.body.endswith(b"0\r\n\r\n")


async def test_garbage_status_and_lonely_informational(venue: LoopbackVenue):
    assert not (await faulty(venue, Shape.GARBAGE_STATUS)).status.startswith("HTTP/")
    heard = await faulty(venue, Shape.ONLY_INFORMATIONAL)
    assert heard.data == b"HTTP/1.1 102 Processing\r\n\r\n"


async def test_slow_bytes_are_whole_in_the_end(venue: LoopbackVenue):
    for shape in (Shape.SLOW_HEADERS, Shape.SLOW_BODY):
        heard = await faulty(venue, shape)
        assert heard.took_ms >= HOLD_MS * 0.9
        assert json.loads(heard.body)["clientOrderId"] == "rfault"


async def test_wrong_length_and_false_gzip(venue: LoopbackVenue):
    heard = await faulty(venue, Shape.WRONG_LENGTH)
    assert len(heard.body) == int(heard.headers["content-length"]) + 3
    heard = await faulty(venue, Shape.BROKEN_GZIP)
    assert heard.headers["content-encoding"] == "gzip"
    assert heard.body.startswith(b"{")


CONTENTS = {
    Shape.EMPTY: b"",
    Shape.NULL: b"null",
    Shape.EMPTY_OBJECT: b"{}",
    Shape.NAN: b"NaN",
}


@pytest.mark.parametrize("shape", CONTENTS)
async def test_answers_without_content(venue: LoopbackVenue, shape: Shape):
    heard = await faulty(venue, shape)
    assert (heard.status, heard.body) == ("HTTP/1.1 200 OK", CONTENTS[shape])


async def test_html_no_content_and_redirects(venue: LoopbackVenue):
    heard = await faulty(venue, Shape.HTML)
    assert (heard.status, heard.headers["content-type"]) == ("HTTP/1.1 200 OK", "text/html")
    heard = await faulty(venue, Shape.NO_CONTENT)
    assert (heard.status, heard.body) == ("HTTP/1.1 204 No Content", b"")
    heard = await faulty(venue, Shape.REDIRECT)
    assert (heard.status, heard.headers["location"]) == ("HTTP/1.1 302 Found", "/moved")
    heard = await faulty(venue, Shape.REDIRECT_REPEATED)
    assert heard.status == "HTTP/1.1 307 Temporary Redirect"
    assert heard.headers["location"].startswith("/fapi/v1/order?symbol=BTCUSDT")


async def test_lies_about_the_order(venue: LoopbackVenue):
    heard = await faulty(venue, Shape.DUPLICATE_KEYS)
    pairs = json.loads(heard.body, object_pairs_hook=list)
    ids = [value for name, value in pairs if name == "orderId"]
    assert len(ids) == 2
    assert ids[0] != ids[1]
    honest = (await hear(venue, place_order(venue, "rhonest"))).body
    heard = await faulty(venue, Shape.OTHER_ORDER)
    other = json.loads(heard.body)
    assert other["clientOrderId"] != "rfault"
    assert other.keys() == json.loads(honest).keys()
    heard = await faulty(venue, Shape.WRONG_SYMBOL)
    assert json.loads(heard.body)["symbol"] == "DOGEUSDT"


STATUSES = {
    Shape.ERROR_IN_200: (200, -1001),
    Shape.UNAUTHORIZED: (401, -2015),
    Shape.FORBIDDEN: (403, None),
    Shape.TIMEOUT: (408, -1007),
    Shape.BANNED: (418, -1003),
    Shape.TOO_MANY: (429, -1003),
    Shape.BAD_GATEWAY: (502, None),
    Shape.UNKNOWN: (503, -1),
    Shape.BUSY: (503, -1008),
    Shape.GATEWAY_TIMEOUT: (504, None),
    Shape.NO_MARGIN: (400, -2019),
}


@pytest.mark.parametrize("shape", STATUSES)
async def test_statuses_and_codes(venue: LoopbackVenue, shape: Shape):
    heard = await faulty(venue, shape)
    status, code = STATUSES[shape]
    assert heard.status.split()[1] == str(status)
    if code is None:
        assert heard.headers["content-type"] == "text/html"
    else:
        assert json.loads(heard.body)["code"] == code
    assert ("retry-after" in heard.headers) == (status in (418, 429))


async def test_a_pretended_ban_names_its_end(venue: LoopbackVenue):
    heard = await faulty(venue, Shape.BANNED)
    until = int(json.loads(heard.body)["msg"].rpartition(" ")[2].strip("."))
    assert until - venue.now_ms() == pytest.approx(120_000, abs=2000)
    assert heard.headers["retry-after"] == "120"


def test_every_shape_is_looked_at():
    others = {
        Shape.HONEST, Shape.RESET_IN_BODY, Shape.CUT_BODY, Shape.CUT_CHUNK, Shape.GARBAGE_STATUS,
        Shape.ONLY_INFORMATIONAL, Shape.SLOW_HEADERS, Shape.SLOW_BODY, Shape.WRONG_LENGTH,
        Shape.BROKEN_GZIP, Shape.HTML, Shape.NO_CONTENT, Shape.REDIRECT, Shape.REDIRECT_REPEATED,
        Shape.DUPLICATE_KEYS, Shape.OTHER_ORDER, Shape.WRONG_SYMBOL, Shape.PARTIAL_BATCH,
    }  # fmt: skip
    assert {*SILENT, *CONTENTS, *STATUSES, *others} == set(Shape)


async def test_faults_fit_by_method_path_and_count(venue: LoopbackVenue):
    venue.faults.plan(Fault(shape=Shape.NULL, method="POST", path="order$", times=2, skip=1))
    bodies = [(await hear(venue, place_order(venue, f"r{n}"))).body for n in range(4)]
    assert [body == b"null" for body in bodies] == [False, True, True, False]
    venue.faults.plan(Fault(shape=Shape.NULL, method="GET"))
    assert (await hear(venue, place_order(venue, "r9"))).body != b"null"
    venue.faults.clear()
    assert venue.faults.planned == []


async def test_a_copy_answers_what_never_happened(venue: LoopbackVenue):
    venue.faults.plan(Fault(shape=Shape.HONEST, taken=Taken.NEVER))
    heard = await hear(venue, place_order(venue))
    assert json.loads(heard.body)["status"] == "FILLED", "a lie that looks like the truth"
    assert taken(venue) == 0


#: what the unmodified client makes of a fault: a class, or an order without an id
MADE_OF: dict[Shape, type[Exception] | None] = {
    Shape.SILENCE: ccxt.RequestTimeout,
    Shape.CLOSE: ccxt.ExchangeNotAvailable,
    Shape.RESET: ccxt.ExchangeNotAvailable,
    Shape.CUT_BODY: ccxt.ExchangeError,
    Shape.CUT_CHUNK: ccxt.ExchangeError,
    Shape.GARBAGE_STATUS: ccxt.ExchangeError,
    Shape.BROKEN_GZIP: ccxt.ExchangeError,
    Shape.HTML: None,
    Shape.EMPTY: None,
    Shape.NULL: None,
    Shape.EMPTY_OBJECT: None,
    Shape.NAN: None,
    Shape.NO_CONTENT: None,
    Shape.REDIRECT: None,
    Shape.WRONG_LENGTH: ccxt.ExchangeError,
    Shape.UNKNOWN: ccxt.ExchangeError,
    Shape.TIMEOUT: ccxt.RequestTimeout,
    Shape.BANNED: ccxt.DDoSProtection,
    Shape.TOO_MANY: ccxt.DDoSProtection,
    Shape.GATEWAY_TIMEOUT: ccxt.RequestTimeout,
}


@pytest.mark.parametrize("shape", MADE_OF)
async def test_what_ccxt_makes_of_an_order_that_was_taken(venue: LoopbackVenue, shape: Shape):
    async with client(venue, "binanceusdm", timeout_ms=500) as exchange:
        await exchange.load_markets()
        venue.faults.plan(Fault(shape=shape, hold_ms=2000))
        expected = MADE_OF[shape]
        if expected is None:
            order = await exchange.create_order(BTC, "market", "buy", 0.01)
            assert order["id"] is None
        else:
            with pytest.raises(ccxt.BaseError) as caught:
                await exchange.create_order(BTC, "market", "buy", 0.01)
            assert type(caught.value) is expected
    assert taken(venue) == 1


async def test_a_repeated_redirect_makes_ccxt_send_the_order_twice(venue: LoopbackVenue):
    """Clients follow a 307 with the same body: one call of create_order, two orders."""
    async with client(venue, "binanceusdm") as exchange:
        await exchange.load_markets()
        venue.faults.plan(Fault(shape=Shape.REDIRECT_REPEATED))
        await exchange.create_order(BTC, "market", "buy", 0.01, None, {"clientOrderId": "ronce"})
    assert taken(venue) == 2


async def test_partial_batch_hides_orders_that_were_taken(venue: LoopbackVenue):
    wish = {"symbol": BTC, "type": "market", "side": "buy", "amount": 0.01}
    async with client(venue, "binanceusdm") as exchange:
        await exchange.load_markets()
        venue.faults.plan(Fault(shape=Shape.PARTIAL_BATCH, path="batchOrders"))
        shown = await exchange.create_orders([wish] * 5)
    assert (len(shown), taken(venue)) == (2, 5)


async def test_maintenance_answers_everything(venue: LoopbackVenue):
    async with client(venue, "binanceusdm") as exchange:
        await exchange.load_markets()
        venue.maintenance = True
        with pytest.raises(ccxt.ExchangeError, match="-1016"):
            await exchange.create_order(BTC, "market", "buy", 0.01)
        venue.maintenance = False
        await exchange.fetch_balance()
    assert taken(venue) == 0
