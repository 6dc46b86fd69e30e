"""A flow: capital that joins or leaves a fund at its account NAV (spec section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from enum import StrEnum

from rebalancer.core.money import ONE, PLACES, ZERO, round_to_places, trunc_to_places
from rebalancer.errors import ConfigRefused

#: shares are counted to 8 decimals
SHARE_PLACES = Decimal("1e-8")


class FlowKind(StrEnum):
    """Which way capital goes."""

    SUBSCRIBE = "subscribe"
    REDEEM = "redeem"


class OnBusy(StrEnum):
    """What happens to a flow that comes while the fund cannot deal."""

    REFUSE = "refuse"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRule:
    """On which terms a fund takes flows."""

    #: shares of the value of a flow, 0.001 = 0.1 %; they go to the manager
    creation_fee: Decimal = ZERO
    redemption_fee: Decimal = ZERO
    #: bounds of the value of one flow, in quote currency; None is unlimited
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    #: flows that come so shortly before a fixed time are not part of its run
    cutoff_ms: int = 0
    on_busy: OnBusy = OnBusy.REFUSE

    def refuse_impossible(self, where: str) -> None:
        """Raise ConfigRefused with the reason when no flow could be dealt."""
        for name, fee in (
            ("creation_fee", self.creation_fee),
            ("redemption_fee", self.redemption_fee),
        ):
            if not ZERO <= fee < ONE:
                raise ConfigRefused(f"{where}.{name}: {fee} must be at least 0 and under 1")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ConfigRefused(f"{where}.min: {self.minimum} is above max, {self.maximum}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One request. `key` is its holder's: the same key is the same request."""

    fund: str
    key: str
    kind: FlowKind
    #: cash paid in, in quote currency, or shares given back
    amount: Decimal
    #: the fewest shares, or the least cash, that is acceptable
    min_out: Decimal = ZERO
    requested_ms: int = 0

    @property
    def words(self) -> str:
        """The request in a few words: "subscribe 115 (key a-1)"."""
        return f"{self.kind} {self.amount.normalize():f} (key {self.key})"

    def same_as(self, other: Flow) -> bool:
        """Whether both ask for the same thing, whenever they came."""
        return (self.fund, self.kind, self.amount, self.min_out) == (
            other.fund,
            other.kind,
            other.amount,
            other.min_out,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """What shares stand for at the moment of dealing."""

    #: equity less what has grown due and is not posted, in quote currency
    equity: Decimal
    shares: Decimal
    #: what is left of them for a redemption
    outstanding: Decimal
    #: NAV at which an empty fund issues shares
    empty_nav: Decimal

    @property
    def nav(self) -> Decimal:
        """The dealing NAV, in quote currency per share."""
        return self.equity / self.shares if self.shares else self.empty_nav


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """A flow at its price. Both amounts are what the fund gets: negative leaves it."""

    shares: Decimal
    cash: Decimal
    #: what the manager gets; for a subscription on top of `cash`, else out of it
    fee: Decimal


def price(flow: Flow, rule: FlowRule, register: Register) -> Deal | str:
    """Return the deal at the register's NAV, or why there is none. Rounding favours the fund."""
    if flow.kind is FlowKind.SUBSCRIBE:
        return _subscription(flow, rule, register)
    return _redemption(flow, rule, register)


def _subscription(flow: Flow, rule: FlowRule, register: Register) -> Deal | str:
    problem = beyond_limits(flow.amount, rule)
    if problem is not None:
        return problem
    if register.nav <= 0:
        return "the NAV is not above zero"
    fee = round_to_places(flow.amount * rule.creation_fee)
    cash = flow.amount - fee
    exact = cash * register.shares / register.equity if register.shares else cash / register.nav
    shares = exact.quantize(SHARE_PLACES, rounding=ROUND_DOWN)
    if shares <= 0:
        return "it buys less than 0.00000001 shares"
    if shares < flow.min_out:
        return f"it buys {shares:f} shares, fewer than the {flow.min_out:f} asked for"
    return Deal(shares=shares, cash=cash, fee=fee)


def _redemption(flow: Flow, rule: FlowRule, register: Register) -> Deal | str:
    if flow.amount > register.outstanding:
        return f"{register.outstanding.normalize():f} shares are outstanding"
    if register.equity <= 0:
        return "the NAV is not above zero"
    value = trunc_to_places(register.equity * flow.amount / register.shares)
    problem = beyond_limits(value, rule, everything=flow.amount == register.outstanding)
    if problem is not None:
        return problem
    fee = (value * rule.redemption_fee).quantize(PLACES, rounding=ROUND_UP)
    paid = value - fee
    if paid <= 0:
        return "it is worth nothing"
    if paid < flow.min_out:
        return f"it pays {paid:f}, less than the {flow.min_out:f} asked for"
    return Deal(shares=-flow.amount, cash=-value, fee=fee)


def beyond_limits(value: Decimal, rule: FlowRule, *, everything: bool = False) -> str | None:
    """Say which bound a flow of `value` breaks; the last shares may be worth less than min."""
    if rule.minimum is not None and value < rule.minimum and not everything:
        return f"its value of {value:.2f} is under the minimum of {rule.minimum:f}"
    if rule.maximum is not None and value > rule.maximum:
        return f"its value of {value:.2f} is above the maximum of {rule.maximum:f}"
    return None
