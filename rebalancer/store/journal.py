"""The journal: records in the order they happened, each row sealed to the one before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from rebalancer.core.records import DeskStarted, FundLaunched, Record, Traded
from rebalancer.errors import BrokenInvariant
from rebalancer.store.codec import CODEC, EncodedRecord
from rebalancer.store.rows import JournalRow
from rebalancer.store.session import Session
from rebalancer.store.tables import JOURNAL

_INSERT = insert(JOURNAL)
_PAGE_ROWS = 10_000
_LOOKED_THROUGH_ROWS = 20_000
#: Keys asked for at once; SQLite takes a limited number of variables.
_KEY_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: the number and the hash of its last row."""

    seq: int
    hash: str


GENESIS = Head(0, "0" * 64)


def seal(head: Head, record: EncodedRecord) -> Head:
    """Return the head after `record`: the hash covers its number, time, kind, key and body."""
    # The body is one line and comes last, so no other field can pass for part of it.
    key = "-" if record.key is None else f"={record.key}"
    seq = head.seq + 1
    sealed = f"{head.hash}\n{seq}\n{record.at_ms}\n{record.kind}\n{key}\n{record.body}"
    return Head(seq, hashlib.sha256(sealed.encode()).hexdigest())


def sealed(head: Head, records: Iterable[EncodedRecord]) -> tuple[list[Mapping[str, Any]], Head]:
    """Return the rows that follow `head`, and the head after them."""
    rows: list[Mapping[str, Any]] = []
    for record in records:
        head = seal(head, record)
        rows.append(
            {
                "seq": head.seq,
                "at_ms": record.at_ms,
                "kind": record.kind,
                "key": record.key,
                "body": record.body,
                "hash": head.hash,
            }
        )
    return rows, head


def append(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert sealed rows, durably, in one transaction."""
    session.insert(_INSERT, rows)


def read_head(connection: Connection) -> Head:
    """Return the end of the chain as the database has it."""
    columns = select(JOURNAL.c.seq, JOURNAL.c.hash)
    row = connection.execute(columns.order_by(JOURNAL.c.seq.desc()).limit(1)).first()
    return GENESIS if row is None else Head(row.seq, row.hash)


def existing_key(connection: Connection, keys: Sequence[str]) -> str | None:
    """Return one of `keys` that the journal has, or None."""
    for start in range(0, len(keys), _KEY_CHUNK):
        chunk = keys[start : start + _KEY_CHUNK]
        found: str | None = connection.execute(
            select(JOURNAL.c.key).where(JOURNAL.c.key.in_(chunk)).limit(1)
        ).scalar()
        if found is not None:
            return found
    return None


def verified(connection: Connection) -> Iterator[JournalRow]:
    """Yield every row from the first; a gap or a row that was changed raises BrokenInvariant."""
    head = GENESIS
    for row in _pages(connection):
        encoded = EncodedRecord(at_ms=row.at_ms, kind=row.kind, key=row.key, body=row.body)
        if row.seq != head.seq + 1:
            raise BrokenInvariant(
                f"the journal has a gap: record {head.seq + 1} is missing before {row.seq}"
            )
        head = seal(head, encoded)
        if row.hash != head.hash:
            raise BrokenInvariant(
                f"the journal was changed: record {row.seq} does not match its hash"
            )
        yield _opened(row)


def page(connection: Connection, after_seq: int, limit: int) -> tuple[JournalRow, ...]:
    """Return up to `limit` rows after `after_seq`, oldest first, without checking the chain."""
    return tuple(_opened(row) for row in _rows(connection, after_seq, limit))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records to look for: their kinds, and the fund they name; None: any."""

    kinds: Sequence[str]
    fund: str | None


def newest(
    connection: Connection, wanted: Wanted, before_seq: int | None, limit: int
) -> tuple[tuple[JournalRow, ...], int | None]:
    """Return the newest rows first, and the number to ask before for what is older."""
    before = read_head(connection).seq + 1 if before_seq is None else before_seq
    floor = max(0, before - _LOOKED_THROUGH_ROWS)
    query = select(JOURNAL).where(
        JOURNAL.c.seq < before, JOURNAL.c.seq >= floor, JOURNAL.c.kind.in_(wanted.kinds)
    )
    if wanted.fund is not None:
        # The body is canonical JSON, in which a fund stands in one way only.
        named = f'"fund":{json.dumps(wanted.fund)}'
        query = query.where(JOURNAL.c.body.contains(named, autoescape=True))
    rows = connection.execute(query.order_by(JOURNAL.c.seq.desc()).limit(limit)).all()
    following = rows[-1].seq if len(rows) == limit else floor
    return tuple(_opened(row) for row in rows), following if following > 1 else None


def beginnings(connection: Connection) -> tuple[Record, ...]:
    """Return every start, every launch and the first trade after each start, in order, unchecked.

    That tells which funds there are, and in which modes the store was traded on: a second trade of
    the same life would say nothing new, and of a million records most are such.
    """
    in_order = select(JOURNAL).order_by(JOURNAL.c.seq)
    begun = in_order.where(JOURNAL.c.kind.in_([DeskStarted.__name__, FundLaunched.__name__]))
    rows = [_opened(row) for row in connection.execute(begun)]
    starts = [0, *(row.seq for row in rows if isinstance(row.record, DeskStarted))]
    traded = in_order.where(JOURNAL.c.kind == Traded.__name__).limit(1)
    for start, following in zip_longest(starts, starts[1:]):
        first = traded.where(JOURNAL.c.seq > start)
        if following is not None:
            first = first.where(JOURNAL.c.seq < following)
        rows += [_opened(row) for row in connection.execute(first)]
    return tuple(row.record for row in sorted(rows, key=attrgetter("seq")))


def keyed(connection: Connection, first: str, after: str) -> tuple[JournalRow, ...]:
    """Return the rows with a key from `first` up to `after`, oldest first, unchecked."""
    query = select(JOURNAL).where(JOURNAL.c.key >= first, JOURNAL.c.key < after)
    return tuple(_opened(row) for row in connection.execute(query.order_by(JOURNAL.c.seq)))


def _opened(row: Row[Any]) -> JournalRow:
    try:
        return JournalRow(row.seq, CODEC.decode(row.kind, row.body), row.hash)
    except BrokenInvariant as error:
        raise BrokenInvariant(f"record {row.seq} cannot be read: {error}") from None


def _pages(connection: Connection) -> Iterator[Row[Any]]:
    seq = 0
    while rows := _rows(connection, seq, _PAGE_ROWS):
        yield from rows
        seq = rows[-1].seq


def _rows(connection: Connection, after_seq: int, limit: int) -> Sequence[Row[Any]]:
    query = select(JOURNAL).where(JOURNAL.c.seq > after_seq)
    return connection.execute(query.order_by(JOURNAL.c.seq).limit(limit)).all()
