"""The transport: sends one HTTP request, once, and says what was seen of it.

It never follows a redirect and never sends again. ccxt builds and signs requests; they leave
through here, so that the evidence of every write is ours.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import aiohttp
import yarl

from rebalancer.venues.evidence import Evidence

#: an answer longer than this is not read to its end
BODY_BYTES_MAX = 32 * 1024 * 1024
#: connections kept warm to one venue
CONNECTIONS_MAX = 64
#: what a failure means, the nearest class first; exception texts may hold whole requests
_IN_OUR_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "no answer in time"),
    (UnicodeDecodeError, "the answer is not text"),
    (LookupError, "the answer is not text"),
    (ssl.SSLError, "the venue's certificate is not good"),
    (aiohttp.ClientConnectorDNSError, "the venue's name could not be resolved"),
    (aiohttp.ClientConnectorError, "the venue could not be reached"),
    (aiohttp.ClientPayloadError, "the answer broke off"),
    (aiohttp.ClientError, "the connection failed"),
    (ConnectionError, "the connection failed"),
    (ValueError, "the answer is not HTTP"),
)
_FAILURES = tuple(kind for kind, _ in _IN_OUR_WORDS)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as ccxt built and signed it; everything but its path may hold secrets."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: str | None = field(repr=False)

    def __repr__(self) -> str:
        return f"SignedRequest({self.method} {yarl.URL(self.url, encoded=True).path})"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request; header names are in lower case."""

    evidence: Evidence
    headers: Mapping[str, str]


@dataclass(slots=True)
class _Trace:
    """Filled in by aiohttp while one request is under way."""

    left: bool = False


class Transport:
    """One session with warm connections; use inside the running loop, close once."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: SignedRequest) -> Reply:
        """Send `request` once; whatever happens is told in the reply, only a cancel is raised."""
        trace = _Trace()
        try:
            async with self._open().request(
                request.method,
                yarl.URL(request.url, encoded=True),
                data=request.body.encode() if request.body else None,
                headers=dict(request.headers),
                allow_redirects=False,
                trace_request_ctx=trace,
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > BODY_BYTES_MAX:
                        return Reply(Evidence(left=True, failure="the answer is too long"), {})
                text = body.decode(response.charset or "utf-8")
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Reply(Evidence(left=True, status=response.status, body=text), headers)
        except _FAILURES as error:
            return Reply(Evidence(left=trace.left, failure=_words(error)), {})

    async def close(self) -> None:
        """Give up every connection; may be called twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            config = aiohttp.TraceConfig()
            config.on_request_headers_sent.append(_note_left)
            config.on_request_chunk_sent.append(_note_left)
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                trace_configs=[config],
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=60),
            )
        return self._session


async def _note_left(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: object
) -> None:
    trace = context.trace_request_ctx
    if trace is not None:
        trace.left = True


def _words(error: BaseException) -> str:
    return next(words for kind, words in _IN_OUR_WORDS if isinstance(error, kind))
