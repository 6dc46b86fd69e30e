"""Has Python run what is compiled otherwise, so that a fault can be planted into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from unittest.mock import patch

from numba.core.dispatcher import Dispatcher

from rebalancer.fast import column, compiled, fleet, scan, sketch, story

#: where compiled functions are kept under a name
MODULES: tuple[ModuleType, ...] = (scan, compiled, column, story, sketch, fleet)


@contextmanager
def interpreted() -> Iterator[None]:
    """Run every compiled function of the fast path as the Python that it is written in."""
    sound = [
        (module, name, each)
        for module in MODULES
        for name, each in vars(module).items()
        if isinstance(each, Dispatcher)
    ]
    # The columns ask for the Python of one of them by themselves.
    asked = SimpleNamespace(py_func=scan.may_fire.py_func)
    patches = [
        patch.object(
            module, name, asked if module is column and name == "may_fire" else each.py_func
        )
        for module, name, each in sound
    ]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()
