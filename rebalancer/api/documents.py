"""What the interface answers: one model per document, in the words of the Binance BLVT interface.

Decimals are text with 18 decimals at most (half-even), times are milliseconds since 1970, names are
camelCase. What the BLVT interface has no word for is named by the specification's.
"""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

DecimalText = Annotated[
    str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", examples=["2.739130434782608696"])
]
Milliseconds = Annotated[int, Field(ge=0, examples=[1767321000000])]

T = TypeVar("T")


class Document(BaseModel):
    """The base of every document."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class BasketItem(Document):
    """What is held of one contract; both numbers are signed."""

    symbol: str
    amount: DecimalText = Field(description="base coins")
    notional_value: DecimalText | None = Field(description="at the mark, in quote currency")


class Member(Document):
    """A member of the underlying basket."""

    symbol: str
    weight: DecimalText


class Point(Document):
    """A rebalancing point: what the formula NAV counts from."""

    time: Milliseconds
    nav: DecimalText
    leverage: DecimalText
    prices: dict[str, DecimalText]


class Nav(Document):
    """Both NAVs of a token at one instant."""

    token_name: str
    nav: DecimalText | None = Field(description="account NAV, equity per share; null before launch")
    formula_nav: DecimalText | None
    nav_time: Milliseconds | None = Field(description="time of the oldest price in it")
    nav_state: str = Field(description="LIVE, STALE (an old price), WAITING (no price or launch)")
    real_leverage: DecimalText | None = Field(description="signed; null at or under zero equity")
    target_leverage: DecimalText
    token_issued: DecimalText
    market: str | None = Field(
        description="secondary market that the premium is measured on, VENUE:SYMBOL; null: none"
    )
    market_price: DecimalText | None = Field(
        description="middle of its best bid and ask; null without a live quote or a live nav"
    )
    premium: DecimalText | None = Field(
        description="price of the token on its secondary market / nav - 1; null when not known"
    )
    premium_stage: str | None = Field(
        description="none, warn or halt (no flows); null where nobody watches the premium"
    )
    timestamp: Milliseconds = Field(description="when this picture was taken")


class Token(Nav):
    """A token as everybody may see it."""

    description: str
    risk_statement: str
    underlying: list[Member]
    state: str = Field(description="active, reducing, halted, wiped")
    state_reason: str
    rebalancing: str = Field(description="trigger of the run under way; empty: none")
    pre_nav: DecimalText | None = Field(description="formula NAV at the last rebalancing point")
    last_rebalance: Point | None
    next_rebalance_time: Milliseconds | None = Field(description="the next fixed time")
    lower_band: DecimalText | None = Field(description="of the leverage band, a magnitude")
    upper_band: DecimalText | None = Field(description="of the leverage band, a magnitude")
    daily_management_fee: DecimalText = Field(description="share of equity, 0.003 = 0.3 %")
    purchase_fee_pct: DecimalText | None = Field(description="share of a flow; null: no flows")
    redeem_fee_pct: DecimalText | None = Field(description="share of a flow; null: no flows")
    index_only: bool = Field(description="whether it is computed and published, and never trades")


class PrivateToken(Token):
    """A token with what it holds; not on the public listener."""

    market_problem: str = Field(description="why there is no live quote of it; empty: nothing")
    equity: DecimalText | None
    basket: str = Field(description="what is held, in words")
    current_baskets: list[BasketItem]


class Position(BasketItem):
    """A position with what the venue asks for it."""

    mark: DecimalText | None
    maintenance_margin: DecimalText | None = Field(description="in quote currency")
    liquidation_price: DecimalText | None = Field(
        description="at which equity is the maintenance margin, all prices moving alike; null: none"
    )


class Margin(Document):
    """How a token stands, and the account that it shares with others."""

    equity: DecimalText
    maintenance_margin: DecimalText
    margin_ratio: DecimalText | None = Field(description="maintenance margin / equity")
    liquidation_move: DecimalText | None = Field(
        description="of all prices alike, -0.3 = 30 % down; null: no move leads there"
    )
    account: str
    account_liquidation_move: DecimalText | None = Field(
        description="of all prices alike, where positions of its tokens net"
    )


class Basket(Document):
    """What a token holds."""

    token_name: str
    token_issued: DecimalText
    basket: str
    current_baskets: list[BasketItem]
    positions: list[Position] = Field(description="the same, with what the venue asks for each")
    margin: Margin | None = Field(description="null for an index-only token, or without a price")
    timestamp: Milliseconds


class TriggerPrice(Document):
    """A rule of a token, and the prices at which it fires; unrounded but for the 18 decimals."""

    trigger: str = Field(description="price_move, leverage_band, leverage_cap, emergency, gap")
    source: str = Field(description="of the price that is compared: mark, index, spot, last")
    fires: str = Field(description="below, at or below, above, at or above")
    prices: dict[str, DecimalText] = Field(description="by contract, all moving alike")
    move: DecimalText = Field(description="of all prices alike from now, -0.05 = 5 % down")


class Triggers(Document):
    """The prices at which the rules of a token fire, the nearest first."""

    token_name: str
    items: list[TriggerPrice] = Field(description="empty before launch, without a price, at an end")
    timestamp: Milliseconds


class PremiumStep(Document):
    """The premium of a token came to another stage."""

    token_name: str
    time: Milliseconds
    stage: str = Field(description="none, warn, halt (no flows)")
    market: str
    market_price: DecimalText
    nav: DecimalText
    premium: DecimalText = Field(description="market price / nav - 1")


class Distribution(Document):
    """Cash that left the equity of a token for its holders: the coupon of its cash account."""

    token_name: str
    time: Milliseconds
    kind: str = Field(description="coupon")
    amount: DecimalText = Field(description="of all tokens, in quote currency")


class AlertItem(Document):
    """An alert whose cause lasts."""

    name: str
    subject: str = Field(description="the token, order, contract ... that it is about")
    severity: str = Field(description="info, warning, critical")
    text: str
    since: Milliseconds
    count: int = Field(description="how often it was raised")


class Alerts(Document):
    """What needs a person, the gravest first."""

    items: list[AlertItem]
    timestamp: Milliseconds


class Fees(Document):
    """What a token has paid so far, in quote currency; funding may be negative: received."""

    token_name: str
    trading_fees: DecimalText
    slippage: DecimalText
    funding: DecimalText
    management_fee: DecimalText
    accrued_management_fee: DecimalText = Field(
        description="grown due since its last instant, in proportion to time, and not paid yet"
    )
    accrued_funding: DecimalText | None = Field(
        description=(
            "the part of the funding to come whose time has passed, at the rate that the venue "
            "expects, and not posted yet; null where no fresh rate is known"
        )
    )
    financing: DecimalText = Field(description="of the cash account; negative: earned")
    timestamp: Milliseconds


class Rebalance(Document):
    """A run."""

    rebalance_id: str
    token_name: str
    time: Milliseconds
    end_time: Milliseconds | None
    trigger: str
    reason: str
    status: str
    target_leverage: DecimalText
    leverage_before: DecimalText | None
    leverage_after: DecimalText | None
    nav_before: DecimalText
    nav_after: DecimalText | None


class PrivateRebalance(Rebalance):
    """A run with what it traded and paid; not on the public listener."""

    status_reason: str
    cost: DecimalText = Field(description="fees and slippage, in quote currency")
    slippage: DecimalText | None = Field(description="of the cost; null: not recorded")
    traded_notional: DecimalText | None = Field(
        description="at the venue, in quote currency; null: not recorded"
    )
    deltas: list[BasketItem] = Field(description="what it was opened to trade")


class Decision(Document):
    """A verdict that changed: why a token traded, or why not."""

    sequence: int = Field(description="number of the record in the journal")
    token_name: str
    time: Milliseconds
    trigger: str = Field(description="none: no trade")
    reason: str


class Strike(Document):
    """The daily NAV."""

    token_name: str
    time: Milliseconds
    nav: DecimalText
    formula_nav: DecimalText
    equity: DecimalText
    token_issued: DecimalText


class Consolidation(Document):
    """A merge or split of all tokens at once; NAV x tokens is the same before and after."""

    token_name: str
    time: Milliseconds
    kind: str = Field(description="merge, split")
    ratio: int
    nav_before: DecimalText
    nav_after: DecimalText
    issued_before: DecimalText
    issued_after: DecimalText


class Due(Document):
    """The next fixed time of a token."""

    token_name: str
    next_rebalance_time: Milliseconds | None


class Page(Document, Generic[T]):
    """Part of a list; `nextCursor` asks for what comes after it, null: nothing does."""

    items: list[T]
    next_cursor: str | None


class Schedule(Document):
    """What is due next, the soonest first; tokens without a fixed time last."""

    items: list[Due]
    timestamp: Milliseconds


class Status(Document):
    """The desk itself."""

    mode: str
    version: str
    tokens: int
    ready: bool
    started: Milliseconds
    timestamp: Milliseconds


KlineRow = Annotated[
    list[str | int],
    Field(
        min_length=12,
        max_length=12,
        description=(
            "open time, open, high, low, close NAV, real leverage, close time, 0, "
            "number of NAV updates, formula NAV at the close, price on the secondary market at "
            "the close (0: not known), 0; as lvtKlines of the BLVT interface, which ignores the "
            "last three"
        ),
    ),
]
