"""Plants a fault into the product for a while: in the syntax tree of one function, at test time.

Nothing of it stands in shipped code. A pattern that does not occur exactly once raises, so that a
refactoring cannot make a fault vacuous without anybody noticing.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

#: stands in a replacement for what it replaces
OLD = "OLD"


class Vacuous(AssertionError):
    """What a fault wants to change is not there, or there more than once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One protocol fault."""

    name: str
    #: module and function, "rebalancer.core.trust:fresh" or "...:Class.method"
    where: str
    #: an expression or statement as `ast.unparse` writes it; a compound statement by its first line
    old: str
    #: what stands there instead; the name OLD in it is what was there
    new: str


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Have the product carry the fault inside the block."""
    function, code = _function(mutant.where), _mutated(mutant)
    sound = function.__code__
    function.__code__ = code
    try:
        yield
    finally:
        function.__code__ = sound


def _function(where: str) -> FunctionType:
    module_name, _, qualified = where.partition(":")
    found: Any = importlib.import_module(module_name)
    for part in qualified.split("."):
        found = vars(found)[part]
    found = getattr(found, "__func__", getattr(found, "fget", found))
    if not isinstance(found, FunctionType):
        raise Vacuous(f"{where} is no function")
    return found


@cache
def _mutated(mutant: Mutant) -> CodeType:
    module_name, _, qualified = mutant.where.partition(":")
    path = Path(str(importlib.import_module(module_name).__file__))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    body: Any = tree
    for part in qualified.split("."):
        body = next(each for each in body.body if getattr(each, "name", None) == part)
    swap = _Swap(mutant)
    swap.visit(body)
    if swap.count != 1:
        raise Vacuous(f"{mutant.name}: {mutant.old!r} occurs {swap.count} times in {mutant.where}")
    ast.fix_missing_locations(tree)
    return _code_of(compile(tree, str(path), "exec", dont_inherit=True), qualified)


def _code_of(code: CodeType, qualified: str) -> CodeType:
    waiting = [code]
    while waiting:
        each = waiting.pop()
        if each.co_qualname == qualified:
            return each
        waiting += [inner for inner in each.co_consts if isinstance(inner, CodeType)]
    raise Vacuous(f"{qualified} is not compiled")


class _Swap(ast.NodeTransformer):
    """Replaces one node by another and counts how often."""

    def __init__(self, mutant: Mutant) -> None:
        self.count = 0
        self._mutant = mutant
        self._new: list[Any] = ast.parse(mutant.new).body
        # A single expression stands for an expression, anything else for a whole statement.
        single = len(self._new) == 1 and isinstance(self._new[0], ast.Expr)
        self._kind: type[ast.AST] = ast.expr if single else ast.stmt

    def visit(self, node: ast.AST) -> Any:
        if not isinstance(node, self._kind) or not self._is_meant(node):
            return self.generic_visit(node)
        self.count += 1
        back = _Back(node)
        if self._kind is ast.expr:
            return back.visit(self._new[0].value)
        return [back.visit(each) for each in self._new]

    def _is_meant(self, node: ast.AST) -> bool:
        source, old = ast.unparse(node), self._mutant.old
        return source == old or (old.endswith(":") and source.splitlines()[0] == old)


class _Back(ast.NodeTransformer):
    """Puts what was there before in the place of OLD."""

    def __init__(self, before: ast.AST) -> None:
        self._before = before

    def visit_Expr(self, node: ast.Expr) -> Any:
        if isinstance(node.value, ast.Name) and node.value.id == OLD:
            return ast.Expr(self._before) if isinstance(self._before, ast.expr) else self._before
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        return self._before if node.id == OLD else node
