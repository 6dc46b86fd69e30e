"""Flows over the control socket: what a line must be, what is answered, what a repeat does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rebalancer.core.capital import FlowDealt
from rebalancer.core.events import Commanded, FlowsRequested
from rebalancer.desk.requests import answer_to, digest_of, read_request
from rebalancer.errors import CommandRefused
from tests.core.test_flows import standing
from tests.factories import NOON

ONE = {"fund": "BTC3L", "kind": "subscribe", "amount": "1000", "key": "a"}


def line(*flows: dict[str, Any], **over: Any) -> bytes:
    return json.dumps({"command": "flows", "flows": flows} | over).encode()


def read(*flows: dict[str, Any], **over: Any) -> FlowsRequested:
    request = read_request(line(*flows, **over), NOON)
    assert isinstance(request, FlowsRequested)
    return request


def test_a_line_becomes_flows() -> None:
    request = read(ONE, ONE | {"key": "b", "min_out": "2"}, batch="x")
    assert [flow.key for flow in request.flows] == ["a", "b"]
    assert request.flows[1].min_out == 2
    assert (request.batch, request.digest) == ("x", digest_of(request.flows))
    assert request.flows[0].requested_ms == NOON
    assert read(ONE).digest == ""


def test_the_digest_is_of_what_is_asked_for_and_not_of_when() -> None:
    same = read_request(line(ONE | {"amount": "1000.0"}, batch="x"), NOON + 1)
    assert isinstance(same, FlowsRequested)
    assert same.digest == read(ONE, batch="x").digest
    assert read(ONE | {"amount": "1001"}, batch="x").digest != same.digest


@pytest.mark.parametrize(
    ("flows", "sentence"),
    [
        ([], "at least one"),
        ([ONE, ONE], "the key a stands twice"),
        ([ONE | {"kind": "gift"}], "flow 1: kind: 'gift' is not one of subscribe, redeem"),
        ([ONE | {"amount": "-1"}], "flow 1: amount: -1 must be above zero"),
        ([ONE | {"amount": "1e-30"}], "more than 24 digits"),
        ([ONE | {"amount": 0.5}], "expected a decimal number in text, got float"),
        ([ONE | {"key": ""}], "key: must have 1 to 200 characters"),
        ([{"fund": "BTC3L"}], "a command is one line of JSON"),
        ("x", "a command is one line of JSON"),
    ],
)
def test_what_is_no_flow_is_refused_in_a_sentence(flows: Any, sentence: str) -> None:
    with pytest.raises(CommandRefused, match=sentence):
        read_request(json.dumps({"command": "flows", "flows": flows}).encode(), NOON)


def test_other_commands_are_what_they_were() -> None:
    told = read_request(b'{"command": "halt", "fund": "A", "reason": "r"}', NOON)
    assert isinstance(told, Commanded)


def test_the_answer_says_what_became_of_each_flow() -> None:
    made = standing()
    made.known(100)
    request = read(ONE, ONE | {"key": "b", "min_out": "11"}, batch="x")
    first = answer_to(request, made.take(request).records)
    dealt, refused = first["flows"]
    assert dealt == {
        "fund": "BTC3L",
        "key": "a",
        "status": "dealt",
        "nav": "100",
        "shares": "10",
        "cash": "1000",
        "fee": "0",
    }
    assert (refused["status"], refused["key"]) == ("refused", "b")
    assert first["trigger"] == "flow"
    again = answer_to(request, made.take(request).records)
    assert [each["status"] for each in again["flows"]] == ["repeated", "repeated"]
    assert (again["run_id"], len(made.of(FlowDealt))) == (None, 1)
