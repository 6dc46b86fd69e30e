"""The locator agrees with tomllib on which keys there are, and knows the line of each."""

from __future__ import annotations

import string
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from rebalancer.settings.toml_lines import key_lines


def test_headers_and_keys_have_their_lines() -> None:
    text = 'mode = "paper"\n\n[store]\nurl = "x"\n'
    assert key_lines(text) == {("mode",): 1, ("store",): 3, ("store", "url"): 4}


def test_quoted_keys_are_decoded_and_may_hold_dots_brackets_and_hashes() -> None:
    text = '[contracts."BTC/USDT:USDT"]\n"a.b" = 1\n\'c]#d\' = 2\n"\\u0041\\"" = 3\n'
    lines = key_lines(text)
    assert lines["contracts", "BTC/USDT:USDT"] == 1
    assert lines["contracts", "BTC/USDT:USDT", "a.b"] == 2
    assert lines["contracts", "BTC/USDT:USDT", "c]#d"] == 3
    assert lines["contracts", "BTC/USDT:USDT", 'A"'] == 4


def test_dotted_keys_and_spaces_around_dots() -> None:
    lines = key_lines('[ funds . "B" ]\nrules . fixed.times = []\n')
    assert lines["funds", "B"] == 1
    assert lines["funds", "B", "rules", "fixed", "times"] == 2
    assert lines["funds", "B", "rules"] == 2


def test_a_header_wins_over_the_longer_header_that_implies_it() -> None:
    assert key_lines("[a.b.c]\n[a.b]\n")["a", "b"] == 2
    assert key_lines("[a.b.c]\nx = 1\n")["a", "b"] == 1


def test_inline_tables_count_as_their_key() -> None:
    assert key_lines('basket = { "A" = 1, b.c = [1, {d = 2}] } # { x = 1\ny = 1\n') == {
        ("basket",): 1,
        ("y",): 2,
    }


def test_what_looks_like_keys_inside_values_is_skipped() -> None:
    text = (
        'a = """\n[not.a.table]\nb = 1 \\""" still\n"""""\n'
        "c = '''\n[neither]\nd = 1'''\n"
        'e = [ # ] [no]\n  "x = [1]",\n  [ "#" , "]" ],\n]\n'
        'f = "[\\"g = 1" # h = 1\n'
        "i = '[\\'\n"
        "j = 1\n"
    )
    assert set(tomllib.loads(text)) == set("acefij")
    assert key_lines(text) == {
        ("a",): 1,
        ("c",): 5,
        ("e",): 8,
        ("f",): 12,
        ("i",): 13,
        ("j",): 14,
    }


def test_windows_line_ends_and_a_missing_last_line_end() -> None:
    assert key_lines("a = 1\r\n\r\n[b]\r\nc = 2") == {("a",): 1, ("b",): 3, ("b", "c"): 4}


def test_arrays_of_tables_have_the_line_of_the_first() -> None:
    assert key_lines("[[a]]\nb = 1\n[[a]]\nb = 2\n") == {("a",): 1, ("a", "b"): 2}


KEYS = st.text(string.ascii_letters + string.digits + "-_.#[]= \"'\\\n\té", max_size=6)
SCALARS = st.one_of(
    st.integers(-9, 9).map(str),
    st.sampled_from(
        ["true", "10:30:00", "1e-9", "'''\n[x]\n'''", '"""\n"#\n"""', '"\\"]#"', "'['"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[ # ]\n" + ",\n".join(items) + "\n]"),
        st.dictionaries(KEYS, SCALARS.filter(lambda text: "\n" not in text), max_size=2).map(
            lambda table: "{" + ", ".join(f"{quote(k)} = {v}" for k, v in table.items()) + "}"
        ),
    ),
    max_leaves=5,
)


def quote(key: str) -> str:
    escaped = "".join(f"\\u{ord(char):04x}" if char in '"\\\n\t' else char for char in key)
    return f'"{escaped}"'


@given(
    st.dictionaries(
        st.lists(KEYS, min_size=1, max_size=2).map(tuple),
        st.dictionaries(KEYS, VALUES, max_size=3),
        max_size=3,
    ),
    st.sampled_from(["", " ", "\t"]),
)
def test_every_key_is_found_on_its_own_line(
    tables: dict[tuple[str, ...], dict[str, str]], space: str
) -> None:
    lines: list[str] = []
    expected = {}
    for path, table in tables.items():
        lines.append(f"[{space}{'.'.join(map(quote, path))}{space}]{space}# [c]")
        expected[path] = "\n".join(lines).count("\n") + 1
        for key, value in table.items():
            lines.append(f"{space}{quote(key)}{space}={space}{value}{space}# k = 1")
            text = "\n".join(lines)
            expected[(*path, key)] = text.count("\n") + 1 - value.count("\n")
    document = "\n".join(lines)
    try:
        tomllib.loads(document)
    except tomllib.TOMLDecodeError:
        return  # two headers for one table, say: the locator promises nothing there
    found = key_lines(document)
    assert {path: found[path] for path in expected} == expected
    assert {path for path in found if path not in expected} <= {path[:1] for path in expected}
