"""Whatever stands in a file or a variable: the answer is a Config or a ConfigRefused."""

from __future__ import annotations

import string
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer.errors import ConfigRefused
from rebalancer.settings import Config, parse

EXAMPLE = (Path(__file__).parents[2] / "config.example.toml").read_text(encoding="utf-8")
LINES = [line.lstrip("#") for line in EXAMPLE.splitlines() if line.strip() and line[:2] != "# "]
ODD_VALUES = st.sampled_from(
    [
        *("1", "-1", "0", "3.5", "1e30", "1e-40", "1e999999", "1e99999999999999999999", "-0.0"),
        *("nan", "inf", "true", '""', '"yes"', '"NaN"', '"1e999999"', '"6h"', '"-1s"', "'\\u0000'"),
        *("[]", "{}", "[1, 2]", "[[]]", '{ "" = 1 }', "[{}]", "{ a.b = 1 }", "'''\n'''"),
        *("2020-01-01", "10:30:00.5", "10:30:00", "2020-01-01T00:00:00Z", "0xffffffffffffffffffff"),
        *('"BTC/USDT:USDT"', '{ "BTC/USDT:USDT" = 0.5, "A/B:C" = 0.5 }', "0x" + "f" * 5000),
    ]
)
WORDS = (
    *("FUNDS", "BTC3L", "ACCOUNTS", "MAIN", "RULES", "FIXED", "TIMES", "BASKET", "MODE", "FEED"),
    *("PRICES", "LIMITS", "MAX_LEVERAGE", "HEDGE", "API_KEY", "DEFAULTS", "ENABLED", "SPEED", "X"),
)
KEYS = [line.partition("=")[0] for line in LINES if "=" in line]


def outcome(text: str, environ: dict[str, str] | None = None) -> Config | str:
    try:
        config = parse(text, "c.toml", environ or {})
    except ConfigRefused as refused:
        sentence = str(refused)
    else:
        assert len(config.digest) == 64
        return config
    assert sentence, "a refusal without a word"
    return sentence


@st.composite
def damaged_examples(draw: st.DrawFn) -> str:
    lines = EXAMPLE.splitlines()
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "repeat", "insert", "value", "value", "text", "bare"])):
            case "drop":
                del lines[at]
            case "repeat":
                lines.insert(draw(st.integers(0, len(lines) - 1)), lines[at])
            case "insert":
                lines.insert(at, draw(st.sampled_from(LINES)))
            case "value":
                lines.insert(at, f"{draw(st.sampled_from(KEYS))}= {draw(ODD_VALUES)}")
            case "bare":
                key, equals, _ = lines[at].lstrip("#").partition("=")
                lines[at] = f"{key}{equals} {draw(ODD_VALUES)}" if equals else lines[at]
            case _:
                cut = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:cut] + draw(st.text(max_size=4)) + lines[at][cut + 1 :]
        if not lines:
            return ""
    return "\n".join(lines)


@settings(max_examples=300)
@given(damaged_examples())
def test_a_damaged_file_is_loaded_or_refused(text: str) -> None:
    outcome(text)


@settings(max_examples=100)
@given(st.sampled_from(KEYS), ODD_VALUES, st.sampled_from(["", "[log]", "[funds.X]", "[defaults]"]))
def test_a_strange_value_alone_is_loaded_or_refused(key: str, value: str, header: str) -> None:
    outcome(f"{header}\n{key}= {value}\n")


@settings(max_examples=200)
@given(
    st.dictionaries(
        st.lists(
            st.sampled_from(WORDS) | st.text(string.printable, max_size=3),
            max_size=5,
        ).map(lambda parts: "REBALANCER__" + "__".join(parts)),
        st.sampled_from(
            ["", "true", "1", "[]", "{}", '["1:00"]', '{"A": 1}', "nan", "\udcff", "6h"]
        )
        | st.text(max_size=5),
        max_size=3,
    )
)
def test_strange_variables_are_heeded_or_refused(environ: dict[str, str]) -> None:
    outcome(EXAMPLE, environ)


def test_the_fuzz_reaches_both_outcomes() -> None:
    seen = set()

    @settings(max_examples=60, database=None)
    @given(damaged_examples())
    def note(text: str) -> None:
        seen.add(type(outcome(text)))

    note()
    assert seen == {Config, str}
