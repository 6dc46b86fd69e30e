"""Every shape that an answer to a send can take, at every venue, and what must follow from it.

The outcomes are written by hand: the table below is what the desk promises, the code has to meet
it. Bodies are ours, in the shape of each venue's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rebalancer.venues.evidence import Evidence
from rebalancer.venues.facts import FACTS
from tests.venues.golden.markets import markets_of

OURS = "r7yh6dr5r0w2pwz0x7l239t9c1"
THEIRS = "rzwd34j3kqh2fatvuxuk7k446b"
HTML = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a venue says yes and no."""

    #: (order id, client id as the venue keeps it, contract) -> body
    good: Callable[[Any, str | None, str], Any]
    #: (code, order id that a refusal must not name) -> body
    refusal: Callable[[str, Any], Any]
    reject: str
    duplicate: str
    ambiguous: str
    too_many: str


def _without_nothing(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value is not None}


def _status(**fields: Any) -> Any:
    data = {"statuses": [_without_nothing(fields)]}
    return {"status": "ok", "response": {"type": "order", "data": data}}


DIALECTS: Mapping[str, Dialect] = {
    "binanceusdm": Dialect(
        good=lambda order, client, contract: _without_nothing(
            {"orderId": order, "symbol": contract, "status": "FILLED", "clientOrderId": client}
        ),
        refusal=lambda code, order: _without_nothing(
            {"code": int(code), "msg": "no", "orderId": order}
        ),
        reject="-2019",
        duplicate="-4116",
        ambiguous="-1007",
        too_many="-1003",
    ),
    "bybit": Dialect(
        good=lambda order, client, _: {
            "retCode": 0,
            "retMsg": "OK",
            "result": _without_nothing({"orderId": order, "orderLinkId": client}),
            "retExtInfo": {},
        },
        refusal=lambda code, order: {
            "retCode": int(code),
            "retMsg": "no",
            "result": _without_nothing({"orderId": order}),
        },
        reject="110007",
        duplicate="110072",
        ambiguous="10016",
        too_many="10006",
    ),
    "okx": Dialect(
        good=lambda order, client, _: {
            "code": "0",
            "msg": "",
            "data": [_without_nothing({"ordId": order, "clOrdId": client, "sCode": "0"})],
        },
        refusal=lambda code, order: {
            "code": "1",
            "msg": "",
            "data": [{"ordId": order or "", "clOrdId": OURS, "sCode": code, "sMsg": "no"}],
        },
        reject="51008",
        duplicate="51016",
        ambiguous="50004",
        too_many="50011",
    ),
    "gate": Dialect(
        good=lambda order, client, contract: _without_nothing(
            {"id": order, "contract": contract, "status": "finished", "text": client}
        ),
        refusal=lambda code, order: _without_nothing({"label": code, "message": "no", "id": order}),
        reject="INSUFFICIENT_AVAILABLE",
        duplicate="REPEATED_CREATION",
        ambiguous="TOO_BUSY",
        too_many="TOO_MANY_REQUESTS",
    ),
    "xt": Dialect(
        good=lambda order, _client, _contract: {
            "returnCode": 0,
            "msgInfo": "success",
            "error": None,
            "result": order,
        },
        refusal=lambda code, order: {
            "returnCode": 1,
            "msgInfo": "failure",
            "error": {"code": code, "msg": "no", "args": []},
            "result": order,
        },
        reject="insufficient_balance",
        duplicate="client_order_id_repeated",  # made up: the venue documents none
        ambiguous="500",
        too_many="429",
    ),
    "bitget": Dialect(
        good=lambda order, client, _: {
            "code": "00000",
            "msg": "success",
            "data": _without_nothing({"orderId": order, "clientOid": client}),
        },
        refusal=lambda code, order: {
            "code": code,
            "msg": "no",
            "data": None if order is None else {"orderId": order},
        },
        reject="40762",
        duplicate="40786",
        ambiguous="40015",
        too_many="429",
    ),
    "kucoinfutures": Dialect(
        good=lambda order, client, _: {
            "code": "200000",
            "data": _without_nothing({"orderId": order, "clientOid": client}),
        },
        refusal=lambda code, order: _without_nothing(
            {"code": code, "msg": "no", "data": None if order is None else {"orderId": order}}
        ),
        reject="300003",
        duplicate="300018",
        ambiguous="500000",
        too_many="429000",
    ),
    "mexc": Dialect(
        good=lambda order, _client, _contract: {
            "success": True,
            "code": 0,
            "data": _without_nothing({"orderId": order, "ts": 1}),
        },
        refusal=lambda code, order: _without_nothing(
            {"success": False, "code": int(code), "message": "no", "data": order}
        ),
        reject="2005",
        duplicate="603",
        ambiguous="500",
        too_many="510",
    ),
    "hyperliquid": Dialect(
        good=lambda order, client, _: _status(
            filled=_without_nothing(
                {"totalSz": "0.00007", "avgPx": "87654", "oid": order, "cloid": client}
            )
        ),
        refusal=lambda code, order: _status(
            error=f"{code}. asset=0", resting=None if order is None else {"oid": order}
        ),
        reject="Insufficient margin to place order",
        duplicate="Cloid was used before",  # made up: no sentence for it was seen
        ambiguous="Internal error",
        too_many="Too many cumulative requests sent (37986 > 10436)",
    ),
}

#: outcomes in the order of the table of venues: A accepted, R rejected, N never sent, ? unknown
#:                                                       BIN BYB OKX GAT XT  BIT KUC MEX HYP
OUTCOMES = """
good answer                                              A   A   A   A   A   A   A   A   A
good answer with status 201                              A   A   A   A   A   A   A   A   A
good answer that names no client id                      ?   ?   ?   ?   A   ?   A   A   A
good answer about another order                          ?   ?   ?   ?   A   ?   ?   A   ?
good answer about another contract                       ?   A   A   ?   A   A   A   A   A
good answer without an order id                          ?   ?   ?   ?   ?   ?   ?   ?   ?
good answer with an empty order id                       ?   ?   ?   ?   ?   ?   ?   ?   ?
good answer whose order id is a fraction                 ?   ?   ?   ?   ?   ?   ?   ?   ?
good answer with status 500                              ?   ?   ?   ?   ?   ?   ?   ?   ?
good answer behind a redirect 307                        ?   ?   ?   ?   ?   ?   ?   ?   ?
good answer with a key twice                             ?   ?   ?   ?   ?   ?   ?   ?   ?
good answer with a NaN in it                             ?   ?   ?   ?   ?   ?   ?   ?   ?
good answer cut, delivered as if whole                   ?   ?   ?   ?   ?   ?   ?   ?   ?
good answer in a list                                    ?   ?   ?   ?   ?   ?   ?   ?   ?
reject code with status 400                              R   R   R   R   R   R   R   R   R
reject code inside a 200                                 R   R   R   R   R   R   R   R   R
reject code with an order id beside it                   ?   ?   ?   ?   ?   ?   ?   ?   ?
too many requests, with the venue's code                 R   R   R   R   R   R   R   R   ?
duplicate client id                                      A   A   A   A   ?   A   A   A   ?
code that may mean anything                              ?   ?   ?   ?   ?   ?   ?   ?   ?
code that nobody documented                              ?   ?   ?   ?   ?   ?   ?   ?   ?
503 with code -1                                         ?   ?   ?   ?   ?   ?   ?   ?   ?
503 with html                                            ?   ?   ?   ?   ?   ?   ?   ?   ?
200 with html                                            ?   ?   ?   ?   ?   ?   ?   ?   ?
200 with nothing                                         ?   ?   ?   ?   ?   ?   ?   ?   ?
200 with null                                            ?   ?   ?   ?   ?   ?   ?   ?   ?
200 with {}                                              ?   ?   ?   ?   ?   ?   ?   ?   ?
200 with []                                              ?   ?   ?   ?   ?   ?   ?   ?   ?
200 with NaN                                             ?   ?   ?   ?   ?   ?   ?   ?   ?
200 with "OK"                                            ?   ?   ?   ?   ?   ?   ?   ?   ?
200 with brackets without end                            ?   ?   ?   ?   ?   ?   ?   ?   ?
204 with nothing                                         ?   ?   ?   ?   ?   ?   ?   ?   ?
302 with nothing                                         ?   ?   ?   ?   ?   ?   ?   ?   ?
401 with nothing                                         ?   ?   ?   ?   ?   ?   ?   ?   ?
403 with html                                            ?   ?   ?   ?   ?   ?   ?   ?   ?
418 with html                                            ?   ?   ?   ?   ?   ?   ?   ?   ?
429 with nothing                                         ?   ?   ?   ?   ?   ?   ?   ?   ?
500 with html                                            ?   ?   ?   ?   ?   ?   ?   ?   ?
502 with html                                            ?   ?   ?   ?   ?   ?   ?   ?   ?
504 with html                                            ?   ?   ?   ?   ?   ?   ?   ?   ?
body cut                                                 ?   ?   ?   ?   ?   ?   ?   ?   ?
chunk cut                                                ?   ?   ?   ?   ?   ?   ?   ?   ?
wrong length                                             ?   ?   ?   ?   ?   ?   ?   ?   ?
gzip error                                               ?   ?   ?   ?   ?   ?   ?   ?   ?
garbage status line                                      ?   ?   ?   ?   ?   ?   ?   ?   ?
1xx and nothing after                                    ?   ?   ?   ?   ?   ?   ?   ?   ?
slow headers                                             ?   ?   ?   ?   ?   ?   ?   ?   ?
slow body                                                ?   ?   ?   ?   ?   ?   ?   ?   ?
reset after the request left                             ?   ?   ?   ?   ?   ?   ?   ?   ?
reset before anything left                               N   N   N   N   N   N   N   N   N
refused connection                                       N   N   N   N   N   N   N   N   N
name failure                                             N   N   N   N   N   N   N   N   N
TLS failure                                              N   N   N   N   N   N   N   N   N
"""
_COLUMN = 57


def promised() -> dict[str, dict[str, str]]:
    """Return the table: shape -> venue -> letter."""
    rows = (row for row in OUTCOMES.splitlines() if row.strip())
    return {
        row[:_COLUMN].strip(): dict(zip(FACTS, row[_COLUMN:].split(), strict=True)) for row in rows
    }


def _said(body: Any, status: int = 200) -> Evidence:
    text = body if isinstance(body, str) else json.dumps(body)
    return Evidence(left=True, status=status, body=text)


def _silent(failure: str, status: int | None = None) -> Evidence:
    return Evidence(left=True, status=status, body=None, failure=failure)


def _never(failure: str) -> Evidence:
    return Evidence(left=False, failure=failure)


#: what was seen when no word of the venue's came, or a word that is the same everywhere
_SAME_EVERYWHERE: dict[str, Evidence] = {
    "503 with code -1": _said(
        {"code": -1, "msg": "Unknown error, please check your request or try again later."}, 503
    ),
    "503 with html": _said(HTML, 503),
    "200 with html": _said(HTML),
    "200 with nothing": _said(""),
    "200 with null": _said("null"),
    "200 with {}": _said("{}"),
    "200 with []": _said("[]"),
    "200 with NaN": _said("NaN"),
    '200 with "OK"': _said('"OK"'),
    "200 with brackets without end": _said("[" * 100_000),
    "204 with nothing": _said("", 204),
    "302 with nothing": _said("", 302),
    "401 with nothing": _said("", 401),
    "403 with html": _said(HTML, 403),
    "418 with html": _said(HTML, 418),
    "429 with nothing": _said("", 429),
    "500 with html": _said(HTML, 500),
    "502 with html": _said(HTML, 502),
    "504 with html": _said(HTML, 504),
    "body cut": _silent("the answer broke off", 200),
    "chunk cut": _silent("the answer broke off", 200),
    "wrong length": _silent("the answer broke off", 200),
    "gzip error": _silent("the answer broke off", 200),
    "garbage status line": _silent("the answer is not HTTP"),
    "1xx and nothing after": _silent("no answer in time"),
    "slow headers": _silent("no answer in time"),
    "slow body": _silent("no answer in time", 200),
    "reset after the request left": _silent("the connection failed"),
    "reset before anything left": _never("the connection failed"),
    "refused connection": _never("the venue could not be reached"),
    "name failure": _never("the venue's name could not be resolved"),
    "TLS failure": _never("the venue's certificate is not good"),
}


def _with_key_twice(body: str) -> str:
    return body[:-1] + ', "twice": 1, "twice": 2}'


def shapes_of(venue_id: str) -> dict[str, Evidence]:
    """Return what was seen, for every shape, at one venue."""
    dialect, to_venue = DIALECTS[venue_id], FACTS[venue_id].client_ids.to_venue
    contract, other = (market["id"] for market in markets_of(venue_id))
    ours, theirs = to_venue(OURS), to_venue(THEIRS)
    good = dialect.good("4711", ours, contract)
    text = json.dumps(good)
    shapes = {
        "good answer": _said(good),
        "good answer with status 201": _said(good, 201),
        "good answer that names no client id": _said(dialect.good("4711", None, contract)),
        "good answer about another order": _said(dialect.good("4711", theirs, contract)),
        "good answer about another contract": _said(dialect.good("4711", ours, other)),
        "good answer without an order id": _said(dialect.good(None, ours, contract)),
        "good answer with an empty order id": _said(dialect.good("", ours, contract)),
        "good answer whose order id is a fraction": _said(dialect.good(47.11, ours, contract)),
        "good answer with status 500": _said(good, 500),
        "good answer behind a redirect 307": _said(good, 307),
        "good answer with a key twice": _said(_with_key_twice(text)),
        "good answer with a NaN in it": _said(text[:-1] + ', "fee": NaN}'),
        "good answer cut, delivered as if whole": _said(text[: len(text) // 2]),
        "good answer in a list": _said([good]),
        "reject code with status 400": _said(dialect.refusal(dialect.reject, None), 400),
        "reject code inside a 200": _said(dialect.refusal(dialect.reject, None)),
        "reject code with an order id beside it": _said(dialect.refusal(dialect.reject, "4711")),
        "too many requests, with the venue's code": _said(
            dialect.refusal(dialect.too_many, None), 429
        ),
        "duplicate client id": _said(dialect.refusal(dialect.duplicate, None), 400),
        "code that may mean anything": _said(dialect.refusal(dialect.ambiguous, None)),
        "code that nobody documented": _said(dialect.refusal("987654", None)),
    }
    return shapes | _SAME_EVERYWHERE


def as_markdown() -> str:
    """Return the table for the page of venues."""
    titles = " | ".join(facts.title for facts in FACTS.values())
    lines = [f"| seen | {titles} |", "| --- |" + " --- |" * len(FACTS)]
    words = {"A": "accepted", "R": "rejected", "N": "never sent", "?": "unknown"}
    for shape, letters in promised().items():
        cells = " | ".join(words[letter] for letter in letters.values())
        lines.append(f"| {shape} | {cells} |")
    return "\n".join(lines)
