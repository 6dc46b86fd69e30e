"""Ready-made venues: a few well-known contracts, one account with demo keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from tests.loopback.accounts import Account
from tests.loopback.binance.protocol import Binance
from tests.loopback.dialect import Dialect
from tests.loopback.instruments import Depth, Instrument
from tests.loopback.matching import Core
from tests.loopback.xt.budget import Budget as XtBudget
from tests.loopback.xt.protocol import Xt

KEY, SECRET = "demo-key", "demo-secret"


def demo_account(name: str = "demo", key: str = KEY, secret: str = SECRET) -> Account:
    """Return an account with 100,000 USDT."""
    return Account(name=name, key=key, secret=secret)


def binance_instruments() -> list[Instrument]:
    """Return four contracts counted in base coins, with Binance's steps."""
    rows = (
        ("BTC", "50000", "0.001", "0.10", "100"),
        ("ETH", "3000", "0.001", "0.01", "20"),
        ("SOL", "150", "0.01", "0.0100", "5"),
        ("XRP", "0.5", "0.1", "0.0001", "5"),
    )
    return [
        Instrument(
            base=base,
            last=Decimal(last),
            lot=Decimal(lot),
            tick=Decimal(tick),
            min_notional=Decimal(smallest),
        )
        for base, last, lot, tick, smallest in rows
    ]


def many_instruments(count: int, depth: Depth | None = None) -> list[Instrument]:
    """Return `count` equal contracts named C000, C001, ..."""
    return [
        Instrument(base=f"C{number:03d}", last=Decimal(100), depth=depth or Depth())
        for number in range(count)
    ]


def binance(
    instruments: list[Instrument] | None = None, accounts: list[Account] | None = None
) -> Binance:
    """Return the Binance protocol over a fresh core."""
    listed = binance_instruments() if instruments is None else instruments
    owners = [demo_account()] if accounts is None else accounts
    return Binance(
        core=Core(
            instruments={instrument.name: instrument for instrument in listed},
            accounts={account.key: account for account in owners},
        )
    )


def xt_instruments() -> list[Instrument]:
    """Return four contracts counted in whole contracts, with XT's sizes."""
    rows = (
        ("BTC", "50000", "0.0001", "0.1"),
        ("ETH", "3000", "0.01", "0.01"),
        ("LTC", "90", "0.1", "0.01"),
        ("ADA", "0.5", "10", "0.0001"),
    )
    return [
        Instrument(
            base=base,
            last=Decimal(last),
            contract_size=Decimal(size),
            lot=Decimal(1),
            tick=Decimal(tick),
            maker_rate=Decimal("0.0004"),
            taker_rate=Decimal("0.0006"),
        )
        for base, last, size, tick in rows
    ]


def xt(
    instruments: list[Instrument] | None = None,
    accounts: list[Account] | None = None,
    *,
    per_second: int | None = None,
) -> Xt:
    """Return the XT protocol over a fresh core; every account has both books."""
    listed = xt_instruments() if instruments is None else instruments
    owners = [demo_account()] if accounts is None else accounts
    for account in owners:
        account.hedged = True
    return Xt(
        core=Core(
            instruments={instrument.name: instrument for instrument in listed},
            accounts={account.key: account for account in owners},
            unique_open_ids=False,
        ),
        budget=XtBudget(per_second=per_second),
    )


#: by the name of the ccxt exchange's family
VENUES: Mapping[str, Callable[[list[Instrument] | None], Dialect]] = {
    "binance": binance,
    "xt": xt,
}
