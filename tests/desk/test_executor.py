"""Orders leave once, in sequence per contract, and what is not known is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
import structlog
from structlog.testing import capture_logs

from rebalancer.clock import VirtualClock
from rebalancer.core.actions import Alert, QueryOrder, Severity, SubmitOrder
from rebalancer.core.events import FillReported, OrderReported
from rebalancer.core.order import ENDS, Fill, OrderIntent, OrderSide, Outcome, PositionSide
from rebalancer.desk import executor as module
from rebalancer.desk.executor import Executor
from rebalancer.errors import VenueUnavailable
from rebalancer.ports import Emit, Submission
from tests.desk.rig import Recorder, until
from tests.factories import BTC, ETH


def intent(name: str, contract: str = BTC, account: str = "main") -> OrderIntent:
    one = Decimal(1)
    return OrderIntent(
        client_order_id=name,
        account=account,
        contract=contract,
        seq=1,
        side=OrderSide.BUY,
        position_side=PositionSide.NET,
        contracts=one,
        units=one,
        mark=one,
        limit_price=one,
        reduce_only=False,
        wanted={"BTC3L": one},
        created_ms=0,
    )


class SlowVenue:
    """A venue whose every send waits until the test lets it through."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.together: list[list[str]] = []
        self.open = asyncio.Event()
        self.fails: BaseException | None = None

    async def start(self, emit: Emit) -> None:
        """Nothing to connect to."""

    def prepare(self, orders: Sequence[OrderIntent]) -> None:
        """Make ready."""
        self.log += [f"preparing {order.client_order_id}" for order in orders]

    async def submit(self, order: OrderIntent) -> None:
        """Send."""
        self.log.append(f"sending {order.client_order_id}")
        await self.open.wait()
        if self.fails is not None:
            raise self.fails
        self.log.append(f"sent {order.client_order_id}")

    def submit_all(self, orders: Sequence[OrderIntent]) -> Sequence[Submission]:
        """Send side by side."""
        self.together.append([order.client_order_id for order in orders])
        return [self.submit(order) for order in orders]

    async def query(self, order: OrderIntent) -> None:
        """Ask."""
        self.log.append(f"asked {order.client_order_id}")
        if self.fails is not None:
            raise self.fails

    async def report_positions(self) -> None:
        """Nothing is held."""

    async def close(self) -> None:
        """Nothing to give up."""


class Bench:
    def __init__(self) -> None:
        self.venue = SlowVenue()
        self.events = Recorder()
        self.told: list[Alert] = []
        self.executor = Executor(
            {"main": self.venue}, self.events, VirtualClock(7), self.told.append
        )

    def send(self, *names: str, contract: str = BTC) -> None:
        self.executor.carry_out([SubmitOrder(intent(name, contract)) for name in names])

    async def settled(self) -> None:
        for _ in range(1_000):
            if not self.executor.busy:
                return
            await asyncio.sleep(0)
        raise AssertionError("the executor does not come to rest")


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_an_order_is_sent_exactly_once(bench: Bench) -> None:
    bench.venue.open.set()
    bench.send("r1")
    await bench.settled()
    assert bench.venue.log == ["sending r1", "sent r1"]
    assert bench.events.events == []


async def test_the_close_ends_before_the_open_of_the_same_contract_begins(bench: Bench) -> None:
    bench.send("close", "open")
    bench.send("later")
    await until(lambda: bench.venue.log, "the first order leaves")
    await asyncio.sleep(0.01)
    assert bench.venue.log == ["sending close"]
    bench.venue.open.set()
    await bench.settled()
    names = ["close", "open", "later"]
    assert bench.venue.log == [f"{verb} {name}" for name in names for verb in ("sending", "sent")]


async def test_contracts_do_not_wait_for_each_other(bench: Bench) -> None:
    bench.send("r1")
    bench.send("r2", contract=ETH)
    await until(lambda: len(bench.venue.log) == 2, "both orders leave")
    assert bench.venue.log == ["sending r1", "sending r2"]
    bench.venue.open.set()
    await bench.settled()


async def test_orders_of_one_step_for_one_account_are_handed_over_together(bench: Bench) -> None:
    orders = [("r1", BTC), ("r2", ETH), ("r3", "SOL/USDT:USDT")]
    bench.venue.open.set()
    bench.executor.carry_out([SubmitOrder(intent(*order)) for order in orders])
    await bench.settled()
    assert bench.venue.together == [["r1", "r2", "r3"]]


async def test_two_legs_of_one_contract_are_never_handed_over_together(bench: Bench) -> None:
    legs = [("close", BTC), ("open", BTC), ("r3", ETH)]
    bench.executor.carry_out([SubmitOrder(intent(*leg)) for leg in legs])
    await until(lambda: len(bench.venue.log) == 2, "the first of each contract leaves")
    bench.venue.open.set()
    await bench.settled()
    assert bench.venue.together == [["close", "r3"]]
    assert bench.venue.log.index("sent close") < bench.venue.log.index("sending open")


async def test_a_contract_with_an_order_on_its_way_joins_no_others(bench: Bench) -> None:
    bench.send("r1")
    await until(lambda: bench.venue.log, "the first order leaves")
    bench.executor.carry_out([SubmitOrder(intent("r2")), SubmitOrder(intent("r3", ETH))])
    bench.venue.open.set()
    await bench.settled()
    assert bench.venue.together == [["r1"], ["r3"]]
    assert bench.venue.log.index("sent r1") < bench.venue.log.index("sending r2")


async def test_orders_are_made_ready_at_their_own_venues_and_none_is_sent(bench: Bench) -> None:
    alert = Alert(0, Severity.INFO, "test", "", "said")
    bench.executor.prepare([SubmitOrder(intent("r1")), alert, SubmitOrder(intent("r2", ETH))])
    await bench.settled()
    assert bench.venue.log == ["preparing r1", "preparing r2"]


async def test_an_order_that_ended_holds_back_nothing_of_its_group(bench: Bench) -> None:
    slow, quick = bench.venue, SlowVenue()
    quick.open.set()

    def submit_all(orders: Sequence[OrderIntent]) -> Sequence[Submission]:
        return [(quick if order.contract == ETH else slow).submit(order) for order in orders]

    bench.venue.submit_all = submit_all  # type: ignore[method-assign]
    bench.executor.carry_out([SubmitOrder(intent("r1")), SubmitOrder(intent("r2", ETH))])
    await until(lambda: "sent r2" in quick.log, "one of two ends")
    bench.executor.carry_out([SubmitOrder(intent("r3", ETH))])
    await until(lambda: "sent r3" in quick.log, "the next of that contract leaves")
    assert slow.log == ["sending r1"]
    slow.open.set()
    await bench.settled()


@pytest.mark.parametrize(
    "error",
    [VenueUnavailable("no answer"), ConnectionResetError(), KeyError("x"), TimeoutError()],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_is_raised_while_sending_makes_the_order_unknown(
    bench: Bench, error: Exception
) -> None:
    bench.venue.fails = error
    bench.venue.open.set()
    bench.send("r1")
    await bench.settled()
    reason = f"{type(error).__name__} while sending"
    assert bench.events.events == [OrderReported(7, "r1", Outcome.UNKNOWN, reason=reason)]
    assert bench.venue.log == ["sending r1"]


async def test_after_a_failed_send_the_next_order_of_the_contract_still_leaves(
    bench: Bench,
) -> None:
    bench.venue.fails = OSError()
    bench.venue.open.set()
    bench.send("r1", "r2")
    await bench.settled()
    assert bench.venue.log == ["sending r1", "sending r2"]


async def test_an_order_for_an_account_without_a_venue_is_unknown(bench: Bench) -> None:
    bench.executor.carry_out([SubmitOrder(intent("r1", account="elsewhere"))])
    await bench.settled()
    assert [event.outcome for event in reports(bench)] == [Outcome.UNKNOWN]


async def test_a_send_that_outlives_the_stop_is_unknown(bench: Bench) -> None:
    bench.send("r1")
    await until(lambda: bench.venue.log, "the order leaves")
    assert await bench.executor.stop(0.01) == 1
    assert [event.outcome for event in reports(bench)] == [Outcome.UNKNOWN]
    assert bench.venue.log == ["sending r1"]


async def test_a_stop_waits_for_what_is_on_its_way(bench: Bench) -> None:
    bench.send("r1")
    await until(lambda: bench.venue.log, "the order leaves")
    stopping = asyncio.create_task(bench.executor.stop(5.0))
    await asyncio.sleep(0.01)
    assert not stopping.done()
    bench.venue.open.set()
    assert await stopping == 0
    assert bench.events.events == []


async def test_a_stop_holds_back_orders_that_come_later(bench: Bench) -> None:
    await bench.executor.stop(0.0)
    bench.send("r1")
    assert not bench.executor.busy
    assert bench.venue.log == []


async def test_a_stop_holds_back_orders_that_still_queue_behind_another(bench: Bench) -> None:
    bench.send("close", "open")
    await until(lambda: bench.venue.log, "the first order leaves")
    stopping = asyncio.create_task(bench.executor.stop(5.0))
    await asyncio.sleep(0)
    bench.venue.open.set()
    assert await stopping == 0
    assert bench.venue.log == ["sending close", "sent close"]
    assert bench.events.events == []


async def test_the_first_question_is_asked_at_once_and_repeats_come_ever_slower(
    bench: Bench, pauses: list[float]
) -> None:
    for _ in range(9):
        bench.executor.carry_out([QueryOrder(intent("r1"))])
        await bench.settled()
    assert pauses == [0.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert bench.venue.log == ["asked r1"] * 9


@pytest.mark.parametrize(
    ("outcome", "pause"),
    [(outcome, 0.0) for outcome in Outcome if outcome in ENDS]
    + [(outcome, 2.0) for outcome in Outcome if outcome not in ENDS],
)
async def test_of_an_order_that_is_over_no_question_is_counted_any_more(
    bench: Bench, pauses: list[float], outcome: Outcome, pause: float
) -> None:
    bench.executor.carry_out([QueryOrder(intent("r1"))])
    await bench.settled()
    bench.executor.heard(OrderReported(0, "r1", outcome))
    bench.executor.carry_out([QueryOrder(intent("r1"))])
    await bench.settled()
    assert pauses == [0.0, pause]


async def test_an_order_unknown_for_days_is_still_asked_for(
    bench: Bench, pauses: list[float]
) -> None:
    for _ in range(1_100):
        bench.executor.carry_out([QueryOrder(intent("r1"))])
        await bench.settled()
    assert len(bench.venue.log) == 1_100


async def test_a_question_without_an_answer_leaves_the_order_unknown(bench: Bench) -> None:
    bench.venue.fails = VenueUnavailable("maintenance")
    bench.executor.carry_out([QueryOrder(intent("r1"))])
    await bench.settled()
    (event,) = reports(bench)
    assert (event.outcome, event.reason) == (
        Outcome.UNKNOWN,
        "VenueUnavailable while asking",
    )


async def test_the_reason_of_an_unknown_order_quotes_nothing_of_the_error(bench: Bench) -> None:
    bench.venue.fails = VenueUnavailable("GET https://venue/?apiKey=abc")
    bench.venue.open.set()
    bench.send("r1")
    await bench.settled()
    (event,) = reports(bench)
    assert "abc" not in event.reason


@pytest.mark.parametrize("severity", list(Severity))
async def test_an_alert_of_any_severity_is_told(bench: Bench, severity: Severity) -> None:
    alert = Alert(1, severity, "price_refused", "BTC", "no good")
    bench.executor.carry_out([alert])
    assert bench.told == [alert]


def reports(bench: Bench) -> list[OrderReported]:
    return [event for event in bench.events.events if isinstance(event, OrderReported)]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let no question wait; return how long each would have."""
    asked: list[float] = []

    async def short(seconds: float, _hurried: asyncio.Event) -> None:
        asked.append(seconds)

    monkeypatch.setattr(module, "nap", short)
    return asked


async def test_who_is_in_a_hurry_is_answered_before_the_pause_is_over(bench: Bench) -> None:
    bench.executor.carry_out([QueryOrder(intent("r1"))])
    await bench.settled()
    bench.executor.carry_out([QueryOrder(intent("r1"))])
    await asyncio.sleep(0.01)
    assert bench.venue.log == ["asked r1"], "the second question waits two seconds"
    bench.executor.hurry()
    await bench.settled()
    assert bench.venue.log == ["asked r1", "asked r1"]
    bench.executor.carry_out([QueryOrder(intent("r1"))])
    await asyncio.sleep(0.01)
    assert len(bench.venue.log) == 2, "an old hurry shortens no new pause"
    await bench.executor.stop(0)


@pytest.mark.parametrize("sends", [True, False])
async def test_an_order_that_is_only_written_down_is_not_said_to_be_sent(
    bench: Bench, *, sends: bool
) -> None:
    structlog.reset_defaults()  # the other tests are quiet
    executor = Executor(
        {"main": bench.venue}, bench.events, VirtualClock(), bench.told.append, sends=sends
    )
    bench.venue.open.set()
    with capture_logs() as logs:
        executor.carry_out([SubmitOrder(intent("r1"))])
        await until(lambda: "sent r1" in bench.venue.log, "it is carried out")
    assert ("order_sent" in [line["event"] for line in logs]) is sends


# -- the two legs of a hedged contract ------------------------------------------------------------


def legs() -> tuple[OrderIntent, OrderIntent]:
    close = replace(
        intent("close"), side=OrderSide.SELL, position_side=PositionSide.LONG, reduce_only=True
    )
    return close, replace(intent("open"), side=OrderSide.SELL, position_side=PositionSide.SHORT)


def fill(trade_id: str, contracts: str, order: str = "close") -> FillReported:
    size, one = Decimal(contracts), Decimal(1)
    return FillReported(
        7,
        Fill(
            trade_id=trade_id,
            client_order_id=order,
            price=one,
            contracts=size,
            fee=Decimal(0),
            at_ms=7,
        ),
    )


async def test_an_open_whose_close_filled_nothing_is_not_sent(bench: Bench) -> None:
    bench.venue.open.set()
    bench.executor.carry_out([SubmitOrder(leg) for leg in legs()])
    await bench.settled()
    assert bench.venue.log == ["sending close", "sent close"]
    (report,) = reports(bench)
    assert (report.client_order_id, report.outcome) == ("open", Outcome.NEVER_SENT)
    assert report.reason == "close, which closes the other book, filled 0"


@pytest.mark.parametrize(
    ("fills", "goes"),
    [
        ([("a", "0.4")], False),
        ([("a", "0.5"), ("a", "0.5")], False),  # one trade, told twice
        ([("a", "0.4"), ("b", "0.6")], True),
    ],
)
async def test_an_open_leaves_once_its_close_has_filled_wholly(
    bench: Bench, fills: list[tuple[str, str]], goes: bool
) -> None:
    bench.executor.carry_out([SubmitOrder(leg) for leg in legs()])
    await until(lambda: bench.venue.log, "the close leaves")
    for trade_id, contracts in fills:
        bench.executor.heard(fill(trade_id, contracts))
    bench.executor.heard(fill("c", "1", order="another"))
    bench.venue.open.set()
    await bench.settled()
    assert ("sending open" in bench.venue.log) is goes


async def test_an_open_is_not_sent_where_its_close_could_not_be_handed_over(bench: Bench) -> None:
    def breaks(orders: Sequence[OrderIntent]) -> Sequence[Submission]:
        raise RuntimeError(f"{len(orders)} orders, and none was sent")

    bench.venue.submit_all = breaks  # type: ignore[method-assign]
    bench.executor.carry_out([SubmitOrder(leg) for leg in legs()])
    await bench.settled()
    assert bench.venue.log == []
    told = [(each.client_order_id, each.outcome) for each in reports(bench)]
    assert told == [("close", Outcome.UNKNOWN), ("open", Outcome.NEVER_SENT)]
