"""Answers: what the venues' samples say, and batches put back into the order of the request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from rebalancer.core.order import Outcome
from rebalancer.venues.answers import judge_in_batch, read_batch, sentence
from rebalancer.venues.evidence import Answer, Evidence, decide
from rebalancer.venues.facts import FACTS
from tests.shared_data import FIXTURES, needs
from tests.venues.golden.shapes import DIALECTS, OURS, THEIRS

SAMPLES = {
    "binanceusdm": "binance",
    "bybit": "bybit",
    "okx": "okx",
    "gate": "gate",
    "kucoinfutures": "kucoinfutures",
    "hyperliquid": "hyperliquid",
}
needs_samples = needs(FIXTURES)
BATCHING = [venue_id for venue_id, facts in FACTS.items() if facts.batch is not None]


def entries(venue_id: str) -> Iterator[Any]:
    path = FIXTURES / "endpoints" / f"{SAMPLES[venue_id]}.json"
    yield from json.loads(path.read_text(encoding="utf-8"))["entries"]


def sample(venue_id: str, name: str) -> Any:
    return next(entry["response"] for entry in entries(venue_id) if entry["name"].endswith(name))


class TestSamples:
    pytestmark = needs_samples

    @pytest.mark.parametrize("venue_id", SAMPLES)
    def test_a_sample_of_a_placed_order_names_it_and_no_code(self, venue_id: str) -> None:
        facts = FACTS[venue_id]
        answer = facts.judge.read(sample(venue_id, "Trading/PlaceOrder"))
        assert answer is not None
        assert answer.order_id
        assert not answer.code
        assert bool(answer.client_order_id) == facts.judge.echoes_client_id

    @pytest.mark.parametrize("venue_id", [one for one in BATCHING if one != "hyperliquid"])
    def test_a_sample_of_a_batch_reads_order_by_order(self, venue_id: str) -> None:
        body = sample(venue_id, "Trading/PlaceMultipleOrder" + "s" * (venue_id != "gate"))
        answers = read_batch(FACTS[venue_id], body, tuple(client_ids_in(body)))
        assert answers
        assert all(answer is not None for answer in answers)
        assert all(answer.order_id or answer.code for answer in answers if answer is not None)

    def test_the_recorded_answer_of_xt_names_the_order(self) -> None:
        text = (FIXTURES / "recorded" / "xt_ccxt_static.json").read_text(encoding="utf-8")
        bodies = [
            case["httpResponse"] for case in json.loads(text)["methods"].get("createOrder", [])
        ]
        for body in bodies:
            answer = FACTS["xt"].judge.read(body)
            assert answer is not None
            assert answer.order_id
        assert bodies

    @pytest.mark.parametrize("venue_id", SAMPLES)
    def test_no_sample_of_any_endpoint_is_taken_for_a_refusal(self, venue_id: str) -> None:
        judge = FACTS[venue_id].judge
        for entry in entries(venue_id):
            body = json.dumps(entry["response"])
            finding = decide(Evidence(left=True, status=200, body=body), judge, OURS)
            assert finding.outcome is not Outcome.REJECTED, entry["name"]


def client_ids_in(body: Any) -> Iterator[str]:
    """The client ids of a batch sample, in order; an item without one still takes a place."""
    items = body if isinstance(body, list) else body.get("data") or body["result"]["list"]
    for place, item in enumerate(items):
        names = ("clientOrderId", "orderLinkId", "clOrdId", "clientOid", "text")
        found = next((item[name] for name in names if item.get(name)), f"unnamed {place}")
        yield found.removeprefix("t-")


def batch_of(venue_id: str, *items: Any) -> Any:
    """Put single answers of a venue together the way it answers a batch."""
    if venue_id == "bybit":
        return {
            "retCode": 0,
            "result": {"list": [item["result"] for item in items]},
            "retExtInfo": {"list": [{"code": item["retCode"], "msg": ""} for item in items]},
        }
    if venue_id == "okx":
        return {"code": "2", "data": [item["data"][0] for item in items]}
    if venue_id == "kucoinfutures":
        flat = [{"code": item["code"], **(item.get("data") or {})} for item in items]
        return {"code": "200000", "data": flat}
    if venue_id == "hyperliquid":
        statuses = [item["response"]["data"]["statuses"][0] for item in items]
        return {"status": "ok", "response": {"type": "order", "data": {"statuses": statuses}}}
    return list(items)


def good(venue_id: str, order_id: str, client_order_id: str) -> Any:
    client = FACTS[venue_id].client_ids.to_venue(client_order_id)
    return DIALECTS[venue_id].good(order_id, client, "")


@pytest.mark.parametrize("venue_id", BATCHING)
def test_a_partial_batch_is_decided_order_by_order(venue_id: str) -> None:
    dialect = DIALECTS[venue_id]
    body = batch_of(venue_id, good(venue_id, "1", OURS), dialect.refusal(dialect.reject, None))
    evidence = Evidence(left=True, status=200, body=json.dumps(body))
    facts, client_ids = FACTS[venue_id], (OURS, THEIRS)
    findings = [
        decide(evidence, judge_in_batch(facts, client_ids, place), client_id)
        for place, client_id in enumerate(client_ids)
    ]
    assert findings[0].outcome is Outcome.ACCEPTED
    assert findings[0].order_id == "1"
    # OKX's refusal repeats the id it refuses, here that of the other order.
    assert findings[1].outcome is Outcome.REJECTED


@pytest.mark.parametrize("venue_id", BATCHING)
def test_answers_that_name_their_orders_may_come_in_any_order(venue_id: str) -> None:
    body = batch_of(venue_id, good(venue_id, "2", THEIRS), good(venue_id, "1", OURS))
    answers = read_batch(FACTS[venue_id], body, (OURS, THEIRS))
    assert [answer.order_id for answer in answers if answer is not None] == ["1", "2"]


@pytest.mark.parametrize("venue_id", BATCHING)
def test_a_batch_answered_short_says_nothing_about_orders_it_does_not_name(venue_id: str) -> None:
    dialect = DIALECTS[venue_id]
    refused = dialect.refusal(dialect.reject, None)
    if venue_id == "okx":
        refused["data"][0]["clOrdId"] = ""
    assert read_batch(FACTS[venue_id], batch_of(venue_id, refused), (OURS, THEIRS)) == (None, None)
    named = batch_of(venue_id, good(venue_id, "2", THEIRS))
    first, second = read_batch(FACTS[venue_id], named, (OURS, THEIRS))
    assert first is None
    assert second is not None


@pytest.mark.parametrize("venue_id", BATCHING)
def test_every_duplicate_code_means_accepted_earlier_in_a_batch_as_alone(venue_id: str) -> None:
    facts, client_ids = FACTS[venue_id], (OURS, THEIRS)
    for code in facts.judge.duplicates:
        refused = DIALECTS[venue_id].refusal(code, None)
        body = batch_of(venue_id, good(venue_id, "2", THEIRS), refused)
        if venue_id == "okx":
            body["data"].reverse()  # its refusals repeat the id that they refuse
        else:
            body = batch_of(venue_id, refused, good(venue_id, "2", THEIRS))
        evidence = Evidence(left=True, status=200, body=json.dumps(body))
        finding = decide(evidence, judge_in_batch(facts, client_ids, 0), OURS)
        assert (finding.outcome, finding.order_id) == (Outcome.ACCEPTED, "")
        assert code in finding.reason


@pytest.mark.parametrize("venue_id", ["binanceusdm", "bybit", "gate"])
def test_two_refusals_that_name_no_order_and_differ_prove_nothing_of_either(venue_id: str) -> None:
    # One of the two orders may live: nobody promised that answers stand in the order asked.
    dialect = DIALECTS[venue_id]
    refused, ambiguous = (
        dialect.refusal(code, None) for code in (dialect.reject, dialect.ambiguous)
    )
    body = batch_of(venue_id, refused, ambiguous)
    assert read_batch(FACTS[venue_id], body, (OURS, THEIRS)) == (None, None)
    alike = read_batch(FACTS[venue_id], batch_of(venue_id, refused, refused), (OURS, THEIRS))
    assert [answer.code for answer in alike if answer is not None] == [dialect.reject] * 2


@pytest.mark.parametrize("venue_id", BATCHING)
def test_an_answer_about_a_third_order_settles_none(venue_id: str) -> None:
    stranger = "r" + "0" * 24 + "1"
    body = batch_of(venue_id, good(venue_id, "3", stranger), good(venue_id, "2", THEIRS))
    first, second = read_batch(FACTS[venue_id], body, (OURS, THEIRS))
    assert first is None
    assert second is not None


@pytest.mark.parametrize("venue_id", BATCHING)
def test_one_refusal_for_all_refuses_each_and_one_order_for_all_settles_none(venue_id: str) -> None:
    dialect = DIALECTS[venue_id]
    refusal = dialect.refusal(dialect.reject, None)
    if venue_id == "okx":
        refusal = {"code": dialect.reject, "msg": "no", "data": []}
    if venue_id == "hyperliquid":
        refusal = {"status": "err", "response": dialect.reject}
    answers = read_batch(FACTS[venue_id], refusal, (OURS, THEIRS))
    assert [answer.code for answer in answers if answer is not None] == [dialect.reject] * 2


def test_a_venue_without_batches_reads_none() -> None:
    assert read_batch(FACTS["xt"], {}, (OURS, THEIRS)) == (None, None)


def test_bybit_lists_of_different_lengths_settle_nothing() -> None:
    body = batch_of("bybit", good("bybit", "1", OURS), good("bybit", "2", THEIRS))
    body["retExtInfo"]["list"].pop()
    assert read_batch(FACTS["bybit"], body, (OURS, THEIRS)) == (None, None)


def test_gate_marks_items_of_a_batch() -> None:
    placed = {"succeeded": True, "label": "", "id": 7, "text": f"t-{OURS}"}
    refused = {"succeeded": False, "label": "INSUFFICIENT_AVAILABLE", "detail": "no"}
    mute = {"succeeded": False}
    facts = FACTS["gate"]
    first, second = read_batch(facts, [placed, refused], (OURS, THEIRS))
    assert first == Answer(order_id="7", client_order_id=OURS)
    assert second == Answer(code="INSUFFICIENT_AVAILABLE", message="no")
    assert read_batch(facts, [placed, mute], (OURS, THEIRS))[1] is None


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"rc": 1, "mc": "AUTH_103", "ma": [], "result": None}, Answer(code="AUTH_103")),
        ({"rc": 0, "mc": "SUCCESS", "ma": [], "result": {}}, None),
        ({"returnCode": 1, "msgInfo": "failure", "error": None}, Answer(code="failure")),
        ({"returnCode": 0, "msgInfo": "success", "result": {"orderId": "1"}}, Answer()),
        ({"returnCode": 0, "msgInfo": "success", "result": 206410760006650176}, None),
    ],
)
def test_xt_in_its_other_shapes(body: Any, answer: Answer | None) -> None:
    read = FACTS["xt"].judge.read(body)
    if body.get("result") == 206410760006650176:
        answer = Answer(order_id="206410760006650176")
    assert read == answer


def test_mexc_in_its_other_shapes() -> None:
    read = FACTS["mexc"].judge.read
    assert read({"code": 200, "data": "2ff3"}) == Answer(order_id="2ff3")
    assert read({"success": True, "code": 0, "data": 259208}) == Answer(order_id="259208")
    assert read({"success": False, "code": 0, "data": 259208}) is None


def test_hyperliquid_in_its_other_shapes() -> None:
    read = FACTS["hyperliquid"].judge.read
    unknown_signer = "User or API Wallet 0xb8a6f8b26223de27c31938d56e470a5b832703a5 does not exist."
    answer = read({"status": "err", "response": unknown_signer})
    assert answer is not None
    assert answer.code in FACTS["hyperliquid"].judge.rejects
    resting = {"statuses": [{"resting": {"oid": 77738308}}]}
    body = {"status": "ok", "response": {"type": "order", "data": resting}}
    assert read(body) == Answer(order_id="77738308")
    assert sentence("Order has zero size.") == "Order has zero size"
    assert sentence("Insufficient margin to place order. asset=84") == (
        "Insufficient margin to place order"
    )
