"""Price and funding files: what is read, when it was known, and what is refused where."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rebalancer.core.fund import PriceSource
from rebalancer.errors import InputRefused
from rebalancer.feeds.candles import (
    FundingPoint,
    History,
    Moment,
    PricePoint,
    merge,
    read_funding,
    read_history,
)

BTC = "BTC/USDT:USDT"
ETH = "ETH/USDT:USDT"
NEW_YEAR_MS = 1_767_225_600_000
MINUTE_MS = 60_000

Write = Callable[..., Path]

BARS = """\
open_time_ms,open,high,low,close,volume
1767225600000,100,101,99,100.5,7
1767225660000,100.5,103,100.5,102,8
1767225720000,102,102,101,101.25,9
"""


@pytest.fixture
def file(tmp_path: Path) -> Write:
    """Write a file and return its path."""

    def write(content: str | bytes, name: str = "prices.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def bitcoin(path: Path) -> History:
    return read_history(BTC, path)


def refusal_of(path: Path, *, read: Callable[[Path], object] = bitcoin) -> str:
    """The sentence after the file's name."""
    with pytest.raises(InputRefused) as refused:
        read(path)
    sentence = str(refused.value)
    assert sentence.startswith(f"{path}:"), sentence
    return sentence.removeprefix(f"{path}:")


def points(history: History) -> list[tuple[int, str]]:
    return [(at_ms - NEW_YEAR_MS, str(price)) for at_ms, price in history.points]


def assert_sound(history: History) -> None:
    assert list(history.times_ms) == sorted(set(history.times_ms))
    for low, close, high in zip(history.lows, history.closes, history.highs, strict=True):
        assert 0 < low <= close <= high < Decimal("Infinity")


class TestWhatARowMeans:
    def test_the_close_of_a_bar_is_known_one_interval_after_it_opened(self, file: Write) -> None:
        history = read_history(BTC, file(BARS))
        assert points(history) == [
            (MINUTE_MS, "100.5"),
            (2 * MINUTE_MS, "102"),
            (3 * MINUTE_MS, "101.25"),
        ]
        assert history.interval_ms == MINUTE_MS
        assert history.rows == 3
        assert history.gaps == 0

    def test_high_and_low_are_kept_beside_each_close(self, file: Write) -> None:
        history = read_history(BTC, file(BARS))
        assert list(map(str, history.highs)) == ["101", "103", "102"]
        assert list(map(str, history.lows)) == ["99", "100.5", "101"]

    def test_a_price_without_a_bar_was_observed_at_its_own_time(self, file: Write) -> None:
        history = read_history(BTC, file("timestamp,close\n1767225600000,5\n1767225660000,6\n"))
        assert points(history) == [(0, "5"), (MINUTE_MS, "6")]
        assert history.highs == history.lows == history.closes

    def test_volume_alone_makes_no_bar(self, file: Write) -> None:
        history = read_history(BTC, file("timestamp,close,volume\n1767225600000,5,1\n"))
        assert points(history) == [(0, "5")]
        assert history.interval_ms == 0

    def test_iso_times_and_milliseconds_mean_the_same(self, file: Write) -> None:
        iso = BARS
        for minute in range(3):
            at_ms = NEW_YEAR_MS + minute * MINUTE_MS
            iso = iso.replace(str(at_ms), f"2026-01-01T08:0{minute}:00+08:00")
        assert points(read_history(BTC, file(iso))) == points(read_history(BTC, file(BARS)))

    def test_iso_times_may_stand_in_the_column_of_milliseconds_and_the_other_way(
        self, file: Write
    ) -> None:
        iso = read_history(BTC, file("open_time_ms,close\n2026-01-01T00:00:00.250Z,5\n"))
        unix = read_history(BTC, file("timestamp,close\n1767225600250,5\n"))
        assert points(iso) == points(unix) == [(250, "5")]

    def test_the_interval_is_the_most_frequent_spacing_and_gaps_are_counted(
        self, file: Write
    ) -> None:
        minutes = [0, 1, 2, 7, 8, 20]
        rows = "".join(f"{NEW_YEAR_MS + m * MINUTE_MS},5,5,5,5\n" for m in minutes)
        history = read_history(BTC, file("timestamp,open,high,low,close\n" + rows))
        assert history.interval_ms == MINUTE_MS
        assert history.gaps == 2
        assert [at // MINUTE_MS for at, _ in points(history)] == [1, 2, 3, 8, 9, 21]

    def test_the_shorter_of_two_equally_frequent_spacings_is_the_interval(
        self, file: Write
    ) -> None:
        history = read_history(BTC, file("timestamp,close\n0,5\n9000,5\n11000,5\n"))
        assert (history.interval_ms, history.gaps) == (2_000, 1)

    def test_decimals_arrive_with_every_digit(self, file: Write) -> None:
        history = read_history(BTC, file("timestamp,close\n0,0.000012340000000000000001\n"))
        assert history.closes[0] == Decimal("0.000012340000000000000001")

    def test_points_are_a_sequence(self, file: Write) -> None:
        seen = read_history(BTC, file(BARS)).points
        assert len(seen) == 3
        assert seen[-1] == PricePoint(NEW_YEAR_MS + 3 * MINUTE_MS, Decimal("101.25"))
        assert list(seen[1:]) == [seen[1], seen[2]]


class TestHowAFileMayBeWritten:
    @pytest.mark.parametrize("name", ["prices.csv", "prices.gz", "prices"])
    def test_gzip_is_known_by_its_first_bytes_not_by_its_name(self, file: Write, name: str) -> None:
        plain = read_history(BTC, file(BARS, name))
        packed = read_history(BTC, file(gzip.compress(BARS.encode()), name))
        assert points(packed) == points(plain)

    @pytest.mark.parametrize(
        "content",
        [
            "\ufeff" + BARS,
            BARS.replace("\n", "\r\n"),
            BARS.replace("\n", "\n\n"),
            BARS.rstrip("\n"),
            BARS.replace(",", " , "),
            BARS.replace("open_time_ms,open", '"Open_Time_ms","OPEN"'),
        ],
        ids=["byte order mark", "crlf", "blank lines", "no last newline", "spaces", "quotes"],
    )
    def test_harmless_differences_are_read_over(self, file: Write, content: str) -> None:
        assert points(read_history(BTC, file(content))) == points(read_history(BTC, file(BARS)))

    def test_columns_may_stand_in_any_order_among_others(self, file: Write) -> None:
        content = "symbol,close,trades,timestamp\nBTCUSDT,5,12,1767225600000\n"
        assert points(read_history(BTC, file(content))) == [(0, "5")]


class TestFunding:
    def test_each_filled_cell_of_a_price_file_is_due_at_the_time_of_its_row(
        self, file: Write
    ) -> None:
        content = (
            "timestamp,open,high,low,close,funding_rate\n"
            "1767225600000,5,5,5,5,0.0001\n1767225660000,5,5,5,5,\n1767225720000,5,5,5,5,0\n"
        )
        assert read_history(BTC, file(content)).funding == (
            FundingPoint(NEW_YEAR_MS, Decimal("0.0001")),
            FundingPoint(NEW_YEAR_MS + 2 * MINUTE_MS, Decimal(0)),
        )

    @pytest.mark.parametrize("column", ["funding_time_ms", "timestamp"])
    def test_a_funding_file_gives_one_settlement_per_row(self, file: Write, column: str) -> None:
        path = file(f"{column},funding_rate\n1767225600000,-2.404e-05\n\n1767254400000,0.0001\n")
        assert read_funding(path) == (
            (NEW_YEAR_MS, Decimal("-0.00002404")),
            (NEW_YEAR_MS + 480 * MINUTE_MS, Decimal("0.0001")),
        )

    def test_a_funding_file_belongs_to_its_price_file(self, file: Write) -> None:
        funding = file("timestamp,funding_rate\n1767225600000,0.0001\n", "funding.csv")
        history = read_history(BTC, file(BARS), funding)
        assert history.funding == ((NEW_YEAR_MS, Decimal("0.0001")),)

    def test_funding_from_two_places_would_be_charged_twice(self, file: Write) -> None:
        funding = file("timestamp,funding_rate\n1767225600000,0.0001\n", "funding.csv")
        prices = file("timestamp,close,funding_rate\n1767225600000,5,0.0001\n")
        sentence = refusal_of(prices, read=lambda path: read_history(BTC, path, funding))
        assert "would be charged twice" in sentence

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            ("timestamp,rate\n0,0.1\n", "1: no column funding_rate; the header has"),
            ("funding_rate\n0.1\n", "1: no column funding_time_ms or timestamp"),
            ("timestamp,funding_rate\n0,nan\n", "2: funding_rate: 'nan' is not a finite number"),
            ("timestamp,funding_rate\n0,1.5\n", "2: funding_rate: '1.5' is no share"),
            ("timestamp,funding_rate\n5,0\n5,0\n", "3: time: '5' stands there twice"),
            ("timestamp,funding_rate\n5,0\n5\n", "3: 1 cells in a row, 2 in the header"),
        ],
    )
    def test_a_bad_funding_file_is_refused_at_its_line(
        self, file: Write, content: str, sentence: str
    ) -> None:
        assert refusal_of(file(content), read=read_funding).startswith(sentence)


HEAD = "timestamp,close\n"
BAR_HEAD = "timestamp,open,high,low,close\n"


class TestRefusals:
    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            ("", "1: the file is empty"),
            ("\n\n", "2: the file is empty"),
            (HEAD, "1: no row follows the header"),
            ("time,close\n0,5\n", "1: no column timestamp or open_time_ms; the header has"),
            ("timestamp,price\n0,5\n", "1: no column close; the header has 'timestamp, price'"),
            ("timestamp;close\n0;5\n", "1: no column timestamp or open_time_ms"),
            ("timestamp,close,close\n0,5,5\n", "1: the column close stands there twice"),
            ("timestamp,open_time_ms,close\n0,0,5\n", "1: the columns timestamp and open_time_ms"),
            ("timestamp,open,close\n0,5,5\n", "1: a bar has the columns open, high and low"),
            (HEAD + "0,5\n1,five\n", "3: close: 'five' is not a finite number"),
            (HEAD + "0,5\n1,NaN\n", "3: close: 'NaN' is not a finite number"),
            (HEAD + "0,5\n1,sNaN\n", "3: close: 'sNaN' is not a finite number"),
            (HEAD + "0,5\n1,Infinity\n", "3: close: 'Infinity' is not a finite number"),
            (HEAD + "0,5\n1,0\n", "3: close: '0' must be above zero"),
            (HEAD + "0,5\n1,-5\n", "3: close: '-5' must be above zero"),
            (HEAD + "0,5\n1,1e99999\n", "3: close: '1e99999' lies outside 1E-18 to 1E+15"),
            (HEAD + "0,5\n1,1e-99999\n", "3: close: '1e-99999' lies outside 1E-18 to 1E+15"),
            (HEAD + "0,5\n1,\n", "3: close: the cell is empty"),
            (HEAD + "0,5\n,6\n", "3: time: '' is not a time like that of the first row"),
            (HEAD + "0,5\n1,6,7\n", "3: 3 cells in a row, 2 in the header"),
            (HEAD + "0,5\n1\n", "3: 1 cells in a row, 2 in the header"),
            (HEAD + "9,5\n9,6\n", "3: time: '9' stands there twice"),
            (HEAD + "9,5\n10,5\n8,6\n", "4: time: '8' is before the row above"),
            (HEAD + "0,5\n2026-01-01T00:00:00Z,5\n", "3: time: '2026-01-01T00:00:00Z' is not"),
            (HEAD + "1767225600,5\n", "2: time: 1767225600 looks like Unix seconds"),
            (HEAD + "0,5\n" + "9" * 30 + ",5\n", "3: time: '" + "9" * 30 + "' lies outside"),
            (HEAD + "0,5\n" + "9" * 5000 + ",5\n", "3: time: '" + "9" * 40 + "...' is not a time"),
            (BAR_HEAD + "0,5,5,5,5\n1,5,6,4,7\n", "3: the bar from 4 to 6 excludes its open 5 or"),
            (BAR_HEAD + "0,5,5,5,5\n1,5,6,5.5,6\n", "3: the bar from 5.5 to 6 excludes its open 5"),
            (BAR_HEAD + "0,5,5,5,5\n1,5,4,6,5\n", "3: the bar from 6 to 4 excludes"),
            (BAR_HEAD + "0,5,5,5,5\n1,5,5,0,5\n", "3: low: '0' must be above zero"),
            (BAR_HEAD + "0,5,5,5,5\n1,5,,5,5\n", "3: high: the cell is empty"),
            (BAR_HEAD + "0,5,5,5,5\n", "2: one bar alone has no spacing"),
            ("timestamp,close,funding_rate\n0,5,x\n", "2: funding_rate: 'x' is not a finite"),
            (HEAD + '0,"5\n', "2: this is not CSV: unexpected end of data"),
            (HEAD + "0,5\n1," + "5" * 140_000, "3: this is not CSV: field larger than"),
        ],
    )
    def test_what_is_wrong_is_said_at_its_line(
        self, file: Write, content: str, sentence: str
    ) -> None:
        assert refusal_of(file(content)).startswith(sentence)

    def test_a_binary_file_is_no_csv_file(self, file: Write) -> None:
        assert refusal_of(file(b"PK\x03\x04\x00\x00abc\n")) == (
            "1: this is no table of text: neither CSV nor Parquet"
        )

    @pytest.mark.parametrize("pack", [bytes, gzip.compress])
    def test_bytes_that_are_no_text_are_found_at_their_line(
        self, file: Write, pack: Callable[[bytes], bytes]
    ) -> None:
        rows = b"".join(b"%d,5\n" % at for at in range(5_000))
        content = HEAD.encode() + rows + b"5000,\xff\n" + rows
        assert refusal_of(file(pack(content))) == "5002: this is not UTF-8 text"

    @pytest.mark.parametrize("kept", [2, 12, 60])
    def test_half_a_gzip_file_is_damaged(self, file: Write, kept: int) -> None:
        assert "the gzip file is damaged" in refusal_of(file(gzip.compress(BARS.encode())[:kept]))

    def test_a_file_that_is_not_there_cannot_be_read(self, tmp_path: Path) -> None:
        assert refusal_of(tmp_path / "none.csv") == " cannot be read: No such file or directory"

    def test_a_folder_cannot_be_read(self, tmp_path: Path) -> None:
        assert refusal_of(tmp_path) == " cannot be read: Is a directory"


FIXTURES = [HealthCheck.function_scoped_fixture]


class TestAnything:
    @given(data=st.data())
    @settings(max_examples=300, suppress_health_check=FIXTURES)
    def test_changed_bytes_give_a_sound_history_or_a_refusal(
        self, file: Write, data: st.DataObject
    ) -> None:
        content = bytearray(BARS.encode())
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(content) - 1))
            kind = data.draw(st.sampled_from(["set", "drop", "insert"]))
            patch = data.draw(st.binary(max_size=3) | st.sampled_from([b",", b"\n", b"-", b"e9"]))
            content[at : at if kind == "insert" else at + 1] = b"" if kind == "drop" else patch
        path = file(bytes(content))
        try:
            history = read_history(BTC, path)
        except InputRefused as refused:
            sentence = str(refused)
        else:
            sentence = f"{path}:"
            assert_sound(history)
        assert sentence.startswith(f"{path}:")

    @given(content=st.binary(max_size=200))
    @settings(max_examples=200, suppress_health_check=FIXTURES)
    def test_any_bytes_at_all_are_refused_with_the_name_of_the_file(
        self, file: Write, content: bytes
    ) -> None:
        path = file(content)
        for read in (read_funding, bitcoin):
            with pytest.raises(InputRefused) as refused:
                read(path)
            assert str(refused.value).startswith(f"{path}:")


class TestMerge:
    def test_moments_come_in_time_order_with_what_became_known_together(self) -> None:
        bitcoin = History.observed(
            BTC,
            [PricePoint(10, Decimal(5)), PricePoint(20, Decimal(6))],
            [FundingPoint(15, Decimal("0.1")), FundingPoint(20, Decimal("0.2"))],
        )
        ether = History.observed(ETH, [PricePoint(20, Decimal(7)), PricePoint(30, Decimal(8))])
        assert list(merge([bitcoin, ether])) == [
            Moment(10, ((BTC, Decimal(5)),), ()),
            Moment(15, (), ((BTC, Decimal("0.1")),)),
            Moment(20, ((BTC, Decimal(6)), (ETH, Decimal(7))), ((BTC, Decimal("0.2")),)),
            Moment(30, ((ETH, Decimal(8)),), ()),
        ]

    def test_a_source_apart_brings_its_prices_beside_those_of_its_contract(self) -> None:
        spot = History.observed(BTC, [PricePoint(10, Decimal(4)), PricePoint(15, Decimal(3))])
        marks = History.observed(BTC, [PricePoint(10, Decimal(5)), PricePoint(20, Decimal(6))])
        assert list(merge([replace(marks, apart={PriceSource.SPOT: spot})])) == [
            Moment(10, ((BTC, Decimal(5)),), (), ((BTC, PriceSource.SPOT, Decimal(4)),)),
            Moment(15, (), (), ((BTC, PriceSource.SPOT, Decimal(3)),)),
            Moment(20, ((BTC, Decimal(6)),), ()),
        ]

    def test_contracts_stand_in_the_order_they_were_given(self) -> None:
        histories = [
            History.observed(name, [PricePoint(1, Decimal(price))])
            for name, price in (("Z", 1), ("A", 2), ("M", 1))
        ]
        (moment,) = merge(histories)
        assert [name for name, _ in moment.prices] == ["Z", "A", "M"]

    def test_nothing_merges_to_nothing(self) -> None:
        assert list(merge([])) == []

    def test_two_files_for_one_contract_are_refused_before_the_first_moment(self) -> None:
        history = History.observed(BTC, [PricePoint(1, Decimal(1))])
        with pytest.raises(InputRefused, match="2 price files are given for one contract"):
            merge([history, history])


def test_reading_a_history_loads_no_client_no_store_and_no_settings() -> None:
    code = (
        "import sys, rebalancer.feeds.candles, rebalancer.feeds.live\n"
        "print(sorted({'ccxt', 'sqlalchemy', 'pydantic'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
