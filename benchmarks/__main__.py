"""`make bench` runs every benchmark, or those that are named, and prints its ratios."""

import sys
from collections.abc import Callable

from benchmarks import (
    burst,
    commit,
    fan_out,
    fixed_run,
    fleet_speed,
    lateness,
    price_array,
    replay_speed,
    send_path,
    start_up,
    tick_cost,
)

BENCHMARKS: dict[str, Callable[[], None]] = {
    "tick_cost": tick_cost.run,
    "price_array": price_array.run,
    "send_path": send_path.run,
    "burst": burst.run,
    "fixed_run": fixed_run.run,
    "commit": commit.run,
    "lateness": lateness.run,
    "fan_out": fan_out.run,
    "fleet_speed": fleet_speed.run,
    "replay_speed": replay_speed.run,
    "start_up": start_up.run,
}

for name in sys.argv[1:] or BENCHMARKS:
    BENCHMARKS[name]()
