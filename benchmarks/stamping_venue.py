"""A venue for the clock only: takes any request, notes when it came, answers as Binance would.

Its order ids are the times of arrival. A GET is answered with when the newest POST came and how
many came.

Run as a process of its own (`python -m benchmarks.stamping_venue`): it prints its port and ends
when its standard input does. Arrival times are CLOCK_MONOTONIC, which all processes share.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

_CLIENT_ID = re.compile(rb'newClientOrderId(?:=|":")([0-9a-zA-Z_-]+)')
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
#: when each POST came
_posts_ns: list[int] = []


def _order(client_id: str, arrived_ns: int) -> dict[str, object]:
    return {
        "orderId": arrived_ns,
        "symbol": "BTCUSDT",
        "status": "FILLED",
        "clientOrderId": client_id,
        "price": "101",
        "origQty": "1",
        "executedQty": "1",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "IOC",
        "updateTime": arrived_ns,
    }


def _answer(head: bytes, body: bytes, arrived_ns: int) -> object:
    if head.startswith(b"GET"):
        return {"newest_ns": max(_posts_ns[-1:], default=0), "posts": len(_posts_ns)}
    _posts_ns.append(arrived_ns)
    client_ids = [each.decode() for each in _CLIENT_ID.findall(head + body)]
    if b"batchOrders" in head:
        return [_order(each, arrived_ns) for each in client_ids]
    return _order(client_ids[0] if client_ids else "", arrived_ns)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests on one connection until the client leaves."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            arrived_ns = time.monotonic_ns()
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            answer = json.dumps(_answer(head, body, arrived_ns)).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                + str(len(answer)).encode()
                + b"\r\n\r\n"
                + answer
            )
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Listen on a free port until standard input ends."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
