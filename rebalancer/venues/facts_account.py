"""What each venue tells of an account where ccxt's unified answers leave it out or mix it up.

Beside the rows of `facts.py`: which number is equity, where the books and the rights of a key are
read, and which settings come for all contracts in one answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
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


_KEYS: Mapping[str, str] = MappingProxyType({"apiKey": "api_key", "secret": "secret"})


def _total(balance: Any, currency: str) -> Any:
    return balance[currency]["total"]


def _named(_quote: str, symbols: list[str] | None) -> tuple[Any, ...]:
    return (symbols,)


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
    #: how a list is bounded above, where ccxt's own parameter does not reach the venue; None: not
    trades_until: Bound | None = UNTIL
    #: own trades in one answer: fills of one order may share a stamp, past which no list goes on
    trades_most: int | None = None
    funding_until: Bound | None = UNTIL
    #: the parameter that counts the pages of payments, newest first, where no instant bounds them
    funding_page: str = ""
    #: whether payments are asked for by contract. Where the venue tells those of all, ccxt would
    #: put the name that it was asked for on every one
    funding_named: bool = True
    positions: NamePositions = _named
    leverage: ReadLeverage = _leverage
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
    return _flag(answer.get("in_dual_mode"))


async def _bitget_hedged(exchange: Any, symbol: str) -> bool | None:
    mode = (await exchange.fetch_margin_mode(symbol))["info"].get("posMode")
    return {"hedge_mode": True, "one_way_mode": False}.get(mode)


async def _binance_rights(exchange: Any) -> KeyRights:
    answer = await exchange.sapiGetAccountApiRestrictions()
    return KeyRights(
        # A transfer to another customer takes money away as well.
        may_withdraw=answer["enableWithdrawals"] is not False
        or answer.get("enableInternalTransfer", False) is not False,
        bound_to_address=answer["ipRestrict"] is True,
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


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value))


_SWAP = MappingProxyType({"type": "swap"})
_WITH_PASSWORD = MappingProxyType({**_KEYS, "password": "password"})
_WALLET = MappingProxyType({"walletAddress": "api_key", "privateKey": "secret"})
ACCOUNTS: Mapping[str, AccountFacts] = MappingProxyType(
    {
        "binanceusdm": AccountFacts(
            margin_modes="fetch_margin_modes",
            leverages="fetch_leverages",
            key_rights=_binance_rights,
            trades_most=1_000,
        ),
        "bybit": AccountFacts(
            equity_is_wallet=True,
            hedged=_bybit_hedged,
            key_rights=_bybit_rights,
            positions=_bybit_positions,
        ),
        "okx": AccountFacts(
            balance_params=_SWAP,
            keys=_WITH_PASSWORD,
            funding_until=Bound("end"),
            positions=_okx_positions,
        ),
        "gate": AccountFacts(
            balance_params=_SWAP,
            equity_is_wallet=True,
            hedged=_gate_hedged,
            funding_until=Bound("to", 1_000),
            trades_most=1_000,
            leverage=_gate_leverage,
        ),
        "xt": AccountFacts(
            balance_params=_SWAP,
            equity_is_wallet=True,
            trades_until=Bound("endTime"),
            funding_until=Bound("endTime"),
        ),
        "bitget": AccountFacts(balance_params=_SWAP, hedged=_bitget_hedged, keys=_WITH_PASSWORD),
        "kucoinfutures": AccountFacts(keys=_WITH_PASSWORD, funding_until=Bound("endAt")),
        "mexc": AccountFacts(
            balance_params=_SWAP,
            equity=_mexc_equity,
            trades_until=Bound("end_time"),
            funding_until=None,
            funding_page="page_num",
        ),
        "hyperliquid": AccountFacts(
            balance_params=_SWAP, keys=_WALLET, trades_most=2_000, funding_named=False
        ),
    }
)
"""By ccxt's name of the venue; every venue of the table has one."""
