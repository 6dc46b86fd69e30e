"""Commands for merges and splits: announce, preview, cancel; and the series that they adjust."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.operating import ask
from rebalancer.cli.options import AsJson, ConfigPath, FundName
from rebalancer.cli.output import console, money, note, print_json, table, when
from rebalancer.cli.output import nav as nav_text
from rebalancer.cli.output import shares as shares_text
from rebalancer.cli.reading import views_of
from rebalancer.cli.stored import opened, opened_alone
from rebalancer.core.money import ONE, text
from rebalancer.errors import InputRefused

if TYPE_CHECKING:
    from rebalancer.store.rows import NavRow


@told
def consolidate(
    fund: FundName,
    ratio: Annotated[
        int | None, typer.Option("--ratio", min=2, help="Default: what the desk proposes.")
    ] = None,
    split: Annotated[bool, typer.Option("--split", help="One share into RATIO.")] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what it would do.")] = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Merge RATIO shares of a fund into one, or split one, after the configured notice."""
    if preview:
        document = _preview(fund, ratio, config, split=split)
        print_json(document) if as_json else _print_preview(fund, document)
        return
    told_desk = {"fund": fund, "ratio": ratio, "split": split}
    answer = ask(config, {"command": "consolidate", **told_desk})
    if as_json:
        print_json(answer)
        return
    for each in answer["announced"]:
        words = f"a {each['kind']} by {each['ratio']} is announced"
        typer.echo(f"{fund}: {words}; flows are shut from {each['freeze_at']}")


@told
def cancel(fund: FundName, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """Take back the announcement of a merge or split."""
    answer = ask(config, {"command": "consolidate", "fund": fund, "cancel": True})
    print_json(answer) if as_json else typer.echo(f"{fund}: cancelled")


def _preview(fund: str, ratio: int | None, config: ConfigPath, *, split: bool) -> dict[str, Any]:
    from rebalancer.core.consolidation import Conversion, ConversionKind  # noqa: PLC0415

    with opened(config) as (settings, reader):
        if fund not in settings.funds:
            known = ", ".join(settings.funds)
            raise InputRefused(f"there is no fund {fund}; known are {known}")
        views = {view.fund: view for view in reader.views()}
    view = views.get(fund)
    if view is None or view.nav is None or view.equity is None or not view.shares:
        raise InputRefused(f"the store knows no NAV of {fund} yet")
    kind = ConversionKind.SPLIT if split else ConversionKind.MERGE
    proposed = settings.funds[fund].consolidation.proposal(view.nav)
    chosen = proposed if ratio is None else Conversion(kind=kind, ratio=ratio)
    if chosen is None:
        raise InputRefused(f"the NAV of {fund} asks for nothing; name a --ratio")
    after = chosen.shares(view.shares)
    if not after:
        raise InputRefused(f"a {chosen.words} would leave no shares")
    return {
        "fund": fund,
        "conversion": chosen.words,
        "shares": {"before": text(view.shares), "after": text(after)},
        "nav": {"before": text(view.nav), "after": text(view.equity / after)},
        "equity": {
            "before": text(view.nav * view.shares),
            "after": text(view.equity / after * after),
        },
    }


def _print_preview(fund: str, document: dict[str, Any]) -> None:
    note(f"a preview of a {document['conversion']}: nothing was changed")
    written = {"shares": shares_text, "nav": nav_text, "equity": money}
    rows = [
        [name, *(write(Decimal(document[name][side])) for side in ("before", "after"))]
        for name, write in written.items()
    ]
    console().print(table(fund, ("", ">before", ">after"), rows))


@told
def series(
    fund: FundName,
    raw: Annotated[bool, typer.Option("--raw", help="As struck, without adjustment.")] = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Show the daily NAVs of a fund, adjusted for its merges and splits."""
    from rebalancer.core.capital import factor_since  # noqa: PLC0415 - not needed to print --help

    with opened_alone(config) as reader:
        views_of(reader.views(), fund)
        rows, conversions = reader.navs(fund), reader.conversions(fund)
    factors = [ONE if raw else factor_since(conversions, row.boundary_ms) for row in rows]
    if as_json:
        print_json([_struck(row, each) for row, each in zip(rows, factors, strict=True)])
        return
    shown = [
        [
            when(row.boundary_ms),
            nav_text(row.nav * factor),
            nav_text(row.formula_nav * factor),
            money(row.shares / factor),
        ]
        for row, factor in zip(rows, factors, strict=True)
    ]
    console().print(table(fund, ("struck", ">account NAV", ">formula NAV", ">shares"), shown))


def _struck(row: NavRow, factor: Decimal) -> dict[str, Any]:
    return {
        "at": when(row.boundary_ms),
        "nav": text(row.nav * factor),
        "formula_nav": text(row.formula_nav * factor),
        "shares": text(row.shares / factor),
    }
