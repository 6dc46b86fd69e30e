"""Which alerts have a cause that lasts, and whether it still does: read from the state.

An alert that is not here tells of something that happened, and is over when it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rebalancer.core.breaks import BreakKind
from rebalancer.core.order import OrderStatus
from rebalancer.core.premium import PremiumStage
from rebalancer.core.records import TradingState
from rebalancer.core.run import RunStatus
from rebalancer.core.scope import title
from rebalancer.core.state import DeskState, FundState
from rebalancer.desk.views import oldest_price

Cause = Callable[[DeskState, str], bool]
"""Whether what was told of a subject still is so."""


def _of_fund(holds: Callable[[FundState], bool]) -> Cause:
    def cause(state: DeskState, subject: str) -> bool:
        fund = state.funds.get(subject)
        return fund is not None and holds(fund)

    return cause


def _scope_halted(state: DeskState, subject: str) -> bool:
    return any(
        title(*key) == subject and permission.halted for key, permission in state.scopes.items()
    )


def _order_unknown(state: DeskState, subject: str) -> bool:
    order = state.orders.get(subject)
    return order is not None and order.status is OrderStatus.UNKNOWN


def _order_stranded(state: DeskState, subject: str) -> bool:
    order = state.orders.get(subject)
    return order is not None and order.intent.contract in state.desk.unlisted


def _break_open(kind: BreakKind) -> Cause:
    def cause(state: DeskState, subject: str) -> bool:
        return any(each.kind is kind and each.subject == subject for each in state.breaks.values())

    return cause


def _price_refused(state: DeskState, subject: str) -> bool:
    return any(f"{contract} {source}" == subject for contract, source in state.market.refusing)


def _prices_stopped(state: DeskState, subject: str) -> bool:
    fund = state.funds.get(subject)
    return fund is not None and oldest_price(state, fund, state.now_ms)[1]


def _incomplete(fund: FundState) -> bool:
    return fund.run is not None and fund.run.status is RunStatus.INCOMPLETE


def _converts_with_premium(fund: FundState) -> bool:
    return fund.announced is not None and fund.premium_stage is not PremiumStage.NONE


LASTING: Mapping[str, Cause] = {
    "fund_halted": _of_fund(lambda fund: fund.trading is TradingState.HALTED),
    "desk_halted": _scope_halted,
    "account_halted": _scope_halted,
    "contract_halted": _scope_halted,
    "order_unknown": _order_unknown,
    "order_stranded": _order_stranded,
    # The other kinds halt a contract, an account or funds, which lasts as long as they do.
    "break_position": _break_open(BreakKind.POSITION),
    "break_balance": _break_open(BreakKind.BALANCE),
    "price_refused": _price_refused,
    "prices_stopped": _prices_stopped,
    "run_incomplete": _of_fund(_incomplete),
    "nav_gap": _of_fund(lambda fund: fund.gap_told),
    "band_breached": _of_fund(lambda fund: fund.duty is not None),
    "winner_drifts": _of_fund(lambda fund: fund.drift_told),
    "consolidation_proposed": _of_fund(lambda fund: fund.proposal is not None),
    "premium_warn": _of_fund(lambda fund: fund.premium_stage is PremiumStage.WARN),
    "premium_halt": _of_fund(lambda fund: fund.premium_stage is PremiumStage.HALT),
    "premium_and_conversion": _of_fund(_converts_with_premium),
    "quote_dead": _of_fund(lambda fund: bool(fund.quote_problem)),
}
