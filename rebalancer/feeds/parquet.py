"""A Parquet file read as the rows of text that a CSV file of the same table would have."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rebalancer.errors import InputRefused

MAGIC = b"PAR1"
_BATCH_ROWS = 65_536


class ParquetRows:
    """The header and then every row, as lists of text; `line_num` counts the header as 1."""

    def __init__(self, path: Path | str) -> None:
        """Open the file; one that is damaged, or no package to read it, raises InputRefused."""
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra, and heavy
            from pyarrow import parquet  # noqa: PLC0415
        except ImportError:
            raise InputRefused(
                f"{path}: is a Parquet file; to read it install rebalancer[parquet]"
            ) from None
        try:
            self._file = parquet.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise InputRefused(f"{path}: the Parquet file is damaged: {error}") from None
        self._arrow = pa
        self._damaged = (pa.ArrowException, OSError)
        self._path = path
        self._rows = self._texts()
        self.line_num = 0

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        row = next(self._rows)
        self.line_num += 1
        return row

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _texts(self) -> Iterator[list[str]]:
        yield list(self._file.schema_arrow.names)
        try:
            for batch in self._file.iter_batches(_BATCH_ROWS):
                plain = map(self._plain, batch.columns)
                columns = [[_text(cell) for cell in column.to_pylist()] for column in plain]
                yield from map(list, zip(*columns, strict=True))
        except self._damaged as error:
            raise InputRefused(f"{self._path}: the Parquet file is damaged: {error}") from None

    def _plain(self, column: Any) -> Any:
        """Return a column whose cells Python can hold: no nanoseconds, and its own short floats."""
        arrow, kind = self._arrow, column.type
        if arrow.types.is_timestamp(kind):
            return column.cast(arrow.timestamp("us", kind.tz), safe=False)
        return column.cast(arrow.string()) if arrow.types.is_float32(kind) else column


def _text(cell: Any) -> str:
    """Write a cell as CSV would have it; a float in the fewest digits that mean the same float."""
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        moment = cell if cell.tzinfo else cell.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat()
    return repr(cell) if isinstance(cell, float) else str(cell)
