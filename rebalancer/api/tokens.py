"""Bearer tokens: 256 bits each, of which only the SHA-256 hash is kept, in one file."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from fcntl import LOCK_EX, flock
from pathlib import Path

from rebalancer.errors import CommandRefused, InputRefused
from rebalancer.store.owner import own_like

VERSION = 1
SECRET_BYTES = 32
#: rbl_ID_SECRET: the id finds the hash, and the prefix lets scanners of leaked secrets find it
_SHAPE = re.compile(r"rbl_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,32}")


class TokenScope(StrEnum):
    """What a token lets its holder do; each includes the ones before it."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    def covers(self, needed: TokenScope) -> bool:
        """Whether a holder of this scope may do what needs `needed`."""
        order = list(TokenScope)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as the file has it: everything but the secret."""

    id: str
    name: str
    scope: TokenScope
    sha256: str
    created_ms: int
    #: from this instant on it is worth nothing; None: it never ends by itself
    expires_ms: int | None
    revoked_ms: int | None = None

    def valid_at(self, now_ms: int) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_ms is None and (self.expires_ms is None or now_ms < self.expires_ms)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Return every token of the file, none where there is no file; InputRefused if it is broken."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise InputRefused(f"{path}: cannot be read: {error}") from None
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            raise InputRefused(f"{path}: was written by a newer program")
        return tuple(
            Token(**row | {"scope": TokenScope(row["scope"])}) for row in document["tokens"]
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputRefused(
            f"{path}: is not a file of tokens; put back what `rebalancer token` wrote, or move it "
            "away and create new tokens"
        ) from None


def _write(path: Path, tokens: Iterable[Token]) -> None:
    """Replace the file as a whole; only its owner may read it."""
    document = {"version": VERSION, "tokens": [asdict(token) for token in tokens]}
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        own_like(part, path.parent)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputRefused(f"{path}: cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep a second command from changing the file between our reading and our writing."""
    try:
        handle = os.open(path.with_name(f"{path.name}.lock"), os.O_WRONLY | os.O_CREAT, 0o600)
    except OSError as error:
        raise InputRefused(f"{path}: cannot be written: {error.strerror}") from None
    try:
        flock(handle, LOCK_EX)
        yield
    finally:
        os.close(handle)


def create(path: Path, name: str, scope: TokenScope, now_ms: int, length_ms: int | None) -> str:
    """Add a token and return it whole; it cannot be shown a second time."""
    if _NAME.fullmatch(name) is None:
        raise InputRefused(f"{name!r} is not a name: 1 to 32 of A-Z, a-z, 0-9, _, . and -")
    with _alone(path):
        tokens = read_tokens(path)
        if any(token.name == name and token.valid_at(now_ms) for token in tokens):
            raise CommandRefused(
                f"there is a token {name} already; revoke it first, or choose another name"
            )
        taken = {token.id for token in tokens}
        token_id = next(
            found for found in iter(lambda: secrets.token_hex(4), "") if found not in taken
        )
        secret = secrets.token_urlsafe(SECRET_BYTES)
        made = Token(
            id=token_id,
            name=name,
            scope=scope,
            sha256=_hash(secret),
            created_ms=now_ms,
            expires_ms=None if length_ms is None else now_ms + length_ms,
        )
        _write(path, (*tokens, made))
    return f"rbl_{token_id}_{secret}"


def revoke(path: Path, name: str, now_ms: int) -> Token:
    """End the valid token of this name or id for good; CommandRefused where there is none."""
    with _alone(path):
        tokens = read_tokens(path)
        found = [t for t in tokens if name in (t.name, t.id) and t.valid_at(now_ms)]
        if not found:
            known = ", ".join(t.name for t in tokens if t.valid_at(now_ms)) or "none"
            raise CommandRefused(f"there is no valid token {name}; valid are {known}")
        ended = replace(found[0], revoked_ms=now_ms)
        _write(path, (ended if token is found[0] else token for token in tokens))
    return ended


class Keyring:
    """The tokens of a file as they stand: a change of the file counts from the next request on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._tokens: dict[str, Token] = {}

    def holder(self, presented: str, now_ms: int) -> Token | None:
        """Return the valid token that was presented; None for anything else.

        Raises InputRefused where the file is broken.
        """
        self._refresh()
        shape = _SHAPE.fullmatch(presented)
        if shape is None:
            return None
        token = self._tokens.get(shape[1])
        # Compared even where there is no such id, so that time tells nothing.
        known = token.sha256 if token is not None else _hash("")
        right = hmac.compare_digest(_hash(shape[2]), known)
        return token if right and token is not None and token.valid_at(now_ms) else None

    def any_valid(self, now_ms: int) -> bool:
        """Whether anybody can get in at all."""
        self._refresh()
        return any(token.valid_at(now_ms) for token in self._tokens.values())

    def _refresh(self) -> None:
        try:
            stat = self.path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except OSError:
            seen = (0, 0, 0)
        if seen != self._seen:
            # What cannot be read lets nobody in, and is read again at the next request.
            self._tokens = {}
            self._tokens = {token.id: token for token in read_tokens(self.path)}
            self._seen = seen
