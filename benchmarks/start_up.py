"""What starting costs: `--help` and a backtest, against importing ccxt.pro.

Each is a process of its own, in turn, round by round. Time is that of the processor (user and
system, which others on the machine do not lengthen), memory the largest resident set, both as the
kernel counts them for the finished process.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rebalancer.errors import ensure

ROUNDS = 5
CONFIG = """\
[funds.BTC3L]
account = "main"
target_leverage = 3
basket = { "BTC/USDT:USDT" = 1 }
[accounts.main]
venue = "paper"
"""

#: A process starts with the largest resident set of the one that starts it, which is 800 MiB here
#: and next to nothing there.
LAUNCHER = """\
import json, os, sys
silent = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[silent])
_, status, used = os.wait4(child, 0)
print(json.dumps([status, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


def commands(folder: Path) -> dict[str, list[str]]:
    """Return what is started, by its name; files of a small backtest go to `folder`."""
    (folder / "config.toml").write_text(CONFIG)
    rows = "".join(f"2026-01-01T{hour:02}:00:00Z,{100 + hour}\n" for hour in range(24))
    (folder / "prices.csv").write_text("timestamp,close\n" + rows)
    python, desk = [sys.executable], [sys.executable, "-m", "rebalancer"]
    prices = f"BTC/USDT:USDT={folder / 'prices.csv'}"
    config = ["--config", str(folder / "config.toml")]
    return {
        "import ccxt.pro": [*python, "-c", "import ccxt.pro"],
        "--help": [*desk, "--help"],
        "backtest of a day of hours": [*desk, "backtest", *config, "--prices", prices, "--json"],
        "import numba (a sweep in arrays needs it)": [*python, "-c", "import numba"],
        "nothing but Python": [*python, "-c", ""],
    }


def started(command: list[str]) -> tuple[float, float]:
    """Run a command to its end; return its processor seconds and its memory in MiB."""
    told = subprocess.run(  # noqa: S603 - our own list
        [sys.executable, "-c", LAUNCHER, *command], capture_output=True, text=True, check=True
    )
    status, seconds, kibibytes = json.loads(told.stdout)
    ensure(status == 0, f"{' '.join(command)} failed")
    return seconds, kibibytes / 1024


def run(say: Callable[[str], None] = print) -> None:
    """Measure and print the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = commands(Path(folder))
        for command in chosen.values():
            started(command)  # its bytecode is written
        rounds = [{name: started(each) for name, each in chosen.items()} for _ in range(ROUNDS)]
    say(f"Starting ({ROUNDS} rounds in turn, medians; processor time and resident memory)")
    yardstick = next(iter(chosen))
    for name in chosen:
        seconds = statistics.median(each[name][0] for each in rounds)
        memory = statistics.median(each[name][1] for each in rounds)
        slower = statistics.median(each[name][0] / each[yardstick][0] for each in rounds)
        larger = statistics.median(each[name][1] / each[yardstick][1] for each in rounds)
        say(
            f"  {name:<42} {seconds:6.2f} s, {slower:4.2f} x; {memory:5.0f} MiB, {larger:4.2f} x"
            f" {yardstick}"
        )
