"""Problem documents (RFC 9457): every answer that is not a success, in one shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """What went wrong, in one sentence that names the place and the remedy."""

    model_config = ConfigDict(extra="forbid")

    #: of the kind of problem; about:blank means that the status says it all
    type: str = "about:blank"
    title: str = Field(description="the HTTP status in words")
    status: int = Field(ge=400, le=599)
    detail: str


class ApiProblem(Exception):
    """Ends a request with a problem document."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def problem_body(status: int, detail: str) -> bytes:
    """Return the document as bytes."""
    title = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
    # Text that came from outside may hold lone surrogates, which no UTF-8 has.
    return json.dumps(
        {"type": "about:blank", "title": title, "status": status, "detail": detail}
    ).encode()
