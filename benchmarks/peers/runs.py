"""One peer over prepared bars: `python runs.py PEER BARS.npy FUNDS`; prints one line of JSON.

Runs in the peers' own environment and knows nothing of the desk. The rule is one that all can
follow: once a day to a target, at the close, with a fee. vectorbt cannot hold more than its
capital, so its target is a half.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version

import numpy as np

warnings.filterwarnings("ignore")

FEE = 0.0004
CAPITAL = 10_000.0
#: the bar of a day at whose close everybody rebalances
DUE = 150
DAY = 1_440


def vectorbt(prices: np.ndarray, funds: int) -> tuple[float, float]:
    import pandas as pd  # noqa: PLC0415 - each peer loads its own
    import vectorbt as vbt  # noqa: PLC0415 - as above

    size = np.full((len(prices), funds), np.nan)
    size[0], size[DUE::DAY] = 0.5, 0.5
    close = pd.DataFrame(np.tile(prices[:, None], (1, funds)))

    def run(bars: int) -> tuple[float, float]:
        begun = time.process_time()
        portfolio = vbt.Portfolio.from_orders(
            close.iloc[:bars],
            size=size[:bars],
            size_type="targetpercent",
            fees=FEE,
            init_cash=CAPITAL,
            freq="1min",
        )
        values = portfolio.value()
        return time.process_time() - begun, float(values.iloc[-1, 0])

    run(2 * DAY)  # compiled before it counts
    return run(len(prices))


def bt(prices: np.ndarray, funds: int) -> tuple[float, float]:
    import bt as backtests  # noqa: PLC0415 - each peer loads its own
    import pandas as pd  # noqa: PLC0415 - as above

    index = pd.date_range("2026-01-01", periods=len(prices), freq="1min")
    data = pd.DataFrame({"btc": prices}, index=index)
    due = [index[0], *index[DUE::DAY]]

    def made(name: str) -> object:
        algos = [
            backtests.algos.RunOnDate(*due),
            backtests.algos.WeighSpecified(btc=3.0),
            backtests.algos.Rebalance(),
        ]
        return backtests.Backtest(
            backtests.Strategy(name, algos),
            data,
            initial_capital=CAPITAL,
            commissions=lambda quantity, price: abs(quantity) * price * FEE,
            integer_positions=False,
            progress_bar=False,
        )

    tests = [made(f"fund{number}") for number in range(funds)]
    begun = time.process_time()
    for each in tests:
        each.run()
    return time.process_time() - begun, float(tests[0].strategy.value)


def nautilus(prices: np.ndarray, funds: int) -> tuple[float, float]:
    import pandas as pd  # noqa: PLC0415 - each peer loads its own
    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig  # noqa: PLC0415
    from nautilus_trader.config import LoggingConfig, StrategyConfig  # noqa: PLC0415 - as above
    from nautilus_trader.model.currencies import USDT  # noqa: PLC0415 - as above
    from nautilus_trader.model.data import BarType  # noqa: PLC0415 - as above
    from nautilus_trader.model.enums import AccountType, OmsType, OrderSide  # noqa: PLC0415
    from nautilus_trader.model.identifiers import Venue  # noqa: PLC0415 - as above
    from nautilus_trader.model.objects import Money, Quantity  # noqa: PLC0415 - as above
    from nautilus_trader.persistence.wranglers import BarDataWrangler  # noqa: PLC0415 - as above
    from nautilus_trader.test_kit.providers import TestInstrumentProvider  # noqa: PLC0415
    from nautilus_trader.trading.strategy import Strategy  # noqa: PLC0415 - as above

    instrument = TestInstrumentProvider.btcusdt_perp_binance()
    bars_of = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")

    class Fund(Strategy):
        """Three times its equity, once a day; it keeps its own cash and units."""

        def __init__(self, number: int) -> None:
            super().__init__(StrategyConfig(order_id_tag=f"{number:03}"))
            self.bars, self.cash, self.units, self.price = 0, CAPITAL, 0.0, 0.0

        def on_start(self) -> None:
            self.subscribe_bars(bars_of)

        def on_bar(self, bar: object) -> None:
            if self.bars == 0 or self.bars % DAY == DUE:
                self.rebalance(float(bar.close))
            self.bars += 1

        def rebalance(self, price: float) -> None:
            delta = 3.0 * (self.cash + self.units * price) / price - self.units
            if abs(delta) < 0.001:
                return
            size = Quantity(int(abs(delta) * 1_000) / 1_000, instrument.size_precision)
            side = OrderSide.BUY if delta > 0 else OrderSide.SELL
            self.submit_order(self.order_factory.market(instrument.id, side, size))

        def on_order_filled(self, event: object) -> None:
            units = float(event.last_qty) * (1 if event.order_side == OrderSide.BUY else -1)
            self.units += units
            self.cash -= units * float(event.last_px) + float(event.commission)

    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    venue = Venue("BINANCE")
    engine.add_venue(
        venue=venue,
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=None,
        starting_balances=[Money(5_000_000, USDT)],
    )
    engine.add_instrument(instrument)
    index = pd.date_range("2026-01-01", periods=len(prices), freq="1min", tz="UTC")
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), prices), index=index)
    frame["volume"] = 1e6
    engine.add_data(BarDataWrangler(bars_of, instrument).process(frame))
    strategies = [Fund(number) for number in range(funds)]
    engine.add_strategies(strategies)
    begun = time.process_time()
    engine.run()
    seconds = time.process_time() - begun
    first = strategies[0]
    final = first.cash + first.units * float(prices[-1])
    engine.dispose()
    return seconds, final


PEERS: dict[str, tuple[Callable[[np.ndarray, int], tuple[float, float]], str]] = {
    "vectorbt": (vectorbt, "vectorbt"),
    "nautilus_trader": (nautilus, "nautilus_trader"),
    "bt": (bt, "bt"),
}


def main() -> None:
    name, path, funds = sys.argv[1:]
    run, package = PEERS[name]
    prices = np.load(path)
    seconds, final = run(prices, int(funds))
    told = {"version": version(package), "seconds": seconds, "final": final / CAPITAL * 100}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
