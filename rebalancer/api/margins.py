"""Margin and distance to liquidation of what is published, as documents."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from rebalancer.api import documents
from rebalancer.api.pictures import Picture
from rebalancer.core.footing import Footing
from rebalancer.core.money import ONE, ZERO, text, text_or_none, total


def footing_of(picture: Picture) -> Footing | None:
    """Return a fund's footing; None where it has no account or a price is missing."""
    equity = picture.view.equity
    if picture.maintenance is None or equity is None or not _priced(picture):
        return None
    values = [held * picture.marks[symbol] for symbol, held in picture.units.items()]
    return Footing(equity, total(values), total(abs(v) for v in values), picture.maintenance)


def account_footing(pictures: Iterable[Picture]) -> Footing | None:
    """Return the footing of the account that these funds share: opposite positions net there."""
    footings, net = [], dict[str, Decimal]()
    for picture in pictures:
        footing = footing_of(picture)
        if footing is None:
            return None
        footings.append(footing)
        for symbol, held in picture.units.items():
            net[symbol] = net.get(symbol, ZERO) + held * picture.marks[symbol]
    if not footings:
        return None
    return Footing(
        total(each.equity for each in footings),
        total(each.exposure for each in footings),
        total(abs(value) for value in net.values()),
        footings[0].maintenance,
    )


def margin_document(picture: Picture, shared: Footing | None) -> documents.Margin | None:
    """Return how a fund stands, and the account that it shares; None where that is not known."""
    footing = footing_of(picture)
    if footing is None:
        return None
    return documents.Margin(
        equity=text(footing.equity),
        maintenance_margin=text(footing.margin),
        margin_ratio=text(footing.margin / footing.equity) if footing.equity > 0 else None,
        liquidation_move=text_or_none(footing.distance),
        account=picture.fund.account or "",
        account_liquidation_move=None if shared is None else text_or_none(shared.distance),
    )


def position_documents(picture: Picture) -> list[documents.Position]:
    """Return every position with its margin and the price at which the fund's equity is no more."""
    footing = footing_of(picture)
    move = None if footing is None else footing.distance
    return [
        documents.Position(
            symbol=symbol,
            amount=text(held),
            mark=text_or_none(mark),
            notional_value=None if mark is None else text(held * mark),
            maintenance_margin=(
                None
                if mark is None or picture.maintenance is None
                else text(abs(held * mark) * picture.maintenance)
            ),
            liquidation_price=(None if mark is None or move is None else text(mark * (ONE + move))),
        )
        for symbol, held in picture.units.items()
        for mark in (picture.marks.get(symbol),)
    ]


def _priced(picture: Picture) -> bool:
    return all(symbol in picture.marks for symbol in picture.units)
