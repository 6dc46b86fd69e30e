"""What commands print: tables for people on standard output, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rebalancer.core.instant import SECOND_MS, duration, iso

if TYPE_CHECKING:
    from rich.console import Console

    from rebalancer.cli.listing import Listing

#: shown where there is nothing to show
NONE = "-"
#: of many names so many are shown; the others are counted
NAMED = 2


def console() -> Console:
    """Return a console on standard output; wide enough for whole tables where it is no terminal."""
    from rebalancer.cli.listing import WholeTables  # noqa: PLC0415 - rich: not for JSON

    out = WholeTables(highlight=False)
    return out if out.is_terminal else WholeTables(highlight=False, width=120)


def print_json(document: Any) -> None:
    """Write `document` as JSON; decimals must be text by now."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def note(sentence: str) -> None:
    """Tell a person something beside the data, on standard error."""
    sys.stderr.write(f"{sentence}\n")


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, heads: bool = True
) -> Listing:
    """Return a table; columns whose name begins with ">" are set flush right."""
    from rebalancer.cli.listing import Listing  # noqa: PLC0415 - as above

    return Listing(title, columns, rows, heads=heads)


def largest(amounts: Mapping[str, Decimal]) -> str:
    """Name those with the largest amounts, and count the others."""
    names = sorted(amounts, key=lambda name: (-abs(amounts[name]), name))
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def money(value: Decimal | None, places: int = 2) -> str:
    """Write an amount with thousands separators."""
    if value is None:
        return NONE
    written = f"{value:,.{places}f}"
    return written.removeprefix("-") if not written.strip("-0.,") else written


def nav(value: Decimal | None) -> str:
    """Write a NAV with four decimals, or eight significant digits where it is small."""
    if value is None:
        return NONE
    return f"{value:,.4f}" if abs(value) >= 1 or value == 0 else f"{value:.8f}"


def shares(value: Decimal) -> str:
    """Write shares with the eight decimals that there are at most."""
    return f"{value:,.8f}".rstrip("0").rstrip(".")


def times(value: Decimal | None) -> str:
    """Write a leverage: 2.7391x."""
    return NONE if value is None else f"{value:.4f}x"


def target(leverage: Decimal | None) -> str:
    """Write a leverage that somebody chose, with the digits that it has: 3x, -1.25x."""
    return NONE if leverage is None else f"{leverage:f}x"


def when(at_ms: int | None) -> str:
    """Write an instant, or a dash."""
    return NONE if at_ms is None else iso(at_ms)


def moment(at_ms: int | None) -> str:
    """Write an instant for a person: to the second; or a dash."""
    return NONE if at_ms is None else iso(at_ms - at_ms % SECOND_MS)


def short(value: Decimal) -> str:
    """Write any number with the digits that people read: six decimals, or six digits under 1."""
    places = 6 if abs(value) >= 1 or not value else 5 - value.adjusted()
    written = f"{value:.{places}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def share(ratio: Decimal | None) -> str:
    """Write a move of prices for a person: -33.3 %; or a dash where it is none that happens."""
    return NONE if ratio is None or abs(ratio) > 10 else f"{ratio * 100:+.1f} %"


def age(length_ms: int | None) -> str:
    """Write how old something is, or a dash."""
    return NONE if length_ms is None else duration(max(0, length_ms))


def base_of(symbol: str) -> str:
    """Return the base coin of a contract: BTC of BTC/USDT:USDT."""
    return symbol.partition("/")[0]
