"""A CSV file, plain or gzip, or a Parquet file, of which every refusal names file and line."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Protocol

from rebalancer.core import instant
from rebalancer.core.money import ONE, PLACES, number
from rebalancer.errors import InputRefused
from rebalancer.feeds.parquet import MAGIC, ParquetRows

EARLIEST_MS = instant.parse("0001-01-01T00:00:00Z")
LATEST_MS = instant.parse("9999-12-31T23:59:59Z")
#: Prices beyond these would leave the digits in which sums of money are exact.
LEAST_PRICE = PLACES
MOST_PRICE = Decimal("1e15")

_GZIP_MAGIC = b"\x1f\x8b"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
#: Unix seconds of the years 2000 to 2100. Read as milliseconds they would all lie in early 1970,
#: before any perpetual was traded: such a file was written in seconds.
_LIKELY_SECONDS = range(946_684_800, 4_102_444_800)
_LONGEST_SHOWN = 40

ReadTime = Callable[[str], int]
"""Turns the text of a time into milliseconds; raises ValueError or TypeError."""


class Reader(Protocol):
    """Rows of text, of which the last one read stands in line `line_num`."""

    @property
    def line_num(self) -> int:
        """Counts from 1; 0 before anything was read."""

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


class Table:
    """An open file of rows with a header; its refusals name the line that was read last."""

    def __init__(self, path: Path | str, reader: Reader) -> None:
        """Read the header; a file without one raises InputRefused."""
        self._path = path
        self._reader = reader
        header = next(filter(None, reader), None)
        if header is None:
            raise self.refusal("the file is empty")
        self.header = [name.strip().lower() for name in header]
        if not all(name.isprintable() for name in self.header):
            raise self.refusal("this is no table of text: neither CSV nor Parquet")

    def refusal(self, sentence: str) -> InputRefused:
        """Return the exception that says `sentence` about the line read last."""
        return InputRefused(f"{self._path}:{max(self._reader.line_num, 1)}: {sentence}")

    def optional(self, name: str) -> int | None:
        """Return where the column `name` stands, None when there is none."""
        if self.header.count(name) > 1:
            raise self.refusal(f"the column {name} stands there twice")
        return self.header.index(name) if name in self.header else None

    def column(self, *names: str) -> int:
        """Return where the one column stands that has one of `names`."""
        found = [at for name in names if (at := self.optional(name)) is not None]
        if not found:
            there = _shown(", ".join(self.header))
            raise self.refusal(f"no column {' or '.join(names)}; the header has {there}")
        if len(found) > 1:
            raise self.refusal(f"the columns {' and '.join(names)} mean the same; keep one")
        return found[0]

    def rows(self, time_at: int) -> tuple[ReadTime, Iterator[list[str]]]:
        """Return how the times are written, judged by the first row, and the rows (blank: [])."""
        first = next(filter(None, self._reader), None)
        if first is None:
            raise self.refusal("no row follows the header")
        sample = first[time_at].strip() if time_at < len(first) else ""
        is_number = sample.lstrip("-").isdecimal()
        if is_number and len(sample) == len("1767225600") and int(sample) in _LIKELY_SECONDS:
            raise self.refusal(f"time: {sample} looks like Unix seconds; write milliseconds")
        return int if is_number else _iso_to_ms, chain([first], self._reader)

    def refuse_ragged(self, row: Sequence[str]) -> None:
        """Raise InputRefused unless `row` has as many cells as the header."""
        if len(row) != len(self.header):
            raise self.refusal(f"{len(row)} cells in a row, {len(self.header)} in the header")

    def time(self, cell: str, to_ms: ReadTime, last_ms: int) -> int:
        """Return the time in `cell`, which must lie after `last_ms`."""
        try:
            at_ms = to_ms(cell)
        except (ValueError, TypeError, OverflowError):
            raise self.refusal(
                f"time: {_shown(cell)} is not a time like that of the first row; write "
                "2026-01-02T02:30:00Z or Unix milliseconds"
            ) from None
        if at_ms == last_ms:
            raise self.refusal(f"time: {_shown(cell)} stands there twice")
        if at_ms < last_ms:
            raise self.refusal(f"time: {_shown(cell)} is before the row above; sort the file")
        if not EARLIEST_MS <= at_ms <= LATEST_MS:
            raise self.refusal(f"time: {_shown(cell)} lies outside the years 1 to 9999")
        return at_ms

    def price(self, cell: str, what: str) -> Decimal:
        """Return the price in `cell`: finite, above zero, neither tiny nor huge."""
        price = self._number(cell, what)
        if price <= 0:
            raise self.refusal(f"{what}: {_shown(cell)} must be above zero")
        if not LEAST_PRICE <= price <= MOST_PRICE:
            raise self.refusal(f"{what}: {_shown(cell)} lies outside {LEAST_PRICE} to {MOST_PRICE}")
        return price

    def rate(self, cell: str) -> Decimal:
        """Return the funding rate in `cell`, a share of notional between -1 and 1."""
        rate = self._number(cell, "funding_rate")
        if abs(rate) >= ONE:
            raise self.refusal(f"funding_rate: {_shown(cell)} is no share; 1 bp is 0.0001")
        return rate

    def _number(self, cell: str, what: str) -> Decimal:
        if not cell.strip():
            raise self.refusal(f"{what}: the cell is empty")
        try:
            return number(cell)
        except InputRefused:
            raise self.refusal(f"{what}: {_shown(cell)} is not a finite number") from None


@contextmanager
def opened(path: Path | str) -> Iterator[Table]:
    """Open a file, CSV, gzip or Parquet by its first bytes; whatever fails becomes InputRefused."""
    reader: Reader | None = None

    def after(lines: int) -> str:
        return f"{path}:{(reader.line_num if reader else 0) + lines}"

    try:
        with Path(path).open("rb") as raw:
            if raw.peek(len(MAGIC))[: len(MAGIC)] == MAGIC:
                with closing(ParquetRows(path)) as rows:
                    yield Table(path, rows)
                return
            is_gzip = raw.peek(len(_GZIP_MAGIC))[: len(_GZIP_MAGIC)] == _GZIP_MAGIC
            binary = gzip.GzipFile(fileobj=raw) if is_gzip else raw
            with io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as text:
                reader = csv.reader(text, strict=True)
                yield Table(path, reader)
    except UnicodeDecodeError as error:
        # Text is decoded some lines ahead of the line read last: count those between.
        ahead = error.object.count(b"\n", 0, error.start)
        raise InputRefused(f"{after(ahead + 1)}: this is not UTF-8 text") from None
    except csv.Error as error:
        raise InputRefused(f"{after(0)}: this is not CSV: {error}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise InputRefused(f"{after(1)}: the gzip file is damaged") from None
    except OSError as error:
        raise InputRefused(f"{path}: cannot be read: {error.strerror or 'no answer'}") from None


def _iso_to_ms(cell: str) -> int:
    moment = datetime.fromisoformat(cell.strip())
    if moment.tzinfo is None:  # histories are written in UTC, whether they say so or not
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MILLISECOND


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= _LONGEST_SHOWN else f"{cell[:_LONGEST_SHOWN]}...")
