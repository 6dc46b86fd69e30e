"""What commands say and what is answered to them, one model per document."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from rebalancer.api.documents import DecimalText, Document, Milliseconds
from rebalancer.core.flow import FlowKind
from rebalancer.core.scope import Scope


class PlainCommand(StrEnum):
    """What an operator can ask for over HTTP; breaks are ended by the command line alone."""

    REBALANCE = "rebalance"
    HALT = "halt"
    REDUCE = "reduce"
    RESUME = "resume"
    FLATTEN = "flatten"


class ApplyBody(Document):
    """An operator's yes to a plan, whose reason it has already."""

    confirm: list[str] = Field(
        default_factory=list,
        max_length=1_000,
        description="on a live desk the tokens for which orders will leave; else empty",
    )


class CommandBody(ApplyBody):
    """What an operator says to a command."""

    reason: str = Field(min_length=1, max_length=400, description="kept in the records")


class ScopedCommandBody(CommandBody):
    """A command about more than one token, or about one."""

    command: PlainCommand
    scope: Scope
    name: str = Field(
        default="", max_length=64, description="of the account, fund or contract; empty: the desk"
    )


class ConsolidationBody(CommandBody):
    """A merge or split to be announced, or the announced one to be taken back."""

    ratio: int | None = Field(
        default=None, ge=2, le=1_000_000, description="null: the one that the desk proposes"
    )
    split: bool = Field(default=False, description="one token into `ratio`, not the reverse")
    cancel: bool = Field(default=False, description="take back what is announced")


class Announcement(Document):
    """A merge or split that is announced."""

    kind: str = Field(description="merge, split")
    ratio: int
    freeze_time: Milliseconds = Field(description="from which flows are shut")


class ConsolidationAnswer(Document):
    """What came of it."""

    token_name: str
    time: Milliseconds
    announced: list[Announcement] = Field(description="empty after a cancel")


class CloseAnswer(Document):
    """What came of the end of a token."""

    token_name: str
    time: Milliseconds
    rebalance_id: str | None = Field(description="the run that flattens it; null: none yet")


class KillAnswer(Document):
    """What came of a kill."""

    time: Milliseconds
    newly_set: bool = Field(description="false: the switch was set before")


class PlanBody(Document):
    """What to plan."""

    tokens: list[str] = Field(max_length=1_000, description="names; empty: every token")
    costs: bool = Field(
        default=True, description="whether to estimate costs, with real prices from the book"
    )
    reason: str = Field(min_length=1, max_length=400, description="kept in the records")


class TradeCost(Document):
    """What one trade of a plan would cost, in quote currency; null: nobody can say."""

    account: str
    contract: str
    fee: DecimalText | None
    fee_bps: DecimalText | None = Field(description="of the notional")
    slippage: DecimalText | None = Field(description="below zero: better than the mark")
    slippage_bps: DecimalText | None
    told_by: str = Field(description="book or setting that it comes from, or why there is none")


class AccountAfter(Document):
    """How an account would stand after a plan, at the marks and before its costs."""

    account: str
    equity: DecimalText
    exposure: DecimalText = Field(description="signed")
    initial_margin: DecimalText
    maintenance_margin: DecimalText
    liquidation_move: DecimalText | None = Field(
        description="of all prices alike, -0.3 = 30 % down; null: no move leads there"
    )


class Plan(Document):
    """What a rebalance to target would do now; nothing is done until it is applied."""

    plan_id: str = Field(description="its digest (SHA-256, hex)")
    time: Milliseconds
    expires: Milliseconds
    apply: list[str] = Field(description="tokens that it would rebalance")
    costs: list[TradeCost] = Field(description="one for each trade that goes to a venue")
    accounts: list[AccountAfter] = Field(description="after it, by name")
    plan: dict[str, Any] = Field(
        description="the document of `rebalancer plan --out`: orders, costs, margins after it"
    )


class AppliedRun(Document):
    """A run that a plan opened."""

    token_name: str
    rebalance_id: str
    deltas: dict[str, DecimalText]


class Applied(Document):
    """What came of a plan."""

    plan_id: str
    time: Milliseconds
    runs: list[AppliedRun]


class CommandAnswer(Document):
    """What came of a command."""

    scope: Scope
    name: str
    command: PlainCommand
    time: Milliseconds
    rebalance_id: str | None = Field(description="the run it opened; null: none yet")
    trigger: str | None
    deltas: dict[str, DecimalText]


class FlowBody(Document):
    """A subscription or a redemption."""

    kind: FlowKind
    amount: DecimalText = Field(
        max_length=64, description="quote currency paid in, or tokens given back; above zero"
    )
    min_out: DecimalText = Field(
        default="0", max_length=64, description="the fewest tokens, or the least cash, to accept"
    )


class FlowAnswer(Document):
    """What became of a flow; the numbers are those of a dealt one."""

    token_name: str
    key: str
    kind: FlowKind
    time: Milliseconds
    status: str = Field(description="dealt, waiting, refused, repeated (the key was used before)")
    reason: str = ""
    nav: DecimalText | None = None
    tokens: DecimalText | None = Field(default=None, description="issued; negative: taken back")
    cash: DecimalText | None = Field(default=None, description="quote currency, as booked")
    fee: DecimalText | None = None


class AlertTest(Document):
    """The alert that means nothing."""

    text: str
