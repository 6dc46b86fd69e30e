"""XT's error bodies: an error inside an answer that says 200."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.loopback.calls import Answer
from tests.loopback.orders import Refusal


class XtError(Exception):
    """The request is answered with an error body."""

    def __init__(self, code: str, text: str, status: int = 200) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text
        self.status = status

    def answer(self, headers: Mapping[str, str] | None = None) -> Answer:
        """Return the whole answer."""
        document = {
            "returnCode": 1,
            "msgInfo": "failure",
            "error": {"code": self.code, "msg": self.text, "args": []},
            "result": None,
        }
        return Answer.of(document, self.status, headers)


def success(result: Any) -> Answer:
    """Return an answer that carries a result."""
    return Answer.of({"returnCode": 0, "msgInfo": "success", "error": None, "result": result})


def spot_success(result: Any) -> Answer:
    """Return an answer of the spot host."""
    return Answer.of({"rc": 0, "mc": "SUCCESS", "ma": [], "result": result})


_R = Refusal
REFUSALS: Mapping[Refusal, tuple[str, str]] = {
    _R.UNKNOWN_INSTRUMENT: ("invalid_symbol", "Invalid symbol"),
    _R.NOT_TRADING: (
        "symbol_not_support_trading_via_api",
        "The symbol does not support trading via API",
    ),
    _R.REDUCE_ONLY_MARKET: ("symbol_not_allow_open", "The symbol does not allow opening"),
    _R.BAD_QUANTITY: ("invalid_quantity", "Invalid quantity"),
    _R.OFF_LOT: ("invalid_quantity_scale", "Invalid quantity scale"),
    _R.TOO_LARGE: ("max_quantity_limit", "Exceeds the maximum quantity"),
    _R.BAD_PRICE: ("invalid_price", "Invalid price"),
    _R.OFF_TICK: ("invalid_price_scale", "Invalid price scale"),
    _R.TOO_HIGH: ("invalid_price_range", "Price is above the allowed range"),
    _R.TOO_LOW: ("invalid_price_range", "Price is below the allowed range"),
    _R.MIN_NOTIONAL: (
        "open_order_min_nominal_value_limit",
        "Exceeds the minimum notional value of a single order",
    ),
    _R.NO_MARGIN: ("insufficient_balance", "insufficient balance"),
    _R.NOT_REDUCING: ("position_not_enough", "Position is not enough to close"),
    _R.DUPLICATE_ID: ("duplicate_client_order_id", "Client order id is taken"),
    _R.WRONG_BOOK: ("invalid_position_side", "Invalid position side"),
    _R.REDUCE_ONLY_IN_HEDGE: ("invalid_params", "Invalid parameters"),
    _R.WOULD_TAKE: ("gtx_order_would_take", "A GTX order would take"),
    _R.CANNOT_FILL: ("fok_order_cannot_fill", "A FOK order cannot be filled"),
    _R.TOO_MANY: ("max_open_orders", "Too many open orders"),
    _R.UNKNOWN_ORDER: ("order_not_exist", "order not exist"),
    _R.NO_CHANGE: ("position_type_not_changed", "Nothing to change"),
    _R.OPEN_ORDERS: ("exist_open_orders", "There are open orders"),
    _R.OPEN_POSITIONS: ("exist_positions", "There are open positions"),
    _R.BAD_LEVERAGE: ("invalid_leverage", "Invalid leverage"),
}


def refused(refusal: Refusal) -> XtError:
    """Return the error for what the core refused."""
    return XtError(*REFUSALS[refusal])
