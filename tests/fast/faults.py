"""Faults that the fast path might carry: when, where and what it trades, and what it tells."""

from __future__ import annotations

from tests.planting import Mutant

_FAST = "rebalancer.fast"
_VERDICT = f"{_FAST}.compiled:verdict"
_LOOK = f"{_FAST}.compiled:look"
_LOTS = f"{_FAST}.compiled:lots_of"
_TRADE = f"{_FAST}.compiled:trade"
_RUNS = f"{_FAST}.compiled:rebalance"
_NEXT = f"{_FAST}.compiled:set_next"
_MAY_FIRE = f"{_FAST}.scan:may_fire"
_COLUMN = f"{_FAST}.column:Column"
_DECIDING = f"{_FAST}.deciding"
_GROUP = f"{_FAST}.group:Group"
_STRANGE = f"{_FAST}.sketch:_strange"

MUTANTS = tuple(
    Mutant(name=name, where=where, old=old, new=new)
    for name, where, old, new in (
        # -- the sketch: when a rule acts
        *(
            (f"the {name} {what}", _VERDICT, f"{since} >= cooldowns[{place}]", f"{since} {new}")
            for place, (name, since) in enumerate(
                (
                    ("emergency", "now_ms - state.last_emergency_ms[fund]"),
                    ("cap", "now_ms - run_ms"),
                    ("move", "now_ms - run_ms"),
                    ("band", "now_ms - run_ms"),
                )
            )
            for what, new in (
                ("cools for a millisecond more", f"> cooldowns[{place}]"),
                ("cools for a minute less", f">= cooldowns[{place}] - 60_000"),
                ("does not cool", ">= 0"),
            )
        ),
        (
            "an emergency cools from any run",
            _VERDICT,
            "now_ms - state.last_emergency_ms[fund]",
            "now_ms - run_ms",
        ),
        (
            "a cooling emergency hides what else fires",
            _VERDICT,
            "over != 0 and now_ms - state.last_emergency_ms[fund] >= cooldowns[0]",
            "over != 0 and (OLD or state.last_emergency_ms[fund] > 0)",
        ),
        (
            "the start begins no cool-down",
            f"{_FAST}.sketch:_Book._state",
            "np.full(rows, self.tape.times_ms[0], np.int64)",
            "np.full(rows, _LONG_AGO_MS, np.int64)",
        ),
        (
            "cap and move swap their cool-downs",
            f"{_FAST}.sketch:_cooldowns",
            "return (emergency, cap, move, band)",
            "return (emergency, move, cap, band)",
        ),
        # -- the sketch: where a rule fires
        ("the emergency fires above its level only", f"{_FAST}.compiled:beyond", "-1", "0"),
        ("a doubt is decided by floats", f"{_FAST}.compiled:beyond", "-1", "int(size > bound)"),
        (
            "the emergency fires a thousandth late",
            _VERDICT,
            "terms.emergency[fund]",
            "terms.emergency[fund] * 1.001",
        ),
        ("the cap fires a thousandth late", _VERDICT, "terms.cap[fund]", "OLD * 1.001"),
        ("the cap fires a thousandth early", _VERDICT, "terms.cap[fund]", "OLD * 0.999"),
        (
            "a move at the threshold does not fire",
            _VERDICT,
            "moved * terms.move_den[fund] >= terms.move_num[fund] * state.base_ticks[fund]",
            "moved * terms.move_den[fund] > terms.move_num[fund] * state.base_ticks[fund]",
        ),
        (
            "the threshold is 3 % lower",
            _VERDICT,
            "moved * terms.move_den[fund]",
            "OLD / 0.97",
        ),
        ("the threshold is 3 % higher", _VERDICT, "moved * terms.move_den[fund]", "OLD * 0.97"),
        ("a winner acts on its move too", _VERDICT, "terms.losing[fund]", "False"),
        ("nobody acts on a winner's move", _VERDICT, "terms.losing[fund]", "True"),
        ("the upper edge is the lower", _VERDICT, "terms.upper[fund]", "terms.lower[fund]"),
        ("the lower edge is not watched", _VERDICT, "terms.lower[fund] > 0.0", "False"),
        (
            "the upper edge is not watched",
            _VERDICT,
            "beyond(directed, terms.upper[fund], equity)",
            "0",
        ),
        ("a margin that nears is passed over", _VERDICT, "size > market.most * equity", "False"),
        # -- the sketch: what happens at an instant, and in which order
        ("the strike comes after the fee", _LOOK, "place >= 0", "False"),
        ("a fee leaves the formula NAV alone", _LOOK, "1.0 - terms.fee[fund]", "1.0"),
        ("a fee is taken from no cash", _LOOK, "state.cash[fund] -= amount", "pass"),
        ("a fee waits for the run", _LOOK, "equity -= amount", "pass"),
        ("funding is charged twice", _LOOK, "state.settled[fund] = settled", "pass"),
        (
            "a rule asks between closes",
            _LOOK,
            "if closes:",
            "closes = True\nOLD",
        ),
        (
            "a fixed run uses a price of any age",
            _LOOK,
            "now_ms - market.times[bar] > market.interval_ms",
            "False",
        ),
        ("a fixed run hides the rule that fires with it", _LOOK, "found == NOTHING and due", "due"),
        ("the last funding is nobody's", f"{_FAST}.compiled:settle_up", "market.end_ms", "0"),
        ("fixed runs do not wake a fund", _NEXT, "range(3)", "range(2)"),
        ("a fund sleeps over a bar", _NEXT, "bar + 1", "bar + 2"),
        ("a bar before the clock is passed over", _NEXT, "coming - 1", "coming - 60_001"),
        # -- the sketch: what a run trades
        ("opposite funds do not cross", f"{_FAST}.compiled:cross", "min(buys, sells)", "0.0"),
        ("what crosses is paid by nobody", f"{_FAST}.compiled:cross", "units * price", "0.0"),
        (
            "an order is a lot too large",
            _LOTS,
            "lots if lots >= market.min_lots - GUARD else 0",
            "lots + 1",
        ),
        ("a whole lot in doubt is decided", _LOTS, "lots + 1 - exact < slack", "False"),
        ("the contract's minimum is not asked", _LOTS, "market.min_notional", "0.0"),
        ("the funds' minimum is not asked", _LOTS, "(market.min_notional, least)", "OLD[:1]"),
        ("an order that reduces has a minimum too", _LOTS, "units < abs(held)", "False"),
        ("any order reduces", _LOTS, "held * net < 0.0 and units < abs(held)", "True"),
        ("the smallest order is not asked", _LOTS, "market.min_lots - GUARD", "0"),
        (
            "the fee is of the mark",
            _TRADE,
            "abs(units) * price * (1.0 + slip)",
            "abs(units) * price",
        ),
        ("a sale slips upwards", _TRADE, "-market.slip", "market.slip"),
        ("slippage is not paid", _TRADE, "units * price + slippage + fee", "units * price + fee"),
        ("all is filled", _TRADE, "lots * market.lot / abs(net)", "1.0"),
        # -- the sketch: the next point
        ("a run leaves the formula NAV", _RUNS, "state.base_nav[fund] *= 1.0 + gain", "pass"),
        (
            "a run leaves the ticks of its price",
            _RUNS,
            "state.base[fund], state.base_ticks[fund] = (price, market.ticks[bar])",
            "state.base[fund] = price",
        ),
        ("a run begins no cool-down", _RUNS, "state.last_run_ms[fund] = now_ms", "pass"),
        ("an emergency begins none", _RUNS, "state.last_emergency_ms[fund] = now_ms", "pass"),
        ("any run is an emergency's", _RUNS, "state.trigger[fund] == EMERGENCY", "True"),
        # -- what the sketch leaves to others
        *(
            (f"the sketch takes {what}", _STRANGE, old, "False")
            for what, old in (
                ("a fund without an account", "fund.index_only"),
                ("a fund sized by its formula", "fund.size_from is NavKind.FORMULA"),
                ("a formula based on the account", "fund.formula_base is NavKind.ACCOUNT"),
                ("the elapsed rule", "rules.elapsed is not None"),
                ("other destinations", "goal.to is not Destination.TARGET"),
                ("fixed runs that skip", "fixed is not None"),
            )
        ),
        # -- the search
        (
            "a block's highs are not seen",
            f"{_FAST}.scan:first_bar",
            "may_fire(highs[block], cash, stand, edges)",
            "False",
        ),
        (
            "a block's lows are not seen",
            f"{_FAST}.scan:first_bar",
            "may_fire(lows[block], cash, stand, edges)",
            "False",
        ),
        (
            "funding within a block is not seen",
            f"{_FAST}.scan:first_bar",
            "cash_at_zero - stand[1] * settled[bar]",
            "cash_at_zero - stand[1] * settled[start]",
        ),
        ("the search misses moves", _MAY_FIRE, "least_move * (1.0 - GUARD)", "OLD * 1.02"),
        ("the search misses losses of a short", _MAY_FIRE, "gain < 0.0", "move < 0.0"),
        ("the search misses edges of leverage", _MAY_FIRE, "most * equity", "OLD * 1.02"),
        ("the search misses the upper edge", _MAY_FIRE, "upper * equity", "OLD * 1.02"),
        ("the search misses the lower edge", _MAY_FIRE, "lower * equity", "OLD * 0.98"),
        # -- the columns
        ("a column is not settled", f"{_COLUMN}.go_to", "settled != self.settled", "False"),
        ("a column's fee leaves the formula", f"{_COLUMN}.charge_fees", "ONE - fee.share", "ONE"),
        (
            "a column is charged at every look",
            f"{_COLUMN}.charge_fees",
            "self.fees_after_ms = times[place]",
            "pass",
        ),
        ("a column misses nothing", f"{_COLUMN}.settle_missed", "first < last", "False"),
        ("a column catches up for ever", f"{_COLUMN}.settle_missed", "rule.catch_up_ms", "10**9"),
        (
            "a column's run begins no cool-down",
            f"{_COLUMN}.end_run",
            "self.last_run_ms = self.point_ms = self.now_ms",
            "self.point_ms = self.now_ms",
        ),
        (
            "a column's emergency begins none",
            f"{_COLUMN}.end_run",
            "self.last_emergency_ms = self.now_ms",
            "pass",
        ),
        (
            "a column goes to the target",
            f"{_COLUMN}.end_run",
            "run.aim",
            "self.fund.target_leverage",
        ),
        (
            "the desk covers nothing",
            f"{_COLUMN}.end_run",
            "max(ZERO, -self.equity)",
            "ZERO",
        ),
        (
            "a column's formula is not based on the account",
            f"{_COLUMN}.end_run",
            "self.fund.formula_base is NavKind.ACCOUNT",
            "False",
        ),
        (
            "a column does not look again",
            f"{_COLUMN}.next_look_ms",
            "self.restless and bar < last",
            "False",
        ),
        ("a column forgets its days", f"{_COLUMN}.next_look_ms", "elapsed is not None", "False"),
        (
            "a column does not fear for the margin of others",
            f"{_COLUMN}.refuse_near_margin",
            "abs(self.units) * self.price > self.most * self.equity",
            "False",
        ),
        (
            "a cap's edge is not searched for",
            f"{_FAST}.column:edges_of",
            "float(cap.upper) if cap else inf",
            "inf",
        ),
        (
            "a column under 1 is searched for as others are",
            f"{_FAST}.column:edges_of",
            "losing and 0 < target <= 1",
            "losing and 0 < target <= 3",
        ),
        # -- what a column decides
        (
            "a plain run uses a price of any age",
            f"{_DECIDING}:_plain",
            "column.age_ms <= column.tape.interval_ms",
            "True",
        ),
        (
            "a plain run skips nothing",
            f"{_DECIDING}:_plain",
            "rule.skip_below_move is None",
            "True",
        ),
        (
            "a plain run is inside nothing",
            f"{_DECIDING}:_plain",
            "rule.skip_within is None",
            "True",
        ),
        (
            "a plain run goes to the target",
            f"{_DECIDING}:_plain",
            "rule.goal.to is Destination.TARGET",
            "True",
        ),
        ("a plain run hides the days", f"{_DECIDING}:_plain", "not _elapsed(column)", "True"),
        (
            "a column's rules do not cool",
            f"{_DECIDING}:_ready",
            "column.now_ms >= signal.not_before_ms",
            "True",
        ),
        (
            "a column's clock runs at any price",
            f"{_DECIDING}:_ready",
            "return fresh",
            "return True",
        ),
        ("a column asks between closes", f"{_DECIDING}:_ready", "column.closes_now", "True"),
        ("a skipped run stays due", f"{_DECIDING}:_by_rules", "signal.skip is not None", "False"),
        (
            "the first trigger alone says where to",
            f"{_DECIDING}:_by_rules",
            "meeting.goal()",
            "signal.goal",
        ),
        (
            "a run settles no fixed time beside its own",
            f"{_DECIDING}:_by_rules",
            "meeting.satisfied(goal)",
            "signal.due_ms",
        ),
        (
            "what cannot be traded at the edge is tried",
            f"{_DECIDING}:_by_rules",
            "not tradeable(column, wish.delta)",
            "False",
        ),
        (
            "a fund sized by its formula is sized by its account",
            f"{_DECIDING}:_target",
            "fund.size_from is NavKind.FORMULA",
            "False",
        ),
        # -- what columns trade together
        (
            "a book knows one fund",
            f"{_GROUP}.book",
            "total((column.units for column in self.columns))",
            "now.units",
        ),
        ("a column pays for no crossing", f"{_GROUP}._at_venue", "units * first.price", "ZERO"),
        (
            "a column's fee is of the mark",
            f"{_GROUP}._fill",
            "abs(leg.units) * price",
            "abs(leg.units) * first.price",
        ),
        (
            "a paper fund rounds up",
            f"{_GROUP}._on_paper",
            "trunc_to_paper(wish.delta)",
            "wish.delta",
        ),
        ("the last missed times are not told", f"{_GROUP}.run", "column.settle_missed()", "pass"),
        # -- what is told of a column
        (
            "a strike sees the runs of its instant",
            f"{_FAST}.story:_strike",
            "bisect_left(starts, boundary_ms)",
            "bisect_left(starts, boundary_ms + 1)",
        ),
        (
            "a strike is before its funding",
            f"{_FAST}.story:_strike",
            "tape.settled_by(boundary_ms)",
            "span.settled",
        ),
        ("a NAV is before its run", f"{_FAST}.story:navs_of", "'left'", "'right'"),
        (
            "a day begins at midnight",
            f"{_FAST}.story:strikes_ms",
            "fund.nav_boundary_ms",
            "0",
        ),
        # -- the tape
        (
            "funding before the first price is paid",
            f"{_FAST}.tape:Tape.of",
            "bisect_right(times_ms, at_ms) - 1",
            "0",
        ),
        (
            "an index-only fund pays funding",
            f"{_FAST}.backtest:_play",
            "bool(account) and paid.funding",
            "paid.funding",
        ),
    )
)
