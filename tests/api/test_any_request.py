"""Whatever is asked, with whatever token: no error of ours, and no change without the right.

schemathesis makes the requests from the OpenAPI document, within it and beyond it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
)

from rebalancer.api import access
from rebalancer.api.specs import openapi
from rebalancer.api.tokens import TokenScope
from rebalancer.core.records import CommandTaken
from rebalancer.store.reader import open_reader
from tests.api.rig import Published, published

SCHEMA = schemathesis.openapi.from_dict(openapi())
#: 18 operations x 112 = 2 016 requests
REQUESTS_EACH = 112
TOKENS = ("none", "wrong", *TokenScope)
CHECKS = [not_a_server_error, response_schema_conformance, content_type_conformance]


@dataclass
class Served:
    """A desk in a thread of its own, and what was asked of it."""

    url: str
    folder: Path
    headers: dict[str, dict[str, str]]
    #: answers of 200 to a POST, by kind of token
    carried_out: list[str] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)
    count: int = 0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Run a desk while the requests are made."""
    folder = tmp_path_factory.mktemp("desk")
    began, stop, told = threading.Event(), threading.Event(), list[Served]()

    async def work() -> None:
        async with published(folder, publish_interval_ms=200) as desk_at_work:
            told.append(_served(desk_at_work))
            began.set()
            while not stop.is_set():  # noqa: ASYNC110 - set from another thread
                await asyncio.sleep(0.05)

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    before, access.FIRST_DELAY_SECONDS = access.FIRST_DELAY_SECONDS, 0.0
    thread.start()
    try:
        assert began.wait(30)
        yield told[0]
    finally:
        stop.set()
        thread.join(30)
        access.FIRST_DELAY_SECONDS = before


def _served(desk_at_work: Published) -> Served:
    headers = {str(scope): desk_at_work.bearer(scope) for scope in TokenScope}
    wrong = {"authorization": "Bearer rbl_00000000_" + "A" * 43}
    url = f"http://127.0.0.1:{desk_at_work.port}"
    return Served(url, desk_at_work.folder, {"none": {}, "wrong": wrong, **headers})


def ask(served: Served, case: Any) -> None:
    """Make one request, with each kind of token in turn, and look at the answer."""
    token = TOKENS[served.count % len(TOKENS)]
    served.count += 1
    if "tokenName" in (case.path_parameters or {}) and served.count % 3:
        case.path_parameters["tokenName"] = "BTC3L"  # chance never finds the name of a token
    case.headers = {
        name: value for name, value in (case.headers or {}).items() if name != "authorization"
    }
    answer = case.call(base_url=served.url, headers=served.headers[token], timeout=10)
    served.statuses.add(answer.status_code)
    case.validate_response(answer, checks=CHECKS)
    if case.method == "POST" and answer.status_code == 200:
        served.carried_out.append(token)
    for header in served.headers.values():
        secret = header.get("authorization", "").removeprefix("Bearer ")
        assert not secret or secret not in answer.text


@pytest.mark.timeout(300)
def test_no_request_breaks_it_or_gets_what_it_has_no_right_to(served: Served) -> None:
    for found in SCHEMA.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]

        @settings(
            max_examples=REQUESTS_EACH,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
            | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
        )
        def ask_it(case: Any) -> None:
            ask(served, case)

        ask_it()
    sys.stdout.write(f"{served.count} requests, answers {sorted(served.statuses)}\n")
    assert served.count >= 1_000
    assert served.statuses >= {200, 401, 403, 404, 409, 422}
    assert set(served.carried_out) == {"operate", "admin"}
    with open_reader(f"sqlite:///{served.folder}/desk.db") as reader:
        taken = [record for record in reader.records() if isinstance(record, CommandTaken)]
    assert 0 < len(taken) <= len(served.carried_out)
    assert all("(token tester-" in record.reason for record in taken)
    assert requests.get(f"{served.url}/livez", timeout=5).text == "ok\n"
