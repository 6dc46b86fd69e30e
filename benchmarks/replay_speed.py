"""History, side by side: sketch, columns and engine against what a user would run instead.

All figures are processor seconds of one process, each in turn, round by round: on a machine that
others use too they say more than the wall's. A peer that takes minutes gets fewer bars or funds;
all are compared per bar and fund. Peers get their prices as arrays, we ours as a tape (its making
is told beside). The peers rebalance once a day and pay a fee; ours have all they have on a desk.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account, Fund
from rebalancer.core.instant import DAY_MS, HOUR_MS, MINUTE_MS, parse
from rebalancer.core.methodology import Emergency, Fixed, Methodology, PriceMove, Ratio
from rebalancer.core.state import Desk
from rebalancer.fast.backtest import fast_backtest
from rebalancer.fast.sketch import sketch
from rebalancer.fast.tape import Tapes
from rebalancer.feeds.candles import FundingPoint, History, PricePoint
from rebalancer.sim.backtest import backtest
from rebalancer.venues.paper import PaperCosts
from tests.loopback.sdk.environment import NotToBeHad, python

FOLDER = Path(__file__).parent / "peers"
BTC = "BTC/USDT:USDT"
YEAR_BARS, FUNDS, ROUNDS = 525_600, 100, 3
#: how long the peers' environment may take to be made, the first time
BUILD_SECONDS = 1_800
START_MS = parse("2026-01-01T00:00:00Z")
FULL_COSTS = PaperCosts(fee_bps=Decimal(4), slippage_bps=Decimal(1))
FEE_ONLY = PaperCosts(fee_bps=Decimal(4))
#: name, bars and funds of each peer, and the figure to reach
PEERS = (
    ("vectorbt", YEAR_BARS, 20, 20),
    ("nautilus_trader", 20_000, 100, 40),
    ("bt", 20_000, 2, 1_000),
)


def history_of(prices: np.ndarray) -> History:
    """Return prices of one decimal, a minute apart, with funding every eight hours."""
    points = [
        PricePoint(START_MS + bar * MINUTE_MS, Decimal(f"{price:.1f}"))
        for bar, price in enumerate(prices)
    ]
    rates = np.random.default_rng(1).normal(0.0001, 0.0002, len(prices) // 480 + 1)
    funding = [
        FundingPoint(START_MS + place * 8 * HOUR_MS, Decimal(f"{rate:.8f}"))
        for place, rate in enumerate(rates)
    ]
    return History.observed(BTC, points, funding)


def fund(number: int, target: Decimal, rules: Methodology) -> Fund:
    """Return one fund of the account; no two have the same size."""
    return Fund(
        name=f"F{number:04}",
        account="main",
        target_leverage=target,
        basket={BTC: Decimal(1)},
        initial_shares=Decimal(1_000 + number),
        methodology=rules,
    )


def full(target: Decimal) -> Methodology:
    """Return the rules of a fund that names none: daily, threshold on the losing side, backstop."""
    return Methodology(
        fixed=Fixed(),
        price_move=PriceMove(threshold=PriceMove.default_threshold(target)),
        emergency=Emergency(level=Ratio(numerator=abs(target) * Decimal("2.5"))),
    )


def desk_of(count: int, lot: str = "0.001") -> Desk:
    """Return so many funds of six leverages on one account, netted."""
    targets = [Decimal(each) for each in (3, -3, 2, -2, 5, -1)]
    funds = [fund(n, targets[n % 6], full(targets[n % 6])) for n in range(count)]
    return _desk(funds, Contract(BTC, lot=Decimal(lot), min_notional=Decimal(5)))


def daily(target: str) -> Desk:
    """Return one fund that does what the peers do."""
    return _desk([fund(0, Decimal(target), Methodology(fixed=Fixed()))], Contract(BTC))


def _desk(funds: list[Fund], contract: Contract) -> Desk:
    accounts = {"main": Account(name="main")}
    return Desk({each.name: each for each in funds}, accounts, {BTC: contract})


def timed(work: Callable[[], object]) -> float:
    """Return the processor seconds of this process for `work`."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def peer(interpreter: Path, name: str, bars: Path, funds: int) -> tuple[str, float, float]:
    """Run one peer in its environment; return its version, seconds and final value from 100."""
    command = [str(interpreter), str(FOLDER / "runs.py"), name, str(bars), str(funds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    told = json.loads(done.stdout.splitlines()[-1])
    return told["version"], told["seconds"], told["final"]


def run() -> None:
    walk = np.cumsum(np.random.default_rng(7).normal(0, 0.0007, YEAR_BARS))
    prices = np.round(3_000 * np.exp(walk), 1)
    year = history_of(prices)
    ours = _ours(year)
    with TemporaryDirectory() as folder:
        try:
            interpreter = python(FOLDER / "requirements.lock", BUILD_SECONDS)
            _against_peers(interpreter, Path(folder), prices, ours)
            _engine_pair(interpreter, Path(folder), prices)
        except NotToBeHad as reason:
            print(f"peers are not to be had here: {reason}")
    _growth(year)


def _ours(year: History) -> float:
    """Time the three ways over a year; return the sketch's seconds per bar and fund."""
    known, costs = desk_of(FUNDS), {"main": FULL_COSTS}
    making = [timed(lambda: Tapes({BTC: year}).of(BTC, charged=True)) for _ in range(ROUNDS)]
    tapes = Tapes({BTC: year})
    one = {name: each for name, each in known.funds.items() if name == "F0000"}
    alone = replace(known, funds=one)
    sketch(alone, tapes, costs)  # compiled before it counts
    drawn = [timed(lambda: sketch(known, tapes, costs, navs=True)) for _ in range(ROUNDS)]
    exact = timed(lambda: fast_backtest(known, tapes, costs))
    single = timed(lambda: fast_backtest(alone, tapes, costs))
    engine = timed(lambda: backtest(alone, {BTC: year}, costs))
    bars_funds = YEAR_BARS * FUNDS
    print(f"a year of minutes, {FUNDS} funds on one account, full rules and costs, cpu seconds:")
    print(f"  tape of the prices           {statistics.median(making):8.2f}")
    print(f"  sketch, NAV at every bar     {statistics.median(drawn):8.2f}  {drawn}")
    print(f"  exact columns                {exact:8.2f}")
    print(f"one fund: exact columns {single:.3f}, engine {engine:.2f}: {engine / single:.0f} x")
    return statistics.median(drawn) / bars_funds


def _against_peers(interpreter: Path, folder: Path, prices: np.ndarray, ours: float) -> None:
    for name, bars, funds, goal in PEERS:
        path = folder / f"{bars}.npy"
        np.save(path, prices[:bars])
        found = [peer(interpreter, name, path, funds) for _ in range(ROUNDS)]
        version, seconds, final = sorted(found, key=lambda each: each[1])[ROUNDS // 2]
        ratio = seconds / (bars * funds) / ours
        spread = ", ".join(f"{each[1] / (bars * funds) / ours:.0f}" for each in found)
        target = "0.5" if name == "vectorbt" else "3"
        nav = _daily_nav(prices[:bars], target)
        print(
            f"{name} {version}: {bars} bars x {funds} funds in {seconds:.2f} s: the sketch is "
            f"{ratio:.0f} x faster ({spread}), goal {goal} x; its final value {final:.4f}, "
            f"ours {nav:.4f}"
        )


def _engine_pair(interpreter: Path, folder: Path, prices: np.ndarray) -> None:
    """Time the engine with all it keeps and nautilus_trader's, one daily fund over the year."""
    path = folder / "one.npy"
    np.save(path, prices)
    history = replace(history_of(prices), funding=())
    known, costs = daily("3"), {"main": FEE_ONLY}
    pairs = []
    for _ in range(ROUNDS):
        version, theirs, final = peer(interpreter, "nautilus_trader", path, 1)
        pairs.append((theirs, timed(lambda: backtest(known, {BTC: history}, costs))))
    ratios = [theirs / ours for theirs, ours in pairs]
    told = ", ".join(f"{theirs:.2f} and {ours:.2f}" for theirs, ours in pairs)
    print(
        f"one fund, {len(prices)} bars: nautilus_trader {version} takes {_listed(ratios)} x as "
        f"long as the engine (goal: over 1 x; cpu seconds {told}); its final value {final:.4f}, "
        f"ours {_daily_nav(prices, '3'):.4f}"
    )


def _daily_nav(prices: np.ndarray, target: str) -> float:
    """Return our final NAV for the peers' rule, less their fee for the first exposure."""
    tapes = Tapes({BTC: replace(history_of(prices), funding=())})
    known = daily(target)
    worth = fast_backtest(known, tapes, {"main": FEE_ONLY}).funds["F0000"].worth
    first = 1 - float(target) * float(FEE_ONLY.fee_bps) / 10_000
    return float(worth.nav) * first if worth else float("nan")


def _growth(year: History) -> None:
    """Replay ten days by the engine with more and more funds that wait, and that act."""
    bars = 10 * DAY_MS // MINUTE_MS
    part = replace(year, times_ms=year.times_ms[:bars], closes=year.closes[:bars], funding=())
    print(f"engine, {bars} bars, cpu seconds: funds that wait for a price; daily funds and runs")
    for count in (1, 10, 100, 1_000):
        daily_funds = desk_of(count)
        waiting = {
            name: replace(each, methodology=replace(each.methodology, fixed=None))
            for name, each in daily_funds.funds.items()
        }
        quiet, few = _replayed(replace(daily_funds, funds=waiting), part)
        busy, runs = _replayed(daily_funds, part)
        print(f"  {count:5} funds: {quiet:7.2f} with {few} runs; {busy:7.2f} with {runs} runs")


def _replayed(known: Desk, history: History) -> tuple[float, int]:
    begun = time.process_time()
    result = backtest(known, {BTC: history}, {"main": FULL_COSTS})
    seconds = time.process_time() - begun
    return seconds, sum(len(each.rebalances) for each in result.funds.values())


def _listed(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({', '.join(f'{each:.2f}' for each in ratios)})"
