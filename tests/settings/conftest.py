"""A small desk as text, and short ways to load it and to read its refusals."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rebalancer.errors import ConfigRefused
from rebalancer.settings import parse

DESK = """\
[accounts.main]
venue = "binance"

[funds.BTC3L]
account = "main"
target_leverage = 3
basket = { "BTC/USDT:USDT" = 1 }
"""


@pytest.fixture
def desk() -> str:
    """One account, one fund; line 4 opens the fund, line 8 is the first free one."""
    return DESK


@pytest.fixture
def refusal() -> Callable[..., str]:
    """Return the sentence with which a document is refused; it has to be."""

    def of(text: str, environ: dict[str, str] | None = None, **overrides: object) -> str:
        with pytest.raises(ConfigRefused) as refused:
            parse(text, "c.toml", environ or {}, overrides)
        return str(refused.value)

    return of
