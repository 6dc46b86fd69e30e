"""Who may ask: names, origins, tokens, scopes; and what a wrong token costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rebalancer.api import access
from rebalancer.api.access import Gate, Penalties, Policy, delay_seconds
from rebalancer.api.tokens import Keyring, TokenScope, create
from rebalancer.clock import VirtualClock
from tests.api.rig import published

NOW = 1_800_000_000_000


async def bare_app(_scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})


def gate(folder: Path, **policy: Any) -> httpx.AsyncClient:
    """Return a client of a gate with nothing behind it."""
    fields: dict[str, Any] = {
        "hosts": frozenset({"localhost", "[::1]"}),
        "needs_token": False,
    } | policy
    keyring = Keyring(folder / "desk.tokens")
    app = Gate(bare_app, Policy(**fields), keyring, VirtualClock(NOW))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


@pytest.mark.parametrize("host", ["localhost", "localhost:8765", "LOCALHOST", "[::1]:8765"])
async def test_its_own_names_are_let_in(tmp_path: Path, host: str) -> None:
    assert (await gate(tmp_path).get("/", headers={"host": host})).text == "in"


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "[::2]", "127.0.0.1"]
)
async def test_a_name_that_is_not_its_own_is_refused(tmp_path: Path, host: str) -> None:
    """A page that had its own name point here (DNS rebinding) must learn nothing."""
    answer = await gate(tmp_path).get("/livez", headers={"host": host})
    assert (answer.status_code, answer.headers["content-type"]) == (421, "application/problem+json")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://[", "file://"])
async def test_a_page_from_elsewhere_is_refused(tmp_path: Path, origin: str) -> None:
    assert (await gate(tmp_path).get("/", headers={"origin": origin})).status_code == 403
    own = await gate(tmp_path).get("/", headers={"origin": "http://localhost:8765"})
    assert own.status_code == 200


async def test_no_answer_lets_another_origin_read_it(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        for method in ("GET", "OPTIONS"):
            answer = await desk_at_work.private.request(method, "/api/v1/tokens")
            assert not [name for name in answer.headers if name.startswith("access-control")]
            assert answer.headers["x-content-type-options"] == "nosniff"


async def test_where_others_can_reach_it_every_request_needs_a_token(tmp_path: Path) -> None:
    made = create(tmp_path / "desk.tokens", "reader", TokenScope.READ, NOW, None)
    client = gate(tmp_path, needs_token=True)
    refused = await client.get("/api/v1/tokens")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert (await client.get("/", headers={"authorization": f"Bearer {made}"})).text == "in"
    assert (await client.get("/livez")).text == "in"


@pytest.mark.parametrize(
    "written", ["", "Bearer", "Bearer x", "Basic eDp5", "Bearer \xff", "x" * 9_000]
)
async def test_what_is_no_token_is_refused_late(
    tmp_path: Path, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "FIRST_DELAY_SECONDS", 0.01)
    client = gate(tmp_path)
    answer = await client.get(
        "/api/v1/tokens", headers=[(b"authorization", written.encode("latin-1"))]
    )
    assert answer.status_code == 401


async def test_a_basic_password_is_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "FIRST_DELAY_SECONDS", 0.01)
    made = create(tmp_path / "desk.tokens", "reader", TokenScope.READ, NOW, None)
    refused = await gate(tmp_path).get("/api/v1/tokens", headers={"authorization": f"Basic {made}"})
    assert refused.status_code == 401


async def test_a_broken_file_of_tokens_refuses_all_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "desk.tokens").write_text("{")
    answer = await gate(tmp_path).get("/api/v1/tokens", headers={"authorization": "Bearer x"})
    assert (answer.status_code, "cannot be read" in answer.text) == (503, True)


@pytest.mark.parametrize("length", ["65537", "9" * 30])
async def test_a_body_that_is_too_long_is_not_read(tmp_path: Path, length: str) -> None:
    answer = await gate(tmp_path).post("/", headers={"content-length": length})
    assert answer.status_code == 413


async def test_a_body_without_an_end_in_sight_is_cut_at_the_same_length(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 10_000

    answer = await gate(tmp_path).post("/", content=endless())
    assert answer.status_code == 413


async def test_a_body_that_does_not_come_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "BODY_SECONDS", 0.01)

    async def never() -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    answer = await gate(tmp_path).post("/", content=never())
    assert answer.status_code == 408


async def test_what_is_refused_is_read_first_so_that_the_answer_arrives(tmp_path: Path) -> None:
    """An answer before the end of a body resets the connection, and is lost with it."""
    read = []

    async def some() -> AsyncIterator[bytes]:
        for part in (b"a", b"b"):
            read.append(part)
            yield part

    answer = await gate(tmp_path).post("/", content=some(), headers={"origin": "https://x.example"})
    assert answer.status_code == 403
    assert read == [b"a", b"b"]


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 0.25), (2, 0.5), (5, 4.0), (1_026, 4.0), (10**9, 4.0)]
)
def test_the_delay_doubles_up_to_its_longest_however_many_there_were(
    failures: int, seconds: float
) -> None:
    assert delay_seconds(failures) == seconds


async def test_each_wrong_token_of_one_place_waits_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    naps = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    monkeypatch.setattr("rebalancer.api.access.asyncio.sleep", nap)
    penalties = Penalties()
    for _ in range(7):
        assert await penalties.serve("10.0.0.1")
    await penalties.serve("10.0.0.2")
    assert naps == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 0.25]


async def test_too_many_at_once_are_refused_without_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "WAITING_MAX", 1)
    monkeypatch.setattr(access, "FIRST_DELAY_SECONDS", 0.2)
    penalties = Penalties()
    first = asyncio.create_task(penalties.serve("a"))
    await asyncio.sleep(0.01)
    assert await penalties.serve("b") is False
    assert await first is True


async def test_places_are_forgotten_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "PLACES_MAX", 2)
    monkeypatch.setattr(access, "FIRST_DELAY_SECONDS", 0.0)
    penalties = Penalties()
    for place in "abc":
        await penalties.serve(place)
    assert list(penalties._failures) == ["b", "c"]
