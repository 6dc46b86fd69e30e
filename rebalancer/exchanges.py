"""ccxt as the desk uses it: opened without keys, told in our own words, read as exact decimals.

Shared by the live feed and the exchange venues. ccxt is imported only when an exchange is opened,
because that alone takes half a second and 100 MB.
"""

from __future__ import annotations

import asyncio
import difflib
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import tenacity

from rebalancer.core.contract import Contract
from rebalancer.core.money import ZERO, number, positive
from rebalancer.errors import ConfigRefused

T = TypeVar("T")

_NOT_LET_IN = "does not let us in: the key, its rights or this address"
#: what a failure means, by the nearest class of ccxt's tree that stands here
_IN_OUR_WORDS = {
    "RateLimitExceeded": "asks for fewer requests",
    "DDoSProtection": "asks for fewer requests",
    "OnMaintenance": "is under maintenance",
    "RequestTimeout": "did not answer in time",
    "TimeoutError": "did not answer in time",
    "NetworkError": "could not be reached",
    "PermissionDenied": _NOT_LET_IN,
    "AuthenticationError": _NOT_LET_IN,
    "BaseError": "refused the question",
}
#: the longest pause between two tries of a question
LONGEST_PAUSE_SECONDS = 2.0
#: which markets ccxt lists where its own choice asks for more than a desk can use: each of the
#: exchanges that others built on Hyperliquid is a question of its own, and every poll asks anew
_LISTED = {"hyperliquid": ["spot", "swap"]}
#: what reading an answer of the wrong shape raises; the last where it is nested without end
UNREADABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    RecursionError,
)


def _decimals(_price: object, of_size: int, at_most: int) -> int:
    """Return the decimals of a price. ccxt has fewer the higher the price is at the moment."""
    return at_most - of_size


#: methods of ccxt that ours take the place of: a tick that moves with the market is no tick
_INSTEAD: Mapping[str, Mapping[str, Any]] = {
    "hyperliquid": {"calculate_price_precision": _decimals},
}


def open_exchange(venue_id: str, endpoint: str = "") -> Any:
    """Return an exchange object of ccxt without credentials, or raise ConfigRefused.

    `endpoint` (scheme, host and port) takes the place of the venue's own in every address.
    """
    import ccxt.async_support as ccxt  # noqa: PLC0415 - half a second that only live prices cost

    return _opened(ccxt, venue_id, endpoint)


def open_streams(venue_id: str, endpoint: str = "") -> Any:
    """Return the same with streams, of ccxt.pro."""
    from ccxt import pro  # noqa: PLC0415 - as above

    return _opened(pro, venue_id, endpoint)


def refuse_unknown(venue_id: str) -> None:
    """Raise ConfigRefused as `open_exchange` would, without what is needed to ask a question."""
    import ccxt  # noqa: PLC0415 - as above

    _known(ccxt, venue_id)


def _opened(classes: Any, venue_id: str, endpoint: str) -> Any:
    exchange = _known(classes, venue_id)
    # Text keeps every digit. ccxt loses fields when it is given Decimal here.
    exchange.number = str
    exchange.on_json_response = exactly
    if venue_id in _LISTED:
        exchange.options["fetchMarkets"]["types"] = _LISTED[venue_id]
    for name, method in _INSTEAD.get(venue_id, {}).items():
        setattr(exchange, name, method)
    exchange.fetch_markets = partial(_any_market, exchange.fetch_markets)
    # Asking for currencies needs keys at some venues and tells nothing about perpetuals.
    exchange.has["fetchCurrencies"] = False
    if endpoint:
        exchange.urls = _moved(exchange.urls, endpoint)
    if endpoint.startswith("http://"):
        # What ccxt waits for when it closes is the end of TLS.
        exchange.timeout_on_exit = 0
    return exchange


async def _any_market(own: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """Return what a venue lists; nothing at all is a broken answer, and ccxt would believe it.

    It would forget every market until it is asked for them anew, and build no order meanwhile.
    """
    listed = await own(*arguments)
    if not listed:
        raise ValueError("a venue without a market")
    return listed


def _known(classes: Any, venue_id: str) -> Any:
    """Return a new object of ccxt for an exchange that it knows well enough, else ConfigRefused."""
    from ccxt import TICK_SIZE  # noqa: PLC0415 - as above

    if venue_id not in classes.exchanges:
        raise ConfigRefused(f"venue {venue_id!r}: unknown{nearest(venue_id, classes.exchanges)}")
    exchange = getattr(classes, venue_id)()
    if exchange.precisionMode != TICK_SIZE:
        raise ConfigRefused(f"venue {venue_id!r}: tells no lot and tick sizes through ccxt")
    return exchange


def exactly(text: str) -> Any:
    """Return a decoded document whose fractions are text still: some venues write prices bare.

    Raises ValueError where it is none, and where a key of it stands twice: which one is meant?
    """
    return json.loads(text, parse_float=str, object_pairs_hook=_each_once)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice")
    return document


def _moved(addresses: Any, endpoint: str) -> Any:
    """Return a tree of addresses with `endpoint` in the place of scheme, host and port of each."""
    if isinstance(addresses, Mapping):
        return {name: _moved(each, endpoint) for name, each in addresses.items()}
    if isinstance(addresses, list):
        return [_moved(each, endpoint) for each in addresses]
    if not isinstance(addresses, str):
        return addresses
    scheme, found, rest = addresses.partition("://")
    # http becomes ws and https wss, so that streams follow with the same care.
    origin = endpoint.replace("http", "ws", 1) if scheme in ("ws", "wss") else endpoint
    return origin + "".join(rest.partition("/")[1:]) if found else addresses


def read_retries(within_seconds: float, *, after_refusals: bool = True) -> tenacity.AsyncRetrying:
    """Return how a question that changes nothing is asked again after network failures.

    It is given a coroutine function: of a plain one the coroutine would never be awaited. Who has
    no limiter that stays away after "too many requests" does without `after_refusals`.
    """
    import ccxt.async_support as ccxt  # noqa: PLC0415 - loaded with the exchange already

    refusals = () if after_refusals else (ccxt.DDoSProtection, ccxt.RateLimitExceeded)

    def again(error: BaseException) -> bool:
        # An allow-list: anything wider would catch cancellation and go on asking.
        return isinstance(error, ccxt.NetworkError) and not isinstance(error, refusals)

    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(again),
        stop=tenacity.stop_after_delay(within_seconds / 2),
        wait=tenacity.wait_random_exponential(multiplier=0.25, max=LONGEST_PAUSE_SECONDS),
        reraise=True,
    )


async def persistently(once: Callable[[], Awaitable[T]], within_seconds: float) -> T:
    """Ask as `read_retries` says; the first try alone, as nearly every question needs no other."""
    import ccxt.async_support as ccxt  # noqa: PLC0415 - loaded with the exchange already

    begun = asyncio.get_running_loop().time()
    try:
        return await once()
    except ccxt.NetworkError as error:
        failed = [error]

    async def again() -> T:
        if failed:
            raise failed.pop()
        return await once()

    spent = asyncio.get_running_loop().time() - begun
    return await read_retries(within_seconds - 2 * spent)(again)


def in_our_words(error: BaseException) -> str:
    """Say what went wrong at a venue without quoting ccxt, whose texts hold whole requests."""
    for ancestor in type(error).__mro__:
        if ancestor.__name__ in _IN_OUR_WORDS:
            return _IN_OUR_WORDS[ancestor.__name__]
    return "gave an answer that cannot be read"


def contract_of(market: Mapping[str, Any], venue_id: str) -> Contract:
    """Return a market of ccxt as a contract; a missing size raises InputRefused."""
    symbol = market["symbol"]
    steps, limits = market.get("precision") or {}, market.get("limits") or {}

    def limit(name: str) -> Decimal:
        least = (limits.get(name) or {}).get("min")
        return ZERO if least is None else number(least, f"{venue_id} {symbol}: least {name}")

    return Contract(
        symbol=symbol,
        contract_size=positive(market.get("contractSize"), f"{venue_id} {symbol}: contract size"),
        lot=positive(steps.get("amount"), f"{venue_id} {symbol}: lot"),
        tick=positive(steps.get("price"), f"{venue_id} {symbol}: tick"),
        min_amount=limit("amount"),
        min_notional=limit("cost"),
    )


def nearest(name: str, names: Collection[str]) -> str:
    """Return a hint at the nearest of `names`, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; the nearest is {close[0]}" if close else ""
