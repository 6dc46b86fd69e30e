"""Client ids: how ours (26 characters of [a-z0-9] that start with "r") stand at each venue.

Every mapping is deterministic and has a way back, so that an order found at a venue is known for
ours without a table of ids.
"""

from __future__ import annotations

from rebalancer.errors import ensure
from rebalancer.venues.facts_shape import Certainty, ClientIds, IdScope

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_LENGTH = 26
_GATE_PREFIX = "t-"
_CLOID_BITS = 128


def same(client_order_id: str) -> str:
    """Return the id as it is."""
    return client_order_id


def to_gate(client_order_id: str) -> str:
    """Put Gate's mark of a custom text in front."""
    return _GATE_PREFIX + client_order_id


def from_gate(text: str) -> str:
    """Take Gate's mark of a custom text away."""
    return text.removeprefix(_GATE_PREFIX)


def to_cloid(client_order_id: str) -> str:
    """Return the id as Hyperliquid's 128 bits of hex.

    Our ids are "r" and 128 bits in base 36, the lowest digit first (`core.order`), so this is the
    same number written otherwise.
    """
    digits = client_order_id[1:]
    ensure(
        client_order_id[:1] == "r" and len(digits) == _LENGTH - 1,
        f"{client_order_id!r} is none of our client ids",
    )
    value = int(digits[::-1], len(_ALPHABET))
    ensure(value < 1 << _CLOID_BITS, f"{client_order_id!r} has more than 128 bits")
    return f"0x{value:032x}"


def from_cloid(cloid: str) -> str:
    """Return the id that `to_cloid` turned into `cloid`; what is no cloid comes back as it is."""
    try:
        value = int(cloid.removeprefix("0x"), 16)
    except ValueError:
        return cloid
    letters = []
    for _ in range(_LENGTH - 1):
        value, digit = divmod(value, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    return "r" + "".join(letters)


def _as_they_are(max_length: int, pattern: str, scope: IdScope, rule: str) -> ClientIds:
    return ClientIds(
        max_length=max_length,
        pattern=pattern,
        to_venue=same,
        from_venue=same,
        scope=scope,
        rule=rule,
        certainty=Certainty.DOCUMENTED,
    )


BINANCE = _as_they_are(
    36, r"[.A-Z:/a-z0-9_-]{1,36}", IdScope.OPEN_ORDERS, "unique among open orders"
)
BYBIT = _as_they_are(
    36, r"[A-Za-z0-9_-]{1,36}", IdScope.ALWAYS, '"always unique"; older text: until filled'
)
OKX = _as_they_are(
    32, r"[A-Za-z0-9]{1,32}", IdScope.OPEN_ORDERS, "letters and digits only; no hyphen"
)
GATE = ClientIds(
    max_length=30,
    pattern=r"t-[A-Za-z0-9_.-]{1,28}",
    to_venue=to_gate,
    from_venue=from_gate,
    scope=IdScope.UNKNOWN,
    rule='"t-" in front; ccxt puts it there unless the id starts with "t"',
    certainty=Certainty.CCXT_SOURCE,
)
XT = ClientIds(
    max_length=26,
    pattern=r"[a-z0-9]{1,26}",
    to_venue=same,
    from_venue=same,
    scope=IdScope.UNKNOWN,
    rule="passed through; the venue documents neither length nor uniqueness",
    certainty=Certainty.UNVERIFIED,
)
BITGET = _as_they_are(
    50, r"[A-Za-z0-9_#-]{1,50}", IdScope.UNKNOWN, "50 characters at the stricter endpoints"
)
KUCOIN = ClientIds(
    max_length=40,
    pattern=r"[A-Za-z0-9_-]{1,40}",
    to_venue=same,
    from_venue=same,
    scope=IdScope.UNKNOWN,
    rule="users say that it is unique among active orders only",
    certainty=Certainty.UNVERIFIED,
)
MEXC = _as_they_are(
    32, r"[A-Za-z0-9_-]{1,32}", IdScope.UNKNOWN, "32 characters at most (code 2030)"
)
HYPERLIQUID = ClientIds(
    max_length=34,
    pattern=r"0x[0-9a-f]{32}",
    to_venue=to_cloid,
    from_venue=from_cloid,
    scope=IdScope.UNKNOWN,
    rule="128 bits of hex: the number that our id spells in base 36",
    certainty=Certainty.DOCUMENTED,
)
