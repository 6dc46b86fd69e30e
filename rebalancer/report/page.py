"""The report as one HTML file that loads nothing: style, charts and tables are in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

from rebalancer.core.instant import duration
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ZERO, total
from rebalancer.report.charts import words
from rebalancer.report.drawing import Chart
from rebalancer.report.figures import FundFigures, Report
from rebalancer.report.risk import Drawdown
from rebalancer.report.tracking import CAUSES
from rebalancer.report.wording import (
    NONE,
    bp,
    clock,
    day_of,
    figure,
    minute,
    money,
    nav,
    percent,
    share,
    table,
    times,
)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

#: what the words of the report mean, for a reader who knows none of them
_WORDS = {
    "Ideal": "the promise: M times the underlying's return of each day, compounded from the first "
    "daily NAV, at no cost. A day goes from one daily NAV to the next.",
    "Formula NAV": "what the published formula says: from the NAV at the last rebalance, moved by "
    "the leverage that it aimed at. It knows no fees, funding or slippage.",
    "Account NAV": "what the fund really holds, divided by its shares.",
    "Tracking difference": "return of the account NAV less the promise. The causes sum to it. "
    "Timing is the rest: rebalances at another hour than the daily NAV, and leverage that drifts "
    "between them.",
    "Tracking error": "standard deviation of the daily differences. A cause's share in it is its "
    "covariance with the whole difference, divided by the error; the shares sum to the error, and "
    "one below zero dampens it.",
    "Slippage": "price of the fills against the mark that sized the order; positive costs.",
    "Turnover": "what was traded, at the prices of the fills, in multiples of the fund's equity.",
    "Closed form": "(M - M^2) / 2 times the realised variance: what volatility takes from a fund "
    "that is reset continuously (Avellaneda and Zhang 2010), as a logarithm.",
}


def page(report: Report, charts: Mapping[str, Sequence[Chart]], overview: Chart | None) -> str:
    """Return the whole file; `charts` by fund."""
    style = files("rebalancer.report").joinpath("page.css").read_text(encoding="utf-8")
    period = f"{day_of(report.begin_ms)} to {day_of(report.end_ms)}"
    names = ", ".join(fund.name for fund in report.funds)
    title = escape(report.title)
    lead = f"{escape(names)}, {period}, all times UTC"
    body = [
        f'<header><h1>{title}</h1><p class="lead">{lead}</p></header>',
        _summary(report.funds),
        figure(overview, "What took from each fund, or brought to it, a year: per cent of NAV"),
        *(_fund(fund, {chart.name: chart for chart in charts[fund.name]}) for fund in report.funds),
        _footer(report),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title>\n<style>{style}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _summary(funds: Sequence[FundFigures]) -> str:
    rows = [
        [
            fund.name,
            f"{fund.fund.target_leverage:+f}x",
            nav(fund.final_nav),
            percent(fund.total_return),
            bp(fund.mean_bp),
            bp(fund.error_bp, sign=""),
            share(fund.outside),
            f"{len(fund.story.runs):,}",
            times(fund.turnover_a_year),
            percent(-fund.drawdowns[0].depth if fund.drawdowns else None),
        ]
        for fund in funds
    ]
    heads = [
        "<Fund",
        "target",
        "NAV",
        "return",
        "tracking<br>bp a day",
        "error<br>bp a day",
        "outside<br>band",
        "rebalances",
        "turnover<br>a year",
        "deepest<br>drawdown",
    ]
    return table(heads, rows)


def _fund(fund: FundFigures, charts: Mapping[str, Chart]) -> str:
    def chart(kind: str, title: str, note: str = "") -> str:
        return figure(charts.get(f"{fund.name}-{kind}"), title, note)

    basket = ", ".join(f"{weight:.0%} {symbol}" for symbol, weight in fund.fund.basket.items())
    what = f"{fund.fund.target_leverage:+f}x {escape(basket)}"
    parts = [
        f'<section class="fund" id="{escape(fund.name)}">',
        f'<div class="head"><h2>{escape(fund.name)}</h2><span class="what">{what}</span></div>',
        _alarm(fund),
        _tiles(fund),
        chart("nav", "NAV against its ideal"),
        chart("tracking", "Tracking difference since the first daily NAV, by cause", _SUMMED),
        _causes(fund),
        chart("leverage", "Effective leverage", _leverage_note(fund)),
        '<div class="two"><div>',
        chart("decay", "Volatility decay against the closed form"),
        _decay(fund),
        "</div><div>",
        chart("drawdown", "Drawdown"),
        _drawdowns(fund.drawdowns),
        "</div></div>",
        _worst_days(fund),
        '<div class="two"><div>',
        chart("turnover", "Turnover by month, in multiples of equity"),
        "</div><div>",
        chart("slippage", "Slippage of each rebalance"),
        "</div></div>",
        _worst_runs(fund),
        _premium(fund, charts),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _alarm(fund: FundFigures) -> str:
    wiped = fund.story.wiped
    if wiped is None:
        return ""
    return (
        f'<p class="alarm">The gap rule ended this fund at {minute(wiped.at_ms)}: '
        f"{escape(wiped.reason)}. Its formula NAV is 0 from then on.</p>"
    )


#: causes that most funds do not have
_RARE = ("management_fee", "basis")
_SUMMED = "Daily differences added up, in per cent of each day's NAV."


def _tiles(fund: FundFigures) -> str:
    told = fund.runs_by_trigger()
    fixed = told.get(str(Trigger.FIXED), 0)
    others = sum(told.values()) - fixed
    deepest = fund.drawdowns[0] if fund.drawdowns else None
    yearly = fund.parts_a_year()
    error = bp(fund.error_bp, sign="")
    tiles = [
        (nav(fund.final_nav), f"NAV, {percent(fund.total_return)} since {day_of(fund.begin_ms)}"),
        (
            bp(fund.mean_bp),
            f"bp a day tracking difference, error {error}",
        ),
        (
            percent(total(yearly.values()) if fund.days else None),
            f"a year against the promise, of which funding {percent(yearly['funding'])}",
        ),
        (
            share(fund.outside),
            "of the time outside the band" if fund.within else "no band is implied by its rules",
        ),
        (
            f"{fixed:,} + {others:,}",
            f"fixed and other rebalances, turnover {times(fund.turnover_a_year)} a year",
        ),
        (
            percent(-deepest.depth if deepest else ZERO),
            f"deepest drawdown, {day_of(deepest.trough_ms)}" if deepest else "no drawdown",
        ),
    ]
    made = "".join(
        f'<div class="tile"><b>{value}</b><span>{escape(meaning)}</span></div>'
        for value, meaning in tiles
    )
    return f'<div class="tiles">{made}</div>'


def _causes(fund: FundFigures) -> str:
    tracking = fund.tracking
    if tracking is None:
        return '<p class="note">Tracking needs at least three daily NAVs.</p>'
    yearly = fund.parts_a_year()
    rows = [
        [
            words(cause),
            bp(tracking.mean_parts_bp[cause]),
            percent(yearly[cause]),
            bp(tracking.error_parts_bp[cause]),
        ]
        for cause in CAUSES
        if cause not in _RARE or any(day.parts[cause] for day in fund.days)
    ]
    rows.append(
        [
            f"all together, {tracking.days:,} days",
            bp(tracking.mean_bp),
            percent(total(yearly.values())),
            bp(tracking.error_bp, sign=""),
        ]
    )
    heads = ["<Cause", "difference, bp a day", "difference a year", "share in the error, bp a day"]
    return table(heads, rows, sum_row=True)


def _leverage_note(fund: FundFigures) -> str:
    band, kept = fund.band, fund.within
    if band is None or kept is None:
        return "The fund's rules imply no band."
    return (
        f"Band {band.lower:.2f}x to {band.upper:.2f}x: {band.source}. Outside it "
        f"{share(kept.outside)} of the time: {share(kept.below)} below, {share(kept.above)} "
        f"above. Lowest {kept.lowest:.2f}x, highest {kept.highest:.2f}x (at the moment that a "
        f"rebalance began, too). Looked at least every {duration(kept.spacing_ms)}."
    )


def _decay(fund: FundFigures) -> str:
    decay = fund.decay
    if decay is None:
        return ""
    rows = [
        [name, f"{line[-1]:+.3f}", f"{line[-1].exp():.3g}"]
        for name, line in (
            ("closed form", decay.closed_form),
            ("ideal", decay.promised),
            ("account NAV", decay.nav),
        )
    ]
    volatility = share(decay.volatility)
    return table(["<At the end", "logarithm", "what is left of 1"], rows) + (
        f'<p class="note">Volatility of the underlying {volatility} a year, of daily returns.</p>'
    )


def _drawdowns(falls: Sequence[Drawdown]) -> str:
    rows = [
        [
            percent(-fall.depth),
            day_of(fall.peak_ms),
            day_of(fall.trough_ms),
            "not yet" if fall.recovered_ms is None else day_of(fall.recovered_ms),
        ]
        for fall in falls
    ]
    return table(["<Depth", "peak", "trough", "recovered"], rows) if rows else ""


def _worst_days(fund: FundFigures) -> str:
    if not fund.worst_days:
        return ""
    rows = []
    for day in fund.worst_days:
        others = [run for run in fund.runs_of(day) if run.trigger is not Trigger.FIXED]
        rows.append(
            [
                minute(day.end_ms),
                percent(day.underlying),
                percent(day.promised),
                percent(day.nav),
                percent(day.difference),
                "; ".join(f"{words(str(run.trigger))} {clock(run.at_ms)}" for run in others)
                or NONE,
            ]
        )
    heads = ["<Day until", "underlying", "promised", "NAV", "difference", "<temporary rebalances"]
    return "<h3>The days on which the underlying moved most</h3>" + table(heads, rows)


def _worst_runs(fund: FundFigures) -> str:
    rows = [
        [
            str(number),
            minute(run.at_ms),
            words(str(run.trigger)),
            f"{times(run.leverage_before)} → {times(run.leverage_after)}",
            money(run.traded),
            money(run.fees),
            money(run.slippage),
            bp(run.slippage_bp_of_traded),
            bp(run.slippage_bp_of_nav),
        ]
        for number, run in enumerate(fund.worst_runs, 1)
    ]
    if not rows:
        return ""
    heads = [
        "<",
        "<Rebalance",
        "<rule",
        "leverage",
        "traded",
        "fees",
        "slippage",
        "bp of traded",
        "bp of NAV",
    ]
    return "<h3>The ten rebalances whose slippage cost holders most</h3>" + table(heads, rows)


def _premium(fund: FundFigures, charts: Mapping[str, Chart]) -> str:
    told = fund.story.premiums
    if not told:
        return '<p class="note">No premium over NAV is recorded for this fund.</p>'
    rows = [
        [
            minute(each.at_ms),
            str(each.stage),
            nav(each.price),
            nav(each.nav),
            percent(each.premium),
        ]
        for each in told[-10:]
    ]
    title = "Premium over NAV at each change of its stage"
    drawn = figure(charts.get(f"{fund.name}-premium"), title)
    return drawn + table(["<At", "<stage", "price", "NAV", "premium"], rows)


def _footer(report: Report) -> str:
    terms = "".join(
        f"<dt>{name}</dt><dd>{escape(meaning)}</dd>" for name, meaning in _WORDS.items()
    )
    sources = "".join(f"<li>{escape(source)}</li>" for source in report.sources)
    return (
        f"<footer><h3>What the words mean</h3><dl>{terms}</dl>"
        f"<h3>Where the figures come from</h3><ul>{sources}"
        f"<li>rebalancer {escape(report.version)}</li></ul></footer>"
    )
