"""What the venues answer to an order, read into one shape; one small reader per venue.

A reader says what stands in a body, not what follows from it: that is `evidence.decide`. What a
reader does not know for an answer to an order it does not read: None, or an error, which `decide`
takes for the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from rebalancer.exchanges import UNREADABLE
from rebalancer.venues.evidence import Answer, Judge, Read
from rebalancer.venues.facts_ids import from_cloid, from_gate
from rebalancer.venues.facts_shape import VenueFacts

#: no refusal is longer
REFUSAL_CHARACTERS_MAX = 1_000
Answers = tuple[Answer | None, ...]


def judge_for(facts: VenueFacts, client_order_id: str, market_id: str = "") -> Judge:
    """Return the judge of one send: what shows another order's id or contract is no answer to it.

    Stricter than `facts.judge`, which knows neither: a venue that echoes the client id now and
    then is held to it when it does.
    """
    read = partial(_read_own, facts, client_order_id, market_id)
    return replace(facts.judge, read=read)


def judge_in_batch(facts: VenueFacts, client_order_ids: Sequence[str], position: int) -> Judge:
    """Return the judge of one order of a batch, for `evidence.decide` with the whole body."""
    read = partial(_read_position, facts, tuple(client_order_ids), position)
    # Whose answer it is was settled by the batch reader, by id or by place.
    return replace(facts.judge, read=read, echoes_client_id=False)


def says_too_many(facts: VenueFacts, body: str) -> bool:
    """Whether an answer to anything says, by its code, that there were too many requests."""
    if len(body) > REFUSAL_CHARACTERS_MAX:
        return False
    try:
        answer = facts.judge.read(json.loads(body))
    except UNREADABLE:
        return False
    return answer is not None and answer.code in facts.limits.too_many


def read_batch(facts: VenueFacts, body: Any, client_order_ids: Sequence[str]) -> Answers:
    """Return an answer per order, in the order of the request; None where there is none."""
    if facts.batch is None:
        return (None,) * len(client_order_ids)
    return facts.batch.read(body, client_order_ids)


def _read_own(facts: VenueFacts, client_order_id: str, market_id: str, body: Any) -> Answer | None:
    answer = facts.judge.read(body)
    if answer is None or answer.code:
        return answer
    if answer.client_order_id not in ("", client_order_id):
        return None
    shown = facts.shown.market_id(body)
    return None if market_id and shown not in ("", market_id) else answer


def _read_position(
    facts: VenueFacts, client_order_ids: Sequence[str], position: int, body: Any
) -> Answer | None:
    return read_batch(facts, body, client_order_ids)[position]


# -- one order --------------------------------------------------------------------------------


def read_binance(body: Any) -> Answer | None:
    """Read an order, or {"code": -2019, "msg": ...}."""
    if "code" in body:
        return _refusal(body["code"], body.get("msg"), body.get("orderId"))
    return _order(body.get("orderId"), body.get("clientOrderId"))


def read_bybit(body: Any) -> Answer | None:
    """Read {"retCode", "retMsg", "result": {"orderId", "orderLinkId"}}; errors come in a 200."""
    result = body.get("result") or {}
    if _text(body["retCode"]) != "0":
        return _refusal(body["retCode"], body.get("retMsg"), result.get("orderId"))
    return _order(result.get("orderId"), result.get("orderLinkId"))


def read_okx(body: Any) -> Answer | None:
    """Read {"code", "data": [{"ordId", "clOrdId", "sCode"}]}; the order's own code comes first."""
    data = body.get("data") or []
    if len(data) > 1:
        return None
    if data:
        return _read_okx_item(data[0])
    # Without an item a code of 0 names no order.
    return _refusal_or_nothing(body["code"], body.get("msg"), good="0")


def _read_okx_item(item: Any) -> Answer | None:
    if _text(item["sCode"]) != "0":
        return _refusal(item["sCode"], item.get("sMsg"), item.get("ordId"))
    return _order(item.get("ordId"), item.get("clOrdId"))


def read_gate(body: Any) -> Answer | None:
    """Read an order, or {"label": ..., "message" or "detail": ...}."""
    if "label" in body:
        message = body.get("message") or body.get("detail")
        return _refusal(body["label"], message, body.get("id"))
    return _order(body.get("id"), from_gate(_text(body.get("text"))))


def read_xt(body: Any) -> Answer | None:
    """Read {"returnCode", "error": {"code", "msg"}, "result": id}, or the gateway's {"rc", "mc"}.

    A result that is no bare id names no order.
    """
    if "rc" in body:
        return _refusal(body["mc"], "", None) if _text(body["rc"]) != "0" else None
    result = body.get("result")
    order_id = "" if isinstance(result, dict | list | bool) else _text(result)
    if _text(body["returnCode"]) == "0":
        return _order(order_id, None)
    error = body.get("error") or {}
    # A failure without a code is still no success.
    code = _text(error.get("code")) or _text(body.get("msgInfo")) or "failure"
    return _refusal(code, error.get("msg"), order_id)


def read_bitget(body: Any) -> Answer | None:
    """Read {"code", "msg", "data": {"orderId", "clientOid"}}."""
    data = body.get("data") or {}
    if _text(body["code"]) != "00000":
        return _refusal(body["code"], body.get("msg"), data.get("orderId"))
    return _order(data.get("orderId"), data.get("clientOid"))


def read_kucoin(body: Any) -> Answer | None:
    """Read {"code", "data": {"orderId", "clientOid"}}; not every answer names the client id."""
    data = body.get("data") or {}
    if _text(body["code"]) != "200000":
        order_id = data.get("orderId") if isinstance(data, dict) else None
        return _refusal(body["code"], body.get("msg"), order_id)
    return _order(data.get("orderId"), data.get("clientOid"))


def read_mexc(body: Any) -> Answer | None:
    """Read {"success", "code", "data": id or {"orderId"}}; an older form has code 200 alone."""
    code, data = _text(body["code"]), body.get("data")
    order_id = data.get("orderId") if isinstance(data, dict) else data
    if code not in ("0", "200"):
        return _refusal(code, body.get("message") or body.get("msg"), order_id)
    if body.get("success", True) is not True:
        return None
    return _order(order_id, None)


def read_hyperliquid(body: Any) -> Answer | None:
    """Read {"status", "response": {"data": {"statuses": [...]}}}; errors are sentences."""
    statuses = _statuses(body)
    if isinstance(statuses, Answer):
        return statuses
    return _read_status(statuses[0]) if len(statuses) == 1 else None


def _statuses(body: Any) -> list[Any] | Answer:
    if body["status"] == "err":
        return Answer(code=sentence(body["response"]), message=body["response"])
    return list(body["response"]["data"]["statuses"])


def _read_status(status: Any) -> Answer | None:
    if len(status) != 1:
        # An error beside an order contradicts itself.
        return None
    if "error" in status:
        return Answer(code=sentence(status["error"]), message=status["error"])
    order = status.get("resting") or status.get("filled")
    cloid = order.get("cloid")
    return _order(order["oid"], None if cloid is None else from_cloid(cloid))


def sentence(text: str) -> str:
    """Return what stays the same in an error sentence: no asset, no address, no full stop."""
    text = re.sub(r"[\s,.]*asset=\d+\s*$", "", text)
    return re.sub(r"0x[0-9a-fA-F]+", "0x", text).strip().rstrip(".")


# -- what else a good answer shows ------------------------------------------------------------


def symbol_of(body: Any) -> str:
    """Return the contract that Binance's answer names."""
    return _text(body.get("symbol"))


def contract_of(body: Any) -> str:
    """Return the contract that Gate's answer names."""
    return _text(body.get("contract"))


def nothing_of(_body: Any) -> str:
    """Return nothing: the venue's answer names no contract."""
    return ""


# -- batches ----------------------------------------------------------------------------------


def read_binance_batch(body: Any, client_order_ids: Sequence[str]) -> Answers:
    """Read a list of orders and errors, or one error for all."""
    return _listed(body, client_order_ids, read_binance)


def read_gate_batch(body: Any, client_order_ids: Sequence[str]) -> Answers:
    """Read a list of {"succeeded", ...} orders and labels, or one label for all."""
    return _listed(body, client_order_ids, _read_gate_item)


def _read_gate_item(item: Any) -> Answer | None:
    if item.get("succeeded", True) is not True and not item.get("label"):
        return None
    return read_gate({key: value for key, value in item.items() if key != "label" or value})


def read_kucoin_batch(body: Any, client_order_ids: Sequence[str]) -> Answers:
    """Read {"code", "data": [{"code", "orderId", "clientOid"}]}, or one code for all."""
    if _text(body["code"]) != "200000":
        return _same(read_kucoin(body), client_order_ids)
    items = [{"code": item["code"], "msg": item.get("msg"), "data": item} for item in body["data"]]
    return _listed(items, client_order_ids, read_kucoin)


def read_bybit_batch(body: Any, client_order_ids: Sequence[str]) -> Answers:
    """Read two lists side by side: ids in `result`, codes in `retExtInfo`."""
    if _text(body["retCode"]) != "0":
        return _same(read_bybit(body), client_order_ids)
    orders, codes = body["result"]["list"], body["retExtInfo"]["list"]
    if len(orders) != len(codes):
        return _same(None, client_order_ids)
    items = [
        {"retCode": code["code"], "retMsg": code.get("msg"), "result": order}
        for order, code in zip(orders, codes, strict=True)
    ]
    return _listed(items, client_order_ids, read_bybit)


def read_okx_batch(body: Any, client_order_ids: Sequence[str]) -> Answers:
    """Read {"code", "data": [{"sCode", ...}]}; code 2 is a batch of which only a part stands."""
    data = body.get("data") or []
    if not data:
        return _same(read_okx(body), client_order_ids)
    return _listed(data, client_order_ids, _read_okx_item)


def read_hyperliquid_batch(body: Any, client_order_ids: Sequence[str]) -> Answers:
    """Read the statuses, which stand in the order of the request."""
    statuses = _statuses(body)
    if isinstance(statuses, Answer):
        return _same(statuses, client_order_ids)
    return _listed(statuses, client_order_ids, _read_status, in_order=True)


def _listed(
    body: Any, client_order_ids: Sequence[str], read: Read, *, in_order: bool = False
) -> Answers:
    """Match the items of a list to ids: by the id an item shows, else by its place.

    Places count only in a list as long as the request: in a shorter one they may have moved. Where
    the venue does not promise the order of the request, they count only if it makes no difference:
    if every item without an id refuses for the same reason.
    """
    if not isinstance(body, list):
        return _same(read(body), client_order_ids)
    answers = [read(item) for item in body]
    named = {answer.client_order_id: answer for answer in answers if answer is not None}
    codes = {
        None if answer is None else answer.code
        for answer in answers
        if answer is None or not answer.client_order_id
    }
    alike = len(codes) == 1 and not codes & {None, ""}
    placed = len(answers) == len(client_order_ids) and (in_order or alike)
    matched: list[Answer | None] = []
    for place, client_order_id in enumerate(client_order_ids):
        at_place = answers[place] if placed else None
        if at_place is not None and at_place.client_order_id:
            at_place = None
        matched.append(named.get(client_order_id, at_place))
    return tuple(matched)


def _same(answer: Answer | None, client_order_ids: Sequence[str]) -> Answers:
    # One answer for all says something only if it is a refusal of all.
    refused = answer if answer is not None and answer.code else None
    return (refused,) * len(client_order_ids)


# -- values -----------------------------------------------------------------------------------


def _text(value: Any) -> str:
    """Return an id or a code as text; anything but text, a whole number or nothing raises."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError("no id and no code")
    return str(value)


def _order(order_id: Any, client_order_id: Any) -> Answer:
    return Answer(order_id=_text(order_id), client_order_id=_text(client_order_id))


def _refusal(code: Any, message: Any, order_id: Any) -> Answer | None:
    if _text(order_id) not in ("", "0") or not _text(code):
        # A refusal that names an order contradicts itself, and one without a code says nothing.
        return None
    return Answer(code=_text(code), message=_text(message))


def _refusal_or_nothing(code: Any, message: Any, *, good: str) -> Answer | None:
    return None if _text(code) == good else _refusal(code, message, None)
