"""Tables for the width there is: no number is cut off, and words go where they have room."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest

from rebalancer.cli.listing import WholeTables
from rebalancer.cli.output import largest, short, table

ROWS = [
    ["BTC3L", "1,058,790.13", "3.2340x", "the price moved 16.00 % since the last point"],
    ["ETH1S", "952,345.60", "-0.9293x", ""],
]
COLUMNS = ("fund", ">equity", ">leverage", "why")


def lines(width: int, columns: tuple[str, ...] = COLUMNS, title: str = "") -> list[str]:
    """Return a table as a terminal of so many columns shows it, without what is blank."""
    out = WholeTables(file=io.StringIO(), width=width, color_system=None)
    out.print(table(title, columns, ROWS))
    assert isinstance(out.file, io.StringIO)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


def test_where_there_is_room_a_row_is_a_line() -> None:
    assert lines(80) == [
        "fund         equity  leverage  why",
        "BTC3L  1,058,790.13   3.2340x  the price moved 16.00 % since the last point",
        "ETH1S    952,345.60  -0.9293x",
    ]


@pytest.mark.parametrize("width", [80, 60, 50, 24])
def test_no_line_ends_in_blanks(width: int) -> None:
    out = WholeTables(file=io.StringIO(), width=width, color_system=None)
    out.print(table("Both", COLUMNS, ROWS))
    assert isinstance(out.file, io.StringIO)
    shown = out.file.getvalue().splitlines()
    assert shown == [line.rstrip() for line in shown]


def test_words_are_broken_into_lines_that_can_still_be_read() -> None:
    assert lines(60)[1:3] == [
        "BTC3L  1,058,790.13   3.2340x  the price moved 16.00 % since",
        "                               the last point",
    ]


def test_a_word_that_is_wider_than_its_column_is_not_cut_off_either() -> None:
    out = WholeTables(file=io.StringIO(), width=62, color_system=None)
    reason = "the desk is halted (set 2026-11-30T16:37:26.754Z); resume it first, with a reason"
    rows = [["BTC3L", "1,058,790.13 -> 1,058,790.13", reason]]
    out.print(table("", ("fund", ">equity", "why"), rows))
    assert isinstance(out.file, io.StringIO)
    shown = out.file.getvalue()
    assert "…" not in shown
    assert "2026-11-30T16:37:26.754Z);" in shown


def test_an_id_stays_on_its_line_where_no_terminal_ends_the_line() -> None:
    out = WholeTables(file=io.StringIO(), width=60, color_system=None)
    number, client_order_id = "1,058,790.13 -> 1,058,790.13", "ropxgvqbiotzpcz3j0ea2jkxud"
    out.print(table("", ("fund", ">equity", "id"), [["BTC3L", number, client_order_id]]))
    assert isinstance(out.file, io.StringIO)
    head, row = out.file.getvalue().splitlines()
    assert head.split() == ["fund", "equity", "id"]
    assert row == f"BTC3L  {number}  {client_order_id}"


def test_with_less_room_they_stand_under_their_row() -> None:
    assert lines(50) == [
        "fund         equity  leverage",
        "BTC3L  1,058,790.13   3.2340x",
        "    the price moved 16.00 % since the last point",
        "ETH1S    952,345.60  -0.9293x",
    ]


def test_columns_without_room_stand_under_their_row_behind_their_names() -> None:
    assert lines(24) == [
        "fund         equity",
        "BTC3L  1,058,790.13",
        "    leverage 3.2340x",
        "    why the price moved",
        "    16.00 % since the",
        "    last point",
        "ETH1S    952,345.60",
        "    leverage -0.9293x",
    ]
    assert lines(30, ("fund", ">equity", ">leverage", ">why"))[2].startswith("    why the price")


@pytest.mark.parametrize("width", [5, 12, 20, 30])
def test_no_number_and_no_name_is_ever_cut_off(width: int) -> None:
    words = " ".join(lines(width)).split()
    assert {cell for row in ROWS for cell in row[:3]} <= set(words)


def test_a_title_is_as_long_as_it_is() -> None:
    title = "a title that is longer than its table, which is nothing bad"
    assert lines(80, title=title)[0] == title


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("136.015395849180078806", "136.015396"),
        ("-0.00002494", "-0.00002494"),
        ("0.333333333333333333", "0.333333"),
        ("10000.000000", "10000"),
        ("0", "0"),
        ("100", "100"),
    ],
)
def test_a_number_of_a_record_has_the_digits_that_people_read(value: str, read: str) -> None:
    assert short(Decimal(value)) == read


def test_of_many_funds_the_largest_are_named_and_the_others_counted() -> None:
    wanted = {"A": Decimal(1), "B": Decimal(-3), "C": Decimal(2)}
    assert largest(wanted) == "B, C and 1 more"
    assert largest({"A": Decimal(1)}) == "A"
