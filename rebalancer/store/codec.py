"""The one way a record becomes text and comes back: canonical JSON with the version of its kind.

Every text carries the version `v` of its kind; text of an older version goes through the upgraders
of that kind before it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from rebalancer.core.records import RECORD_TYPES, Record
from rebalancer.errors import BrokenInvariant, StoreUnavailable, ensure
from rebalancer.store.canonical import UnfitError, from_json, json_reader, json_writer, storable
from rebalancer.store.upgrades import UPGRADERS, Upgrade


class EncodedRecord(NamedTuple):
    """A record as the journal keeps it; `body` is one line of ASCII."""

    at_ms: int
    kind: str
    key: str | None
    body: str


class Codec:
    """Encodes and decodes records of the given types; may be used from any thread."""

    def __init__(
        self,
        record_types: Iterable[type[Record]] = RECORD_TYPES,
        upgraders: Mapping[str, Sequence[Upgrade]] = UPGRADERS,
    ) -> None:
        self._types = {cls.__name__: cls for cls in record_types}
        self._upgraders = {kind: tuple(upgraders.get(kind, ())) for kind in self._types}
        self._encoders: dict[type, Callable[[Any], Any]] = {}
        self._decoders: dict[str, Callable[[Any], Any]] = {}
        for kind, cls in self._types.items():
            ensure(all(part.name != "v" for part in fields(cls)), f"{kind} has a field named v")
            hint: Any = cls
            self._encoders[cls] = json_writer(cls, version=len(self._upgraders[kind]) + 1)
            self._decoders[kind] = json_reader(hint)

    def encode(self, record: Record) -> EncodedRecord:
        """Return the record as text; a value that no record may hold raises BrokenInvariant."""
        kind = type(record).__name__
        encoder = self._encoders.get(type(record))
        if encoder is None:
            raise BrokenInvariant(f"{kind} is not a kind of record this store keeps")
        try:
            body = encoder(record)
        except UnfitError as unfit:
            raise BrokenInvariant(f"{kind}{unfit.path}: {unfit}") from None
        key = record.key
        return EncodedRecord(record.at_ms, kind, None if key is None else storable(key), body)

    def decode(self, kind: str, body: str) -> Record:
        """Return the record that `body` was made from.

        Text that is not such a record raises BrokenInvariant; a kind or version that only a newer
        program can have written raises StoreUnavailable.
        """
        decoder = self._decoders.get(kind)
        if decoder is None:
            raise StoreUnavailable(f"records of kind {kind} were written by a newer program")
        try:
            record: Record = decoder(self._upgraded(kind, from_json(body)))
        except UnfitError as unfit:
            raise BrokenInvariant(f"{kind}{unfit.path}: {unfit}") from None
        except ValueError as error:
            raise BrokenInvariant(f"{kind}: the text is not JSON: {error}") from None
        return record

    def _upgraded(self, kind: str, raw: object) -> dict[str, Any]:
        if not isinstance(raw, dict):
            raise UnfitError("expected an object")
        version = raw.pop("v", None)
        steps = self._upgraders[kind]
        if type(version) is not int or version < 1:
            raise UnfitError(f"version {version!r} is not a whole number from 1")
        if version > len(steps) + 1:
            raise StoreUnavailable(
                f"a {kind} of version {version} was written by a newer program: "
                f"this one reads up to {len(steps) + 1}"
            )
        for upgrade in steps[version - 1 :]:
            raw = upgrade(raw)
        return raw


#: The codec of everything this program keeps.
CODEC = Codec()
