"""The journal: records in the order they happened, each row sealed to the one before it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import zip_longest
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select
from sqlalchemy import Row as Found

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


class Head(NamedTuple):
    """The end of the chain: the number and the hash of its last row."""

    seq: int
    hash: str


GENESIS = Head(0, "0" * 64)

#: a row of the journal as it is written: seq, at_ms, kind, key, body, hash
Row = tuple[int, int, str, str | None, str, str]


def seal(before: str, seq: int, record: EncodedRecord) -> str:
    """Return the hash of row `seq`, which covers that of the row before and all of the record."""
    at_ms, kind, key, body = record
    # The body is one line and comes last, so no other field can pass for part of it.
    named = "-" if key is None else f"={key}"
    return sha256(f"{before}\n{seq}\n{at_ms}\n{kind}\n{named}\n{body}".encode()).hexdigest()


def sealed(head: Head, records: Iterable[EncodedRecord]) -> tuple[list[Row], Head]:
    """Return the rows that follow `head`, and the head after them."""
    rows: list[Row] = []
    seq, last = head
    for record in records:
        seq += 1
        last = seal(last, seq, record)
        rows.append((seq, *record, last))
    return rows, Head(seq, last)


def append(session: Session, rows: Sequence[Row]) -> None:
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
        if row.seq != head.seq + 1:
            raise BrokenInvariant(
                f"the journal has a gap: record {head.seq + 1} is missing before {row.seq}"
            )
        encoded = EncodedRecord(row.at_ms, row.kind, row.key, row.body)
        head = Head(row.seq, seal(head.hash, row.seq, encoded))
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


def _opened(row: Found[Any]) -> JournalRow:
    try:
        return JournalRow(row.seq, CODEC.decode(row.kind, row.body), row.hash)
    except BrokenInvariant as error:
        raise BrokenInvariant(f"record {row.seq} cannot be read: {error}") from None


def _pages(connection: Connection) -> Iterator[Found[Any]]:
    seq = 0
    while rows := _rows(connection, seq, _PAGE_ROWS):
        yield from rows
        seq = rows[-1].seq


def _rows(connection: Connection, after_seq: int, limit: int) -> Sequence[Found[Any]]:
    query = select(JOURNAL).where(JOURNAL.c.seq > after_seq)
    return connection.execute(query.order_by(JOURNAL.c.seq).limit(limit)).all()
