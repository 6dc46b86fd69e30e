"""The application of one listener: routes, health, metrics, errors as problem documents."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException

from rebalancer import __version__
from rebalancer.api.access import SECURITY_HEADERS, AsgiScope, Receive, Send
from rebalancer.api.answers import problem_answer
from rebalancer.api.commanding import command_router
from rebalancer.api.compat import compat_router
from rebalancer.api.dashboard import dashboard_router
from rebalancer.api.desk import DeskDoor
from rebalancer.api.health import look
from rebalancer.api.problems import MEDIA_TYPE, ApiProblem, Problem
from rebalancer.api.routes import read_router
from rebalancer.errors import StoreUnavailable

_log = structlog.get_logger(__name__)
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PROBLEM = {
    "description": "what went wrong (RFC 9457)",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_DESCRIPTION = """\
NAV, leverage, baskets and rebalances of leveraged tokens, in the words of the Binance BLVT \
interface. Decimals are text, times are milliseconds since 1970 (UTC). Lists are paged: pass \
`nextCursor` as `cursor`. Answers carry an ETag; ask with If-None-Match. Errors are problem \
documents. Streams are described in asyncapi.json."""


def create_app(
    desk: DeskDoor,
    *,
    public: bool,
    metrics: Callable[[], bytes] | None,
    guarded: bool = False,
) -> FastAPI:
    """Return the application; the public one shows no positions and takes no commands.

    `guarded` says that every request but for the page itself needs a token.
    """
    app = FastAPI(
        title="rebalancer",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        responses={"default": _PROBLEM},
        redirect_slashes=False,
    )
    app.include_router(read_router(desk, public=public))
    app.include_router(compat_router(desk, desk.compat, public=public))
    app.include_router(dashboard_router(desk, public=public, guarded=guarded))
    if not public:
        app.include_router(command_router(desk))
    if metrics is not None:
        _add_metrics(app, metrics)
    _add_health(app, desk)
    _add_errors(app)
    _add_schema(app, public=public)
    return app


def _add_metrics(app: FastAPI, metrics: Callable[[], bytes]) -> None:
    @app.get("/metrics", response_class=PlainTextResponse, tags=["health"])
    async def show_metrics() -> Response:
        """Show every metric in the text format of Prometheus."""
        return Response(metrics(), media_type=METRICS_TYPE)


def _add_health(app: FastAPI, desk: DeskDoor) -> None:
    @app.get("/livez", response_class=PlainTextResponse, tags=["health"])
    async def livez() -> Response:
        """Say that the event loop turns."""
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        """Say whether the desk can be relied on; `?verbose` says why, `?exclude=` skips a check."""
        query = request.query_params
        health = look(desk.checks, query.getlist("exclude"))
        verbose = "verbose" in query or not health.well
        status = HTTPStatus.OK if health.well else HTTPStatus.SERVICE_UNAVAILABLE
        text = health.words("readyz") if verbose else "ok\n"
        return PlainTextResponse(text, status_code=status)

    app.get("/readyz", response_class=PlainTextResponse, tags=["health"])(readyz)
    app.get("/healthz", response_class=PlainTextResponse, include_in_schema=False)(readyz)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ApiProblem)
    async def problem(_request: Request, error: ApiProblem) -> Response:
        return problem_answer(error)

    @app.exception_handler(StoreUnavailable)
    async def no_store(_request: Request, error: StoreUnavailable) -> Response:
        _log.warning("api_read_failed", reason=str(error))
        return problem_answer(
            ApiProblem(
                HTTPStatus.SERVICE_UNAVAILABLE, "the store does not answer", {"retry-after": "5"}
            )
        )

    @app.exception_handler(HTTPException)
    async def http_error(_request: Request, error: HTTPException) -> Response:
        return problem_answer(
            ApiProblem(HTTPStatus(error.status_code), str(error.detail), error.headers)
        )

    @app.exception_handler(RequestValidationError)
    async def not_valid(_request: Request, error: RequestValidationError) -> Response:
        return problem_answer(ApiProblem(HTTPStatus.UNPROCESSABLE_ENTITY, _sentence(error)))

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        _log.error("api_error", path=request.url.path, error=type(error).__name__)
        return problem_answer(
            ApiProblem(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of the desk; see its log")
        )


def _sentence(error: RequestValidationError) -> str:
    """Say what is wrong with the first part that is, without repeating what was sent."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}"


def _add_schema(app: FastAPI, *, public: bool) -> None:
    """Add to the OpenAPI document what the routes cannot say."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        components = document.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        if not public:
            components["securitySchemes"] = {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "made by `rebalancer token create`",
                }
            }
        return document

    app.openapi = openapi  # type: ignore[method-assign]


class SecurityHeaders:
    """Adds to every answer what keeps a browser from doing more with it than it should."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one connection."""

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                # The page has a policy of its own: two would have to be met both.
                ours = (header for header in SECURITY_HEADERS if header[0] not in own)
                message["headers"] = [*message["headers"], *ours]
            await send(message)

        await self._app(scope, receive, with_headers)
