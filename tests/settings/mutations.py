"""Configurations that went wrong in one place, each with what a refusal of it has to name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tests.factories import dice_of

BASE = """\
mode = "paper"

[store]
url = "sqlite:///desk.db"

[log]
level = "error"

[feed]
source = "simulated"
speed = 3000
interval = "1s"
seed = 3
annual_volatility = 0.6

[desk]
view_interval = "5s"
control_socket = "desk.sock"
confirm_leverage_change = 0.25

[accounts.main]
venue = "paper"
hedge = false
initial_margin = 0.01

[accounts.main.paper]
fee_bps = 5
slippage_bps = 2
latency = "0ms"

[calendars.open]
weekmask = "1111100"

[contracts."BTC/USDT:USDT"]
lot = 0.001
tick = 0.1
min_notional = 5

[defaults]
account = "main"
max_age = "20s"
basket = { "BTC/USDT:USDT" = 1 }

[defaults.rules.fixed]
times = ["10:30:00"]
utc_offset = "+08:00"
catch_up = "6h"

[funds.BTC3L]
target_leverage = 3
initial_nav = 100
[funds.BTC3L.execution]
max_child_notional = 400000
interval = "1m"
[funds.BTC3L.limits]
max_orders_per_run = 100
[funds.BTC3L.rules.price_move]
threshold = 0.15
side = "losing"

[funds.BTC3S]
target_leverage = -3
[funds.BTC3S.rules.price_move]
threshold = 0.1
"""
#: what none of these keys takes
_WRONG = ("true", "[]", "{}", "1979-05-27", '"nonsense"', "[[1]]", "{ a = 1 }", "nan", "-inf")
#: keys that take true and false, and lists
_SWITCHES, _LISTS = {"hedge"}, {"times"}
#: values out of range, by key
_BEYOND = {
    "speed": ("0", "-1", '"1e99"'),
    "interval": ('"-1s"', '"1 fortnight"'),
    "annual_volatility": ("-0.1", "6"),
    "view_interval": ('"0s"', '"-5s"'),
    "confirm_leverage_change": ("-0.1",),
    "initial_margin": ("-1", "0", "2"),
    "fee_bps": ("-1",),
    "slippage_bps": ("-0.5",),
    "weekmask": ('"111"', '"Mon Foo"'),
    "lot": ("0", "-0.001"),
    "tick": ("-0.1",),
    "min_notional": ("-5",),
    "max_age": ('"-1s"', '"1y"'),
    "basket": ('{ "BTC/USDT:USDT" = 0.9 }', '{ "BTC/USD:BTC" = 1 }'),
    "times": ('["25:00:00"]', '["10:60:00"]', "[]", '["10:30:00", "10:30:00"]'),
    "utc_offset": ('"Europe/Berlin"', '"+25:00"', '"8"'),
    "catch_up": ('"-6h"',),
    "target_leverage": ("0", '"0.0"'),
    "initial_nav": ("0", "-100"),
    "max_child_notional": ("0", "-1"),
    "max_orders_per_run": ("0", "-3", "1.5"),
    "threshold": ("0", "-0.15", "0.3"),
    "side": ('"winning"', '""'),
    "source": ('"live"', '"SIMULATED"'),
    "level": ('"loud"', '"ERROR "'),
    "mode": ('"Live"', '"real"'),
    "account": ('"other"',),
    "url": ('"mysql://x/y"', '"sqlite:///"', '""'),
}
_KEY = re.compile(r"^([a-z_]+) = (.+)$")


@dataclass(frozen=True)
class Mutant:
    """A document, and what a sentence that refuses it must name; empty: it may be accepted."""

    kind: str
    text: str
    #: one of these stands in the refusal
    places: tuple[str, ...]


def mutants(count: int, seed: int = 11) -> Iterator[Mutant]:
    """Yield so many mutants, every kind in turn."""
    dice = dice_of(seed)
    kinds = (_wrong_type, _beyond, _unknown, _repeated_key, _repeated_table, _cut, _torn_line)
    for number in range(count):
        yield kinds[number % len(kinds)](dice)


def _settings() -> list[tuple[int, str]]:
    """Return the number of each line that sets a key, with the key."""
    found = []
    for number, line in enumerate(BASE.splitlines(), 1):
        match = _KEY.match(line)
        if match is not None:
            found.append((number, match.group(1)))
    return found


def _with(number: int, *lines: str) -> str:
    """Return the document with other lines in the place of one, counted from 1."""
    all_lines = BASE.splitlines()
    all_lines[number - 1 : number] = lines
    return "\n".join(all_lines) + "\n"


def _line(number: int) -> str:
    return BASE.splitlines()[number - 1]


def _wrong_type(dice: Random) -> Mutant:
    number, key = dice.choice([each for each in _settings() if each[1] not in {"url", "account"}])
    taken = {"true"} if key in _SWITCHES else {"[]"} if key in _LISTS else set()
    free = {"control_socket": {'"nonsense"'}, "venue": {'"nonsense"'}}.get(key, set())
    value = dice.choice([each for each in _WRONG if each not in taken | free])
    return Mutant("wrong type", _with(number, f"{key} = {value}"), (f":{number}: ", key))


def _beyond(dice: Random) -> Mutant:
    number, key = dice.choice([each for each in _settings() if each[1] in _BEYOND])
    value = dice.choice(_BEYOND[key])
    return Mutant("beyond", _with(number, f"{key} = {value}"), (f":{number}: ", key))


def _unknown(dice: Random) -> Mutant:
    number, key = dice.choice(_settings())
    at = dice.randrange(len(key))
    typo = dice.choice([key[:at] + "q" + key[at:], key[:at] + key[at + 1 :] + "z", key + "s_"])
    _, equals, value = _line(number).partition(" = ")
    return Mutant("unknown", _with(number, f"{typo}{equals}{value}"), (f":{number}: ",))


def _repeated_key(dice: Random) -> Mutant:
    number, _ = dice.choice(_settings())
    line = _line(number)
    return Mutant("repeated key", _with(number, line, line), (f":{number}", f":{number + 1}"))


def _repeated_table(dice: Random) -> Mutant:
    headers = [line for line in BASE.splitlines() if line.startswith("[")]
    again = len(BASE.splitlines()) + 1
    return Mutant("repeated table", f"{BASE}{dice.choice(headers)}\n", (f":{again}",))


def _cut(dice: Random) -> Mutant:
    """Cut the document anywhere: what is left may be a whole one, then it means just that."""
    return Mutant("cut", BASE[: dice.randrange(len(BASE))], ())


def _torn_line(dice: Random) -> Mutant:
    number, _ = dice.choice(_settings())
    line = _line(number)
    torn = dice.choice(
        [line + " =", line.replace("=", "", 1), line + ' "', "= " + line, line + "\0"]
    )
    return Mutant("torn line", _with(number, torn), (f":{number}", f":{number + 1}"))
