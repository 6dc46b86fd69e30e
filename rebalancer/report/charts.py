"""The charts of one fund, each a function of its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import accumulate

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ZERO
from rebalancer.report.drawing import (
    AMBER,
    CAUSE_COLOURS,
    HALF,
    INK,
    MUTED,
    NAVY,
    RED,
    SLATE,
    TEAL,
    WIDE,
    Chart,
    canvas,
    dates,
    instants,
    style,
    thinned,
)
from rebalancer.report.figures import FundFigures, months_of
from rebalancer.report.risk import underwater
from rebalancer.report.tracking import CAUSES, compounded

#: a NAV that moved by more than this is drawn on a logarithmic scale
_LOG_FROM = 6
#: by more than this, only powers of ten are written at it
_FEW_TICKS_FROM = 200
#: a cause below this part of the tallest is left out of the picture, not of the tables
_SEEN = 0.004
#: leverage beyond so many times the target is cut off
_LEVERAGE_SHOWN = 5

Draw = Callable[[FundFigures], Chart | None]


def charts_of(figures: FundFigures) -> list[Chart]:
    """Return every chart that the figures are enough for, in the order of the report."""
    made = (draw(figures) for draw in _DRAWN)
    return [chart for chart in made if chart is not None]


def nav(figures: FundFigures) -> Chart:
    """Draw the account NAV, the formula NAV and the promise compounded day by day."""
    figure, axes = canvas(WIDE)
    samples = figures.story.samples
    with style():
        formula = [each for each in samples if each.formula_nav is not None]
        axes.plot(
            *thinned([each.at_ms for each in formula], [each.formula_nav for each in formula]),
            color=SLATE,
            linewidth=1.0,
            label="formula NAV",
        )
        if figures.days:
            first = figures.story.strikes[0]
            at_ms = [first.at_ms, *(day.end_ms for day in figures.days)]
            ideal = compounded([day.promised for day in figures.days], first.nav)
            label = f"ideal: {_multiple(figures)} x each day's return"
            axes.plot(*thinned(at_ms, ideal), color=AMBER, linewidth=1.2, label=label)
        axes.plot(
            *thinned([each.at_ms for each in samples], [each.nav for each in samples]),
            color=NAVY,
            linewidth=1.6,
            label="account NAV",
        )
        _mark_runs(axes, figures)
        _scale(axes, [each.nav for each in samples])
        axes.legend(loc="upper left", ncols=4, bbox_to_anchor=(0, 1.14), borderaxespad=0)
        dates(axes)
    return Chart(f"{figures.name}-nav", figure, f"NAV of {figures.name} against its ideal")


def _mark_runs(axes: Axes, figures: FundFigures) -> None:
    """Mark the runs that no clock asked for, on the time axis."""
    usual = (Trigger.FIXED, Trigger.FLOW)
    at = instants(run.at_ms for run in figures.story.runs if run.trigger not in usual)
    if at:
        axes.plot(
            at,
            [0.015] * len(at),
            marker="^",
            linestyle="none",
            color=RED,
            markersize=5,
            transform=axes.get_xaxis_transform(),
            label="temporary rebalance",
        )


def tracking(figures: FundFigures) -> Chart | None:
    """Draw the tracking difference since the first daily NAV, by cause."""
    days = figures.days
    if figures.tracking is None:
        return None
    figure, axes = canvas(WIDE)
    at_ms = [day.end_ms for day in days]
    lines = {cause: list(accumulate(day.parts[cause] * 100 for day in days)) for cause in CAUSES}
    whole = list(accumulate(day.difference * 100 for day in days))
    tallest = max(abs(value) for line in (*lines.values(), whole) for value in line)
    with style():
        axes.axhline(0, color=MUTED, linewidth=0.8)
        for cause, line in lines.items():
            if float(max(abs(value) for value in line)) > _SEEN * float(tallest):
                axes.plot(*thinned(at_ms, line), color=CAUSE_COLOURS[cause], label=words(cause))
        axes.plot(*thinned(at_ms, whole), color=INK, linewidth=2.0, label="all together")
        _percent(axes, signed=True)
        axes.legend(loc="upper left", ncols=8, bbox_to_anchor=(0, 1.14), borderaxespad=0)
        dates(axes)
    return Chart(
        f"{figures.name}-tracking",
        figure,
        f"Tracking difference of {figures.name} by cause, summed",
    )


def leverage(figures: FundFigures) -> Chart:
    """Draw effective leverage with its band and target."""
    figure, axes = canvas(WIDE)
    samples = [each for each in figures.story.samples if each.leverage is not None]
    sizes = [None if each.leverage is None else abs(each.leverage) for each in samples]
    target, band = float(abs(figures.fund.target_leverage)), figures.band
    with style():
        if band is not None:
            edges = float(band.lower), float(band.upper)
            axes.axhspan(*edges, color=TEAL, alpha=0.10, linewidth=0)
            for edge in edges:
                axes.axhline(edge, color=TEAL, linewidth=0.8, alpha=0.7)
                axes.annotate(
                    f"{edge:.2f}x",
                    (1.0, edge),
                    xycoords=axes.get_yaxis_transform(),
                    xytext=(4, 0),
                    textcoords="offset points",
                    color=TEAL,
                    fontsize=8,
                    va="center",
                )
        axes.axhline(target, color=AMBER, linewidth=1.1)
        axes.plot(*thinned([each.at_ms for each in samples], sizes), color=NAVY, linewidth=0.9)
        highest = max((float(size) for size in sizes if size is not None), default=0.0)
        _cut(axes, highest, _LEVERAGE_SHOWN * target)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
        dates(axes)
    return Chart(f"{figures.name}-leverage", figure, f"Effective leverage of {figures.name}")


def _cut(axes: Axes, highest: float, top: float) -> None:
    """End the scale at `top` where a fund near its end would flatten all the rest, and say so."""
    if highest > top:
        axes.set_ylim(0, top)
        axes.annotate(f"up to {highest:,.0f}x", (0.01, 0.93), xycoords="axes fraction", color=RED)


def turnover(figures: FundFigures) -> Chart | None:
    """Draw what was traded each month, in multiples of equity."""
    months = months_of(figures.days, figures.story.runs)
    if len(months) < 2:
        return None
    figure, axes = canvas(HALF)
    with style():
        axes.bar(list(months), [float(each) for each in months.values()], color=NAVY, width=0.72)
        step = -(-len(months) // 6)
        axes.set_xticks(range(0, len(months), step), list(months)[::step])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
        axes.margins(x=0.02)
    return Chart(f"{figures.name}-turnover", figure, f"Turnover of {figures.name} by month")


def slippage(figures: FundFigures) -> Chart | None:
    """Draw the slippage of each rebalance; the ten worst are numbered."""
    runs = [run for run in figures.story.runs if run.traded and run.slippage_bp_of_nav is not None]
    if not runs:
        return None
    figure, axes = canvas(HALF)
    with style():
        for label, colour, chosen in (
            ("fixed", SLATE, [run for run in runs if run.trigger is Trigger.FIXED]),
            ("others", RED, [run for run in runs if run.trigger is not Trigger.FIXED]),
        ):
            axes.plot(
                instants(run.at_ms for run in chosen),
                [float(run.slippage_bp_of_nav or ZERO) for run in chosen],
                marker="o",
                linestyle="none",
                markersize=3.2,
                markeredgewidth=0,
                alpha=0.75,
                color=colour,
                label=label,
            )
        for number, run in enumerate(figures.worst_runs, 1):
            axes.annotate(
                str(number),
                (instants([run.at_ms])[0], float(run.slippage_bp_of_nav or ZERO)),
                xytext=(4, 1),
                textcoords="offset points",
                fontsize=7,
                color=MUTED,
            )
        axes.set_ylabel("bp of NAV")
        axes.legend(loc="upper left", ncols=2, bbox_to_anchor=(0, 1.15), borderaxespad=0)
        dates(axes)
    return Chart(
        f"{figures.name}-slippage", figure, f"Slippage of each rebalance of {figures.name}"
    )


def decay(figures: FundFigures) -> Chart | None:
    """Draw what volatility took, against the closed form."""
    found = figures.decay
    if found is None:
        return None
    figure, axes = canvas(HALF)
    with style():
        axes.axhline(0, color=MUTED, linewidth=0.8)
        for label, line, colour, width in (
            ("closed form", found.closed_form, TEAL, 1.6),
            ("ideal", found.promised, AMBER, 1.3),
            ("account NAV", found.nav, NAVY, 1.5),
        ):
            axes.plot(*thinned(found.at_ms, line), color=colour, linewidth=width, label=label)
        axes.set_ylabel("ln (NAV / underlying^M)")
        axes.legend(loc="upper left", ncols=3, bbox_to_anchor=(0, 1.15), borderaxespad=0)
        dates(axes)
    return Chart(f"{figures.name}-decay", figure, f"Volatility decay of {figures.name}")


def drawdown(figures: FundFigures) -> Chart:
    """Draw how far the NAV is under its highest so far."""
    figure, axes = canvas(HALF)
    samples = figures.story.samples
    under = [each * 100 for each in underwater(samples)]
    with style():
        times, values = thinned([each.at_ms for each in samples], under)
        axes.fill_between(times, values, 0, color=RED, alpha=0.16, linewidth=0)
        axes.plot(times, values, color=RED, linewidth=1.0)
        _percent(axes)
        dates(axes)
    return Chart(f"{figures.name}-drawdown", figure, f"Drawdown of {figures.name}")


def premium(figures: FundFigures) -> Chart | None:
    """Draw the premium at each change of its stage."""
    told = figures.story.premiums
    if not told:
        return None
    figure, axes = canvas(HALF)
    with style():
        axes.axhline(0, color=MUTED, linewidth=0.8)
        at = instants(each.at_ms for each in told)
        sizes = [float(each.premium * 100) for each in told]
        axes.plot(at, sizes, marker="o", drawstyle="steps-post", color=NAVY)
        _percent(axes, signed=True)
        dates(axes)
    return Chart(f"{figures.name}-premium", figure, f"Premium of {figures.name} over its NAV")


def causes(funds: Sequence[FundFigures]) -> Chart | None:
    """Draw what each cause took or brought a year, fund by fund."""
    told = [fund for fund in funds if fund.tracking is not None]
    if not told:
        return None
    figure, axes = canvas((WIDE[0], 0.9 + 0.42 * len(told)))
    parts = [fund.parts_a_year() for fund in told]
    tallest = max(abs(part) for each in parts for part in each.values())
    with style():
        ahead, behind = [0.0] * len(told), [0.0] * len(told)
        for cause in CAUSES:
            sizes = [float(each[cause] * 100) for each in parts]
            begins = [
                ahead[place] if size >= 0 else behind[place] for place, size in enumerate(sizes)
            ]
            for place, size in enumerate(sizes):
                (ahead if size >= 0 else behind)[place] += size
            if max(map(abs, sizes)) > _SEEN * float(tallest) * 100:
                axes.barh(
                    range(len(told)),
                    sizes,
                    left=begins,
                    height=0.62,
                    color=CAUSE_COLOURS[cause],
                    label=words(cause),
                )
        axes.axvline(0, color=INK, linewidth=0.9)
        axes.set_yticks(range(len(told)), [fund.name for fund in told])
        axes.invert_yaxis()
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_formatter(FuncFormatter(_signed))
        axes.legend(loc="lower left", ncols=8, bbox_to_anchor=(0, 1.0), borderaxespad=0.3)
    return Chart("all-causes", figure, "What each cause took from or brought to each fund a year")


def words(cause: str) -> str:
    """Return a cause as people read it."""
    return cause.replace("_", " ")


def _multiple(figures: FundFigures) -> str:
    return f"{figures.fund.target_leverage:+f}"


def _percent(axes: Axes, *, signed: bool = False) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(_signed if signed else _unsigned))


def _signed(value: float, _place: object) -> str:
    return f"{value:+g} %" if value else "0 %"


def _unsigned(value: float, _place: object) -> str:
    return f"{value:g} %"


def _scale(axes: Axes, navs: Sequence[Decimal]) -> None:
    """Use a logarithmic scale where the NAV moved far and never came to nothing."""
    lowest, highest = min(navs), max(navs)
    if lowest > 0 and highest / lowest > _LOG_FROM:
        axes.set_yscale("log")
        wide = highest / lowest > _FEW_TICKS_FROM
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


_DRAWN: tuple[Draw, ...] = (
    nav,
    tracking,
    leverage,
    turnover,
    slippage,
    decay,
    drawdown,
    premium,
)
