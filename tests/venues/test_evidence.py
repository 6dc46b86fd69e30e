"""What is known after a send: every shape of answer at every venue; nothing proved by chance."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.core.order import Outcome
from rebalancer.venues.answers import judge_for
from rebalancer.venues.evidence import Evidence, decide
from rebalancer.venues.facts import FACTS
from tests.venues.golden.markets import markets_of
from tests.venues.golden.shapes import OURS, promised, shapes_of

OUTCOME_OF = {
    "A": Outcome.ACCEPTED,
    "R": Outcome.REJECTED,
    "N": Outcome.NEVER_SENT,
    "?": Outcome.UNKNOWN,
}
CELLS = [
    (shape, venue_id, OUTCOME_OF[letter])
    for shape, letters in promised().items()
    for venue_id, letter in letters.items()
]
KEYS = (
    *("code", "msg", "data", "result", "retCode", "orderId", "clientOrderId", "sCode", "label"),
    *("id", "text", "returnCode", "error", "status", "response", "statuses"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


def judge_of(venue_id: str) -> Any:
    return judge_for(FACTS[venue_id], OURS, markets_of(venue_id)[0]["id"])


def test_the_table_has_enough_shapes_and_each_has_its_evidence() -> None:
    assert len(promised()) >= 26
    for venue_id in FACTS:
        assert set(shapes_of(venue_id)) == set(promised())


@pytest.mark.parametrize(
    ("shape", "venue_id", "outcome"), CELLS, ids=[f"{venue}-{shape}" for shape, venue, _ in CELLS]
)
def test_what_follows_from_an_answer(shape: str, venue_id: str, outcome: Outcome) -> None:
    finding = decide(shapes_of(venue_id)[shape], judge_of(venue_id), OURS)
    assert finding.outcome is outcome
    assert (finding.order_id == "4711") == shape.startswith("good answer") * (
        outcome is Outcome.ACCEPTED
    )
    assert finding.reason or finding.outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("venue_id", FACTS)
@given(body=JSON, status=st.sampled_from([200, 201, 302, 400, 403, 429, 500, 503]))
def test_no_answer_is_a_rejection_without_a_code_of_the_list(
    venue_id: str, body: Any, status: int
) -> None:
    text = json.dumps(body)
    facts = FACTS[venue_id]
    finding = decide(Evidence(left=True, status=status, body=text), judge_of(venue_id), OURS)
    if finding.outcome is Outcome.REJECTED:
        assert any(code in text for code in facts.judge.rejects)


@pytest.mark.parametrize("venue_id", FACTS)
def test_no_cut_of_an_answer_proves_anything(venue_id: str) -> None:
    shapes = shapes_of(venue_id)
    for shape in ("good answer", "reject code inside a 200"):
        body = shapes[shape].body
        assert body is not None
        for length in range(len(body)):
            cut = Evidence(left=True, status=200, body=body[:length])
            assert decide(cut, judge_of(venue_id), OURS).outcome is Outcome.UNKNOWN
