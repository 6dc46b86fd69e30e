"""When: evaluates one fund, records its verdict, and opens or ends its runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial

from rebalancer.core import rules
from rebalancer.core.actions import Severity
from rebalancer.core.attribution import beyond
from rebalancer.core.charging import charge_fees
from rebalancer.core.consolidating import follow_consolidation
from rebalancer.core.delisting import followed, what_frees
from rebalancer.core.flow import Flow
from rebalancer.core.flowing import deal_flows, dealt_in, once_settled, open_flow_run
from rebalancer.core.giving_way import waits_for
from rebalancer.core.instant import DAY_MS, iso
from rebalancer.core.launching import launch
from rebalancer.core.methodology import STRICTNESS, TO_TARGET, Goal, Trigger
from rebalancer.core.nav import Valuation
from rebalancer.core.opening import (
    NOTHING_DUE,
    RUN_WAITS,
    aim_of_run,
    open_run,
    resume,
    say_none,
    tradeable,
    wipe,
)
from rebalancer.core.records import (
    BreachLapsed,
    BreachSeen,
    FixedSettled,
    NavStruck,
    Settlement,
    TradingState,
)
from rebalancer.core.reloading import adopt_at_point, adopt_idle
from rebalancer.core.rules import flow, leverage_band
from rebalancer.core.rules.destination import aim_of, strictest
from rebalancer.core.rules.fixed import FIXED_LATE_MS, missed_instants
from rebalancer.core.rules.price_move import winner_drifts
from rebalancer.core.rules.view import FundView, Signal
from rebalancer.core.run import RunStatus
from rebalancer.core.sources import follow_source
from rebalancer.core.state import FundState
from rebalancer.core.stranded import NOTHING_LISTED, end_stranded_run
from rebalancer.core.trust import price_not_good, settled
from rebalancer.core.work import Work


def decide(work: Work, fund: FundState) -> None:
    """Evaluate `fund` now. Opens a run, resumes one, or records why there is none."""
    work.touch(fund)
    adopt_idle(work, fund)
    fund.restless = False
    follow_source(work, fund)
    if fund.launched_ms is None:
        launch(work, fund)
        return
    if fund.run is not None and fund.run.status is RunStatus.WORKING:
        work.plan_books_of(fund)
    worth = work.worth(fund)
    if worth is None:
        fund.restless = True
        unknown = "no price is known yet for every contract"
        say_none(work, fund, what_frees(work.state, fund) or unknown)
        _warn_of_lateness(work, fund)
        return
    end_stranded_run(work, fund)
    strike(work, fund, worth)
    if fund.trading is not TradingState.WIPED:
        worth = charge_fees(work, fund, worth)
        worth = follow_consolidation(work, fund, worth)
        _warn_of_gap(work, fund, worth)
    permission = work.state.permission(fund)
    if permission.halted:
        say_none(work, fund, permission.text)
    elif fund.trading is TradingState.WIPED:
        if not resume(work, fund) and not _flatten_rest(work, fund, worth):
            say_none(work, fund, "the gap rule ended this fund")
    else:
        settle_missed(work, fund)
        _follow_rules(work, fund, worth)
        _warn_of_lateness(work, fund)


def _flatten_rest(work: Work, fund: FundState, worth: Valuation) -> bool:
    """Open the flattening of a wiped fund again where something ended it early; say whether."""
    signal = Signal(trigger=Trigger.GAP, reason="what the gap rule left is still to be sold")
    if fund.run is not None or not fund.holding.units:
        return False
    if not tradeable(work, fund, worth, aim_of_run(work, fund, worth, signal)):
        return False
    open_run(work, fund, worth, signal)
    return True


def _warn_of_gap(work: Work, fund: FundState, worth: Valuation) -> None:
    """Tell the operator once that the two NAVs differ by too much, until they do not."""
    now = fund.standing(worth.marks, worth.nav, worth.formula_nav)
    text = beyond(now, fund.fund.gap_alarm_bps) if fund.shares else None
    if text is not None and not fund.gap_told:
        work.alert(Severity.WARNING, "nav_gap", fund.name, text)
    fund.gap_told = text is not None


def _follow_rules(
    work: Work, fund: FundState, worth: Valuation, asked: Trigger | None = None
) -> None:
    """Carry out the first signal that may act; else resume what is incomplete, or say why not.

    `asked` is the rule whose wish for a run put new settings into force: it goes first.
    """
    if fund.fund.methodology.flow is None:
        work.refuse_flows(fund, "the fund takes no flows any more")
    view = view_of(work, fund, once_settled(fund, worth))
    _warn_of_drift(work, fund, view)
    lapsed = leverage_band.lapsed(view)
    if lapsed is not None and settled(work, fund):
        work.record(BreachLapsed(work.now_ms, fund.name, lapsed))
        view = view_of(work, fund, once_settled(fund, worth))
    fired = rules.signals(view)
    firing = {signal.trigger for signal in fired}
    fund.suspicions = {name: seen for name, seen in fund.suspicions.items() if name in firing}
    ready, waiting = [], None
    for signal in fired:
        problem = _not_now(work, fund, worth, signal)
        if problem is None:
            ready.append(signal)
        elif waiting is None:
            waiting = problem
    asking = next((signal for signal in ready if _begins_anew(signal)), None)
    if asking is not None and adopt_at_point(work, fund):
        _follow_rules(work, fund, work.worth(fund) or worth, asking.trigger)
        return
    ready.sort(key=lambda signal: signal.trigger is not asked)
    for signal in ready:
        if _act(work, fund, worth, signal, Meeting(fired, tuple(ready))):
            return
    if not resume(work, fund):
        pending = flow.waiting(view) or leverage_band.waits(fund.duty)
        say_none(work, fund, waiting or pending or _idle(fund))


def _begins_anew(signal: Signal) -> bool:
    """Whether the signal asks for a run to a target of the fund's settings."""
    ends = signal.trigger in (Trigger.GAP, Trigger.WIND_DOWN, Trigger.FLOW)
    return signal.trades and not ends


def _idle(fund: FundState) -> str:
    if fund.run is not None:
        return RUN_WAITS
    if fund.winding:
        return f"closed: {fund.winding}"
    if fund.flattening:
        return f"flat until it is resumed: {fund.flattening}"
    return NOTHING_DUE if fund.shares else "no shares are outstanding"


def _warn_of_drift(work: Work, fund: FundState, view: FundView) -> None:
    """Tell the operator once per rebalancing point that a winner lost its leverage."""
    text = None if fund.drift_told else winner_drifts(view)
    if text is not None:
        fund.drift_told = True
        work.alert(Severity.WARNING, "winner_drifts", fund.name, text)


def _warn_of_lateness(work: Work, fund: FundState) -> None:
    """Tell the operator once per instant that a fixed run which is due does not begin."""
    rule, after_ms = fund.fund.methodology.fixed, fixed_after_ms(fund)
    if rule is None or after_ms is None or work.forced is not None or idle(fund):
        return
    due_ms = rule.next_due_ms(after_ms)
    late_ms = work.now_ms - due_ms
    if FIXED_LATE_MS <= late_ms <= rule.catch_up_ms and fund.late_told_ms != due_ms:
        fund.late_told_ms = due_ms
        why = fund.verdict[1] if fund.verdict is not None else "nothing was decided yet"
        text = f"the fixed run of {iso(due_ms)} has not begun: {why}"
        work.alert(Severity.CRITICAL, "fixed_late", fund.name, text)


def view_of(work: Work, fund: FundState, worth: Valuation) -> FundView:
    """Return what the rules may look at."""
    return FundView(
        fund=fund.fund,
        now_ms=work.now_ms,
        point=fund.point,
        worth=worth,
        last_run_ms=fund.last_run_ms,
        last_emergency_ms=fund.last_emergency_ms,
        duty=fund.duty,
        sized_ms=fund.sized_ms,
        fixed_after_ms=fixed_after_ms(fund),
        manual=fund.manual,
        flows=_dealable(work, fund),
        winding=fund.winding,
        flattening=fund.flattening,
        holds=bool(fund.holding.units),
        empty=not fund.shares,
        forced=work.forced,
    )


def _dealable(work: Work, fund: FundState) -> tuple[Flow, ...]:
    """Return the flows that wait, where nothing keeps the fund from trading all that it holds."""
    if not fund.flows or fund.flows_shut:
        return ()
    members = dealt_in(work.state, fund)
    permissions = (work.state.permission(fund, symbol).state for symbol in members)
    free = all(state is TradingState.ACTIVE for state in permissions)
    return tuple(fund.flows.values()) if free else ()


def fixed_after_ms(fund: FundState) -> int | None:
    """Return the instant after which fixed times are still open: the last settled, or the start.

    Not the last point: a run that was under way at an instant and set a point after it did not
    serve the instant.
    """
    return fund.launched_ms if fund.fixed_settled_ms is None else fund.fixed_settled_ms


def _not_now(work: Work, fund: FundState, worth: Valuation, signal: Signal) -> str | None:
    """Say what the signal waits for; None when it may act."""
    waits = waits_for(fund, signal, work.now_ms)
    if waits is not None:
        return waits
    if signal.trigger not in (Trigger.GAP, Trigger.FLOW):
        if worth.equity <= 0:
            return f"{signal.trigger} has no equity to size with"
        if not followed(work.state, fund, work.now_ms):
            return f"{signal.trigger}: {NOTHING_LISTED}"
        missing = [each for each in fund.fund.basket_at(work.now_ms) if each not in worth.marks]
        if missing:
            fund.restless = True
            return f"{signal.trigger} waits for the first price of {', '.join(missing)}"
    if work.forced is not None:
        return None
    return price_not_good(work, fund, worth, signal) or _cooling(work, signal)


def _cooling(work: Work, signal: Signal) -> str | None:
    if work.now_ms < signal.not_before_ms:
        return f"{signal.trigger} cools down until {iso(signal.not_before_ms)}"
    return None


@dataclass(frozen=True, slots=True)
class Meeting:
    """The signals of one fund at one instant: all that fired, and those that may act."""

    fired: tuple[Signal, ...]
    ready: tuple[Signal, ...]

    def goal(self) -> Goal:
        """Return where a run of everything that may act goes."""
        goals = [each.goal for each in self.ready if each.trades]
        return strictest(goals) if goals else TO_TARGET

    def satisfied(self, goal: Goal) -> tuple[int, ...]:
        """Return the fixed instants that a run with this goal serves: one that goes as far."""
        for each in self.fired:
            if each.due_ms and STRICTNESS[goal.to] <= STRICTNESS[each.goal.to]:
                return each.due_ms
        return ()


def _act(work: Work, fund: FundState, worth: Valuation, signal: Signal, meeting: Meeting) -> bool:
    """Carry out `signal`; return False when it asked for nothing but to be recorded."""
    if signal.trigger is Trigger.GAP:
        wipe(work, fund, worth, signal)
        return True
    if signal.skip is not None:
        for due_ms in signal.due_ms:
            work.record(
                FixedSettled(work.now_ms, fund.name, due_ms, Settlement.SKIPPED, signal.skip)
            )
        if fund.flows:
            work.due.add(fund.name)  # what came after the cut-off of these instants waited for them
        return False
    if signal.duty is not None:
        duty = signal.duty
        reason = f"{signal.reason}: to be mended by {iso(duty.due_ms)}"
        work.record(BreachSeen(work.now_ms, fund.name, duty.since_ms, duty.due_ms, reason))
        work.alert(Severity.WARNING, "band_breached", fund.name, reason)
        return False
    return _run(work, fund, worth, signal, meeting)


def _run(work: Work, fund: FundState, worth: Valuation, signal: Signal, meeting: Meeting) -> bool:
    """Open the run of everything that may act, with the flows that wait; say whether there is."""
    goal = meeting.goal()
    if fund.run is not None and fund.run.plan.due_ms:
        # It was to serve fixed instants: what takes its place goes as far, or nothing would.
        goal = strictest((goal, fund.fund.methodology.goals.get(Trigger.FIXED, TO_TARGET)))
    joined = signal if goal == signal.goal else replace(signal, goal=goal)
    instants_ms, before = meeting.satisfied(joined.goal), fund.shares
    scales = signal.trigger is Trigger.FLOW and meeting.fired[-1].trigger is Trigger.FLOW
    keeps = scales or signal.trigger is Trigger.WIND_DOWN
    aim = None if keeps else aim_of(joined.goal, fund.fund, worth)
    if not _deal(work, fund, worth, meeting, aim):
        # What is left of a fund that is sold may be less than a lot.
        rests = signal.at_edge(joined.goal) or signal.trigger is Trigger.WIND_DOWN
        if signal.trigger is Trigger.FLOW or (
            rests and not tradeable(work, fund, worth, aim_of_run(work, fund, worth, joined))
        ):
            return False
        open_run(work, fund, worth, joined, instants_ms)
        return True
    worth = work.worth(fund) or worth
    if scales or not fund.shares:
        open_flow_run(work, fund, worth, signal, before)
    else:
        open_run(work, fund, worth, joined, instants_ms)
    return True


def _deal(
    work: Work, fund: FundState, worth: Valuation, meeting: Meeting, aim: Decimal | None
) -> bool:
    """Deal the flows that may join the run to `aim`; say whether there were any."""
    flows = next((each for each in meeting.fired if each.trigger is Trigger.FLOW), None)
    if flows is None or any(each.trigger is Trigger.EMERGENCY for each in meeting.ready):
        return False
    if _not_now(work, fund, worth, flows) is not None:
        return False
    return deal_flows(work, fund, worth, flow.ripe(view_of(work, fund, worth)), aim)


def idle(fund: FundState) -> bool:
    """Whether its fixed instants pass without a run: it is ended, sold at a word, or nobody's."""
    return fund.trading is TradingState.WIPED or fund.ending or not fund.shares


def settle_missed(work: Work, fund: FundState) -> None:
    """Record and alert every fixed instant that is too old to be caught up, or serves nobody."""
    rule, after_ms = fund.fund.methodology.fixed, fixed_after_ms(fund)
    if rule is None or after_ms is None:
        return
    missed, renewal = partial(missed_instants, rule), fund.renewal
    too_old_ms = rule.catch_up_ms + 1
    if renewal is not None and renewal.brought(rule.next_due_ms(after_ms) + too_old_ms):
        last_ms = missed(after_ms, renewal.at_ms)[-1]
        reason = f"skipped: the fixed times are new since {iso(renewal.at_ms)}"
        work.record(FixedSettled(work.now_ms, fund.name, last_ms, Settlement.SKIPPED, reason))
        after_ms = last_ms
    # Nothing at a fixed time waits for the run of a fund that is empty or ends: flows need not.
    over = fund.winding or not fund.shares
    for due_ms in (rule.due_between if over else missed)(after_ms, work.now_ms):
        reason = f"the fixed time {iso(due_ms)} passed without a run and is too old to catch up"
        if idle(fund):
            reason = f"skipped: the fund was closed, flat or empty at {iso(due_ms)}"
            work.record(FixedSettled(work.now_ms, fund.name, due_ms, Settlement.SKIPPED, reason))
            continue
        work.record(FixedSettled(work.now_ms, fund.name, due_ms, Settlement.MISSED, reason))
        work.alert(Severity.CRITICAL, "fixed_missed", fund.name, reason)


def strike(work: Work, fund: FundState, worth: Valuation) -> None:
    """Strike the daily NAV once its boundary has passed, at a price that is beyond doubt."""
    offset_ms = fund.fund.nav_boundary_ms
    boundary_ms = (work.now_ms - offset_ms) // DAY_MS * DAY_MS + offset_ms
    begun_ms = fund.launched_ms if fund.strike_ms is None else fund.strike_ms
    if begun_ms is None or boundary_ms <= begun_ms or not fund.shares:
        return
    if fund.holding.units and not settled(work, fund):
        fund.restless = True
        return
    work.record(
        NavStruck(
            at_ms=work.now_ms,
            fund=fund.name,
            boundary_ms=boundary_ms,
            nav=worth.nav,
            formula_nav=worth.formula_nav,
            equity=worth.equity,
            shares=fund.shares,
            marks=worth.marks,
            prices=worth.other_prices,
        )
    )
