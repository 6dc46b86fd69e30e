"""Metrics in the text format of Prometheus: its names, base units, and floats, which are a view."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from rebalancer import __version__
from rebalancer.api.board import Board
from rebalancer.api.hub import TOO_SLOW
from rebalancer.api.margins import account_footing, footing_of
from rebalancer.api.pictures import Picture
from rebalancer.core.actions import Alert
from rebalancer.core.instant import SECOND_MS
from rebalancer.core.order import Outcome
from rebalancer.core.records import (
    FixedSettled,
    OrderMoved,
    Record,
    RunMoved,
    RunOpened,
    Settlement,
    Traded,
)
from rebalancer.core.run import ENDED, RunPlan, RunStatus
from rebalancer.ports import Clock

SLIPPAGE_BUCKETS = (0.0, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)


Count = tuple[str, str, Callable[[], int]]
"""A gauge of the desk: its name, what it says, and the number now."""


class Metrics:
    """Counts what is committed and shows what is published."""

    def __init__(
        self,
        board: Board,
        clock: Clock,
        mode: str,
        ready: Callable[[], bool],
        counts: Sequence[Count] = (),
    ) -> None:
        """Show the board, and what `counts` tell of the rest of the desk."""
        self.registry = CollectorRegistry()
        self.registry.register(_Funds(board, clock, mode, ready))
        self.registry.register(_Counts(counts))
        self._plans: dict[str, RunPlan] = {}
        self._runs = self._counter(
            "rebalancer_rebalances", "Runs that ended.", "fund", "trigger", "result"
        )
        self._fixed = self._counter(
            "rebalancer_fixed_instants", "Fixed instants that were settled.", "fund", "result"
        )
        self._orders = self._counter(
            "rebalancer_order_reports", "Evidence about orders, by what it said.", "outcome"
        )
        self._traded = self._counter(
            "rebalancer_traded_quote", "Notional traded at the venue.", "account"
        )
        self._fees = self._counter("rebalancer_fees_quote", "Trading fees paid.", "account")
        self._alerts = self._counter("rebalancer_alerts", "Alerts raised.", "name", "severity")
        self._records = self._counter("rebalancer_records", "Records committed.")
        self._slippage = Histogram(
            "rebalancer_trade_slippage_ratio",
            "Slippage of a trade against the mark that sized it, over its notional.",
            ("account",),
            buckets=SLIPPAGE_BUCKETS,
            registry=self.registry,
        )
        #: readers of the streams that were let go
        self.dropped = self._counter(
            "rebalancer_stream_readers_dropped", "Stream readers let go, by reason.", "reason"
        )

    def publish(self, records: Sequence[Record]) -> None:
        """Count committed records."""
        self._records.inc(len(records))
        for record in records:
            if isinstance(record, RunOpened):
                self._plans[record.plan.run_id] = record.plan
            elif isinstance(record, RunMoved):
                self._run_moved(record)
            elif isinstance(record, FixedSettled):
                self._fixed.labels(record.fund, str(record.settlement)).inc()
            elif isinstance(record, OrderMoved):
                self._orders.labels(str(record.outcome)).inc()
            elif isinstance(record, Traded):
                self._trade(record)

    def take(self, alert: Alert) -> None:
        """Count an alert."""
        self._alerts.labels(alert.name, str(alert.severity)).inc()

    def text(self) -> bytes:
        """Return everything in the text format."""
        return generate_latest(self.registry)

    def expect(self, names: Sequence[str]) -> None:
        """Begin the counters that alerts look at with zero: what never happened is known, too.

        One that is first seen after it counted does not increase for Prometheus.
        """
        for outcome in Outcome:
            self._orders.labels(str(outcome))
        self.dropped.labels(TOO_SLOW)
        for name in names:
            for settlement in Settlement:
                self._fixed.labels(name, str(settlement))

    def _run_moved(self, record: RunMoved) -> None:
        if record.status in ENDED or record.status is RunStatus.INCOMPLETE:
            plan = self._plans.get(record.run_id)
            trigger = "unknown" if plan is None else str(plan.trigger)
            self._runs.labels(record.fund, trigger, str(record.status)).inc()
        if record.status in ENDED:
            self._plans.pop(record.run_id, None)

    def _trade(self, record: Traded) -> None:
        notional = abs(record.units) * record.fill.price
        self._traded.labels(record.account).inc(float(notional))
        if record.fill.fee > 0:  # a rebate is no fee, and a counter only grows
            self._fees.labels(record.account).inc(float(record.fill.fee))
        if notional:
            slippage = sum(record.slippage.values(), Decimal(0)) / notional
            self._slippage.labels(record.account).observe(float(slippage))

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(name, words, labels, registry=self.registry)


class _Funds(Collector):
    """What the board shows, read when it is asked for."""

    def __init__(self, board: Board, clock: Clock, mode: str, ready: Callable[[], bool]) -> None:
        self._board = board
        self._clock = clock
        self._mode = mode
        self._ready = ready

    def collect(self) -> Iterator[Metric]:
        """Yield every gauge."""
        about = {"version": __version__, "mode": self._mode}
        yield InfoMetricFamily("rebalancer_build", "What runs.", value=about)
        yield GaugeMetricFamily(
            "rebalancer_ready", "Whether prices are taken and decided on.", value=self._ready()
        )
        yield GaugeMetricFamily(
            "rebalancer_clock_timestamp_seconds",
            "The desk's time, which ages are counted from.",
            value=self._clock.now_ms() / SECOND_MS,
        )
        yield CounterMetricFamily(
            "rebalancer_publications",
            "Publications of every NAV since the start.",
            value=self._board.publications,
        )
        pictures = self._board.in_order()
        yield from _leverage_and_margin(pictures)
        for name, words, read in _GAUGES:
            family = GaugeMetricFamily(name, words, labels=("fund",))
            for picture in pictures:
                value = read(picture)
                if value is not None:
                    family.add_metric((picture.name,), float(value))
            yield family
        states = GaugeMetricFamily(
            "rebalancer_fund_state", "1 for the state the fund is in.", labels=("fund", "state")
        )
        for picture in pictures:
            states.add_metric((picture.name, picture.view.trading), 1.0)
        yield states


class _Counts(Collector):
    """Numbers of the desk, read when they are asked for."""

    def __init__(self, counts: Sequence[Count]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """Yield every gauge."""
        for name, words, read in self._counts:
            yield GaugeMetricFamily(name, words, value=read())


def _leverage_and_margin(pictures: Sequence[Picture]) -> Iterator[Metric]:
    band = GaugeMetricFamily(
        "rebalancer_fund_leverage_band_ratio", "Edge of the band.", labels=("fund", "edge")
    )
    ratio = GaugeMetricFamily(
        "rebalancer_fund_margin_ratio", "Maintenance margin over equity.", labels=("fund",)
    )
    ways = {
        label: GaugeMetricFamily(
            f"rebalancer_{label}_liquidation_distance_ratio",
            "How far all prices may move until equity is the maintenance margin.",
            labels=(label,),
        )
        for label in ("fund", "account")
    }
    accounts: dict[str, list[Picture]] = {}
    for picture in pictures:
        edges, footing = picture.fund.methodology.leverage_band, footing_of(picture)
        if edges is not None:
            listed = picture.worth.listed if picture.worth else 1
            band.add_metric((picture.name, "lower"), float(edges.lower * listed))
            band.add_metric((picture.name, "upper"), float(edges.upper * listed))
        if picture.fund.account:
            accounts.setdefault(picture.fund.account, []).append(picture)
        if footing is not None and footing.equity > 0:
            ratio.add_metric((picture.name,), float(footing.margin / footing.equity))
        if footing is not None and footing.distance is not None:
            ways["fund"].add_metric((picture.name,), float(abs(footing.distance)))
    for name, sharing in accounts.items():
        shared = account_footing(sharing)
        if shared is not None and shared.distance is not None:
            ways["account"].add_metric((name,), float(abs(shared.distance)))
    yield from (band, ratio, *ways.values())


Read = Callable[[Picture], Decimal | float | int | None]


def _seconds(at_ms: int | None) -> float | None:
    return None if at_ms is None else at_ms / SECOND_MS


_GAUGES: Sequence[tuple[str, str, Read]] = (
    ("rebalancer_fund_nav_quote", "Account NAV per share.", lambda p: p.view.nav),
    ("rebalancer_fund_formula_nav_quote", "Formula NAV per share.", lambda p: p.view.formula_nav),
    ("rebalancer_fund_leverage_ratio", "Signed leverage.", lambda p: p.view.leverage),
    ("rebalancer_fund_target_leverage_ratio", "Signed target.", lambda p: p.view.target_leverage),
    ("rebalancer_fund_premium_ratio", "Token price / account NAV - 1.", lambda p: p.view.premium),
    ("rebalancer_fund_equity_quote", "Equity.", lambda p: p.view.equity),
    ("rebalancer_fund_shares", "Shares outstanding.", lambda p: p.view.shares),
    (
        "rebalancer_fund_tracking_ratio",
        "Account NAV over formula NAV, less one.",
        lambda p: (
            p.view.nav / p.view.formula_nav - 1
            if p.view.nav is not None and p.view.formula_nav
            else None
        ),
    ),
    (
        "rebalancer_fund_price_timestamp_seconds",
        "Time of the oldest price in the NAV.",
        lambda p: _seconds(p.view.price_at_ms),
    ),
    ("rebalancer_fund_stale", "Whether that price is too old.", lambda p: int(p.view.stale)),
    ("rebalancer_fund_rebalancing", "Whether a run is under way.", lambda p: int(bool(p.view.run))),
    (
        "rebalancer_fund_last_rebalance_timestamp_seconds",
        "Time of the last rebalancing point.",
        lambda p: _seconds(p.point.at_ms) if p.point else None,
    ),
    (
        "rebalancer_fund_next_rebalance_timestamp_seconds",
        "The next fixed time.",
        lambda p: _seconds(p.view.next_fixed_ms),
    ),
    ("rebalancer_fund_fees_quote", "Trading fees so far.", lambda p: p.costs.fees),
    ("rebalancer_fund_slippage_quote", "Slippage so far.", lambda p: p.costs.slippage),
    (
        "rebalancer_fund_funding_quote",
        "Funding paid so far, less received.",
        lambda p: p.costs.funding,
    ),
)
