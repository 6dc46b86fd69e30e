"""The page of alerts names what the desk can tell, how grave it is and whether it lasts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from rebalancer.core.actions import Severity
from rebalancer.core.breaks import BreakKind
from rebalancer.core.order import Outcome
from rebalancer.core.quoting import _TITLES
from rebalancer.core.scope import Scope
from rebalancer.desk.alert_causes import LASTING

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "alerts.md"
#: alerts whose names are put together, by the words of the program that do it
MADE = {
    "f'break_{found.kind}'": {f"break_{kind}" for kind in BreakKind},
    "f'order_{event.outcome}'": {
        f"order_{outcome}" for outcome in (Outcome.REJECTED, Outcome.NEVER_SENT, Outcome.ABSENT)
    },
    "f'{scope}_halted'": {f"{scope}_halted" for scope in Scope if scope is not Scope.FUND},
    "f'{alert.name}{RESOLVED}'": set[str](),  # of every alert that lasts
    "name": {name for _, name in _TITLES.values()},
}


def rows() -> dict[str, tuple[set[str], bool]]:
    """Return severities, and whether it lasts, by the name of each alert on the page."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            name, severity, lasts = (cell.strip() for cell in line.split("|")[1:4])
            found[name.strip("`")] = (set(severity.split(", ")), lasts == "yes")
    return found


def raised() -> Iterator[tuple[str, str]]:
    """Yield name and severity, as the program writes them, of every alert that it makes."""
    for path in (ROOT / "rebalancer").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr == "alert":
                severity, name, *_ = node.args  # type: ignore[attr-defined]
            elif isinstance(called, ast.Name) and called.id == "Alert":
                _, severity, name, *_ = node.args  # type: ignore[attr-defined]
            else:
                continue
            yield ast.unparse(name), ast.unparse(severity)


def test_the_page_has_every_alert_of_the_program_and_no_other() -> None:
    names = set[str]()
    for name, _ in raised():
        names |= MADE[name] if name in MADE else {str(ast.literal_eval(name))}
    assert set(rows()) == names


def test_each_is_as_grave_there_as_in_the_program() -> None:
    told = rows()
    for name, severity in raised():
        if severity.startswith("Severity.") and name not in MADE:
            wanted = Severity[severity.removeprefix("Severity.")]
            assert told[ast.literal_eval(name)][0] == {str(wanted)}, name
    for severity_of, name in _TITLES.values():
        assert told[name][0] == {str(severity_of)}


def test_each_lasts_there_where_its_cause_is_looked_at() -> None:
    assert {name for name, (_, lasts) in rows().items() if lasts} == set(LASTING)
