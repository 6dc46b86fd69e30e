"""What each venue tells of an account where ccxt's unified answers leave it out or mix it up.

Beside the rows of `facts.py`: which number is equity, where the books and the rights of a key are
read, and which settings come for all contracts in one answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class KeyRights:
    """What a key may do besides trading, and from where."""

    may_withdraw: bool
    bound_to_address: bool


ReadHedged = Callable[[Any, str], Awaitable[bool | None]]
"""Asks a ccxt exchange whether the book of a symbol is two; None where it is not told."""
ReadRights = Callable[[Any], Awaitable[KeyRights]]
ReadEquity = Callable[[Any, str], Any]
"""Reads the equity of a currency from ccxt's balance answer."""
NamePositions = Callable[[str, list[str] | None], tuple[Any, ...]]
"""Returns the arguments of `fetch_positions` for a quote currency and its contracts, if listed."""
ReadLeverage = Callable[[Mapping[str, Any]], Any]
"""Reads the leverage of one of ccxt's positions; None or nought where it does not tell."""
ReadSide = Callable[[Mapping[str, Any]], Any]
"""Reads the side of one of ccxt's orders, "buy" or "sell"."""
ReadLeverages = Callable[[Any], Collection[Any]]
"""Reads those of a contract, two where its books differ, from the venue's own answer."""


_KEYS: Mapping[str, str] = MappingProxyType({"apiKey": "api_key", "secret": "secret"})


def _total(balance: Any, currency: str) -> Any:
    return balance[currency]["total"]


def _named(_quote: str, symbols: list[str] | None) -> tuple[Any, ...]:
    return (symbols,)


def _set_leverage(told: Any) -> Collection[Any]:
    return [told["leverage"]]


def _set_leverages(told: Any) -> Collection[Any]:
    return [each["leverage"] for each in told]


def _okx_set_leverages(told: Any) -> Collection[Any]:
    return [each["lever"] for each in told]


def _bitget_set_leverages(told: Any) -> Collection[Any]:
    cross = told["marginMode"] == "crossed"
    names = ("crossedMarginLeverage",) if cross else ("isolatedLongLever", "isolatedShortLever")
    return [told[name] for name in names]


def _side(order: Mapping[str, Any]) -> Any:
    return order["side"]


#: open long, close short, open short, close long; ccxt passes the last two on as they are and takes
#: the second for a sale
_MEXC_SIDES: Mapping[str, str] = MappingProxyType(
    {"1": "buy", "2": "buy", "3": "sell", "4": "sell"}
)


def _mexc_side(order: Mapping[str, Any]) -> Any:
    return _MEXC_SIDES[str(order["info"]["side"])]


def _leverage(position: Mapping[str, Any]) -> Any:
    return position.get("leverage")


@dataclass(frozen=True, slots=True)
class Bound:
    """The parameter that names the newest instant of a list, and what it counts in."""

    name: str
    unit_ms: int = 1

    def at(self, at_ms: int) -> Mapping[str, int]:
        """Return the parameter for an instant, which the list still holds."""
        return {self.name: -(-at_ms // self.unit_ms)}


UNTIL = Bound("until")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFacts:
    """How one list of an account is asked for, page by page."""

    #: how it is bounded above, where ccxt's own parameter does not reach the venue; None: not
    until: Bound | None = UNTIL
    #: rows asked for at once, which the venue gives where there are so many
    page: int = 100
    #: the parameter that names the oldest instant, where ccxt's own does not reach the venue
    since: str = ""
    #: what the venue counts that instant in. By a later one ccxt would drop rows of the answer, and
    #: a page would look shorter than it was
    grain_ms: int = 1
    params: Mapping[str, Any] = field(default_factory=dict)
    #: the parameter that counts pages, newest first; "": none, the instants of rows lead on
    number: str = ""
    #: rows of all contracts that the venue keeps: of so many the oldest may be gone; None: all
    keeps: int | None = None
    #: whether it is asked for by contract. Of rows of all contracts ccxt would put the name that
    #: it was asked for on every one, or drop the others, and a page would look shorter than it was
    named: bool = True
    #: asks in ccxt's stead, with its arguments and its shape of rows
    read: Callable[..., Awaitable[list[Any]]] | None = None

    def begin_ms(self, at_ms: int) -> int:
        """Return the instant from which the venue lists, if asked for `at_ms`."""
        return at_ms - at_ms % self.grain_ms

    def bounds(self, at_ms: int) -> Mapping[str, int]:
        """Return the parameters by which the list ends with an instant."""
        return self.until.at(at_ms) if self.until else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """One venue's ways of telling an account."""

    #: parameters of `fetch_balance`: at most venues ccxt would ask for the spot wallet
    balance_params: Mapping[str, Any] = field(default_factory=dict)
    equity: ReadEquity = _total
    #: whether that number leaves out the profit of open positions
    equity_is_wallet: bool = False
    #: where ccxt has no `fetch_position_mode`
    hedged: ReadHedged | None = None
    #: ccxt methods that read the setting of every contract in one request; "" = one by one
    margin_modes: str = ""
    leverages: str = ""
    key_rights: ReadRights | None = None
    trades: ListFacts = ListFacts()
    funding: ListFacts = ListFacts()
    #: what turns the venue's number into a payment that is below zero where it was paid
    funding_sign: int = 1
    positions: NamePositions = _named
    order_side: ReadSide = _side
    leverage: ReadLeverage = _leverage
    #: the same from what ccxt's `fetch_leverage` cuts to whole numbers
    set_leverages: ReadLeverages = _set_leverage
    #: the keys of the configuration by ccxt's names of them
    keys: Mapping[str, str] = field(default_factory=lambda: _KEYS)


def _bybit_positions(quote: str, _symbols: list[str] | None) -> tuple[Any, ...]:
    # By name ccxt asks for one contract only; by coin the venue tells every one that is held.
    return (None, {"settleCoin": quote})


def _okx_positions(_quote: str, _symbols: list[str] | None) -> tuple[Any, ...]:
    # The venue takes ten names at most.
    return (None, {"instType": "SWAP"})


def _gate_leverage(position: Mapping[str, Any]) -> Any:
    # Nought means cross, and the leverage then stands beside it.
    told = position["info"] if position.get("marginMode") == "cross" else {}
    return told.get("cross_leverage_limit", _leverage(position))


async def _bybit_hedged(exchange: Any, symbol: str) -> bool | None:
    # Asked for one contract, the venue shows its books even while they are empty.
    told = {row.get("hedged") for row in await exchange.fetch_positions([symbol])} - {None}
    return told.pop() if len(told) == 1 else None


async def _gate_hedged(exchange: Any, symbol: str) -> bool | None:
    settle = exchange.market(symbol)["settleId"]
    answer = await exchange.privateFuturesGetSettleAccounts({"settle": settle})
    return flag(answer.get("in_dual_mode"))


async def _bitget_hedged(exchange: Any, symbol: str) -> bool | None:
    mode = (await exchange.fetch_margin_mode(symbol))["info"].get("posMode")
    return {"hedge_mode": True, "one_way_mode": False}.get(mode)


async def _binance_rights(exchange: Any) -> KeyRights:
    answer = await exchange.sapiGetAccountApiRestrictions()
    return KeyRights(
        # A transfer to another customer takes money away as well.
        may_withdraw=certain(answer["enableWithdrawals"])
        or certain(answer.get("enableInternalTransfer", False)),
        bound_to_address=certain(answer["ipRestrict"]),
    )


async def _bybit_rights(exchange: Any) -> KeyRights:
    told = (await exchange.privateGetV5UserQueryApi())["result"]
    wallet = (told.get("permissions") or {}).get("Wallet") or []
    addresses = told.get("ips") or []
    return KeyRights(
        may_withdraw=any("withdraw" in right.lower() for right in wallet),
        bound_to_address=bool(addresses) and "*" not in addresses,
    )


def _mexc_equity(balance: Any, currency: str) -> Any:
    return next(row["equity"] for row in balance["info"]["data"] if row["currency"] == currency)


def certain(value: Any) -> bool:
    """Return what a venue says of a yes or no; raises TypeError where it says something else."""
    told = flag(value)
    if told is None:
        raise TypeError("neither true nor false")
    return told


def flag(value: Any) -> bool | None:
    """Return what a venue says of a yes or no; None where it says something else."""
    return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value))


async def _bitget_payments(
    exchange: Any, symbol: str, _since: None, limit: int, params: Mapping[str, Any]
) -> list[Any]:
    # The venue's present text knows no contract among the parameters, and by the one that ccxt
    # demands it drops rows.
    product, _ = exchange.handle_product_type_and_params(exchange.market(symbol), {})
    request = {"productType": product, "businessType": "contract_settle_fee", "limit": limit}
    answer = await exchange.privateMixGetV2MixAccountBill({**request, **params})
    rows: list[Any] = exchange.parse_funding_histories(answer["data"].get("bills") or [])
    return rows


async def _mexc_trades(
    exchange: Any, symbol: str, _since: None, limit: int, params: Mapping[str, Any]
) -> list[Any]:
    # Where a row does not tell the position mode, and the venue's text knows none, ccxt takes it
    # for one of a spot market.
    request = {"symbol": exchange.market(symbol)["id"], "page_num": 1, "page_size": limit}
    answer = await exchange.contractPrivateGetOrderListOrderDeals({**request, **params})
    return [_mexc_trade(exchange, row) for row in answer["data"] or []]


def _mexc_trade(exchange: Any, row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "id": str(row["id"]),
        "order": str(row["orderId"]),
        "timestamp": int(row["timestamp"]),
        "symbol": exchange.safe_symbol(row["symbol"], None, None, "swap"),
        "side": _MEXC_SIDES[str(row["side"])],
        "amount": str(row["vol"]),
        "price": str(row["price"]),
        "fee": {"cost": row["fee"], "currency": row["feeCurrency"]},
        "info": row,
    }


_SWAP = MappingProxyType({"type": "swap"})
_WITH_PASSWORD = MappingProxyType({**_KEYS, "password": "password"})
_WALLET = MappingProxyType({"walletAddress": "api_key", "privateKey": "secret"})
ACCOUNTS: Mapping[str, AccountFacts] = MappingProxyType(
    {
        "binanceusdm": AccountFacts(
            margin_modes="fetch_margin_modes",
            leverages="fetch_leverages",
            key_rights=_binance_rights,
            # Fills of one order may share a stamp, past which no list goes on.
            trades=ListFacts(page=1_000),
        ),
        "bybit": AccountFacts(
            equity_is_wallet=True,
            hedged=_bybit_hedged,
            key_rights=_bybit_rights,
            positions=_bybit_positions,
            # ccxt's word for the number of rows is not the venue's, which then gives 50.
            funding=ListFacts(params={"limit": 100}),
            # A payment is told as a fee, above zero where it was paid.
            funding_sign=-1,
        ),
        "okx": AccountFacts(
            balance_params=_SWAP,
            keys=_WITH_PASSWORD,
            # ccxt asks for the newest bills of the account and drops what was not asked for.
            funding=ListFacts(
                until=Bound("end"), since="begin", named=False, params={"type": "swap"}
            ),
            positions=_okx_positions,
            set_leverages=_okx_set_leverages,
        ),
        "gate": AccountFacts(
            balance_params=_SWAP,
            equity_is_wallet=True,
            hedged=_gate_hedged,
            trades=ListFacts(page=1_000, grain_ms=1_000),
            funding=ListFacts(until=Bound("to", 1_000), grain_ms=1_000),
            leverage=_gate_leverage,
        ),
        "xt": AccountFacts(
            balance_params=_SWAP,
            equity_is_wallet=True,
            trades=ListFacts(until=Bound("endTime")),
            funding=ListFacts(until=Bound("endTime")),
        ),
        "bitget": AccountFacts(
            balance_params=_SWAP,
            hedged=_bitget_hedged,
            set_leverages=_bitget_set_leverages,
            keys=_WITH_PASSWORD,
            funding=ListFacts(until=Bound("endTime"), since="startTime", read=_bitget_payments),
        ),
        "kucoinfutures": AccountFacts(
            keys=_WITH_PASSWORD,
            funding=ListFacts(until=Bound("endAt")),
        ),
        "mexc": AccountFacts(
            balance_params=_SWAP,
            equity=_mexc_equity,
            set_leverages=_set_leverages,
            order_side=_mexc_side,
            trades=ListFacts(
                until=Bound("end_time"), since="start_time", number="page_num", read=_mexc_trades
            ),
            funding=ListFacts(until=None, number="page_num"),
        ),
        "hyperliquid": AccountFacts(
            balance_params=_SWAP,
            keys=_WALLET,
            trades=ListFacts(page=2_000, named=False, keeps=10_000),
            funding=ListFacts(page=500, named=False),
        ),
    }
)
"""By ccxt's name of the venue; every venue of the table has one."""
