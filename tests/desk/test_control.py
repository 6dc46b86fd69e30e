"""The control socket: what operators, scripts and strangers can do to a running desk with it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rebalancer.clock import VirtualClock
from rebalancer.core.breaks import BreakEnded
from rebalancer.core.events import PositionsReported
from rebalancer.core.records import (
    CommandTaken,
    FundLaunched,
    ScopeChanged,
    TradingChanged,
    TradingState,
)
from rebalancer.desk.control import LINE_BYTES_MAX, PATH_BYTES_MAX, ControlServer
from rebalancer.desk.daemon import Daemon
from rebalancer.desk.inbox import Inbox
from rebalancer.errors import ConfigRefused
from rebalancer.store.memory import MemoryStore
from tests.desk.rig import of, until
from tests.desk.test_daemon import Endless, world
from tests.factories import BTC, NOON


class Running:
    """A desk with a control socket, and a hand on it."""

    def __init__(self, daemon: Daemon, store: MemoryStore, path: Path) -> None:
        self.daemon = daemon
        self.store = store
        self.path = path

    async def raw(self, line: bytes) -> bytes:
        """Send bytes and return everything that comes back."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        writer.write(line)
        async with asyncio.timeout(20):
            answer = await reader.readline()
        writer.close()
        return answer

    async def ask(self, **request: object) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(await self.raw(json.dumps(request).encode() + b"\n"))
        return answer


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    here, store, path = world(), MemoryStore(), tmp_path / "desk.sock"
    daemon = await here.wake(store, control=path)
    daemon.watcher._feed = Endless(daemon)
    stop = asyncio.Event()
    task = asyncio.create_task(daemon.run(stop))
    await until(
        lambda: len(of(store.records, FundLaunched)) == 2 and not store_busy(daemon), "ready"
    )
    yield Running(daemon, store, path)
    stop.set()
    await asyncio.wait_for(task, 20)


def store_busy(daemon: Daemon) -> bool:
    return daemon.executor.busy or any(fund.run for fund in daemon.state.funds.values())


class TestCommands:
    async def test_a_rebalance_opens_a_run_and_says_which(self, running: Running) -> None:
        answer = await running.ask(command="rebalance", fund="BTC3L", reason="drill")
        assert answer["ok"] is True
        assert answer["run_id"].startswith("BTC3L-")
        assert answer["trigger"] == "manual"
        assert set(answer["delta_units"]) == {"BTC/USDT:USDT"}
        (taken,) = of(running.store.records, CommandTaken)
        assert (taken.name, taken.reason) == ("BTC3L", "drill")

    async def test_halt_and_resume(self, running: Running) -> None:
        halted = await running.ask(command="halt", fund="BTC3L", reason="drill")
        assert halted["ok"] is True
        resumed = await running.ask(command="resume", fund="BTC3L", reason="over")
        assert resumed["ok"] is True
        states = [record.state for record in of(running.store.records, TradingChanged)]
        assert states == [TradingState.HALTED, TradingState.ACTIVE]

    async def test_who_looks_after_a_command_sees_what_came_of_it(self, running: Running) -> None:
        running.daemon.views._interval_seconds = 3_600
        await running.ask(command="halt", fund="BTC3L", reason="lunch")
        (seen,) = [view for view in running.store.views if view.fund == "BTC3L"]
        assert seen.trading == TradingState.HALTED

    async def test_more_than_a_fund_is_named_by_its_scope(self, running: Running) -> None:
        for scope, name in (("desk", None), ("account", "main"), ("contract", BTC)):
            request = {"scope": scope} | ({"name": name} if name else {})
            assert (await running.ask(command="reduce", reason="drill", **request))["ok"] is True
            assert (await running.ask(command="halt", reason="drill", **request))["ok"] is True
            assert (await running.ask(command="resume", reason="over", **request))["ok"] is True
        changed = [
            (each.scope, each.name, each.state) for each in of(running.store.records, ScopeChanged)
        ]
        states = (TradingState.REDUCING, TradingState.HALTED, TradingState.ACTIVE)
        assert changed == [
            (scope, name, state)
            for scope, name in (("desk", ""), ("account", "main"), ("contract", BTC))
            for state in states
        ]

    async def test_a_break_is_adopted_by_its_number(self, running: Running) -> None:
        held = running.daemon.state.accounts["main"].position(BTC)
        running.daemon.emit(PositionsReported(NOON + 1, "main", {BTC: held + 1}))
        answer = await running.ask(command="adopt", **{"break": "7"}, reason="x")
        assert answer["error"] == "there is no open break 7; open are 1"
        for price, why in {"0": "must be above zero", "1e30": "more than 24 digits"}.items():
            answer = await running.ask(command="adopt", **{"break": 1}, reason="x", price=price)
            assert why in answer["error"]
        answer = await running.ask(command="adopt", **{"break": 1}, reason="x", price="99")
        assert "the desk has a price of BTC/USDT:USDT itself" in answer["error"]
        adopted = await running.ask(command="adopt", **{"break": 1}, reason="moved by hand")
        assert adopted["ok"] is True
        assert running.daemon.state.accounts["main"].position(BTC) == held + 1
        assert [each.how for each in of(running.store.records, BreakEnded)] == ["adopted"]

    async def test_an_order_is_settled_by_its_id(self, running: Running) -> None:
        said = {"order": "r1", "filled": "2", "price": "90", "fee": "0.1", "reason": "x"}
        answer = await running.ask(command="settle", **said)
        assert answer["error"] == "order r1 is not open; to be settled by hand: none"
        for wrong in ({"filled": "x"}, {"fee": "y"}, {"price": "0"}, {"filled": "1e30"}):
            answer = await running.ask(command="settle", **said | wrong)
            assert answer["error"].startswith(next(iter(wrong)))

    async def test_a_halted_fund_is_not_rebalanced(self, running: Running) -> None:
        await running.ask(command="halt", fund="BTC3L", reason="drill")
        answer = await running.ask(command="rebalance", fund="BTC3L")
        assert answer["ok"] is False
        assert answer["error"] == "BTC3L is halted: drill; resume it first"

    async def test_an_unknown_fund_is_named_together_with_the_known_ones(
        self, running: Running
    ) -> None:
        answer = await running.ask(command="halt", fund="BTC9L")
        assert answer == {
            "ok": False,
            "error": "there is no fund BTC9L; the desk runs BTC3L, BTC1S",
        }

    async def test_two_operators_at_once_each_get_their_own_answer(self, running: Running) -> None:
        answers = await asyncio.gather(
            *(running.ask(command="halt", fund="BTC3L", reason=f"r{n}") for n in range(5)),
            *(running.ask(command="halt", fund="BTC1S", reason=f"r{n}") for n in range(5)),
        )
        assert [answer["ok"] for answer in answers].count(True) == 2
        assert all("halted already" in one["error"] for one in answers if not one["ok"])

    async def test_a_reason_is_cut_and_has_a_default(self, running: Running) -> None:
        await running.ask(command="halt", fund="BTC3L", reason="x" * 5_000)
        await running.ask(command="resume", fund="BTC3L", reason="")
        reasons = [record.reason for record in of(running.store.records, CommandTaken)]
        assert reasons == ["x" * 500, "by an operator"]


class TestStrangers:
    @pytest.mark.parametrize(
        "line",
        [
            b"\n",
            b"halt BTC3L\n",
            b"\xff\xfe\x00\n",
            b"[]\n",
            b"17\n",
            b"null\n",
            b'{"command": "sell everything", "fund": "BTC3L"}\n',
            b'{"command": "halt"}\n',
            b'{"command": "halt", "scope": "account"}\n',
            b'{"command": "halt", "scope": "world", "name": "x"}\n',
            b'{"command": "halt", "scope": [], "name": "x"}\n',
            b'{"command": ["halt"], "fund": "BTC3L"}\n',
            b'{"command": null, "fund": null}\n',
            b"[" * 60_000 + b"\n",
            b'{"command": "halt", "fund": ' + b"9" * 10_000 + b"}\n",
        ],
    )
    async def test_garbage_is_answered_with_a_sentence_and_changes_nothing(
        self, running: Running, line: bytes
    ) -> None:
        answer = json.loads(await running.raw(line))
        assert answer["ok"] is False
        assert "one line of JSON" in answer["error"]
        assert of(running.store.records, CommandTaken) == []

    async def test_an_oversized_line_is_answered_and_the_desk_goes_on(
        self, running: Running
    ) -> None:
        answer = json.loads(await running.raw(b"x" * (LINE_BYTES_MAX + 10_000) + b"\n"))
        assert answer["ok"] is False
        assert str(LINE_BYTES_MAX) in answer["error"]
        assert (await running.ask(command="halt", fund="BTC3L"))["ok"] is True

    async def test_a_fund_whose_name_no_text_can_hold_is_refused(self, running: Running) -> None:
        answer = json.loads(
            await running.raw(b'{"command": "halt", "fund": "\\ud800", "reason": "x"}\n')
        )
        assert answer["ok"] is False

    async def test_a_reason_that_no_text_can_hold_does_not_end_the_desk(
        self, running: Running
    ) -> None:
        line = b'{"command": "halt", "fund": "BTC3L", "reason": "\\ud800\\u0000"}\n'
        assert json.loads(await running.raw(line))["ok"] is True
        assert (await running.ask(command="resume", fund="BTC3L"))["ok"] is True

    async def test_who_connects_and_says_nothing_disturbs_nobody(self, running: Running) -> None:
        silent = [await asyncio.open_unix_connection(running.path) for _ in range(5)]
        assert (await running.ask(command="halt", fund="BTC3L"))["ok"] is True
        for _, writer in silent:
            writer.close()

    async def test_who_hangs_up_at_once_is_no_news(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[str] = []
        monkeypatch.setattr(
            "rebalancer.desk.control._log.warning", lambda name, **_: told.append(name)
        )
        for _ in range(3):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(running.path))
        assert (await running.ask(command="halt", fund="BTC3L"))["ok"] is True
        assert told == []

    async def test_half_a_line_is_no_command(self, running: Running) -> None:
        reader, writer = await asyncio.open_unix_connection(running.path)
        writer.write(b'{"command": "halt", "fund": "BTC3L", "reason": "dr')
        writer.write_eof()
        assert json.loads(await asyncio.wait_for(reader.readline(), 20))["ok"] is False
        writer.close()
        assert of(running.store.records, CommandTaken) == []


def server(path: Path) -> ControlServer:
    return ControlServer(path, Inbox(), VirtualClock())


class TestTheFile:
    async def test_only_its_owner_may_use_it(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            control = server(tmp_path / "desk.sock")
            await control.start()
            mode = (tmp_path / "desk.sock").stat().st_mode
            assert stat.S_ISSOCK(mode)
            assert stat.S_IMODE(mode) == 0o600
            assert os.umask(0) == 0, "the mask is as it was"
            await control.close()
        finally:
            os.umask(before)

    async def test_it_is_gone_after_the_end(self, tmp_path: Path) -> None:
        control = server(tmp_path / "desk.sock")
        await control.start()
        await control.close()
        await control.close()
        assert os.listdir(tmp_path) == []  # noqa: PTH208 - nothing else runs in this loop

    async def test_one_left_over_by_a_killed_desk_is_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "desk.sock"
        with socket.socket(socket.AF_UNIX) as left_over:
            left_over.bind(str(path))
        control = server(path)
        await control.start()
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"x\n")
        assert await asyncio.wait_for(reader.readline(), 20)
        writer.close()
        await control.close()

    async def test_a_file_that_is_no_socket_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "desk.db"
        path.write_text("precious")
        with pytest.raises(ConfigRefused, match=r"^desk\.control_socket: .* is not a socket"):
            await server(path).start()
        assert path.read_text() == "precious"

    async def test_a_directory_is_refused_with_a_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigRefused, match=r"^desk\.control_socket: "):
            await server(tmp_path).start()

    async def test_a_socket_somebody_listens_on_is_not_taken_away(self, tmp_path: Path) -> None:
        path = tmp_path / "desk.sock"
        first = server(path)
        await first.start()
        with pytest.raises(ConfigRefused, match="something listens on"):
            await server(path).start()
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"x\n")
        assert await asyncio.wait_for(reader.readline(), 20)
        writer.close()
        await first.close()

    async def test_a_folder_that_does_not_exist_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "nowhere" / "desk.sock"
        with pytest.raises(ConfigRefused, match=r"nowhere: there is no such folder"):
            await server(path).start()

    @pytest.mark.parametrize("letter", ["x", "é"])
    def test_a_path_too_long_for_the_system_is_refused_by_its_bytes(self, letter: str) -> None:
        room = PATH_BYTES_MAX - len("/run/")
        longest = Path("/run") / (letter * (room // len(letter.encode())))
        server(longest)
        with pytest.raises(ConfigRefused, match="longer than 107 bytes"):
            server(Path(f"{longest}xx"))

    async def test_the_longest_path_works(self, tmp_path: Path) -> None:
        name = "x" * (PATH_BYTES_MAX - len(os.fsencode(tmp_path)) - 1)
        if not name:
            pytest.skip("the folder for tests has a name too long for this")
        control = server(tmp_path / name)
        await control.start()
        assert (tmp_path / name).exists()
        await control.close()
