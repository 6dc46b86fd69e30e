"""The interface as the daemon wires it: off by default, guarded, and without any key in it."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from rebalancer.api.service import ApiService
from rebalancer.api.specs import openapi
from rebalancer.api.tokens import TokenScope, create
from rebalancer.bootstrap import open_daemon
from rebalancer.clock import WallClock
from rebalancer.errors import ConfigRefused
from rebalancer.settings import Config, parse
from rebalancer.store.sql import open_store
from tests.desk.rig import until

DESK = """\
[accounts.main]
venue = "paper"

[funds.BTC3L]
account = "main"
target_leverage = 3
basket = { "BTC/USDT:USDT" = 1 }
"""
CANARY = "canary-of-a-key-that-is-nowhere-else"


def config(folder: Path, *, environ: dict[str, str] | None = None, **api: Any) -> Config:
    over = {
        "store": {"url": f"sqlite:///{folder}/desk.db"},
        "feed": {"source": "simulated"},
        "desk": {"control_socket": str(folder / "desk.sock")},
        "api": api,
    }
    return parse(DESK, environ=environ or {}, overrides=over)


async def wired(known: Config) -> tuple[Any, ApiService]:
    daemon = await open_daemon(known, open_store(known.store_url), control=False)
    (service,) = daemon.services
    assert isinstance(service, ApiService)
    return daemon, service


async def given_back(daemon: Any, service: ApiService) -> None:
    await service.close()
    await daemon.store.close()


async def test_it_is_off_unless_it_is_told_where_to_listen(tmp_path: Path) -> None:
    known = config(tmp_path)
    daemon = await open_daemon(known, open_store(known.store_url), control=False)
    assert daemon.services == []
    await daemon.store.close()


async def test_no_answer_holds_a_key(tmp_path: Path) -> None:
    keys = {
        f"REBALANCER__ACCOUNTS__MAIN__{name}": f"{CANARY}-{name}"
        for name in ("API_KEY", "SECRET", "PASSWORD")
    }
    known = config(tmp_path, environ=keys, listen="127.0.0.1:0", public_listen="127.0.0.1:0")
    daemon, service = await wired(known)
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    await until(lambda: daemon.ready, "it is ready")
    seen = []
    for _, port in service.addresses:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for path in openapi()["paths"]:
                answer = await client.get(path.replace("{tokenName}", "BTC3L"))
                seen.append(answer.text + str(answer.headers))
            async with client.stream("GET", "/api/v1/events?streams=events/BTC3L@tokenNav") as told:
                seen.append((await anext(told.aiter_bytes())).decode())
    stop.set()
    await asyncio.wait_for(running, 10)
    assert len(seen) > 30
    assert any('"nav"' in text for text in seen)
    assert not [text for text in seen if CANARY in text]


async def test_an_address_in_use_is_a_sentence_and_nothing_is_left_open(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        known = config(tmp_path, listen="127.0.0.1:0", public_listen=f"127.0.0.1:{port}")
        with pytest.raises(ConfigRefused, match=rf"api\.public_listen: cannot listen on .*{port}"):
            await wired(known)


@pytest.mark.parametrize("key", ["listen", "public_listen"])
def test_an_address_for_others_needs_tls(tmp_path: Path, key: str) -> None:
    chosen: dict[str, Any] = {key: "0.0.0.0:1"}
    with pytest.raises(ConfigRefused, match=rf"api\.{key}: 0\.0\.0\.0:1 can be reached from other"):
        config(tmp_path, **chosen)


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match=r"api\.tls_certificate: needs api\.tls_key"):
        config(tmp_path, tls_certificate="x.crt")


@pytest.mark.parametrize("written", ["8765", "host:1", "127.0.0.1", "127.0.0.1:99999", "::1:80"])
def test_an_address_is_an_ip_and_a_port(tmp_path: Path, written: str) -> None:
    with pytest.raises(ConfigRefused, match=r"write 127\.0\.0\.1:8765 or \[::1\]:8765"):
        config(tmp_path, listen=written)


@pytest.mark.parametrize(
    ("written", "shown"),
    [("127.0.0.1:1", "127.0.0.1:1"), ("[::1]:2", "[::1]:2"), ("localhost:3", "127.0.0.1:3")],
)
def test_the_loopback_needs_no_more(tmp_path: Path, written: str, shown: str) -> None:
    address = config(tmp_path, listen=written).api.listen
    assert address is not None
    assert (str(address), address.loopback) == (shown, True)


def certified(folder: Path) -> dict[str, Any]:
    """Write a certificate of our own for 127.0.0.1."""
    from cryptography import x509  # noqa: PLC0415 - one use
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - as above

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "desk.test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return {"tls_certificate": f"{folder}/tls.crt", "tls_key": f"{folder}/tls.key"}


async def test_for_others_it_needs_a_token_too(tmp_path: Path) -> None:
    known = config(tmp_path, listen="0.0.0.0:0", **certified(tmp_path))
    with pytest.raises(ConfigRefused, match=r"no valid token .*: rebalancer token create"):
        await wired(known)


async def test_with_both_it_serves_over_tls_and_asks_everybody_for_a_token(tmp_path: Path) -> None:
    made = create(known_tokens(tmp_path), "ops", TokenScope.READ, WallClock().now_ms(), None)
    known = config(tmp_path, listen="0.0.0.0:0", allowed_hosts=["desk.test"], **certified(tmp_path))
    daemon, service = await wired(known)
    await service.start()
    url = f"https://127.0.0.1:{service.addresses[0][1]}"
    async with httpx.AsyncClient(base_url=url, verify=False) as client:  # noqa: S501 - our own
        for path in ("/api/v1/tokens", "/metrics", "/api/v1/events"):
            assert (await client.get(path)).status_code == 401
        named = {"authorization": f"Bearer {made}", "host": "desk.test"}
        assert (await client.get("/api/v1/tokens", headers=named)).status_code == 200
        assert (await client.get("/livez")).status_code == 200
    await given_back(daemon, service)


async def test_a_certificate_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    files = certified(tmp_path)
    (tmp_path / "tls.crt").write_text("no certificate")
    known = config(tmp_path, listen="127.0.0.1:0", **files)
    with pytest.raises(ConfigRefused, match=r"tls\.crt and .*tls\.key cannot be used"):
        await wired(known)


async def test_a_part_that_fails_leaves_the_desk_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = config(tmp_path, listen="127.0.0.1:0", publish_interval="10ms")
    daemon, service = await wired(known)
    stop = asyncio.Event()
    running = asyncio.create_task(daemon.run(stop))
    await until(lambda: daemon.ready, "it is ready")
    monkeypatch.setattr("rebalancer.api.board.picture_of", lambda *_: 1 / 0)
    await until(service._tasks[0].done, "the publications failed")
    assert not running.done()
    stop.set()
    await asyncio.wait_for(running, 10)


def known_tokens(folder: Path) -> Path:
    """Return where the tokens of `config` are kept."""
    return folder / "desk.tokens"
