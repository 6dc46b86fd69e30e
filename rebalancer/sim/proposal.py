"""A proposal: what a rebalance of some funds to their targets would do now, tried on a copy.

It is the plan document (`sim/plan.py`) with more: the drift, what the trades come to, how accounts
and funds would stand after them, and all that the desk compares before it carries the plan out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rebalancer.core import engine
from rebalancer.core.applying import not_plannable, orders_of, sizing_prices
from rebalancer.core.events import PlannedOrder, PlanOffered
from rebalancer.core.fingerprint import fingerprints
from rebalancer.core.footing import Footing
from rebalancer.core.instant import iso
from rebalancer.core.money import ZERO, text, total
from rebalancer.core.nav import Valuation
from rebalancer.core.records import RunOpened, TradingChanged, TradingState
from rebalancer.core.run import RunPlan
from rebalancer.core.state import DeskState
from rebalancer.core.trial import copy_of
from rebalancer.core.work import Work
from rebalancer.errors import InputRefused
from rebalancer.sim.plan import Before, document_of

KIND = "rebalancer-plan"


@dataclass(frozen=True, slots=True)
class Asked:
    """What to propose: these funds (all where none is named), good for so long."""

    at_ms: int
    funds: Sequence[str]
    valid_ms: int
    reason: str


def propose(live: DeskState, asked: Asked) -> dict[str, Any]:
    """Return the plan of a rebalance to target, as JSON can hold it; `live` stays as it is.

    A fund that cannot be rebalanced now is shown with the reason and left out of `apply`. Raises
    InputRefused for a fund that the desk does not have.
    """
    _refuse_strange(live, asked.funds)
    state = copy_of(live)
    state.now_ms = asked.at_ms
    named = [name for name in state.funds if not asked.funds or name in asked.funds]
    obstacles = {name: not_plannable(Work(state, asked.at_ms), name) for name in named}
    shown = [name for name in named if _has_worth(state, name)]
    able = [name for name in shown if obstacles[name] is None]
    before = {name: Before.of(state, name, asked.at_ms) for name in shown}
    event = PlanOffered(asked.at_ms, tuple(able), asked.reason, sizing_prices(state, able))
    step = engine.step(state, event) if able else engine.QUIET
    document = document_of(before, step, asked.at_ms)
    runs = {each.plan.fund: each.plan for each in step.records if isinstance(each, RunOpened)}
    trades = tuple(_trades(state, runs, orders_of(step.records)))
    obstacles |= _halts(step)
    on_paper = [plan for name, plan in runs.items() if state.funds[name].fund.index_only]
    after = _after(before, trades, on_paper)
    for name, fund in document["funds"].items():
        fund["reason"] = obstacles[name] or fund["reason"]
        fund["drift"] = _drift(fund)
        fund["rules_say"] = _verdict(live, name)
        fund["after"] = _standing(state, name, before[name].worth, after[name])
    ready = [name for name in able if name in runs and obstacles[name] is None]
    return {
        "version": document["version"],
        "kind": KIND,
        "as_of": document["as_of"],
        "expires": iso(asked.at_ms + asked.valid_ms),
        "reason": asked.reason,
        "apply": ready,
        **_seal(live, ready),
        "funds": document["funds"],
        "not_valued": {name: obstacles[name] or "" for name in named if name not in before},
        **{key: document[key] for key in ("orders", "crosses", "skipped")},
        "trades": [trade.document() for trade in trades],
        "accounts": _accounts(state, before, after),
    }


def _seal(state: DeskState, ready: Sequence[str]) -> dict[str, Any]:
    """Return what the desk compares before it carries the plan of these funds out."""
    return {
        "desk": state.desk_id,
        "config_digest": state.config_digest,
        "fingerprints": fingerprints(state, ready),
        "prices": [
            {"contract": symbol, "source": str(source), "price": text(price)}
            for (symbol, source), price in sizing_prices(state, ready).items()
        ],
    }


def _halts(step: engine.Step) -> dict[str, str]:
    """Return why the step would halt funds, by fund."""
    return {
        each.fund: f"it would be halted: {each.reason}"
        for each in step.records
        if isinstance(each, TradingChanged) and each.state is TradingState.HALTED
    }


def _refuse_strange(state: DeskState, names: Sequence[str]) -> None:
    for name in names:
        if name not in state.funds:
            raise InputRefused(f"there is no fund {name}; the desk runs {', '.join(state.funds)}")


def _has_worth(state: DeskState, name: str) -> bool:
    fund = state.funds[name]
    return fund.launched_ms is not None and state.worth(fund) is not None


def _verdict(state: DeskState, name: str) -> str:
    verdict = state.funds[name].verdict
    return "" if verdict is None else verdict[1]


@dataclass(frozen=True, slots=True)
class Trade:
    """All that a plan trades of one contract on one account, whatever slices it is cut into."""

    account: str
    contract: str
    #: signed base coins: what each fund gets, crosses inside the desk included
    by_fund: Mapping[str, Decimal]
    #: signed, in contracts and base coins: what goes to the venue
    contracts: Decimal
    units: Decimal
    mark: Decimal

    def document(self) -> dict[str, str]:
        """Return it as text; sizes are without sign."""
        return {
            "account": self.account,
            "contract": self.contract,
            "side": "buy" if self.contracts > 0 else "sell",
            "contracts": text(abs(self.contracts)),
            "units": text(abs(self.units)),
            "mark": text(self.mark),
            "notional": text(abs(self.units) * self.mark),
        }


def _trades(
    state: DeskState, runs: Mapping[str, RunPlan], orders: Sequence[PlannedOrder]
) -> Iterator[Trade]:
    """Net the deltas of the runs by account and contract, and cut them to whole lots.

    Where no order comes of them, what does not cross inside the desk stays undone.
    """
    ordered = {(order.account, order.contract) for order in orders}
    wanted: dict[tuple[str, str], dict[str, Decimal]] = {}
    marks: dict[str, Decimal] = {}
    for name, plan in runs.items():
        account = state.funds[name].fund.account
        marks |= plan.marks
        for symbol, units in plan.delta_units.items():
            if units and account:
                wanted.setdefault((account, symbol), {})[name] = units
    for (account, symbol), deltas in sorted(wanted.items()):
        contract, net = state.desk.contracts[symbol], total(deltas.values())
        contracts = contract.contracts_in(net) if (account, symbol) in ordered else ZERO
        units = contract.units_in(contracts)
        side = total(size for size in deltas.values() if size * net > 0)
        got = {
            name: size - (net - units) * size / side if size * net > 0 else size
            for name, size in deltas.items()
        }
        yield Trade(account, symbol, got, contracts, units, marks[symbol])


def _after(
    before: Mapping[str, Before], trades: Sequence[Trade], on_paper: Sequence[RunPlan]
) -> dict[str, dict[str, Decimal]]:
    """Return what each fund would hold, in signed base coins by contract."""
    after = {name: dict(each.held) for name, each in before.items()}
    for trade in trades:
        for name, units in trade.by_fund.items():
            after[name][trade.contract] = after[name].get(trade.contract, ZERO) + units
    for plan in on_paper:
        after[plan.fund] |= plan.target_units
    return after


def _drift(fund: Mapping[str, Any]) -> str | None:
    """Return how far leverage is from where the run would bring it; None without equity."""
    if fund["leverage"] is None:
        return None
    return text(Decimal(fund["leverage"]) - Decimal(fund["target_leverage"]))


def _standing(
    state: DeskState, name: str, worth: Valuation, units: Mapping[str, Decimal]
) -> dict[str, Any]:
    """Return how the fund would stand after the trades, at the marks and before their costs."""
    owner = state.accounts.get(state.funds[name].fund.account)
    exposure = total(size * worth.marks[symbol] for symbol, size in units.items())
    gross = total(abs(size) * worth.marks[symbol] for symbol, size in units.items())
    told: dict[str, Any] = {
        "leverage": text(exposure / worth.equity) if worth.equity > 0 else None,
        "exposure": text(exposure),
    }
    if owner is None:
        return told
    account = owner.account
    footing = Footing(worth.equity, exposure, gross, account.maintenance_margin)
    return told | {"initial_margin": text(gross * account.initial_margin), **footing.document()}


def _accounts(
    state: DeskState, before: Mapping[str, Before], after: Mapping[str, Mapping[str, Decimal]]
) -> dict[str, Any]:
    """Return how each account would stand: its funds together, opposite positions netted.

    Funds that the plan leaves out count as they stand.
    """
    told: dict[str, Any] = {}
    for name, account in state.desk.accounts.items():
        net: dict[str, Decimal] = {}
        marks: dict[str, Decimal] = {}
        equity = ZERO
        for fund in state.funds.values():
            if fund.fund.account != name or not _has_worth(state, fund.name):
                continue
            worth = before[fund.name].worth if fund.name in before else state.worth(fund)
            assert worth is not None  # noqa: S101 - for the type checker; looked at above
            equity += worth.equity
            marks |= worth.marks
            for symbol, units in after.get(fund.name, fund.holding.units).items():
                net[symbol] = net.get(symbol, ZERO) + units
        if marks:
            exposure = total(units * marks[symbol] for symbol, units in net.items())
            gross = total(abs(units) * marks[symbol] for symbol, units in net.items())
            footing = Footing(equity, exposure, gross, account.maintenance_margin)
            margin = text(gross * account.initial_margin)
            told[name] = {"initial_margin": margin, **footing.document()}
    return told
