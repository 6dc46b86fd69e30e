"""What the drills share: the steps of the documentation, the desks' files, and the venue."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from rebalancer.cli.beginning import Answers, configuration
from tests.boot.machine import SOURCE, Machine, wait_until
from tests.e2e.market import Market
from tests.e2e.test_live_desk import CONFIG as LIVE
from tests.loopback.presets import KEY, SECRET

#: what `config init` writes where nobody answers
PAPER = configuration(Answers())
#: a slip of the keyboard in it, and the line where it stands
SLIP = PAPER.replace("= 3\n", "= three\n")
SLIP_LINE = SLIP.splitlines().index("target_leverage = three") + 1
README = SOURCE / "deploy/README.md"
#: a person at the keyboard: what is typed where a key is asked for
TYPIST = f"""\
#!/bin/sh
case "$*" in *key*) printf {KEY} ;; *secret*) printf {SECRET} ;; *) exit 1 ;; esac
"""
LAY_OUT = """\
import sqlite3, sys
with sqlite3.connect("/var/lib/private/rebalancer/rebalancer.db") as store:
    print(*store.execute("SELECT version_num FROM rebalancer_schema").fetchone())
    store.execute("UPDATE rebalancer_schema SET version_num = ?", sys.argv[1:])
"""
#: packages are unpacked and compiled, on a machine that may be busy
INSTALL_SECONDS = 1_200.0
OVERRIDES = "/etc/systemd/system"


def steps(heading: str, block: int = 0) -> list[str]:
    """Return the commands of a section of deploy/README.md, of its first block or a later one."""
    section = re.split(rf"^## {heading}$", README.read_text(encoding="utf-8"), flags=re.MULTILINE)[
        1
    ]
    section = section.split("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)
    return [line[4:] for line in blocks[block].splitlines()]


@dataclass
class Scene:
    """The machine, and the venue outside of it."""

    machine: Machine
    market: Market

    def follow(self, lines: list[str]) -> str:
        """Carry steps out as one person in one shell; the first that fails ends it."""
        script = "\n".join(["set -e", *lines])
        self.machine.write("/root/steps.sh", script)
        return self.machine.must("bash -x /root/steps.sh", INSTALL_SECONDS)

    def ask(self, name: str, *arguments: str) -> Any:
        """Return what a command prints as JSON, with the environment that deploy/README.md gives.

        `name` is that of the desk: `rebalancer`, or of `rebalancer@NAME` the instance.
        """
        exports = [each for each in steps("Install", 1) if each.startswith("export ")]
        if name != "rebalancer":
            exports = [
                each.replace("second", name)
                for each in steps("Several desks")
                if each.startswith("export ")
            ]
        line = "; ".join([*exports, f"rebalancer {' '.join(arguments)} --json"])
        return json.loads(self.machine.must(f"({line}) 2>/dev/null"))

    def write_live(self, name: str, address: str) -> None:
        """Write the configuration of a desk that trades at the venue outside."""
        text = LIVE.replace("VENUE", "binanceusdm").replace("ENDPOINT", address)
        self.machine.write(f"/etc/rebalancer/{name}.toml", text.replace("TIME", "00:00:00"))

    def override(self, unit: str, text: str) -> None:
        """Lay a drop-in over a unit."""
        self.machine.write(f"{OVERRIDES}/{unit}.d/drill.conf", text)
        self.machine.must("systemctl daemon-reload")

    def lay_out_as(self, layout: str) -> str:
        """Write another layout into the store of the first desk; return what stood there."""
        self.machine.write("/root/layout.py", LAY_OUT)
        return self.machine.must(f"/opt/rebalancer/bin/python /root/layout.py {layout}").strip()

    def state(self, unit: str) -> tuple[str, str]:
        """Return whether a unit is active, and its state in detail."""
        return self.machine.show(unit, "ActiveState"), self.machine.show(unit, "SubState")

    def until(self, unit: str, active: str, sub: str | None = None) -> None:
        """Wait for a state of a unit."""
        wait_until(
            lambda: self.state(unit)[0] == active and sub in (None, self.state(unit)[1]),
            f"{unit} is {active}",
        )

    def stays_down(self, unit: str, code: int) -> None:
        """Expect that a unit ended with `code` and is not started again."""
        self.machine.run(f"systemctl restart {unit}")
        assert self.state(unit) == ("failed", "failed"), self.machine.journal(unit)[-2_000:]
        assert int(self.machine.show(unit, "ExecMainStatus")) == code
        assert int(self.machine.show(unit, "NRestarts")) == 0

    def placed(self) -> list[str]:
        """Return the ids of all orders that the venue took."""
        ids: list[str] = self.market.account["ids"]
        return ids
