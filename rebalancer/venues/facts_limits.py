"""Rate limits of the venues: windows, what each kind of request takes of them, and how we know.

Figures are those of an account without any volume tier. Where sources differ the strictest counts.
Windows that a venue keeps per contract are left out where the desk cannot reach them: it has one
order at a time per contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rebalancer.venues import facts_weights as weights
from rebalancer.venues.facts_shape import Ask, Certainty, Limit, Limits
from rebalancer.venues.rates import Cost, Window

_SECOND, _MINUTE = 1_000, 60_000
_DOC, _CCXT, _SAID = Certainty.DOCUMENTED, Certainty.CCXT_SOURCE, Certainty.UNVERIFIED


def _limit(window: Window, per: str, source: str, certainty: Certainty) -> Limit:
    return Limit(window=window, per=per, source=source, certainty=certainty)


def _window(name: str, limit: int, length_ms: int, reserve: int = 0) -> Window:
    return Window(name=name, limit=limit, length_ms=length_ms, reserve=reserve)


def _every(name: str, **others: int) -> Mapping[Ask, Cost]:
    """Return costs of one unit of `name` per request, except for the kinds named otherwise."""
    return {ask: {name: others.get(ask.name.lower(), 1)} for ask in Ask}


def _each(cost: Cost) -> Callable[[int], Cost]:
    """Return the cost of a batch that counts as many single orders."""
    return lambda n: {name: units * n for name, units in cost.items()}


_BINANCE_ORDER = {"orders-10s": 1, "orders-1m": 1}
BINANCE = Limits(
    windows=(
        _limit(
            _window("orders-10s", 300, 10 * _SECOND),
            "account",
            "exchangeInfo rateLimits; the account's own: GET rateLimit/order",
            _DOC,
        ),
        _limit(_window("orders-1m", 1_200, _MINUTE), "account", "exchangeInfo rateLimits", _DOC),
        _limit(
            _window("weight-1m", 2_400, _MINUTE, reserve=800),
            "address",
            "exchangeInfo rateLimits; told in X-MBX-USED-WEIGHT-1M",
            _DOC,
        ),
    ),
    costs={
        Ask.ORDER: _BINANCE_ORDER,
        Ask.CANCEL: {"weight-1m": 1},
        Ask.QUERY: {"weight-1m": 1},
        # Of one contract; the open ones weigh 1, those of all contracts 40.
        Ask.ORDERS: {"weight-1m": 5},
        Ask.TRADES: {"weight-1m": 5},
        Ask.POSITIONS: {"weight-1m": 5},
        Ask.BALANCE: {"weight-1m": 5},
        Ask.FUNDING: {"weight-1m": 30},
        Ask.SETTINGS: {"weight-1m": 30},
        Ask.MARKETS: {"weight-1m": 1},
        Ask.CLOCK: {"weight-1m": 1},
        Ask.RATES: {"weight-1m": 1},
        Ask.PUBLIC: {"weight-1m": 40},
    },
    public=weights.BINANCE,
    batch=lambda n: {"orders-10s": n, "orders-1m": 1, "weight-1m": 5},
    counters={
        "x-mbx-used-weight-1m": "weight-1m",
        "x-mbx-order-count-10s": "orders-10s",
        "x-mbx-order-count-1m": "orders-1m",
    },
    too_many=frozenset({"-1003", "-1015"}),
    note="an order takes no weight; a batch counts once in the minute window",
)

BYBIT = Limits(
    windows=(
        _limit(_window("orders-1s", 10, _SECOND), "account", "rate limit rules, default", _DOC),
        _limit(
            _window("batch-1s", 10, _SECOND),
            "account",
            "rate limit rules: apart from single orders, counted by orders",
            _DOC,
        ),
        _limit(_window("cancels-1s", 10, _SECOND), "account", "rate limit rules", _DOC),
        _limit(_window("reads-1s", 10, _SECOND, reserve=4), "account", "10 to 50 a second", _SAID),
        _limit(
            _window("address-5s", 600, 5 * _SECOND, reserve=100),
            "address",
            "rate limit rules; beyond it the address is shut out for ten minutes",
            _DOC,
        ),
    ),
    costs={
        **{ask: {"reads-1s": 1, "address-5s": 1} for ask in Ask},
        Ask.ORDER: {"orders-1s": 1, "address-5s": 1},
        Ask.CANCEL: {"cancels-1s": 1, "address-5s": 1},
        Ask.MARKETS: {"address-5s": 2},
        Ask.CLOCK: {"address-5s": 1},
        Ask.RATES: {"address-5s": 1},
        Ask.PUBLIC: {"address-5s": 1},
    },
    batch=lambda n: {"batch-1s": n, "address-5s": 1},
    too_many=frozenset({"10006", "10018"}),
    note="told in X-Bapi-Limit-Status; VIP1 has 20, VIP2 40, VIP3 60 orders a second",
)

OKX = Limits(
    windows=(
        _limit(
            _window("orders-2s", 1_000, 2 * _SECOND),
            "sub-account",
            "new and amended orders, each of a batch counted",
            _DOC,
        ),
        _limit(
            _window("reads-2s", 10, 2 * _SECOND, reserve=4),
            "account",
            "the least of the account endpoints by ccxt's costs: positions, balance, bills",
            _CCXT,
        ),
        _limit(
            _window("queries-2s", 60, 2 * _SECOND),
            "account",
            "order, orders, fills by ccxt's costs",
            _CCXT,
        ),
        _limit(
            _window("public-2s", 20, 2 * _SECOND),
            "address and endpoint",
            "ccxt's costs: 20, or 10 of weight 2; here all share one window",
            _CCXT,
        ),
    ),
    costs={
        **{ask: {"reads-2s": 1} for ask in Ask},
        Ask.ORDER: {"orders-2s": 1},
        Ask.CANCEL: {"queries-2s": 1},
        Ask.QUERY: {"queries-2s": 1},
        Ask.ORDERS: {"queries-2s": 2},
        Ask.TRADES: {"queries-2s": 1},
        Ask.MARKETS: {"public-2s": 1},
        Ask.CLOCK: {"public-2s": 2},
        Ask.RATES: {"public-2s": 2},
        Ask.PUBLIC: {"public-2s": 2},
    },
    public=weights.OKX,
    batch=_each({"orders-2s": 1}),
    too_many=frozenset({"50011", "50061"}),
    note="60 orders, 300 in batches, per 2 s and contract as well: out of the desk's reach",
)

GATE = Limits(
    windows=(
        _limit(
            _window("orders-1s", 50, _SECOND),
            "account",
            "ccxt's cost of POST orders; announcements speak of 100",
            _CCXT,
        ),
        _limit(_window("cancels-1s", 50, _SECOND), "account", "as for orders", _CCXT),
        _limit(
            _window("reads-10s", 200, 10 * _SECOND, reserve=60),
            "account and endpoint",
            "announcement of January 2024",
            _DOC,
        ),
        _limit(_window("public-10s", 200, 10 * _SECOND), "address and endpoint", "the same", _DOC),
    ),
    costs={
        **{ask: {"reads-10s": 1} for ask in Ask},
        Ask.ORDER: {"orders-1s": 1},
        Ask.CANCEL: {"cancels-1s": 1},
        Ask.MARKETS: {"public-10s": 1},
        Ask.CLOCK: {"public-10s": 1},
        Ask.RATES: {"public-10s": 1},
        Ask.PUBLIC: {"public-10s": 1},
    },
    batch=_each({"orders-1s": 1}),
    too_many=frozenset({"TOO_FAST", "TOO_MANY_REQUESTS"}),
    note=(
        "above 86,400 requests a day with under 1 % filled, orders are held to 10 or 20 per 10 s; "
        "whether a batch counts once is not known"
    ),
)

XT = Limits(
    windows=(
        _limit(
            _window("requests-1s", 10, _SECOND, reserve=4),
            "account",
            "ccxt's note; the pages of the endpoints say 200 a second and key",
            _CCXT,
        ),
        _limit(
            _window("requests-1m", 900, _MINUTE, reserve=400),
            "address",
            "ccxt's note: 1,000, beyond which the account is locked for ten minutes",
            _CCXT,
        ),
    ),
    costs={
        **{ask: {"requests-1s": 1, "requests-1m": 1} for ask in Ask},
        # ccxt asks for liquidation prices besides, and for the markets that the desk cannot use.
        Ask.POSITIONS: {"requests-1s": 2, "requests-1m": 2},
        Ask.MARKETS: {"requests-1s": 3, "requests-1m": 3},
    },
    batch=_each({"requests-1s": 1, "requests-1m": 1}),
    too_many=frozenset({"429"}),
    note="a tenth of the minute is left unused, so that the lock-out is never reached",
)

_BITGET_PUBLIC = {"address-1m": 1, "public-1s": 1}
BITGET = Limits(
    windows=(
        _limit(_window("orders-1s", 10, _SECOND), "account", "Place Order page", _DOC),
        _limit(_window("cancels-1s", 10, _SECOND), "account", "Cancel Order page", _SAID),
        _limit(
            _window("reads-1s", 5, _SECOND, reserve=2),
            "account",
            "the least of the account endpoints: all positions",
            _CCXT,
        ),
        _limit(
            _window("address-1m", 6_000, _MINUTE, reserve=1_000), "address", "remembered", _SAID
        ),
        _limit(
            _window("public-1s", 20, _SECOND),
            "address and endpoint",
            "ccxt's costs of the market endpoints",
            _CCXT,
        ),
    ),
    costs={
        **{ask: {"reads-1s": 1, "address-1m": 1} for ask in Ask},
        Ask.ORDER: {"orders-1s": 1, "address-1m": 1},
        Ask.CANCEL: {"cancels-1s": 1, "address-1m": 1},
        Ask.MARKETS: {"address-1m": 6, "public-1s": 6},
        Ask.CLOCK: _BITGET_PUBLIC,
        Ask.RATES: _BITGET_PUBLIC,
        Ask.PUBLIC: _BITGET_PUBLIC,
    },
    batch=_each({"orders-1s": 1, "address-1m": 1}),
    too_many=frozenset({"429"}),
)

KUCOIN = Limits(
    windows=(
        _limit(
            _window("futures-30s", 2_000, 30 * _SECOND, reserve=600),
            "account",
            "rate limit page, VIP0; told in gw-ratelimit-remaining",
            _DOC,
        ),
        _limit(_window("public-30s", 2_000, 30 * _SECOND), "address", "rate limit page", _DOC),
    ),
    costs={
        **_every(
            "futures-30s",
            order=2,
            cancel=1,
            query=5,
            orders=2,
            trades=5,
            positions=2,
            balance=5,
            funding=5,
            settings=4,
        ),
        Ask.MARKETS: {"public-30s": 3},
        Ask.CLOCK: {"public-30s": 2},
        Ask.RATES: {"public-30s": 5},
        Ask.PUBLIC: {"public-30s": 10},
    },
    public=weights.KUCOIN,
    batch=lambda _n: {"futures-30s": 20},
    too_many=frozenset({"200002", "429000"}),
    note="weights are half of ccxt's costs; that of a batch is remembered (ccxt has it at 3)",
)

MEXC = Limits(
    windows=(
        _limit(
            _window("orders-2s", 20, 2 * _SECOND),
            "account and endpoint",
            "20 times in 2 s: profiles by others, and ccxt's cost",
            _CCXT,
        ),
        _limit(_window("cancels-2s", 20, 2 * _SECOND), "account and endpoint", "the same", _CCXT),
        _limit(
            _window("reads-2s", 20, 2 * _SECOND, reserve=6),
            "account and endpoint",
            "the same",
            _CCXT,
        ),
        _limit(
            _window("detail-5s", 1, 5 * _SECOND), "address", "ccxt's cost of contract/detail", _CCXT
        ),
    ),
    costs={
        **_every("reads-2s"),
        Ask.ORDER: {"orders-2s": 1},
        Ask.CANCEL: {"cancels-2s": 1},
        Ask.MARKETS: {"reads-2s": 2, "detail-5s": 1},
    },
    public=weights.MEXC,
    batch=_each({"orders-2s": 1}),
    too_many=frozenset({"510"}),
)

HYPERLIQUID = Limits(
    windows=(
        _limit(
            _window("weight-1m", 1_200, _MINUTE, reserve=300),
            "address",
            "rate limits page",
            _DOC,
        ),
    ),
    costs=_every(
        "weight-1m",
        query=2,
        orders=20,
        trades=20,
        positions=2,
        balance=2,
        funding=20,
        settings=20,
        markets=20,
        clock=2,
        rates=25,
        public=20,
    ),
    # Of open orders as well, though the page names ended ones only.
    rows={Ask.ORDERS: 20, Ask.TRADES: 20, Ask.FUNDING: 20},
    public=weights.HYPERLIQUID,
    batch=lambda n: {"weight-1m": 1 + n // 40},
    note=(
        "for 20 rows of a list one unit more; besides, a wallet has 10,000 actions and one more "
        "per USDC it ever traded, each order of a batch counted; then one in 10 s"
    ),
)
