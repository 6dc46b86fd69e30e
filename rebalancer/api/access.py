"""The gate: who may ask, under which name, and what for. It stands in front of everything."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import structlog

from rebalancer.api.assets import PAGE_PATHS
from rebalancer.api.problems import MEDIA_TYPE, ApiProblem, problem_body
from rebalancer.api.tokens import Keyring, Token, TokenScope
from rebalancer.errors import InputRefused
from rebalancer.ports import Clock

_log = structlog.get_logger(__name__)
AsgiScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

#: where the gate leaves the token's holder for the routes
HOLDER = "rebalancer.holder"
#: health is for load balancers and supervisors, which hold no token; the page is only then able to
#: ask for one. Neither tells a figure.
ALWAYS_OPEN = frozenset({"/livez", "/readyz", "/healthz"}) | PAGE_PATHS
BODY_BYTES_MAX = 65_536
BODY_SECONDS = 10.0
#: whoever gets these did not send a body that can be waited for
_WHILE_READING = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT)
#: a wrong token is answered late, and later each time it comes from one place
FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 4.0
FORGET_AFTER_SECONDS = 600.0
#: wrong tokens that may wait for their answer at once; more are refused without waiting
WAITING_MAX = 64
PLACES_MAX = 1_024
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


def delay_seconds(failures: int) -> float:
    """Return how late the answer to a place's so-many-th wrong token comes."""
    # Bounded before it is computed: a patient guesser would reach numbers that no float holds.
    doublings = min(failures - 1, 32)
    return min(FIRST_DELAY_SECONDS * 2.0**doublings, LONGEST_DELAY_SECONDS)


class Penalties:
    """How long each place that presented a wrong token waits for its answer."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, float]] = {}
        self._waiting = 0

    async def serve(self, place: str) -> bool:
        """Wait out a failure of `place`; False at once where too many wait already."""
        loop = asyncio.get_running_loop()
        count, at_s = self._failures.pop(place, (0, loop.time()))
        count = 1 if loop.time() - at_s > FORGET_AFTER_SECONDS else count + 1
        while len(self._failures) >= PLACES_MAX:
            del self._failures[next(iter(self._failures))]
        self._failures[place] = (count, loop.time())
        if self._waiting >= WAITING_MAX:
            return False
        self._waiting += 1
        try:
            await asyncio.sleep(delay_seconds(count))
        finally:
            self._waiting -= 1
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What one listener asks of its callers."""

    #: names it may be called by, without port
    hosts: frozenset[str]
    #: whether every request needs a token
    needs_token: bool
    #: whether tokens are looked at at all
    public: bool = False


class Gate:
    """Lets a request through to `app`, or answers it with a problem document."""

    def __init__(self, app: Any, policy: Policy, keyring: Keyring, clock: Clock) -> None:
        self._app = app
        self._policy = policy
        self._keyring = keyring
        self._clock = clock
        self._penalties = Penalties()

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            return
        try:
            await self._admit(scope)
            body = await read_body(receive) if scope["type"] == "http" else b""
        except ApiProblem as problem:
            await refuse(scope, receive, send, problem)
            return
        again = receive if scope["type"] == "websocket" else with_body(body, receive)
        await self._app(scope, again, send)

    async def _admit(self, scope: AsgiScope) -> None:
        headers = _headers(scope)
        self._check_names(headers)
        if len(headers.get("content-length", "")) > 9 or (
            headers.get("content-length", "0").isdecimal()
            and int(headers.get("content-length", "0")) > BODY_BYTES_MAX
        ):
            raise too_long()
        scope[HOLDER] = None
        if self._policy.public or scope["path"] in ALWAYS_OPEN:
            return
        written = headers.get("authorization")
        if written is None:
            if self._policy.needs_token:
                raise unauthorized("this listener answers only with a token")
            return
        holder = await self._holder(written, scope)
        scope[HOLDER] = holder

    def _check_names(self, headers: dict[str, str]) -> None:
        """Refuse other names, by which a foreign page could reach this listener (DNS rebinding)."""
        if _host_name(headers.get("host", "")) not in self._policy.hosts:
            raise ApiProblem(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this listener is not known by that name; an operator can add it to "
                "api.allowed_hosts",
            )
        origin = headers.get("origin")
        if origin is not None and _origin_name(origin) not in self._policy.hosts:
            raise ApiProblem(HTTPStatus.FORBIDDEN, "pages of other origins may not ask")

    async def _holder(self, written: str, scope: AsgiScope) -> Token:
        scheme, _, presented = written.partition(" ")
        try:
            holder = self._keyring.holder(presented.strip(), self._clock.now_ms())
        except InputRefused as broken:
            _log.error("tokens_unreadable", reason=str(broken))
            raise ApiProblem(
                HTTPStatus.SERVICE_UNAVAILABLE, "the file of tokens cannot be read; see the log"
            ) from None
        if scheme.lower() == "bearer" and holder is not None:
            return holder
        place = str((scope.get("client") or ("",))[0])
        _log.warning("token_refused", place=place, path=scope["path"])
        if not await self._penalties.serve(place):
            raise ApiProblem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too many wrong tokens; wait",
                {"retry-after": f"{LONGEST_DELAY_SECONDS:.0f}"},
            )
        raise unauthorized("the token is wrong, expired or revoked")


def unauthorized(detail: str) -> ApiProblem:
    """Return the problem of a caller who is nobody."""
    return ApiProblem(HTTPStatus.UNAUTHORIZED, detail, {"www-authenticate": "Bearer"})


def require(scope: AsgiScope, needed: TokenScope) -> Token:
    """Return the holder of a token of at least this scope, or raise the problem."""
    holder: Token | None = scope.get(HOLDER)
    if holder is None:
        raise unauthorized(f"this needs a token of scope {needed}; see `rebalancer token create`")
    if not holder.scope.covers(needed):
        raise ApiProblem(
            HTTPStatus.FORBIDDEN, f"this needs the scope {needed}; the token has {holder.scope}"
        )
    return holder


async def read_body(receive: Receive) -> bytes:
    """Return the whole body; an ApiProblem where it is too long or does not come.

    An answer before the end of a body would reset the connection under it, and be lost with it.
    """
    parts, size, more = [], 0, True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    break  # the caller is gone
                parts.append(message.get("body", b""))
                size, more = size + len(parts[-1]), message.get("more_body", False)
                if size > BODY_BYTES_MAX:
                    raise too_long()
    except TimeoutError:
        raise ApiProblem(
            HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {BODY_SECONDS:g} s"
        ) from None
    return b"".join(parts)


def with_body(body: bytes, receive: Receive) -> Receive:
    """Return a door that hands out a body that was read already, and then what else comes."""
    kept: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:
        return kept.pop() if kept else await receive()

    return again


def too_long() -> ApiProblem:
    """Return the problem of a body that is not read to its end."""
    return ApiProblem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has {BODY_BYTES_MAX} bytes at most"
    )


async def refuse(scope: AsgiScope, receive: Receive, send: Send, problem: ApiProblem) -> None:
    """Answer with a problem document, a WebSocket's handshake too."""
    if scope["type"] == "http" and problem.status not in _WHILE_READING:
        with contextlib.suppress(ApiProblem):
            await read_body(receive)
    body = problem_body(problem.status, problem.detail)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *SECURITY_HEADERS,
        *((name.encode(), value.encode()) for name, value in problem.headers.items()),
    ]
    prefix = "http" if scope["type"] == "http" else "websocket.http"
    if scope["type"] == "websocket":
        await receive()
    await send(
        {"type": f"{prefix}.response.start", "status": int(problem.status), "headers": headers}
    )
    await send({"type": f"{prefix}.response.body", "body": body})


def _headers(scope: AsgiScope) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
    }


def _host_name(host: str) -> str:
    """Return the host of a Host header without its port: nav.example.org, [::1]."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()


def _origin_name(origin: str) -> str:
    try:
        return _host_name(urlsplit(origin).netloc)
    except ValueError:
        return ""
