"""Values that are made swiftly are what frozen dataclasses are, in everything but the time."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from inspect import signature

import pytest

from rebalancer.core.methodology import Trigger
from rebalancer.core.rules.view import Signal
from rebalancer.core.swift import swiftly_made


@dataclass(frozen=True, slots=True)
class Plain:
    """A value with every kind of field."""

    name: str
    size: int = 1
    parts: list[int] = field(default_factory=list)
    note: str = field(default="", kw_only=True)


@swiftly_made
@dataclass(frozen=True, slots=True)
class Swift:
    """The same."""

    name: str
    size: int = 1
    parts: list[int] = field(default_factory=list)
    note: str = field(default="", kw_only=True)


def test_it_is_filled_as_its_fields_say() -> None:
    assert repr(Swift("a", 2, note="n")) == repr(Plain("a", 2, note="n")).replace("Plain", "Swift")
    assert Swift("a") == Swift("a", 1, [], note="")
    assert Swift("a").parts is not Swift("a").parts
    assert list(signature(Swift).parameters) == [part.name for part in fields(Swift)]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        Swift()  # type: ignore[call-arg]


def test_it_is_frozen_from_then_on() -> None:
    value = Swift("a")
    assert type(value) is Swift
    with pytest.raises(FrozenInstanceError):
        value.name = "b"  # type: ignore[misc]
    assert not hasattr(value, "__dict__")


def test_it_is_copied_pickled_and_replaced_like_any_other() -> None:
    value = Swift("a", 3, [1])
    assert replace(value, size=4) == Swift("a", 4, [1])
    assert copy.deepcopy(value) == pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - ours
    one, other = (Signal(trigger=Trigger.FIXED, reason="due") for _ in range(2))
    assert len({one, other}) == 1
