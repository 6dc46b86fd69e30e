"""The prices at which the rules of a published fund fire, as a document."""

from __future__ import annotations

from rebalancer.api import documents
from rebalancer.api.pictures import Picture
from rebalancer.core.distances import Distance, distances
from rebalancer.core.money import ZERO, text
from rebalancer.core.position import Holding
from rebalancer.core.records import TradingState
from rebalancer.core.triggers import Standing


def triggers_of(picture: Picture) -> tuple[Distance, ...]:
    """Return the triggers of a fund, the nearest first; none where it has no price or has ended."""
    view, worth = picture.view, picture.worth
    if worth is None or not view.shares or view.trading == TradingState.WIPED:
        return ()
    # The cash follows from what the fund is worth, so that none is needed here.
    holding = Holding(ZERO, dict(picture.units))
    standing = Standing(picture.fund, holding, picture.point, worth, ending=picture.ending)
    return distances(standing)


def triggers_document(picture: Picture) -> documents.Triggers:
    """Return the triggers of a fund; both NAVs may end it at prices of two sources."""
    return documents.Triggers(
        token_name=picture.name,
        items=[
            documents.TriggerPrice(
                trigger=str(each.trigger),
                source=str(each.source),
                fires=each.fires,
                prices={symbol: text(price) for symbol, price in each.prices.items()},
                move=text(each.move),
            )
            for each in triggers_of(picture)
        ],
        timestamp=picture.view.at_ms,
    )
