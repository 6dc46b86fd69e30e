"""Whatever is asked, with whatever token: no error of ours, and no change without the right.

schemathesis makes the requests from the OpenAPI document, within it and beyond it. How many is
REQUESTS in the environment, 2,000 unless said otherwise (`make soak` says 20,000).
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
)

from rebalancer.api import access
from rebalancer.api.specs import openapi
from rebalancer.api.tokens import TokenScope, create, revoke
from rebalancer.clock import WallClock
from rebalancer.core.capital import ConsolidationAnnounced, WindDownBegun
from rebalancer.core.records import CommandTaken
from rebalancer.store.reader import open_reader
from tests.api.rig import Published, published

SCHEMA = schemathesis.openapi.from_dict(openapi())
REQUESTS = int(os.environ.get("REQUESTS", "2000"))
UNFIT = ("none", "wrong", "basic", "empty", "no_text", "expired", "revoked", "read")
TOKENS = (*UNFIT, "operate", "admin", "operate", "admin", "operate")
#: what a caller, a proxy or a page of somebody else's may send besides
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"origin": "https://elsewhere.example"},
    {"host": "elsewhere.example"},
    {"host": ""},
    {"content-type": "text/plain"},
    {"content-encoding": "gzip"},
    {"accept": "application/xml", "accept-encoding": "gzip, br"},
    {"if-none-match": "*"},
    {"if-none-match": 'W/"x", "'},
    {"range": "bytes=0-1", "if-modified-since": "yesterday"},
    {"last-event-id": "9" * 30},
    {"x-forwarded-for": "127.0.0.1", "x-forwarded-host": "localhost", "forwarded": "for=_x"},
    {"x-http-method-override": "POST", "x-original-url": "/api/v1/kill"},
    {"cookie": "token=" + "A" * 4_000},
    {"expect": "200-ok", "te": "trailers", "upgrade": "h2c"},
)
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
    kept, now_ms = desk_at_work.folder / "desk.tokens", WallClock().now_ms()
    headers = {str(scope): desk_at_work.bearer(scope) for scope in TokenScope}
    expired = create(kept, "expired", TokenScope.ADMIN, now_ms - 2_000, 1_000)
    revoked = create(kept, "revoked", TokenScope.ADMIN, now_ms, None)
    revoke(kept, "revoked", now_ms)
    written = {
        "wrong": "Bearer rbl_00000000_" + "A" * 43,
        "basic": "Basic b3BlcmF0b3I6cGFzc3dvcmQ=",
        "empty": "Bearer ",
        "no_text": "Bearer \xff\x00\x7f",
        "expired": f"Bearer {expired}",
        "revoked": f"Bearer {revoked}",
    }
    headers |= {kind: {"authorization": value} for kind, value in written.items()}
    url = f"http://127.0.0.1:{desk_at_work.port}"
    return Served(url, desk_at_work.folder, {"none": {}, **headers})


def ask(served: Served, case: Any) -> None:
    """Make one request, with each kind of token and header in turn, and look at the answer."""
    token = TOKENS[served.count % len(TOKENS)]
    others = HEADERS[served.count // len(TOKENS) % len(HEADERS)]
    served.count += 1
    if "tokenName" in (case.path_parameters or {}) and served.count % 3:
        case.path_parameters["tokenName"] = "BTC3L"  # chance never finds the name of a token
    case.headers = {
        name: value for name, value in (case.headers or {}).items() if name != "authorization"
    }
    sent = served.headers[token] | others
    try:
        answer = case.call(base_url=served.url, headers=sent, timeout=10)
    except (requests.exceptions.InvalidHeader, UnicodeError):
        return  # no client could send it
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError):
        # The parser refuses such a header before the body came, which resets the connection.
        unfit = [value for value in (case.headers | sent).values() if not _is_text(str(value))]
        assert unfit, f"{case.method} {case.path} had no answer"
        return
    if (answer.status_code, answer.text) == (400, "Invalid HTTP request received."):
        return  # no HTTP: the server's parser refused it before anything of ours saw it
    served.statuses.add(answer.status_code)
    if answer.status_code != 304:  # which has no content to describe
        case.validate_response(answer, checks=CHECKS)
    if case.method == "POST" and answer.status_code == 200:
        served.carried_out.append(token)
    for header in served.headers.values():
        secret = header.get("authorization", "").removeprefix("Bearer ")
        assert not secret or secret not in answer.text


@pytest.mark.timeout(300 + REQUESTS // 10)
def test_no_request_breaks_it_or_gets_what_it_has_no_right_to(served: Served) -> None:
    operations: list[Any] = [each.ok() for each in SCHEMA.get_all_operations()]  # type: ignore[union-attr]
    operations.sort(key=lambda each: each.path.endswith("close"))  # nothing can follow an end
    rounds = 0
    # Of an operation without parameters there are few requests: the others make up for it.
    while served.count < REQUESTS:
        rounds += 1
        for place, operation in enumerate(operations):
            missing = max(REQUESTS - served.count, 0)
            ask_about(served, operation, 1 + missing // (len(operations) - place), rounds)
    sys.stdout.write(f"{served.count} requests, answers {sorted(served.statuses)}\n")
    judge(served)


def ask_about(served: Served, operation: Any, count: int, number: int) -> None:
    """Make up to `count` requests of one operation; another number makes others."""

    @seed(number)
    @settings(
        max_examples=count,
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


def _is_text(header: str) -> bool:
    return header.isascii() and header.isprintable()


def judge(served: Served) -> None:
    """Look at what was answered and at what the records say of it."""
    assert served.statuses >= {200, 304, 401, 403, 404, 409, 421, 422}
    assert served.carried_out
    assert set(served.carried_out) <= {"operate", "admin"}
    with open_reader(f"sqlite:///{served.folder}/desk.db") as reader:
        records = reader.records()
    taken = [record for record in records if isinstance(record, CommandTaken)]
    others = [each for each in records if isinstance(each, WindDownBegun | ConsolidationAnnounced)]
    assert len(taken) <= len(served.carried_out)
    assert all("(token tester-" in record.reason for record in (*taken, *others))
    assert requests.get(f"{served.url}/livez", timeout=5).text == "ok\n"
