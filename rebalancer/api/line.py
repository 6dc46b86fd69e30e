"""The line under a WebSocket: frames that are put together once go straight to its transport.

A server's text frames are the same bytes for every reader: nothing in them is masked, and we agree
on no compression. What uvicorn would do for each reader (build the frame, look at its own state,
write) is most of the cost of a publication, so that it is done once. Whenever the line is not
simply open, and on any other server, messages go the long way, through the ASGI send function.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

#: FIN and the opcode of text (RFC 6455, 5.2)
_TEXT = 0x81
_TWO_BYTES, _EIGHT_BYTES = 126, 127


def framed(texts: Iterable[str]) -> bytes:
    """Return the messages as a server's unmasked, uncompressed frames."""
    parts = []
    for text in texts:
        payload = text.encode()
        size = len(payload)
        if size < _TWO_BYTES:
            head = bytes((_TEXT, size))
        elif size < 65_536:
            head = bytes((_TEXT, _TWO_BYTES)) + size.to_bytes(2, "big")
        else:
            head = bytes((_TEXT, _EIGHT_BYTES)) + size.to_bytes(8, "big")
        parts += [head, payload]
    return b"".join(parts)


class Line:
    """The transport of one WebSocket that uvicorn serves."""

    def __init__(self, protocol: WebSocketsSansIOProtocol) -> None:
        self._protocol = protocol

    @classmethod
    def under(cls, send: Callable[[Any], Awaitable[None]]) -> Line | None:
        """Return the line under an ASGI send function, where it is one that we know."""
        protocol = getattr(send, "__self__", None)
        if isinstance(protocol, WebSocketsSansIOProtocol) and not protocol.conn.extensions:
            return cls(protocol)
        return None

    def write(self, frames: bytes) -> bool:
        """Write frames at once; False, and nothing written, where the line is not simply open."""
        protocol = self._protocol
        if (
            not protocol.writable.is_set()
            or protocol.disconnected
            or protocol.close_sent
            or protocol.transport.is_closing()
        ):
            return False
        protocol.transport.write(frames)
        return True
