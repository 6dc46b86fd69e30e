"""How a document becomes an answer: encoded, tagged, and not sent to whoever has it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel

from rebalancer.api.problems import MEDIA_TYPE, ApiProblem, problem_body

LIMIT_DEFAULT = 100
LIMIT_MAX = 1_000
CURSOR_CHARACTERS_MAX = 200


def answer(request: Request, document: BaseModel | Sequence[Any] | Mapping[str, Any]) -> Response:
    """Return the document, or 304 where the caller named its tag in If-None-Match (RFC 9110)."""
    if isinstance(document, BaseModel):
        body = document.model_dump_json(by_alias=True).encode()
    else:
        body = json.dumps(document, separators=(",", ":")).encode()
    tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    known = [one.strip().removeprefix("W/") for one in request.headers.getlist("if-none-match")]
    if any(tag in one.split(",") or one == "*" for one in (w.replace(" ", "") for w in known)):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def problem_answer(problem: ApiProblem) -> Response:
    """Return a problem document."""
    return Response(
        problem_body(problem.status, problem.detail),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={"cache-control": "no-store", **problem.headers},
    )


def write_cursor(*position: int | str) -> str:
    """Return where the next page begins, as text that callers do not look into."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def read_cursor(written: str | None, *shape: type) -> tuple[Any, ...] | None:
    """Return what `write_cursor` was given; an ApiProblem where it was not ours."""
    if written is None:
        return None
    try:
        padded = written + "=" * (-len(written) % 4)
        position = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if [type(part) for part in position] == list(shape) and _storable(position):
            return tuple(position)
    except (ValueError, TypeError, RecursionError):
        pass
    raise ApiProblem(
        HTTPStatus.BAD_REQUEST, "the cursor is not one: take nextCursor of the page before"
    )


def _storable(position: Sequence[Any]) -> bool:
    """Whether a database can compare with it: 64 bits, and no text that UTF-8 has not."""
    for part in position:
        if isinstance(part, int) and not -(2**63) <= part < 2**63:
            return False
        if isinstance(part, str) and ("\0" in part or not part.isprintable()):
            return False
    return True
