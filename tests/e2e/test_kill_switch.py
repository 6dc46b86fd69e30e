"""The kill switch against a desk that hangs: a process that is stopped in the middle of trading."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.e2e.process import command, running, wait_until


def test_a_desk_that_hangs_sends_nothing_once_it_wakes(folder: Path) -> None:
    with running(folder) as desk:
        desk.wait_for("order_sent", 3)
        desk.process.send_signal(signal.SIGSTOP)
        killed = command(folder, "kill", "--reason", "prices look wrong")
        assert killed.code == 0, killed.err
        assert f"the desk (pid {desk.pid}) did not answer" in killed.out
        before = len(desk.events("order_sent"))
        desk.process.send_signal(signal.SIGCONT)
        desk.wait_for("desk_halted")
        time.sleep(1.0)
        # What was inside the venue's hands when it was stopped may still be told, nothing new.
        assert len(desk.events("order_sent")) <= before + 1
        after = len(desk.events("order_sent"))
        time.sleep(1.0)
        assert len(desk.events("order_sent")) == after
        assert "prices look wrong" in command(folder, "status").err
        assert desk.end() == 0
    with running(folder) as desk:  # and a restart does not undo it
        desk.wait_for("ready")
        refused = command(folder, "resume", "--desk", "--reason", "over")
        assert "the kill switch is set: prices look wrong" in refused.sentence
        assert command(folder, "kill", "--release").code == 0
        assert desk.events("order_sent") == []
        assert command(folder, "resume", "--desk", "--reason", "over").code == 0
        desk.wait_for("order_sent")


def test_a_desk_that_hangs_can_be_ended_by_the_command(folder: Path) -> None:
    with running(folder) as desk:
        desk.wait_for("ready")
        desk.process.send_signal(signal.SIGSTOP)
        killed = command(folder, "kill", "--reason", "drill", "--end-process", "--json")
        assert killed.json["desk"] == "ended"
        wait_until(lambda: desk.process.poll() is not None, "the end of the process")
        assert desk.process.poll() == -signal.SIGKILL
