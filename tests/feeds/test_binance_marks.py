"""Our reading of Binance's mark prices, with ccxt's own as the oracle."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import ccxt.pro
import pytest

from rebalancer.feeds.binance_marks import ARRAY_BEGIN, as_sent, decode, loads, quicken
from tests.factories import dice_of

COUNT = 500


def market(number: int) -> dict[str, Any]:
    base = f"C{number}"
    return {
        "id": f"{base}USDT", "symbol": f"{base}/USDT:USDT", "base": base, "quote": "USDT",
        "settle": "USDT", "type": "swap", "swap": True, "spot": False, "contract": True,
        "linear": True, "inverse": False, "active": True, "precision": {}, "limits": {}, "info": {},
    }  # fmt: skip


def frame(count: int = COUNT, at_ms: int = 1_760_000_000_000, seed: int = 0) -> str:
    """Return an array as Binance sends it, with numbers of all lengths."""
    dice = dice_of(seed)
    rows = [
        {
            "e": "markPriceUpdate", "E": at_ms + number % 3, "s": f"C{number}USDT",
            "p": f"{10 ** dice.uniform(-6, 6):.{dice.randint(0, 12)}f}",
            "i": f"{10 ** dice.uniform(-6, 6):.8f}", "P": "0.00", "r": "0.00010000",
            "T": at_ms + 3_600_000,
        }
        for number in range(count)
    ]  # fmt: skip
    return json.dumps(rows, separators=(",", ":"))


class Socket:
    """What a client of ccxt.pro needs of its socket."""

    def __init__(self, *waiting: str) -> None:
        self.url = "wss://fstream.binance.com/ws"
        self.subscriptions: dict[str, Any] = {}
        self.futures = set(waiting)
        self.resolved: dict[str, Any] = {}

    def resolve(self, result: Any, name: str) -> None:
        if name in self.futures:
            self.futures.remove(name)
            self.resolved[name] = result


def client() -> Any:
    made = ccxt.pro.binanceusdm()
    made.set_markets([market(number) for number in range(COUNT)])
    return made


@pytest.fixture
async def clients() -> AsyncIterator[tuple[Any, Any]]:
    """A client as it comes, and one that reads our way."""
    plain, quick = client(), client()
    quicken(quick)
    yield plain, quick
    await plain.close()
    await quick.close()


def test_an_array_begins_as_our_parser_expects_it() -> None:
    assert frame(1).startswith(ARRAY_BEGIN)
    assert loads(frame(3)) == json.loads(frame(3))


async def test_both_ways_of_reading_tell_the_same(clients: tuple[Any, Any]) -> None:
    """Of ccxt's numbers the text counts: it is asked to leave prices as they are."""
    plain, quick = clients
    for each in clients:
        each.handle_message(Socket(), loads(frame()))
    assert len(quick.tickers) == COUNT
    for symbol, row in quick.tickers.items():
        theirs = plain.tickers[symbol]
        assert as_sent(row) is row
        assert row == theirs["info"]
        told = as_sent(theirs)
        assert row["E"] == told["E"]
        assert (float(row["p"]), float(row["i"])) == (told["p"], told["i"])


@pytest.mark.parametrize("name", ["markPrice:markPrice@C7/USDT:USDT", "markPrices:markPrice"])
async def test_whoever_waits_is_told_as_ccxt_tells(clients: tuple[Any, Any], name: str) -> None:
    sockets = Socket(name), Socket(name)
    for each, socket in zip(clients, sockets, strict=True):
        each.handle_message(socket, loads(frame()))
    theirs, ours = (socket.resolved[name] for socket in sockets)
    if "e" in ours:
        assert ours == theirs["info"]
    else:
        assert {*ours} == {*theirs}


async def test_one_update_alone_is_read_too(clients: tuple[Any, Any]) -> None:
    quick = clients[1]
    quick.handle_message(Socket(), loads(frame(1))[0])
    assert [*quick.tickers] == ["C0/USDT:USDT"]


async def test_what_is_not_as_documented_is_left_to_ccxt(clients: tuple[Any, Any]) -> None:
    """Which fails on it, and then the socket ends, however the rows before it were read."""
    good, strange = loads(frame(2))
    del strange["e"]
    for each in clients:
        with pytest.raises(TypeError, match="concatenate"):
            each.handle_mark_prices(Socket(), [good, strange])
    assert clients[1].tickers["C0/USDT:USDT"]["info"] == good


async def test_a_price_that_is_missing_is_missing_for_both(clients: tuple[Any, Any]) -> None:
    row = loads(frame(1))[0]
    del row["i"]
    for each in clients:
        each.handle_message(Socket(), [row])
    plain, quick = (as_sent(each.tickers["C0/USDT:USDT"]) for each in clients)
    assert plain.get("i") is quick.get("i") is None


def test_contracts_that_nobody_knows_are_left_out() -> None:
    assert decode(loads(frame(3)), {"C1USDT": "C1/USDT:USDT"}).keys() == {"C1/USDT:USDT"}


async def test_no_last_price_is_lost_in_a_flood(clients: tuple[Any, Any]) -> None:
    """40,000 updates in a row, nobody taking any: each contract ends at its last one."""
    quick, socket, last = clients[1], Socket(), dict[str, str]()
    dice, rows = dice_of(1), loads(frame())
    for number in range(40_000):
        row = rows[dice.randrange(COUNT)] | {"p": f"{number}.5", "E": 1_760_000_000_000 + number}
        last[row["s"]] = row["p"]
        quick.handle_message(socket, row)
    assert {symbol: row["p"] for symbol, row in quick.tickers.items()} == {
        f"{name.removesuffix('USDT')}/USDT:USDT": price for name, price in last.items()
    }
