"""Faults that a fleet might carry: what it is worth, what fires there, and what it trades."""

from __future__ import annotations

from tests.planting import Mutant

_FLEET = "rebalancer.fast.fleet:"
_SWEEP = f"{_FLEET}sweep"
_EDGES = "(target, move, losing > 0.0, most, lower, upper)"
_WANTS = f"{_FLEET}net_wants"
_WHOLE = f"{_FLEET}whole_lots"

FLEET_MUTANTS = tuple(
    Mutant(name=name, where=where, old=old, new=new)
    for name, where, old, new in (
        ("a row is valued at the first price", _SWEEP, "prices[places[row]]", "prices[0]"),
        ("debts are no part of a row", _SWEEP, "equity / shares", "exposure / shares"),
        ("any move counts as a loss", _SWEEP, "losing > 0.0", "losing <= 0.0"),
        *(
            (name, _SWEEP, _EDGES, _EDGES.replace(edge, far))
            for name, edge, far in (
                ("a row has no upper edge", "upper", "1e9"),
                ("a row has no lower edge", "lower", "-1e9"),
                ("a row has neither cap nor emergency", "most", "1e9"),
                ("a row's moves are not asked about", "move", "1e9"),
            )
        ),
        ("what is held is bought again", _WANTS, "net[0] += goal - units", "net[0] += goal"),
        ("nobody holds anything", _WANTS, "net[2] += units", "pass"),
        ("buyers and sellers swap their minima", _WANTS, "goal > units", "goal < units"),
        (
            "the strictest of the funds' minima counts",
            _WANTS,
            "min(net[side], least[row])",
            "max(net[side] if net[side] < 1e300 else 0, least[row])",
        ),
        ("orders are a lot too large", _WHOLE, "lots[place] = count", "lots[place] = count + 1"),
        ("the smallest amount is not asked", _WHOLE, "count >= min_lots", "True"),
        (
            "a contract's minimum is not asked",
            _WHOLE,
            "max(min_notional, nets[place, 3] if net > 0.0 else nets[place, 4])",
            "0.0",
        ),
        (
            "an order that only reduces has a minimum too",
            _WHOLE,
            "held * net < 0.0 and units < abs(held)",
            "False",
        ),
        ("every order only reduces", _WHOLE, "held * net < 0.0 and units < abs(held)", "True"),
        (
            "a flip counts as a reduction",
            f"{_FLEET}Fleet.plan",
            "count * terms[place] <= abs(held[place])",
            "True",
        ),
        (
            "a reduction is told as none",
            f"{_FLEET}Fleet.plan",
            "held[place] * net < 0",
            "False",
        ),
    )
)
