"""What a configuration makes of itself: the desk, and what trading on paper costs it.

Apart from `bootstrap`, whose daemon loads twice as much as a replay of history needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from rebalancer.core.contract import Contract
from rebalancer.core.state import Desk
from rebalancer.settings import Config, contract_for
from rebalancer.venues.paper import PaperCosts


def desk_of(config: Config, contracts: Mapping[str, Contract] | None = None) -> Desk:
    """Return the configured desk; `contracts` are the venue's own, under the described ones."""
    known = dict(contracts or {}) | dict(config.contracts)
    asked = {symbol for fund in config.funds.values() for symbol in fund.symbols}
    unlisted = frozenset(asked - contracts.keys()) if contracts else frozenset()
    for fund in config.funds.values():
        # An index-only fund trades nothing: its members need no lots.
        for symbol in () if fund.index_only else fund.symbols:
            known.setdefault(symbol, contract_for(config, symbol))
    rates = {name: source.max_age_ms for name, source in config.rates.items()}
    return Desk(
        funds=config.funds,
        accounts=config.accounts,
        contracts=known,
        rates=rates,
        unlisted=unlisted,
    )


def paper_costs_of(config: Config) -> dict[str, PaperCosts]:
    """Return what trading on paper costs, by account."""
    return {name: PaperCosts(**asdict(paper)) for name, paper in config.paper.items()}
