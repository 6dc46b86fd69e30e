"""Run the drills: `python -m tests.boot --folder DIR`; ends with 1 where one fails."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.boot.drills import DRILLS, not_run_here
from tests.boot.machine import CannotBoot, booted, refuse_unable
from tests.boot.scene import Scene
from tests.e2e.market import market

LIFE_SECONDS = 3_600
FOLDER = Path(tempfile.gettempdir()) / "rebalancer-boot"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.boot", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="keeps the Debian")
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Boot once, carry out every drill in turn, and say what was seen."""
    folder = _arguments().folder
    try:
        refuse_unable()
    except CannotBoot as missing:
        _say(f"not booted: {missing}")
        return 1
    failed, left = 0, len(DRILLS)
    with booted(folder) as machine, market("binance", LIFE_SECONDS) as traded:
        _say(f"booted: systemd says {machine.until_booted()}")
        _say(machine.must("systemctl --version").splitlines()[0])
        scene = Scene(machine, traded)
        for drill in DRILLS:
            begun = time.monotonic()
            try:
                drill(scene)
                word = "ok  "
            except Exception:  # noqa: BLE001 - the next drill may still say something
                traceback.print_exc()
                word, failed = "FAIL", failed + 1
            left -= 1
            _say(f"{word} {drill.__doc__} ({time.monotonic() - begun:.1f} s)")
            if drill is DRILLS[0] and failed:
                break  # there is no desk to do anything to
        for part in not_run_here(scene):
            _say(f"not run here: {part}")
    _say(f"{len(DRILLS) - failed - left} passed, {failed} failed, {left} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
