"""The transport: sends one HTTP request, once, and says what was seen of it.

It never follows a redirect and never sends again, and keeps no cookies. ccxt builds and signs
requests; they leave through here, so that the evidence of every write is ours.
"""

from __future__ import annotations

import asyncio
import socket
import ssl

import aiohttp
from aiohttp.helpers import parse_mimetype
from aiohttp.http import SERVER_SOFTWARE, HttpProcessingError

from rebalancer.venues.evidence import Evidence
from rebalancer.venues.lanes import Lane, Lanes, Unreachable, place_of
from rebalancer.venues.wire import Reply, SignedRequest

#: an answer longer than this is not read to its end
BODY_BYTES_MAX = 32 * 1024 * 1024
#: what a failure means, the nearest class first; exception texts may hold whole requests
_IN_OUR_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "no answer in time"),
    (UnicodeDecodeError, "the answer is not text"),
    (LookupError, "the answer is not text"),
    (ssl.SSLError, "the venue's certificate is not good"),
    (socket.gaierror, "the venue's name could not be resolved"),
    (Unreachable, "the venue could not be reached"),
    (HttpProcessingError, "the answer is not HTTP"),
    (aiohttp.ClientPayloadError, "the answer broke off"),
    (aiohttp.ClientError, "the connection failed"),
    (OSError, "the connection failed"),
    (ValueError, "the answer is not HTTP"),
)
#: methods whose requests have no body unless they are given one
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
#: methods whose requests name a type even of an empty body
_WITH_BODY = frozenset({"PATCH", "POST", "PUT"})
_SWITCHING = 101
_FAILURES = tuple(kind for kind, _ in _IN_OUR_WORDS)


class Transport:
    """Sends over lanes that stay warm; use inside the running loop, close once."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._lanes = Lanes()

    async def send(self, request: SignedRequest) -> Reply:
        """Send `request` once; whatever happens is told in the reply, only a cancel is raised."""
        left = False
        try:
            base, mark, query = request.url.partition("?")
            origin, path = place_of(base)
            written = _written(request, origin.host_header, path + mark + query)
            async with asyncio.timeout(self._timeout_seconds):
                lane = await self._lanes.take(origin)
                done = False
                try:
                    # From here on bytes may be on their way: nothing proves any more that none is.
                    left = True
                    lane.write(written)
                    reply = await _read(lane)
                    done = True
                finally:
                    self._lanes.leave(lane, done=done)
                return reply
        except _FAILURES as error:
            return Reply(Evidence(left=left, failure=_words(error)), {})

    async def close(self) -> None:
        """Give up every connection; may be called twice."""
        self._lanes.close()


def _written(request: SignedRequest, host: str, target: str) -> bytes:
    """Return the request as it goes over the wire, with the headers that aiohttp would add."""
    body = request.body.encode() if request.body else b""
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    given = {name.lower() for name in request.headers}
    if "accept" not in given:
        lines.append("Accept: */*")
    if "accept-encoding" not in given:
        lines.append("Accept-Encoding: gzip, deflate")
    if "user-agent" not in given:
        lines.append(f"User-Agent: {SERVER_SOFTWARE}")
    if "content-length" not in given and (body or request.method not in _BODILESS):
        lines.append(f"Content-Length: {len(body)}")
    if (body or request.method in _WITH_BODY) and "content-type" not in given:
        lines.append("Content-Type: application/octet-stream")
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise ValueError("a line break inside a line of the request")
    return head.encode() + b"\r\n\r\n" + body


async def _read(lane: Lane) -> Reply:
    """Return the answer on `lane`; one that does not come whole raises."""
    while True:
        message, payload = await lane.protocol.read()
        if message.code == _SWITCHING or not 100 <= message.code < 200:
            break
    body = bytearray()
    async for chunk in payload.iter_any():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            lane.protocol.force_close()
            return Reply(Evidence(left=True, failure="the answer is too long"), {})
    headers = {name.lower(): value for name, value in message.headers.items()}
    text = body.decode(_charset(headers.get("content-type", "")))
    return Reply(Evidence(left=True, status=message.code, body=text), headers)


def _charset(content_type: str) -> str:
    if "charset" not in content_type.lower():
        return "utf-8"
    return parse_mimetype(content_type).parameters.get("charset", "utf-8")


def _words(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, Unreachable) else None
    known = (cause, error) if isinstance(cause, (ssl.SSLError, socket.gaierror)) else (error,)
    return next(words for each in known for kind, words in _IN_OUR_WORDS if isinstance(each, kind))
