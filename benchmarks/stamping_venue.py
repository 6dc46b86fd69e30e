"""A venue for the clock only: takes any request, notes when it came, answers as Binance would.

Run as a process of its own (`python -m benchmarks.stamping_venue`): it prints its port and ends
when its standard input does. Arrival times are CLOCK_MONOTONIC, which all processes share.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

_CLIENT_ID = re.compile(rb"newClientOrderId=([^&]+)")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests on one connection until the client leaves."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            arrived_ns = time.monotonic_ns()
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            client_id = _CLIENT_ID.search(head + body)
            answer = json.dumps(
                {
                    "orderId": 1,
                    "symbol": "BTCUSDT",
                    "status": "FILLED",
                    "clientOrderId": client_id[1].decode() if client_id else "",
                    "price": "101",
                    "origQty": "1",
                    "executedQty": "1",
                    "side": "BUY",
                    "type": "LIMIT",
                    "timeInForce": "IOC",
                    "updateTime": arrived_ns,
                }
            ).encode()
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
