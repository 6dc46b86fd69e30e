"""Drills: each does to a booted desk what happens to a desk, and looks how it stands it."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.boot.machine import wait_until
from tests.boot.scene import PAPER, SLIP, SLIP_LINE, TYPIST, Scene, steps

DESK, LIVE = "rebalancer.service", "rebalancer@second.service"
BACKUPS = "/var/backups/rebalancer"
ORDERS = "/fapi/v1/order$"
#: users that exist as long as their unit (systemd.exec(5))
DYNAMIC_UIDS = range(61184, 65520)


def installs(scene: Scene) -> None:
    """the steps of the README, as written, end with a desk that is ready"""
    machine = scene.machine
    machine.write("/usr/local/bin/systemd-ask-password", TYPIST)
    machine.must("chmod 0755 /usr/local/bin/systemd-ask-password")
    first, *rest = steps("Install")
    assert first == "git clone REPOSITORY rebalancer && cd rebalancer"
    scene.follow(rest)
    assert scene.state(DESK) == ("active", "running")
    assert machine.show(DESK, "StatusText").startswith("paper, 2 funds")
    wait_until(lambda: "next fixed rebalance" in machine.show(DESK, "StatusText"), "a status line")
    said = scene.follow(steps("Install", 1))
    assert "BTC3L" in said
    timer = "rebalancer-backup.timer"
    assert scene.state(timer)[0] == "active"


def is_confined(scene: Scene) -> None:
    """it is a user of its own, without capabilities, behind a filter, and writes nowhere else"""
    machine, pid = scene.machine, scene.machine.show(DESK, "MainPID")
    lines = machine.must(f"cat /proc/{pid}/status").splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert int(status["Uid"].split()[0]) in DYNAMIC_UIDS
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0
    inside = f"nsenter --target {pid} --mount --"
    for place in ("/etc/rebalancer", "/opt/rebalancer", "/usr", "/var/lib"):
        refused = machine.run(f"{inside} touch {place}/drill")
        assert "Read-only file system" in refused.said, (place, refused)
    machine.must(
        f"{inside} sh -c 'touch /var/lib/rebalancer/drill && rm /var/lib/rebalancer/drill'"
    )
    assert machine.run(f"{inside} ls /home /root").said.strip() in {"/home:\n\n/root:", ""}
    owner = machine.must("stat -c '%a %u' /var/lib/private/rebalancer/rebalancer.db").split()
    assert owner == ["600", status["Uid"].split()[0]]


def reloads(scene: Scene) -> None:
    """a reload takes a good file over, refuses a bad one, and goes on as the same process"""
    machine, pid = scene.machine, scene.machine.show(DESK, "MainPID")
    good = PAPER.replace("[funds.BTC3S]\n", "[funds.BTC3S]\ndescription = 'edited'\n")
    machine.write("/etc/rebalancer/config.toml", good)
    machine.must("systemctl reload rebalancer")
    assert "configuration_changed" in machine.journal(DESK)
    machine.write("/etc/rebalancer/config.toml", SLIP)
    assert machine.run("systemctl reload rebalancer").code != 0
    said = machine.journal(DESK)
    assert f"/etc/rebalancer/config.toml:{SLIP_LINE}" in said, said[-1_500:]
    assert scene.state(DESK) == ("active", "running")
    assert "Reloaded" in said
    machine.must(f"kill -HUP {pid}")
    wait_until(lambda: '"reload_refused"' in machine.journal(DESK), "the signal is heard, too")
    machine.write("/etc/rebalancer/config.toml", good)
    assert machine.show(DESK, "MainPID") == pid


def warns_in_the_journal(scene: Scene) -> None:
    """the journal knows how grave each line of the log is"""
    line = "journalctl --no-pager --output=cat --priority=warning --unit=rebalancer"
    warnings = scene.machine.must(line)
    assert '"reload_refused"' in warnings
    assert '"recovered"' not in warnings
    assert "<6>" not in scene.machine.journal(DESK)


def is_killed_by_the_watchdog(scene: Scene) -> None:
    """a desk that stands still is ended by the watchdog and started again"""
    machine = scene.machine
    scene.override(DESK, "[Service]\nWatchdogSec=15\nRestartSec=1\n")
    machine.must("systemctl restart rebalancer")
    pid = machine.show(DESK, "MainPID")
    machine.must(f"kill -STOP {pid}")
    wait_until(lambda: "Watchdog timeout" in machine.journal(DESK), "the watchdog acts")
    wait_until(lambda: machine.show(DESK, "MainPID") not in ("0", pid), "a new process")
    scene.until(DESK, "active", "running")
    assert int(machine.show(DESK, "NRestarts")) == 1


def is_killed(scene: Scene) -> None:
    """one that is killed is started again and takes its records up"""
    machine, pid = scene.machine, scene.machine.show(DESK, "MainPID")
    machine.must(f"kill -KILL {pid}")
    wait_until(lambda: machine.show(DESK, "MainPID") not in ("0", pid), "a new process")
    scene.until(DESK, "active", "running")
    assert int(machine.show(DESK, "NRestarts")) == 2
    assert scene.ask("rebalancer", "verify")["holds"] is True


def stays_down_after(scene: Scene) -> None:
    """a wrong configuration and a newer store end it for good, with a sentence"""
    machine = scene.machine
    machine.write("/etc/rebalancer/config.toml", SLIP)
    scene.stays_down(DESK, 2)
    machine.write("/etc/rebalancer/config.toml", PAPER)
    layout = scene.lay_out_as("9999")
    scene.stays_down(DESK, 4)
    assert "written by a newer rebalancer" in machine.journal(DESK)
    scene.lay_out_as(layout)
    machine.must("systemctl reset-failed rebalancer && systemctl start rebalancer")


def misses_a_key(scene: Scene) -> None:
    """a missing key ends the start for good; with it the desk has it, and nobody else"""
    machine = scene.machine
    scene.follow(steps("Keys"))
    assert scene.state(DESK)[0] == "active", machine.journal(DESK)[-1_500:]
    scene.write_live("second", scene.market.address)
    drop_in = "deploy/rebalancer.service.d/credentials.conf"
    machine.must(f"install -D -m 0644 {drop_in} /etc/systemd/system/{LIVE}.d/credentials.conf")
    machine.must("systemctl daemon-reload")
    told = machine.run("; ".join(steps("Keys", 1)))
    assert "clock" in told.said.lower(), told
    assert "Traceback" not in told.said
    secret = "/etc/rebalancer/credentials/accounts__main__secret"
    machine.must(f"mv {secret} {secret}.away")
    scene.stays_down(LIVE, 243)
    machine.must(f"mv {secret}.away {secret}")
    assert "demo-secret" not in machine.must(f"cat -v {secret}")
    machine.must(f"systemctl reset-failed {LIVE}")


def is_ready_after_the_venue_answered(scene: Scene) -> None:
    """it is ready once the venue was asked about everything, and waits for a venue that is down"""
    machine = scene.machine
    scene.market.tell("maintenance", on=True)
    enable, *rest = steps("Several desks")
    assert enable == f"systemctl enable --now {LIVE}"
    machine.must(enable.replace("--now", "--now --no-block"))
    wait_until(
        lambda: "waiting for the venue" in machine.show(LIVE, "StatusText"), "it says what it does"
    )
    assert scene.state(LIVE) == ("activating", "start")
    asked = int(scene.market.tell("state")["calls"])
    scene.market.tell("maintenance", on=False)
    scene.until(LIVE, "active", "running")
    assert int(scene.market.tell("state")["calls"]) > asked
    scene.follow(rest)
    assert scene.state("rebalancer-backup@second.timer")[0] == "active"
    assert int(machine.show(LIVE, "NRestarts")) == 0
    wait_until(scene.placed, "both launches, netted into one order")


def is_stopped_in_a_run(scene: Scene) -> None:
    """a stop in the middle of a run waits for the order on its way; the next start ends the run"""
    machine = scene.machine
    wait_until(lambda: done_runs(scene) == 2, "both launches are done")
    before = len(scene.placed())
    scene.market.tell("fault", shape="silence", method="POST", path=ORDERS, hold_ms=5_000)
    scene.market.price("56000")
    wait_until(lambda: len(scene.placed()) > before, "an order is at the venue")
    machine.must(f"systemctl stop {LIVE}")
    assert scene.state(LIVE) == ("inactive", "dead")
    assert machine.show(LIVE, "Result") == "success"
    assert int(machine.show(LIVE, "ExecMainStatus")) == 0
    assert '"stopping"' in machine.journal(LIVE)
    assert scene.ask("second", "verify")["holds"] is True
    machine.must(f"systemctl start {LIVE}")
    wait_until(lambda: done_runs(scene) >= 3, "the run is done")
    wait_until(lambda: len(orders_of(scene)) == len(scene.placed()), "each intent is one order")
    assert sorted(orders_of(scene)) == sorted(scene.placed())
    assert len(set(scene.placed())) == len(scene.placed())
    assert scene.market.tell("state")["violations"] == 0
    assert scene.ask("second", "verify")["holds"] is True


def done_runs(scene: Scene) -> int:
    return sum(run["status"] == "done" for run in scene.ask("second", "history"))


def orders_of(scene: Scene) -> list[str]:
    return [order["client_order_id"] for order in scene.ask("second", "orders")]


def is_backed_up_and_restored(scene: Scene) -> None:
    """a backup is made with and without the desk; restored, it trades after a word only"""
    machine = scene.machine
    by_hand, stop, restore, start, breaks, release, resume = steps("Backups")
    machine.must(by_hand)
    machine.must(stop)
    machine.must("sleep 1")
    machine.must(f"systemctl start rebalancer-backup@second.service && ls {BACKUPS}/*second*")
    machine.must(f"mv {BACKUPS}/*second* /root")
    machine.must(by_hand)  # a desk that does not run: nothing of root's may be left behind
    machine.must(start)
    first, _second = machine.must(f"ls {BACKUPS}").split()
    machine.must(stop)
    name = restore.rpartition("/")[2]
    exports = [each for each in steps("Install", 1) if each.startswith("export ")]
    scene.follow([*exports, restore.replace(name, first), start])
    status = scene.ask("rebalancer", "status")
    assert "restored from" in str(status), status
    refused = machine.run("; ".join([*exports, "rebalancer rebalance BTC3L"]))
    assert "the kill switch is set: restored from" in refused.said
    scene.follow([*exports, breaks, release, resume, "rebalancer rebalance BTC3L"])


def has_no_way_out(scene: Scene) -> None:
    """the variant without a way out starts, and its relay carries what the desk sends"""
    machine = scene.machine
    scene.follow(steps("Without a way out"))
    assert scene.state(DESK) == ("active", "running"), machine.journal(DESK)[-1_500:]
    pid = machine.show(DESK, "MainPID")
    seen = machine.must(f"nsenter --target {pid} --mount -- cat /etc/hosts /etc/nsswitch.conf")
    assert "127.0.1.1 fapi.binance.com" in seen
    assert "hosts: files" in seen
    relay = "rebalancer-egress@localhost"
    port = scene.market.port
    scene.override(f"{relay}.socket", "[Socket]\nListenStream=127.0.1.9:18443\n")
    proxy = "ExecStart=\nExecStart=/lib/systemd/systemd-socket-proxyd"
    scene.override(f"{relay}.service", f"[Service]\n{proxy} 127.0.0.1:{port}\n")
    machine.must(f"systemctl start {relay}.socket")
    scene.write_live("second", "http://127.0.1.9:18443")
    drop_in = "deploy/rebalancer.service.d/egress.conf"
    machine.must(f"install -D -m 0644 {drop_in} /etc/systemd/system/{LIVE}.d/egress.conf")
    machine.must(f"systemctl daemon-reload && systemctl restart {LIVE}")
    assert scene.state(LIVE) == ("active", "running")
    assert scene.state(f"{relay}.service")[0] == "active"


def stops(scene: Scene) -> None:
    """a stop ends it in good order"""
    scene.machine.must(f"systemctl stop {DESK} {LIVE}")
    for unit in (DESK, LIVE):
        assert scene.machine.show(unit, "Result") == "success"
    assert signal.SIGKILL.name not in scene.machine.journal(LIVE)


DRILLS: tuple[Callable[[Scene], None], ...] = (
    installs,
    is_confined,
    reloads,
    warns_in_the_journal,
    is_killed_by_the_watchdog,
    is_killed,
    stays_down_after,
    misses_a_key,
    is_ready_after_the_venue_answered,
    is_stopped_in_a_run,
    is_backed_up_and_restored,
    has_no_way_out,
    stops,
)


def not_run_here(scene: Scene) -> list[str]:
    """Say what of the units this machine could not enforce, as systemd says it."""
    machine, found = scene.machine, []
    denied = "systemd-run --quiet --wait --collect --property=IPAddressDeny=any"
    dial = f"/bin/bash -c 'exec 3<>/dev/tcp/127.0.0.1/{scene.market.port}'"
    if machine.run(f"{denied} {dial}").code == 0:
        found.append("IPAddressDeny= and IPAddressAllow=: taken, and not enforced by this kernel")
    if machine.show(DESK, "MemoryCurrent") in {"[not set]", ""}:
        found.append("MemoryMax=: no memory controller for the machine")
    found.append("the relay's way to a real venue, TLS through it: nothing leaves this computer")
    found.append(
        "Wants=time-sync.target, network-online.target: nothing in the machine provides them"
    )
    found.append("a key bound to a TPM: there is none")
    return found
