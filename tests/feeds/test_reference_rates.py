"""Reference rates over HTTP: read, bounded, asked for again, and never guessed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import respx
import tenacity

from rebalancer.clock import VirtualClock
from rebalancer.core.events import Event, RateObserved
from rebalancer.errors import InputRefused
from rebalancer.feeds.reference_rates import ANSWER_BYTES_MAX, RateSource, RateWatch, rate_in
from tests.factories import NOON, D

URL = "https://rates.example/euribor"


def source(**over: Any) -> RateSource:
    fields: dict[str, Any] = {
        "url": URL,
        "field": "data.0.rate",
        "scale": D("0.01"),
        "interval_ms": 3_600_000,
        "lowest": D("-0.05"),
        "highest": D("0.25"),
    } | over
    return RateSource(**fields)


async def read(given: RateSource) -> list[Event]:
    told: list[Event] = []
    clock = VirtualClock()
    clock.set(NOON)
    watch = RateWatch({"E3M": given}, clock, told.append, wait=tenacity.wait_none())
    async with httpx.AsyncClient() as client:
        await watch.read(client, "E3M")
    return told


@respx.mock
async def test_a_rate_is_read_exactly_and_stamped() -> None:
    respx.get(URL).respond(200, text='{"data": [{"rate": 1.8500000000000000000001}]}')
    assert await read(source()) == [
        RateObserved(NOON, "E3M", D("0.018500000000000000000001"), NOON)
    ]


@respx.mock
@pytest.mark.parametrize(
    "trouble",
    [httpx.Response(503), httpx.Response(429), httpx.ConnectError("refused")],
    ids=["busy", "too often", "out of reach"],
)
async def test_it_asks_again_while_the_source_is_in_trouble(trouble: Any) -> None:
    good = httpx.Response(200, json={"data": [{"rate": "2"}]})
    route = respx.get(URL).mock(side_effect=[trouble, trouble, good])
    (told,) = await read(source())
    assert isinstance(told, RateObserved)
    assert told.rate == D("0.02")
    assert route.call_count == 3


@respx.mock
async def test_it_gives_up_after_four_times_and_tells_nothing() -> None:
    route = respx.get(URL).respond(500)
    assert await read(source()) == []
    assert route.call_count == 4


@respx.mock
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404),
        httpx.Response(301, headers={"Location": "https://elsewhere.example"}),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, content=b"[" * (ANSWER_BYTES_MAX + 1)),
    ],
    ids=["not found", "moved", "no JSON", "endless"],
)
async def test_what_is_wrong_for_good_is_asked_for_once(answer: httpx.Response) -> None:
    route = respx.get(URL).mock(return_value=answer)
    assert await read(source()) == []
    assert route.call_count == 1


async def test_an_address_that_is_none_is_a_warning_and_ends_nothing() -> None:
    assert await read(source(url="https://rates.example:port/euribor")) == []


@pytest.mark.parametrize(
    ("content", "field", "sentence"),
    [
        ('{"rate": 26}', "rate", "0.26 a year is not between -0.05 and 0.25"),
        ('{"rate": -6}', "rate", "-0.06 a year is not between"),
        ('{"rate": "NaN"}', "rate", "is not a finite number"),
        ('{"rate": 1e9999999}', "rate", "no rate has as many digits"),
        ('{"rate": 1e99999999999999999999}', "rate", "the answer is not JSON"),
        ('{"rate": true}', "rate", "expected a decimal number"),
        ('{"rate": null}', "rate", "expected a decimal number"),
        ('{"rate": 1}', "rat", "the answer has no rat: 'rat' is missing"),
        ('{"rate": [1]}', "rate.1", "the answer has no rate.1"),
        ('{"rate": NaN}', "rate", "expected a decimal number|not JSON"),
    ],
)
def test_an_answer_that_is_no_rate_is_refused(content: str, field: str, sentence: str) -> None:
    with pytest.raises(InputRefused, match=sentence):
        rate_in(content.encode(), source(field=field))


def test_a_path_may_count_from_the_end_of_a_list() -> None:
    assert rate_in(b'{"x": [1, 2, 3]}', source(field="x.-1")) == D("0.03")
