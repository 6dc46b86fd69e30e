"""The files of the dashboard, read once: what they are, where they are, and what they may do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

PAGE_PREFIX = "/page/"
#: what a browser lets the page do: its own files and its own listener, and nothing from text
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    body: bytes
    media_type: str
    tag: str


def asset(body: bytes, media_type: str) -> Asset:
    """Return a body with its entity tag."""
    return Asset(body, media_type, f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"')


def read_assets() -> dict[str, Asset]:
    """Return the files of the page by name."""
    folder = resources.files("rebalancer.api").joinpath("page")
    return {
        file.name: asset(file.read_bytes(), _MEDIA_TYPES[file.name.rpartition(".")[2]])
        for file in sorted(folder.iterdir(), key=lambda each: each.name)
    }


#: what holds no figure and may be had without a token
PAGE_PATHS = frozenset({"/", *(PAGE_PREFIX + name for name in read_assets())})
