"""Faults in what a desk makes of its operator's word, and the days with a person that show them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.planting import Mutant, planted
from tests.simulation.operated import lived, problems_of

_CORE = "rebalancer.core"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, at every place that holds it off."""

    name: str
    #: where, what stands there, and what stands there instead
    places: tuple[tuple[str, str, str], ...]
    #: a day that shows it, and the beginning of what is said of it
    seed: int
    says: str


FAULTS = (
    Fault(
        "the kill switch is asked by nobody who sends",
        (
            (
                "rebalancer.desk.executor:Executor._killed",
                "self._kill_switch.reason() if self._kill_switch else None",
                "None",
            ),
            ("rebalancer.venues.ccxt_client:CcxtClient._write", "self.barred()", "None"),
        ),
        6,
        "left while the kill switch was set",
    ),
    Fault(
        "what may only reduce grows",
        ((f"{_CORE}.permission:Permission.lets_through", "held * wanted >= 0", "False"),),
        18,
        "may only reduce",
    ),
    Fault(
        "a run wants what its trading state holds back",
        (
            (
                f"{_CORE}.trading:want_of",
                "work.state.permission(fund, symbol).lets_through(held, whole)",
                "whole",
            ),
        ),
        24,
        "may only reduce",
    ),
    Fault(
        "a run under way takes new settings over",
        ((f"{_CORE}.reloading:on_configuration", "fund.run is not None", "False"),),
        3,
        "larger than its run's settings allow",
    ),
    Fault(
        "a fund is said to run on settings that it waits for",
        (
            (
                f"{_CORE}.configuration_folding:_changed",
                "name not in record.waiting",
                "True",
            ),
        ),
        0,
        "it follows another configuration",
    ),
    Fault(
        "a run follows settings that nobody put in force",
        ((f"{_CORE}.reloading:_adopt", "waiting.digest", "before.name"),),
        0,
        "not as BTC3L",
    ),
)


def found(fault: Fault, seed: int, folder: Path) -> list[str]:
    """Return what is said of the day of a seed that carries the fault."""
    with ExitStack() as stack:
        for where, old, new in fault.places:
            mutant = Mutant(name=fault.name, where=where, old=old, new=new)
            stack.enter_context(planted(mutant))
        world = lived(seed, folder)
    return problems_of(world)
