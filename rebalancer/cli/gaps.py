"""Why the account NAV of a fund is not its formula NAV, from what the store holds."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from rebalancer.cli.output import console, print_json, table
from rebalancer.cli.stored import opened
from rebalancer.core.money import text
from rebalancer.errors import InputRefused


def show_gaps(fund: str | None, config: Path | None, *, as_json: bool) -> None:
    """Print the gap of each fund by cause, in quote currency per share."""
    found = gaps_of(config)
    if fund is not None:
        if fund not in found:
            known = ", ".join(found) or "none yet"
            raise InputRefused(f"the store knows no NAV of {fund}; known are {known}")
        found = {fund: found[fund]}
    if as_json:
        print_json(
            {
                name: {cause: text(amount) for cause, amount in parts.items()}
                for name, parts in found.items()
            }
        )
        return
    for name, parts in found.items():
        rows = [[cause.replace("_", " "), _signed(amount)] for cause, amount in parts.items()]
        console().print(table(f"{name}: account NAV less formula NAV", ("", ">per share"), rows))


def _signed(amount: Decimal) -> str:
    """Write an amount per share with its sign; what rounds to nothing has none."""
    written = f"{amount:+.8f}"
    return written if written.strip("+-0.") else "0"


def gaps_of(config: Path | None) -> dict[str, dict[str, Decimal]]:
    """Return the parts of each fund's gap and, last, the gap that they sum to."""
    from rebalancer.configured import desk_of  # noqa: PLC0415 - not needed to print --help
    from rebalancer.core.attribution import attribute  # noqa: PLC0415 - as above
    from rebalancer.core.folding import fold  # noqa: PLC0415 - as above
    from rebalancer.desk.recovery import refuse_lost_funds  # noqa: PLC0415 - as above

    with opened(config) as (settings, reader):
        records, prices, views = reader.records(), reader.prices(), reader.views()
    desk = desk_of(settings)
    refuse_lost_funds(desk.funds, records)
    state = fold(desk, records)
    found = {}
    for view in views:
        fund = state.funds.get(view.fund)
        if fund is None or not fund.shares or view.nav is None or view.formula_nav is None:
            continue
        parts = attribute(fund.gap, fund.standing(prices, view.nav, view.formula_nav))
        found[view.fund] = {**parts, "gap": sum(parts.values(), Decimal(0))}
    return found
