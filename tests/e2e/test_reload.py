"""A reload as operators do it: by command and by signal, on the program itself."""

from __future__ import annotations

import contextlib
import signal
import socket
from pathlib import Path

from tests.e2e.process import command, running, wait_until

DESK = """\
[store]
url = "sqlite:///desk.db"
[log]
format = "json"
[feed]
source = "simulated"
[accounts.main]
venue = "paper"
[funds.BTC3L]
account = "main"
target_leverage = 3
basket = { "BTC/USDT:USDT" = 1 }
"""


def test_a_file_that_is_edited_is_compared_taken_over_and_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(DESK, encoding="utf-8")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, contextlib.ExitStack() as end:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        desk = end.enter_context(running(tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify")))
        desk.wait_for("launched")
        file.write_text(DESK.replace("= 3\n", "= 3.5\n"), encoding="utf-8")
        told = command(tmp_path, "config", "diff")
        assert "funds.BTC3L.target_leverage: 3 -> 3.5 (next point)  # config.toml:11" in told.out
        assert "to take it over: rebalancer reload --confirm" in told.out
        refused = command(tmp_path, "reload")
        assert refused.code == 4
        digest = refused.sentence.rpartition("--confirm ")[2]
        taken = command(tmp_path, "reload", "--confirm", digest)
        assert taken.code == 0, taken.err
        assert f"in force: digest {digest}" in taken.out
        file.write_text(DESK.replace("= 3\n", "= three\n"), encoding="utf-8")
        assert command(tmp_path, "reload").code == 2
        desk.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "config.toml:11" in str(desk.events("reload_refused")), "a refusal")
        file.write_text(DESK.replace("= 3\n", "= 3.5\ndescription = 'x'\n"), encoding="utf-8")
        desk.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(desk.events("configuration_changed")) >= 2, "taken over")
        assert desk.end() == 0
        heard = []
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(manager.recv(4_096).decode())
    reloads = [at for at, states in enumerate(heard) if "RELOADING=1" in states]
    assert len(reloads) == 4  # two commands that reached the desk, two signals
    assert all(heard[at + 1].startswith("READY=1") for at in reloads)
