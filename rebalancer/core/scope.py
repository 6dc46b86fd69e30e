"""Scopes: how far a trading state or a command reaches."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """What a trading state or a command is about."""

    DESK = "desk"
    ACCOUNT = "account"
    FUND = "fund"
    CONTRACT = "contract"


def title(scope: Scope, name: str) -> str:
    """Name what a scope is about, for a sentence."""
    if scope is Scope.DESK:
        return "the desk"
    return name if scope is Scope.FUND else f"{scope} {name}"
