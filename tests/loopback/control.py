"""Commands to a venue that runs in a process of its own: POST /-/NAME with a JSON object.

Not part of any exchange's protocol; it exists for tests of the real daemon.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tests.loopback.calls import Answer, Call
from tests.loopback.faults import Fault, Shape, Taken

if TYPE_CHECKING:
    from tests.loopback.server import LoopbackVenue


def command(venue: LoopbackVenue, call: Call) -> Answer:
    """Do what the path names and answer with the state after it."""
    name = call.path.removeprefix("/-/")
    doing = _COMMANDS.get(name)
    if doing is None:
        return Answer.of({"error": f"no command {name}; there are {sorted(_COMMANDS)}"}, 404)
    doing(venue, call.document)
    return Answer.of(state(venue))


def state(venue: LoopbackVenue) -> dict[str, Any]:
    """Return accounts, prices, violations and how many calls came in."""
    return {
        "accounts": {
            account.name: {
                "wallet": str(account.wallet),
                "positions": {
                    f"{position.instrument} {position.book}": str(position.contracts)
                    for position in account.held()
                },
                "orders": len(account.orders),
                "ids": [order.request.client_order_id for order in account.orders.values()],
                "open": len(account.open_ids),
                "trades": len(account.trades),
            }
            for account in venue.core.accounts.values()
        },
        "prices": {name: str(each.last) for name, each in venue.core.instruments.items()},
        "violations": len(venue.violations),
        "calls": len(venue.calls),
        "streams": len(venue.hub.streams),
    }


def _nothing(_venue: LoopbackVenue, _wish: Mapping[str, Any]) -> None:
    return


def _price(venue: LoopbackVenue, wish: Mapping[str, Any]) -> None:
    venue.price(wish["instrument"], wish["last"], mark=wish.get("mark"), index=wish.get("index"))


def _fund(venue: LoopbackVenue, wish: Mapping[str, Any]) -> None:
    venue.fund(wish["instrument"], wish.get("rate"))


def _fault(venue: LoopbackVenue, wish: Mapping[str, Any]) -> None:
    shape, taken = Shape(wish["shape"]), Taken(wish.get("taken", Taken.FIRST))
    rest = {name: value for name, value in wish.items() if name not in ("shape", "taken")}
    venue.faults.plan(Fault(shape=shape, taken=taken, **rest))


def _ban(venue: LoopbackVenue, wish: Mapping[str, Any]) -> None:
    venue.ban(wish["span_ms"])


def _maintain(venue: LoopbackVenue, wish: Mapping[str, Any]) -> None:
    venue.maintenance = wish["on"]


def _skew(venue: LoopbackVenue, wish: Mapping[str, Any]) -> None:
    venue.skew_ms = wish["ms"]


def _streams(venue: LoopbackVenue, wish: Mapping[str, Any]) -> None:
    venue.hub.copies = wish.get("copies", venue.hub.copies)
    venue.hub.muted = wish.get("muted", venue.hub.muted)


_COMMANDS: Mapping[str, Callable[[LoopbackVenue, Mapping[str, Any]], None]] = {
    "state": _nothing,
    "price": _price,
    "fund": _fund,
    "fault": _fault,
    "ban": _ban,
    "maintenance": _maintain,
    "skew": _skew,
    "streams": _streams,
}
