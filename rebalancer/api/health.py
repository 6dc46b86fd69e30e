"""Whether the desk lives and whether it can be relied on, in the shape Kubernetes made usual."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

Check = Callable[[], str]
"""Returns what is wrong in a few words, empty where nothing is."""


@dataclass(frozen=True, slots=True)
class Health:
    """The outcome of some checks."""

    problems: Mapping[str, str]

    @property
    def well(self) -> bool:
        """Whether every check passed."""
        return not any(self.problems.values())

    def words(self, what: str) -> str:
        """Return one line for each check, for people."""
        lines = [
            f"[-]{name} failed: {problem}" if problem else f"[+]{name} ok"
            for name, problem in self.problems.items()
        ]
        return "\n".join([*lines, f"{what} check {'passed' if self.well else 'failed'}", ""])


def look(checks: Mapping[str, Check], excluded: Collection[str] = ()) -> Health:
    """Carry out every check that is not excluded."""
    return Health({name: check() for name, check in checks.items() if name not in excluded})
