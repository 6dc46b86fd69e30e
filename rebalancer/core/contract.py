"""A contract: one perpetual swap at a venue, and the exact arithmetic of its lots."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from rebalancer.core.money import ONE, ZERO, number, positive, trunc_to_step
from rebalancer.errors import InputRefused


@dataclass(frozen=True, slots=True)
class Contract:
    """A linear perpetual; `symbol` is ccxt's unified name, BTC/USDT:USDT."""

    symbol: str
    #: base coins in one contract
    contract_size: Decimal = ONE
    #: smallest step of an order, in contracts
    lot: Decimal = Decimal("1e-9")
    #: smallest step of a price, in quote currency; zero means any price
    tick: Decimal = ZERO
    #: smallest order, in contracts
    min_amount: Decimal = ZERO
    #: smallest order, in quote currency
    min_notional: Decimal = ZERO

    def __post_init__(self) -> None:
        what = f"contract {self.symbol}"
        positive(self.contract_size, f"{what}: contract_size")
        positive(self.lot, f"{what}: lot")
        for name in ("tick", "min_amount", "min_notional"):
            if number(getattr(self, name), f"{what}: {name}") < 0:
                raise InputRefused(f"{what}: {name} must not be negative")
        base, _, settle = self.symbol.partition(":")
        if settle and settle != base.partition("/")[2]:
            raise InputRefused(
                f"{what} settles in {settle}: this version trades linear contracts, "
                "which settle in their quote currency"
            )

    @property
    def quote(self) -> str:
        """The currency the contract is quoted, margined and settled in."""
        return self.symbol.partition(":")[0].partition("/")[2] or "USDT"

    def contracts_in(self, units: Decimal) -> Decimal:
        """Return the whole lots in `units` (base coins, signed), rounded toward zero."""
        return trunc_to_step(units / self.contract_size, self.lot)

    def units_in(self, contracts: Decimal) -> Decimal:
        """Return the base coins in `contracts` (signed), exactly."""
        return contracts * self.contract_size

    def too_small(self, contracts: Decimal, price: Decimal, *, waive_notional: bool) -> str | None:
        """Say why an order of `contracts` at `price` is under a minimum; None when it is not."""
        size = abs(contracts)
        if size == 0:
            return f"under one lot of {self.lot.normalize():f} contracts"
        if size < self.min_amount:
            return f"under the minimum amount of {self.min_amount.normalize():f} contracts"
        notional = self.units_in(size) * price
        if not waive_notional and notional < self.min_notional:
            return f"under the minimum notional of {self.min_notional.normalize():f}"
        return None
