"""What the program says about itself: its shape, its numbers, and what must not be in it."""

from __future__ import annotations

import ast
import io
import json
import logging
import os
import pty
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog

from rebalancer import logs

CANARY = "s3cr3t-canary"


def written(style: str = "auto", level: str = "info", **event: Any) -> str:
    """Return what one event of ours looks like where the stream is no terminal."""
    stream = io.StringIO()
    logs.configure(level=level, style=style, stream=stream)
    structlog.get_logger("test").info("happened", **event)
    return stream.getvalue()


def test_the_journal_is_told_how_grave_a_line_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "log").open("w+") as stream:
        seen = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{seen.st_dev}:{seen.st_ino}")
        logs.configure(level="debug", style="json", stream=stream)
        log = structlog.get_logger("test")
        for level in ("debug", "info", "warning", "error", "critical"):
            getattr(log, level)("happened")
        stream.seek(0)
        assert [line[:4] for line in stream] == ["<7>{", "<6>{", "<4>{", "<3>{", "<2>{"]


def test_nobody_else_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is handed on to every child, whatever its output leads to."""
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")
    with (tmp_path / "log").open("w+") as stream:
        logs.configure(style="json", stream=stream)
        structlog.get_logger("test").info("happened")
        stream.seek(0)
        assert stream.read(1) == "{"


def parsed(text: str) -> dict[str, Any]:
    (line,) = text.splitlines()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    event: dict[str, Any] = json.loads(line, parse_constant=refuse)
    return event


class TestShape:
    def test_where_there_is_no_terminal_an_event_is_one_line_of_json(self) -> None:
        event = parsed(written(fund="BTC3L", count=3))
        assert event.pop("timestamp").endswith("Z")
        assert event == {"event": "happened", "level": "info", "fund": "BTC3L", "count": 3}

    def test_on_a_terminal_it_is_for_people(self) -> None:
        master, slave = pty.openpty()
        try:
            with os.fdopen(slave, "w") as stream:
                logs.configure(stream=stream)
                structlog.get_logger("test").info("happened", fund="BTC3L")
            shown = os.read(master, 4_096).decode()
        finally:
            os.close(master)
        assert "happened" in shown
        assert "\x1b[" in shown
        assert not shown.startswith("{")

    def test_either_shape_can_be_asked_for(self) -> None:
        assert not written("console").startswith("{")
        assert written("json").startswith("{")

    def test_what_the_libraries_write_has_the_same_shape(self) -> None:
        stream = io.StringIO()
        logs.configure(stream=stream)
        logging.getLogger("some.library").warning("took %s of %d", Decimal("1.10"), 3)
        event = parsed(stream.getvalue())
        assert (event["event"], event["level"]) == ("took 1.10 of 3", "warning")

    def test_a_line_break_does_not_make_a_second_event(self) -> None:
        event = parsed(written(reason='drill\n{"event": "forged"}'))
        assert event["reason"] == 'drill\n{"event": "forged"}'

    @pytest.mark.parametrize("ours", [True, False], ids=["ours", "a library's"])
    def test_an_exception_stands_in_its_event(self, ours: bool) -> None:
        stream = io.StringIO()
        logs.configure(stream=stream)
        try:
            int("no good")
        except ValueError:
            if ours:
                structlog.get_logger("test").exception("failed")
            else:
                logging.getLogger("some.library").exception("failed")
        event = parsed(stream.getvalue())
        assert event["event"] == "failed"
        assert "ValueError: invalid literal" in event["exception"]

    def test_configuring_twice_does_not_write_twice(self) -> None:
        stream = io.StringIO()
        logs.configure(stream=stream)
        logs.configure(stream=stream)
        structlog.get_logger("test").info("once")
        assert len(stream.getvalue().splitlines()) == 1

    @pytest.mark.parametrize(
        ("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)]
    )
    def test_the_level_is_obeyed_by_ours_and_by_libraries(self, level: str, count: int) -> None:
        for logger in (structlog.get_logger("test"), logging.getLogger("some.library")):
            stream = io.StringIO()
            logs.configure(level=level, stream=stream)
            for name in ("debug", "info", "warning", "error"):
                getattr(logger, name)("happened")
            assert len(stream.getvalue().splitlines()) == count

    def test_an_object_that_json_does_not_know_is_written_in_words(self) -> None:
        assert parsed(written(at=structlog))["at"].startswith("<module")


class TestNumbers:
    @pytest.mark.parametrize(
        ("number", "text"),
        [
            ("1.10", "1.1"),
            ("1E+3", "1000"),
            ("1E-9", "0.000000001"),
            ("0E-18", "0"),
            ("-0.5", "-0.5"),
        ],
    )
    def test_a_decimal_is_plain_digits(self, number: str, text: str) -> None:
        assert parsed(written(price=Decimal(number)))["price"] == text

    def test_no_digit_of_a_decimal_is_lost(self) -> None:
        number = "123456789012345678901234567890.123456789012345678"
        assert parsed(written(price=Decimal(number)))["price"] == number

    def test_decimals_are_decimals_at_any_depth(self) -> None:
        deep = {"a": [{"b": (Decimal("1.10"), {"c": Decimal("2.50")})}], "d": {Decimal(3)}}
        assert parsed(written(deep=deep))["deep"] == {
            "a": [{"b": ["1.1", {"c": "2.5"}]}],
            "d": ["3"],
        }
        assert "Decimal" not in written("console", deep=deep)

    @pytest.mark.parametrize(
        "value",
        [
            float("nan"),
            float("inf"),
            Decimal("NaN"),
            Decimal("sNaN"),
            Decimal("-Infinity"),
        ],
        ids=str,
    )
    def test_what_is_no_number_is_written_as_a_word_and_the_event_is_not_lost(
        self, value: object
    ) -> None:
        event = parsed(written(price=value, deep={"prices": [value]}))
        assert isinstance(event["price"], str)
        assert isinstance(event["deep"]["prices"][0], str)


class TestSecrets:
    @pytest.mark.parametrize(
        "text",
        [
            f"GET https://venue/v1?symbol=BTC&apiKey={CANARY}&x=1",
            f"GET https://venue/v1?timestamp=1&signature={CANARY}",
            f"X-MBX-APIKEY: {CANARY}",
            f"X-BAPI-SIGN: {CANARY}",
            f"x-bapi-api-key: {CANARY}",
            f"OK-ACCESS-PASSPHRASE: {CANARY}",
            f"xt-validate-signature: {CANARY}",
            f"xt-validate-appkey={CANARY}",
            f"Authorization: Bearer {CANARY}",
            f"{{'apiKey': '{CANARY}', 'secret': '{CANARY}'}}",
            f'{{"api_key": "{CANARY}", "password": "{CANARY}"}}',
            f"secret={CANARY}",
            f"listenKey={CANARY}",
            f"postgresql://desk:{CANARY}@host/name",
        ],
    )
    def test_the_value_behind_a_telling_name_is_hidden(self, text: str) -> None:
        for style in ("json", "console"):
            assert CANARY not in written(style, text=text)
            assert CANARY not in written(style, deep={"a": [text]})
        stream = io.StringIO()
        logs.configure(stream=stream)
        logging.getLogger("some.library").warning("sent %s", text)
        assert CANARY not in stream.getvalue()
        assert "[hidden]" in stream.getvalue()

    @pytest.mark.parametrize("name", ["api_key", "apiKey", "secret", "password", "X-MBX-APIKEY"])
    def test_a_field_of_a_telling_name_is_hidden(self, name: str) -> None:
        assert CANARY not in written(**{name: CANARY})
        assert CANARY not in written(headers={name: CANARY, "deeper": [{name: CANARY}]})

    def test_an_exception_that_quotes_a_request_is_hidden(self) -> None:
        stream = io.StringIO()
        logs.configure(stream=stream)
        try:
            int(f"binance GET https://venue?signature={CANARY}")
        except ValueError:
            logging.getLogger("some.library").exception("failed")
        assert "ValueError" in stream.getvalue()
        assert CANARY not in stream.getvalue()

    def test_an_object_that_prints_a_credential_is_hidden(self) -> None:
        @dataclass
        class Exchange:
            secret: str

        assert CANARY not in written(exchange=Exchange(CANARY))
        assert CANARY not in written("console", exchange=Exchange(CANARY))

    def test_words_and_numbers_of_the_trade_are_left_alone(self) -> None:
        text = "token BTC3L: key fixed/BTC3L/1 exists, sign of units -1, order r1 signed off"
        assert parsed(written(text=text))["text"] == text

    @pytest.mark.parametrize("level", ["debug", "info"])
    @pytest.mark.parametrize("name", ["ccxt", "ccxt.base.exchange"])
    def test_ccxt_is_kept_at_warnings_because_below_it_writes_keys(
        self, name: str, level: str
    ) -> None:
        stream = io.StringIO()
        logs.configure(level=level, stream=stream)
        logger = logging.getLogger(name)
        logger.debug("Request: headers %s", CANARY)
        logger.info("Response: %s", CANARY)
        assert stream.getvalue() == ""
        logger.warning("rate limit")
        assert "rate limit" in stream.getvalue()


def names_of_events() -> Iterator[tuple[str, str]]:
    """Yield the name of every event that the source says itself, with its file."""
    source = Path(logs.__file__).parent
    for file in source.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                continue
            said = ast.unparse(call.func.value) in ("_log", "self._log")
            if said and call.args and isinstance(call.args[0], ast.Constant):
                yield str(file.relative_to(source)), str(call.args[0].value)


def test_every_event_has_one_word_for_a_name_by_which_a_log_is_searched() -> None:
    known = list(names_of_events())
    assert ("feeds/live.py", "prices_not_read") in known
    assert [each for each in known if not re.fullmatch(r"[a-z]+(_[a-z]+)*", each[1])] == []
