"""A folder with a desk that trades a lot in a short time."""

from __future__ import annotations

from pathlib import Path

import pytest

#: an hour of a nervous market in less than half a second
CONFIG = """\
[store]
url = "sqlite:///desk.db"

[log]
format = "json"

[feed]
source = "simulated"
interval = "5m"
speed = 10000
seed = 11
annual_volatility = 2
jumps_per_day = 4

[desk]
view_interval = "200ms"

[accounts.main]
venue = "paper"

[accounts.main.paper]
fee_bps = 4
slippage_bps = 1
latency = "5m"
fill_ratio = "0.7"

[contracts."BTC/USDT:USDT"]
lot = "0.001"

[defaults]
account = "main"
max_age = "2h"
basket = { "BTC/USDT:USDT" = 1 }

[defaults.rules.fixed]
times = ["10:30:00"]
utc_offset = "+08:00"

[defaults.rules.price_move]
threshold = 0.03

[funds.BTC3L]
target_leverage = 3

[funds.BTC1S]
target_leverage = -1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration and nothing else."""
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path
