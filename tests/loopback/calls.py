"""What a client sent and what it will be told, as values: no protocol sees a socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl


@dataclass(frozen=True, kw_only=True)
class Call:
    """One HTTP request, read whole."""

    method: str
    path: str
    #: as sent, without the question mark
    query: str
    body: bytes
    #: names in lower case
    headers: Mapping[str, str]
    #: address it came from
    peer: str
    #: the venue's clock when it was read
    at_ms: int
    #: how long after that the core acts on it
    late_ms: int = 0

    @property
    def acts_ms(self) -> int:
        """The venue's clock when the core acts on it."""
        return self.at_ms + self.late_ms

    @cached_property
    def params(self) -> dict[str, str]:
        """Query and form fields together; a field of the form wins."""
        pairs = parse_qsl(self.query, keep_blank_values=True)
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            pairs += parse_qsl(self.body.decode(), keep_blank_values=True)
        return dict(pairs)

    @cached_property
    def document(self) -> Any:
        """The JSON body; an empty object where there is none."""
        return json.loads(self.body) if self.body else {}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One HTTP response, before anything is done to it."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, document: Any, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return an answer that carries `document` as JSON."""
        return cls(
            status=status,
            body=json.dumps(document, separators=(",", ":")).encode(),
            headers={"Content-Type": "application/json;charset=UTF-8", **(headers or {})},
        )

    @classmethod
    def page(cls, text: str, status: int = 200) -> Answer:
        """Return an HTML page, as a gateway in front of the venue would."""
        body = f"<html><head><title>{text}</title></head><body>{text}</body></html>"
        return cls(status=status, body=body.encode(), headers={"Content-Type": "text/html"})

    def with_headers(self, headers: Mapping[str, str]) -> Answer:
        """Return the same answer with more headers."""
        return Answer(status=self.status, body=self.body, headers={**self.headers, **headers})

    def head(self, length: int | None = None) -> bytes:
        """Return status line and headers; `length` overrides what is said of the body."""
        reason = HTTPStatus(self.status).phrase
        headers = dict(self.headers)
        headers.setdefault("Content-Length", str(len(self.body) if length is None else length))
        lines = [f"HTTP/1.1 {self.status} {reason}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()
