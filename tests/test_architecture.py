"""The shape of the program, read from its source: imports point inward, sizes stay readable."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "rebalancer"
SOURCES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
    if "migrations/versions" not in path.as_posix()
}

FUNCTION_LINES = 70
MODULE_LINES = 400
COLUMNS = 100
PARAMETERS = 6

#: what each part of the program may import of the others; `errors` and itself are free to all
ALLOWED: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "core": frozenset(),
    "ports": frozenset({"core"}),
    "clock": frozenset({"core", "ports"}),
    "logs": frozenset(),
    "settings": frozenset({"core", "venues"}),
    "exchanges": frozenset({"core"}),
    "feeds": frozenset({"core", "ports", "clock", "exchanges"}),
    "venues": frozenset({"core", "ports", "clock", "exchanges"}),
    "store": frozenset({"core", "ports"}),
    "desk": frozenset({"core", "ports"}),
    "sim": frozenset({"core", "feeds", "venues"}),
    "fast": frozenset({"core", "feeds", "venues", "sim"}),
    "report": frozenset({"core"}),
    "doctor": frozenset(
        {"core", "ports", "settings", "store", "desk", "exchanges", "feeds", "venues", "live"}
        | {"preparing"}
    ),
    "cli": frozenset(
        {"core", "ports", "clock", "logs", "settings", "sim", "feeds", "store", "desk", "venues"}
        | {"arranging", "bootstrap", "configured", "costing", "preparing", "doctor", "api", "fast"}
        | {"report"}
    ),
    "api": frozenset({"core", "ports", "clock", "settings", "store", "desk"}),
    "webhooks": frozenset({"core", "ports"}),
    "live": frozenset({"core", "ports", "settings", "exchanges", "feeds", "venues", "desk"}),
    "rehearsing": frozenset(
        {"core", "ports", "settings", "exchanges", "feeds", "venues", "desk", "live"}
    ),
    "reloading": frozenset({"core", "ports", "settings", "desk", "live"}),
    "publishing": frozenset(
        {"core", "clock", "settings", "store", "desk", "api", "webhooks", "preparing"}
    ),
    "preparing": frozenset(
        {"core", "clock", "settings", "feeds", "store", "desk", "live", "api", "webhooks"}
    ),
    "arranging": frozenset(
        {"ports", "settings", "configured", "live", "exchanges", "store", "venues"}
    ),
    "planning": frozenset({"core", "ports", "settings", "sim"}),
    "costing": frozenset({"core", "settings", "configured", "feeds", "live"}),
    "configured": frozenset({"core", "settings", "venues"}),
    "bootstrap": frozenset(
        {"core", "ports", "clock", "settings", "feeds", "desk", "venues"}
        | {"configured", "costing", "live", "planning", "preparing", "publishing", "reloading"}
        | {"rehearsing"}
    ),
    "__init__": frozenset(),
    "__main__": frozenset({"cli"}),
}
#: what would let the clock, chance or inexact numbers into the core
IMPURE_MODULES = frozenset(
    {
        "asyncio",
        "io",
        "logging",
        "os",
        "pathlib",
        "random",
        "secrets",
        "socket",
        "sqlite3",
        "subprocess",
        "threading",
        "time",
        "uuid",
        "structlog",
        "sqlalchemy",
        "ccxt",
        "httpx",
    }
)
IMPURE_CALLS = frozenset({"float", "open", "print", "input", "now", "utcnow", "today"})


def part_of(module: str) -> str:
    return module.partition("/")[0]


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def outward_imports(module: str, source: str) -> list[str]:
    """Imports of the program's own parts that `module` may not have."""
    part = part_of(module)
    free = ALLOWED[part] | {part, "errors", "__init__"}
    return sorted(
        {
            name
            for name in imported(ast.parse(source))
            if name.startswith("rebalancer.") and name.split(".")[1] not in free
            if name.split(".")[1] in ALLOWED
        }
    )


def impurities(source: str) -> list[str]:
    """What does not belong into a pure module."""
    tree = ast.parse(source)
    found = [name for name in imported(tree) if name.split(".")[0] in IMPURE_MODULES]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in IMPURE_CALLS:
                found.append(f"{name}()")
        elif isinstance(node, ast.Constant) and isinstance(node.value, float):
            found.append(f"{node.value}")
    return found


def long_functions(source: str) -> list[str]:
    return [
        f"{node.name}: {length} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.end_lineno is not None
        if (length := node.end_lineno - node.lineno + 1) > FUNCTION_LINES
    ]


def wide_functions(source: str) -> list[str]:
    """Functions with too many parameters, self and cls apart."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            named = [each.arg for each in given if each.arg not in {"self", "cls"}]
            if len(named) > PARAMETERS:
                found.append(f"{node.name}({', '.join(named)})")
    return found


def long_lines(source: str) -> list[int]:
    return [number for number, line in enumerate(source.splitlines(), 1) if len(line) > COLUMNS]


def test_there_is_something_to_read() -> None:
    assert len(SOURCES) > 50
    assert {part_of(module) for module in SOURCES} <= set(ALLOWED)


def test_imports_point_inward() -> None:
    found = {module: outward_imports(module, source) for module, source in SOURCES.items()}
    assert {module: outward for module, outward in found.items() if outward} == {}


def test_the_page_of_the_architecture_says_the_same() -> None:
    page = (PACKAGE.parent / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z]+)(?:/|\.py)`.*\| ([^|]*) \|$", page, re.MULTILINE)
    told = {part: set(re.findall(r"`(\w+)`", named)) for part, named in rows}
    told["core"] -= {"errors"}
    told["cli"] = set(ALLOWED) - told["cli"] - {"cli", "errors", "__init__", "__main__"}
    assert told == {part: set(known) for part, known in ALLOWED.items() if "_" not in part}


def test_the_core_knows_no_clock_no_chance_and_no_float() -> None:
    core = {module: source for module, source in SOURCES.items() if part_of(module) == "core"}
    assert {module: found for module, each in core.items() if (found := impurities(each))} == {}


def test_every_module_stays_readable() -> None:
    assert [name for name, each in SOURCES.items() if len(each.splitlines()) > MODULE_LINES] == []
    for too_much in (long_functions, wide_functions, long_lines):
        found = {module: too_much(source) for module, source in SOURCES.items()}
        assert {module: places for module, places in found.items() if places} == {}


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("core/x", "from rebalancer.ports import Clock"),
        ("core/x", "import rebalancer.store.sql"),
        ("core/x", "def f():\n    from rebalancer.sim import replay"),
        ("ports", "from rebalancer.desk import loop"),
        ("desk/x", "from rebalancer.venues.paper import PaperBook"),
        ("venues/x", "from rebalancer.feeds import candles"),
        ("feeds/x", "from rebalancer import store"),
        ("sim/x", "from rebalancer.bootstrap import wire"),
        ("store/x", "from rebalancer.settings import parse"),
    ],
)
def test_an_import_that_points_outward_is_seen(module: str, line: str) -> None:
    assert outward_imports(module, line)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("core/x", "from rebalancer.errors import ensure"),
        ("core/x", "from rebalancer.core.money import ZERO"),
        ("sim/x", "from rebalancer.venues.paper import PaperBook"),
        ("cli/x", "from rebalancer.bootstrap import wire"),
        ("desk/x", "import structlog"),
        ("desk/x", "from rebalancer import __version__"),
    ],
)
def test_an_import_that_points_inward_is_free(module: str, line: str) -> None:
    assert outward_imports(module, line) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from random import Random",
        "def f(x):\n    return float(x)",
        "from datetime import datetime\nNOW = datetime.now()",
        "RATE = 0.1",
        "print('x')",
    ],
)
def test_an_impurity_is_seen(source: str) -> None:
    assert impurities(source)


def test_exact_numbers_and_given_times_are_pure() -> None:
    assert impurities("from decimal import Decimal\nRATE = Decimal('0.1') * 3\n") == []


def test_what_is_too_long_or_too_wide_is_seen() -> None:
    body = "    x = 1\n"
    assert long_functions("def f():\n" + body * (FUNCTION_LINES - 1)) == []
    assert long_functions("def f():\n" + body * FUNCTION_LINES) == ["f: 71 lines"]
    assert wide_functions("def f(self, a, b, c, d, e, /, *, g): ...") == []
    assert wide_functions("async def f(self, a, b, c, d, e, g, *, h): ...") != []
    assert long_lines("x" * COLUMNS) == []
    assert long_lines("\n" + "x" * (COLUMNS + 1)) == [2]
