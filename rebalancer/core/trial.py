"""A state to try something on: what is done to it is forgotten."""

from __future__ import annotations

import copy

from rebalancer.core.state import DeskState


def copy_of(state: DeskState) -> DeskState:
    """Return a state of its own that equals `state`; what never changes is shared with it."""
    shared = [state.desk, *(fund.fund for fund in state.funds.values())]
    return copy.deepcopy(state, {id(each): each for each in shared})
