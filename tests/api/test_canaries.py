"""Canaries: keys, signing secrets, addresses and tokens are in no answer, frame, log or file."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from websockets.asyncio.client import connect

from rebalancer import logs
from rebalancer.api.assets import PAGE_PATHS
from rebalancer.api.service import ApiService
from rebalancer.api.tokens import TokenScope, create
from rebalancer.bootstrap import open_daemon
from rebalancer.clock import WallClock
from rebalancer.core.premium import PremiumStage
from rebalancer.settings import parse
from rebalancer.store.sql import open_store
from tests.desk.rig import until

ROOT = Path(__file__).resolve().parents[2]
DESK = """
[feed]
source = "simulated"
interval = "1m"
speed = 600
[accounts.main]
venue = "paper"
[webhooks.makers]
url = "http://127.0.0.1:9/hook"
[alerts.oncall]
at_least = "info"
[funds.BTC3L]
account = "main"
target_leverage = 3
basket = { "BTC/USDT:USDT" = 1 }
[contracts."BTC/USDT:USDT"]
contract_size = 1
lot = "0.001"
tick = "0.1"
"""
KEY = "canary-of-a-key"
SIGNING = "whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5"
PASSWORD = "canarypassword"
WRONG = "rbl_00000000_canaryofawrongtokencanaryofawrongtokenca"
SECRETS = {
    **{f"REBALANCER__ACCOUNTS__MAIN__{each}": KEY for each in ("API_KEY", "SECRET", "PASSWORD")},
    "REBALANCER__WEBHOOKS__MAKERS__SECRET": SIGNING,
    "REBALANCER__ALERTS__ONCALL__URL": f"json://user:{PASSWORD}@127.0.0.1:9/told",
}
#: what is posted, by the end of the path; whatever ends the desk's trading comes last
BODIES: dict[str, dict[str, Any]] = {
    "/alerts/test": {},
    "/plans": {"tokens": ["BTC3L"], "reason": "drill"},
    "/apply": {},
    "/flows": {"kind": "subscribe", "amount": "100"},
    "/consolidations": {"ratio": 10, "reason": "drill"},
    "/rebalance": {"reason": "drill"},
    "/commands": {"command": "resume", "scope": "desk", "reason": "drill"},
    "/close": {"reason": "drill"},
    "/kill": {"reason": "drill"},
}


class Listened:
    """All that a desk gave away, by where it was seen."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.statuses: dict[str, int] = {}
        self.plan_id = "0" * 64

    def take(self, answer: httpx.Response) -> None:
        where = f"{answer.request.method} {answer.request.url.path}"
        self.statuses.setdefault(where, answer.status_code)
        self.seen.append((where, f"{answer.headers}\n{answer.text}"))

    def leaks(self, *canaries: str) -> list[str]:
        """Return where one of them was seen."""
        return [
            f"{canary} in {where}"
            for where, text in self.seen
            for canary in canaries
            if canary in text
        ]


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Log everything at DEBUG, the libraries' own lines too."""
    stream, root = io.StringIO(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(level="debug", style="json", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


DOCUMENT = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))
#: what can be read besides what the OpenAPI document lists, mistakes among it
UNLISTED = (
    *sorted(PAGE_PATHS),
    "/plain",
    "/plain/BTC3L",
    "/healthz",
    "/readyz?verbose",
    "/compat/binance/sapi/v1/blvt/tokenInfo",
    "/compat/binance/fapi/v1/lvtKlines?symbol=BTC3L&interval=1m",
    "/compat/bybit/v5/spot-lever-token/reference?ltCoin=BTC3L",
    "/compat/gate/spot/tickers",
    "/nothing",
    "/api/v1/tokens/BTC9L",
    "/api/v1/tokens?limit=x",
)


#: every path that can be read, named ones with a name that exists
PATHS = [
    path.replace("{tokenName}", "BTC3L")
    for path in (
        *(path for path, operations in DOCUMENT["paths"].items() if "get" in operations),
        *UNLISTED,
    )
]


async def read_all(client: httpx.AsyncClient, listened: Listened) -> None:
    for path in PATHS:
        listened.take(await client.get(path))


async def post_all(client: httpx.AsyncClient, bearer: dict[str, str], listened: Listened) -> None:
    for number, (end, body) in enumerate(BODIES.items()):
        of_desk = end in ("/alerts/test", "/plans", "/commands", "/kill")
        path = f"/api/v1{end}" if of_desk else f"/api/v1/tokens/BTC3L{end}"
        if end == "/apply":
            path = f"/api/v1/plans/{listened.plan_id}/apply"
        for headers in ({"authorization": f"Bearer {WRONG}"}, {}, bearer):
            key = {"idempotency-key": f"canary-{number:04d}"}
            answer = await client.post(path, json=body, headers=headers | key)
            listened.take(answer)
            listened.statuses[f"POST {end}"] = answer.status_code
        if end == "/plans":
            listened.plan_id = answer.json()["planId"]


def files_in(folder: Path) -> list[tuple[str, str]]:
    """Return every file of a desk with what is in it."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    return [(path.name, path.read_bytes().decode("latin-1")) for path in files]


async def stream_all(port: int, listened: Listened) -> None:
    for path in ("/ws/BTC3L@tokenNav", "/stream?streams=events/!tokenNav@arr"):
        async with connect(f"ws://127.0.0.1:{port}{path}", proxy=None) as line:
            listened.seen.append((path, str(await asyncio.wait_for(line.recv(), 10))))
    url = f"http://127.0.0.1:{port}/api/v1/events"
    async with httpx.AsyncClient() as client, client.stream("GET", url) as told:
        listened.seen.append((url, (await anext(told.aiter_bytes())).decode()))


@pytest.mark.filterwarnings("ignore:.imghdr.:DeprecationWarning")  # of Apprise
async def test_no_answer_frame_log_or_file_holds_a_secret(
    tmp_path: Path, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rebalancer.api.access.FIRST_DELAY_SECONDS", 0.0)
    over: dict[str, Any] = {
        "store": {"url": f"sqlite:///{tmp_path}/desk.db"},
        "desk": {"control_socket": str(tmp_path / "desk.sock")},
        "api": {
            "listen": "127.0.0.1:0",
            "public_listen": "127.0.0.1:0",
            "tokens_file": str(tmp_path / "desk.tokens"),
            "compat": ["binance", "bybit", "gate"],
        },
    }
    token = create(
        tmp_path / "desk.tokens", "tester", TokenScope.ADMIN, WallClock().now_ms(), 3_600_000
    )
    config = parse(DESK, environ=SECRETS, overrides=over)
    daemon = await open_daemon(config, open_store(config.store_url))
    (service,) = (each for each in daemon.services if isinstance(each, ApiService))
    stop, listened = asyncio.Event(), Listened()
    running = asyncio.create_task(daemon.run(stop))
    try:
        fund = daemon.state.funds["BTC3L"]
        await until(lambda: fund.point is not None, "it is launched", 30)
        for _, port in service.addresses:
            await stream_all(port, listened)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            await read_all(client, listened)
        bearer = {"authorization": f"Bearer {token}"}
        base = f"http://127.0.0.1:{service.addresses[0][1]}"
        async with httpx.AsyncClient(base_url=base) as client:
            await post_all(client, bearer, listened)
            await read_all(client, listened)
        assert fund.premium_stage is PremiumStage.NONE
    finally:
        stop.set()
        await asyncio.wait_for(running, 30)
    listened.seen.append(("the log", logged.getvalue()))
    listened.seen += files_in(tmp_path)
    posted = {end: listened.statuses[f"POST {end}"] for end in BODIES}
    assert set(posted.values()) <= {200, 409}, posted  # what a desk refuses says why
    assert list(posted.values()).count(200) >= len(posted) - 2
    unread = [path for path, status in listened.statuses.items() if status == 500]
    assert unread == []
    assert len(listened.seen) > 80
    assert "token_refused" in logged.getvalue()
    assert listened.leaks(KEY, SIGNING, SIGNING[6:], PASSWORD, WRONG, token) == []
    assert listened.leaks("BTC3L"), "what is no secret is seen, so that a secret would be"
