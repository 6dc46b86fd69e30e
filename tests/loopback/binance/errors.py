"""Binance's error bodies: a code, a text and a status for everything that can be refused."""

from __future__ import annotations

from collections.abc import Mapping

from tests.loopback.calls import Answer
from tests.loopback.orders import Refusal


class BinanceError(Exception):
    """The request is answered with an error body."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text
        self.status = status

    @property
    def document(self) -> dict[str, int | str]:
        """The body."""
        return {"code": self.code, "msg": self.text}

    def answer(self, headers: Mapping[str, str] | None = None) -> Answer:
        """Return the whole answer."""
        return Answer.of(self.document, self.status, headers)


def missing(name: str) -> BinanceError:
    """Return the error for a parameter that is not there or cannot be read."""
    return BinanceError(
        -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    )


_R = Refusal
REFUSALS: Mapping[Refusal, tuple[int, str]] = {
    _R.UNKNOWN_INSTRUMENT: (-1121, "Invalid symbol."),
    _R.NOT_TRADING: (-4108, "Symbol is not in trading status."),
    _R.REDUCE_ONLY_MARKET: (-4140, "Invalid symbol status for opening position."),
    _R.BAD_QUANTITY: (-4003, "Quantity less than or equal to zero."),
    _R.OFF_LOT: (-1111, "Precision is over the maximum defined for this asset."),
    _R.TOO_LARGE: (-4005, "Quantity greater than max quantity."),
    _R.BAD_PRICE: (-4001, "Price less than 0."),
    _R.OFF_TICK: (-4014, "Price not increased by tick size."),
    _R.TOO_HIGH: (-4016, "Limit price can't be higher than the cap."),
    _R.TOO_LOW: (-4024, "Limit price can't be lower than the floor."),
    _R.MIN_NOTIONAL: (
        -4164,
        "Order's notional must be no smaller than 5 (unless you choose reduce only).",
    ),
    _R.NO_MARGIN: (-2019, "Margin is insufficient."),
    _R.NOT_REDUCING: (-2022, "ReduceOnly Order is rejected."),
    _R.DUPLICATE_ID: (-4116, "ClientOrderId is duplicated."),
    _R.WRONG_BOOK: (-4061, "Order's position side does not match user's setting."),
    _R.REDUCE_ONLY_IN_HEDGE: (-1106, "Parameter 'reduceonly' sent when not required."),
    _R.WOULD_TAKE: (
        -5022,
        "Due to the order could not be executed as maker, the Post Only order will be rejected.",
    ),
    _R.CANNOT_FILL: (
        -5021,
        "Due to the order could not be filled immediately, the FOK order has been rejected.",
    ),
    _R.TOO_MANY: (-2025, "Reach max open order limit."),
    _R.UNKNOWN_ORDER: (-2013, "Order does not exist."),
    _R.NO_CHANGE: (-4046, "No need to change margin type."),
    _R.OPEN_ORDERS: (-4047, "Margin type cannot be changed if there exists open orders."),
    _R.OPEN_POSITIONS: (-4048, "Margin type cannot be changed if there exists position."),
    _R.BAD_LEVERAGE: (-4028, "Leverage is not valid"),
}
POSITION_SIDE_REFUSALS: Mapping[Refusal, tuple[int, str]] = {
    _R.NO_CHANGE: (-4059, "No need to change position side."),
    _R.OPEN_ORDERS: (-4067, "Position side cannot be changed if there exists open orders."),
    _R.OPEN_POSITIONS: (-4068, "Position side cannot be changed if there exists position."),
}
CANCEL_REFUSALS: Mapping[Refusal, tuple[int, str]] = {
    _R.UNKNOWN_ORDER: (-2011, "Unknown order sent."),
}


def refused(
    refusal: Refusal, special: Mapping[Refusal, tuple[int, str]] | None = None
) -> BinanceError:
    """Return the error for what the core refused; `special` goes before the common table."""
    code, text = {**REFUSALS, **(special or {})}[refusal]
    return BinanceError(code, text)
