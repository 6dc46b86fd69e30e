"""What was proved of each capability at each venue, and by which test: a part of the venues page.

A proof is a test that exists: `tests/venues/test_proofs.py` compares with what pytest collects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rebalancer.venues.facts import FACTS
from rebalancer.venues.facts_account import ACCOUNTS
from tests.spoken.tongues import TONGUES

BINANCE, XT = "binanceusdm", "xt"
EVERY = tuple(FACTS)
#: venues without a loopback
SPOKEN = tuple(TONGUES)


class Kind(StrEnum):
    """How something was proved, the weakest first; no kind is a live venue's word."""

    STUB = "stub"
    GOLDEN = "golden"
    RECORDED = "recorded"
    LOOPBACK = "loopback"
    SDK = "sdk"


MEANINGS: Mapping[Kind, str] = {
    Kind.STUB: "answers that we wrote, in ccxt's or the venue's shape; the real ccxt class reads "
    "those in the venue's, over HTTP and WebSocket",
    Kind.GOLDEN: "the request of the real ccxt class, with `fetch` replaced by a recorder, pinned",
    Kind.RECORDED: "answers that others recorded or documented, where the shared data is present",
    Kind.LOOPBACK: "the loopback venue of our tests, spoken to by the unmodified ccxt client",
    Kind.SDK: "the exchange's own Python client reads what our loopback venue says",
}


@dataclass(frozen=True, slots=True)
class Proof:
    """One test, and the venues that it is about."""

    kind: Kind
    test: str
    venues: Sequence[str]
    #: whether the test has a case of each venue's own, named after it
    case_each: bool = False


def _golden(test: str) -> Proof:
    return Proof(Kind.GOLDEN, f"tests/venues/{test}", EVERY, case_each=True)


def _stub(test: str, *venues: str) -> Proof:
    return Proof(Kind.STUB, f"tests/venues/{test}", venues or EVERY, case_each=not venues)


def _spoken(test: str, venues: Sequence[str] = SPOKEN) -> Proof:
    """Return a test at the venues that have no loopback, by answers in their shapes."""
    return Proof(Kind.STUB, f"tests/{test}", tuple(venues), case_each=True)


def _on(venue: str, test: str) -> Proof:
    return Proof(Kind.LOOPBACK, f"tests/{test}", (venue,))


_SDK_READS = Proof(
    Kind.SDK,
    "tests/venues/test_loopback_sdk.py::test_every_answer_fits_the_types_of_the_exchange",
    (BINANCE,),
)
_ONE_REQUEST = _golden("test_requests.py::test_every_call_is_one_request_and_the_golden_one")
_CONTRACT = "contracts/test_venue_contract.py::test_an_order_ends_with_evidence_that_agrees_with"
_ACCOUNT = "venues/test_exchange_account.py::test"
_ACCOUNT_XT = "venues/test_exchange_account_xt.py::test"
_RECORDED = "tests/venues/test_loopback_recorded.py::test"
_WELL = "doctor/test_examination.py::test_all_is_well_where_all_is_well"


def _recorded(test: str, *venues: str) -> Proof:
    path = "tests/venues/test_recorded_material.py"
    return Proof(Kind.RECORDED, f"{path}::{test}", venues, case_each=True)


_LISTS_ORDERED = "test_every_contract_of_a_recorded_list_is_ordered_in_one_request_to_the_digit"
_ACCOUNTS_READ = "test_recorded_answers_about_an_account_are_read_to_the_digit"
_TOLD = "venues/test_spoken_accounts.py::test"
_PRICES = "feeds/test_spoken_prices.py::test"
_BY_THE_BOOK = "feeds/test_depth.py::test_a_trade_takes"
_EXAMINED = "doctor/test_spoken_venues.py::test"


def _account_at(venue: str) -> Proof:
    path = "tests/venues/test_recorded_accounts.py::test_an_account_at"
    return Proof(Kind.RECORDED, f"{path}_{venue}_is_read_to_the_digit", (venue,))


_BYBIT, _KUCOIN, _HYPERLIQUID = (
    _account_at(venue) for venue in ("bybit", "kucoinfutures", "hyperliquid")
)


def _trades(venue: str, name: str) -> Proof:
    return _on(venue, f"{_CONTRACT}_its_fills[exchange {name}]")


_LOOPBACKS = "shape of the loopback's answers"
PROOFS: Mapping[str, Sequence[Proof]] = {
    "send an order": (
        _ONE_REQUEST,
        _trades(BINANCE, "Binance"),
        _trades(XT, "XT"),
        _recorded(_LISTS_ORDERED, BINANCE, "okx", "gate"),
        _SDK_READS,
    ),
    "outcome of a send": (
        _stub("test_evidence.py::test_what_follows_from_an_answer"),
        _on(
            BINANCE,
            "venues/test_exchange_venue.py::test_a_refused_order_is_rejected_with_the_venues_code",
        ),
    ),
    "look up, cancel": (
        _ONE_REQUEST,
        _on(
            BINANCE,
            "contracts/test_venue_contract.py::test_a_question_about_a_finished_order_trades_"
            "nothing[exchange Binance]",
        ),
        _on(
            XT,
            "contracts/test_venue_contract.py::test_a_question_about_a_finished_order_trades_"
            "nothing[exchange XT]",
        ),
    ),
    "batch": (
        Proof(
            Kind.GOLDEN,
            _ONE_REQUEST.test,
            tuple(name for name, facts in FACTS.items() if facts.batch),
            case_each=True,
        ),
        _on(
            BINANCE,
            "venues/test_exchange_batches.py::test_seven_orders_leave_as_a_batch_of_five_and_one_of_two",
        ),
    ),
    "positions": (
        _stub("test_exchange_account.py::test_a_position_is_in_base_coins_at_every_venue"),
        _on(
            BINANCE,
            f"{_ACCOUNT}_a_position_is_told_with_its_margin_and_its_distance_to_liquidation",
        ),
        _on(XT, f"{_ACCOUNT_XT}_both_books_are_told_apart_in_base_coins"),
        _spoken(f"{_TOLD}_a_position_is_told_in_base_coins_with_all_that_the_venue_says_of_it"),
        _recorded(_ACCOUNTS_READ, BINANCE, "gate"),
        *(_BYBIT, _KUCOIN, _HYPERLIQUID),
        _SDK_READS,
    ),
    "balance": (
        _stub(
            "test_exchange_account.py::test_where_the_total_is_the_wallet_the_profit_of_positions_is_added",
            "bybit",
            "gate",
        ),
        _stub("test_exchange_account.py::test_mexc_tells_equity_in_its_own_field", "mexc"),
        _spoken(f"{_TOLD}_equity_has_the_profit_of_what_is_held_and_what_is_free_is_told"),
        _on(BINANCE, f"{_ACCOUNT}_equity_counts_the_profit_of_open_positions_exactly"),
        _on(XT, f"{_ACCOUNT_XT}_equity_counts_the_profit_of_both_books_exactly"),
        _recorded(_ACCOUNTS_READ, BINANCE, "okx", "gate"),
        *(_BYBIT, _KUCOIN, _HYPERLIQUID),
        _SDK_READS,
    ),
    "open orders, own trades": (
        _golden(
            "test_exchange_account.py::test_the_bounds_of_a_list_reach_every_venue_by_its_own_name"
        ),
        _spoken(f"{_TOLD}_an_order_of_somebody_else_is_told_with_what_is_left_of_it"),
        _spoken(f"{_TOLD}_every_own_trade_of_a_contract_is_told_once_in_base_coins"),
        _spoken(f"{_TOLD}_trades_of_one_instant_are_all_told_where_a_page_ends_among_them"),
        Proof(
            Kind.STUB,
            f"tests/{_TOLD}_mexc_counts_the_sides_of_an_order_that_opens_or_closes",
            ("mexc",),
        ),
        Proof(
            Kind.STUB,
            f"tests/{_TOLD}_a_list_of_which_hyperliquid_keeps_no_more_is_refused",
            ("hyperliquid",),
        ),
        _on(BINANCE, f"{_ACCOUNT}_open_orders_and_own_trades_are_told_in_base_coins"),
        _on(XT, f"{_ACCOUNT_XT}_own_trades_since_an_instant_are_signed_base_coins"),
        _recorded(_ACCOUNTS_READ, BINANCE, "gate"),
        *(_BYBIT, _HYPERLIQUID),
        _SDK_READS,
    ),
    "funding payments": (
        Proof(
            Kind.GOLDEN,
            f"tests/{_ACCOUNT}_the_bounds_of_a_list_reach_every_venue_by_its_own_name",
            tuple(name for name, told in ACCOUNTS.items() if told.funding.until),
            case_each=True,
        ),
        _spoken(f"{_TOLD}_every_payment_of_a_contract_is_told_once_below_zero_where_it_was_paid"),
        Proof(
            Kind.STUB,
            f"tests/{_TOLD}_mexc_payments_are_read_page_by_page_as_far_back_as_they_are_wanted",
            ("mexc",),
        ),
        _HYPERLIQUID,
        _on(
            BINANCE,
            "venues/test_account_watch.py::test_a_payment_of_funding_is_told_once_and_is_what_the_venue_booked",
        ),
        _on(
            XT, f"{_ACCOUNT_XT}_payments_of_funding_are_told_and_handed_on_as_the_venue_booked_them"
        ),
        _SDK_READS,
    ),
    "modes and leverage": (
        _stub(
            "test_exchange_account.py::test_the_books_are_read_where_each_venue_tells_them",
            *("okx", "kucoinfutures", "bybit", "gate", "bitget", "hyperliquid"),
        ),
        _spoken(f"{_TOLD}_books_margin_and_leverage_are_told_as_they_are_set"),
        _on(BINANCE, f"{_ACCOUNT}_modes_leverages_and_rights_are_told"),
        _on(
            XT, f"{_ACCOUNT_XT}_modes_and_leverage_are_told_by_positions_only_and_rights_not_at_all"
        ),
        _SDK_READS,
    ),
    "rights of the key": (
        _stub("test_exchange_account.py::test_bybit_tells_the_rights_of_a_key", "bybit"),
        _on(BINANCE, f"{_ACCOUNT}_modes_leverages_and_rights_are_told"),
    ),
    "prices": (
        _spoken(f"{_PRICES}_every_source_is_polled_with_every_digit"),
        _spoken(
            f"{_PRICES}_marks_and_indices_come_by_stream_with_every_digit_and_go_on",
            [name for name in SPOKEN if FACTS[name].streams.mark],
        ),
        _spoken(
            f"{_PRICES}_best_bids_and_asks_come_by_stream",
            [name for name in SPOKEN if FACTS[name].streams.bid_ask],
        ),
        _on(
            BINANCE,
            "feeds/test_stream.py::test_prices_arrive_by_stream_with_every_digit_and_the_venues_time",
        ),
        _on(XT, f"{_WELL}[xt]"),
    ),
    "no write in a dry run": (
        _golden("test_live_dry_run.py::test_every_write_of_ccxt_is_refused_before_anything_leaves"),
        _on(BINANCE, "doctor/test_examination.py::test_it_asks_and_never_writes[binanceusdm]"),
        _on(XT, "doctor/test_examination.py::test_it_asks_and_never_writes[xt]"),
    ),
    "slippage from the book": (
        _spoken(f"{_PRICES}_the_book_says_what_a_trade_would_cost"),
        *(
            _on(venue, f"{_BY_THE_BOOK}_level_after_level_and_its_price_is_their_mean[{venue}]")
            for venue in (BINANCE, XT)
        ),
    ),
    "doctor": (
        _spoken(f"{_EXAMINED}_all_is_well_where_all_is_well_and_nothing_was_written"),
        _spoken(f"{_EXAMINED}_each_fault_of_an_account_is_named_with_its_remedy"),
        _on(BINANCE, f"{_WELL}[binanceusdm]"),
        _on(XT, f"{_WELL}[xt]"),
    ),
    _LOOPBACKS: (
        Proof(Kind.RECORDED, f"{_RECORDED}_private_answers", (BINANCE,)),
        Proof(Kind.RECORDED, f"{_RECORDED}_order_answers", (BINANCE,)),
        Proof(Kind.RECORDED, f"{_RECORDED}_xt_symbols_orders_and_trades", (XT,)),
        Proof(Kind.RECORDED, f"{_RECORDED}_xt_answers", (XT,)),
        _SDK_READS,
    ),
}


def kinds(capability: str, venue_id: str) -> list[Kind]:
    """Return how a capability was proved at a venue, in the order of the kinds."""
    found = {proof.kind for proof in PROOFS[capability] if venue_id in proof.venues}
    return [kind for kind in Kind if kind in found]


def _cell(capability: str, venue_id: str) -> str:
    if capability == "batch" and FACTS[venue_id].batch is None:
        return "not used"
    if capability == "rights of the key" and ACCOUNTS[venue_id].key_rights is None:
        return "not asked"
    if capability == _LOOPBACKS and venue_id in SPOKEN:
        return "no loopback"
    return ", ".join(kinds(capability, venue_id)) or "nothing"


def as_markdown() -> str:
    """Return the table of proofs, what its words mean, and the tests behind them."""
    lines = [f"- *{kind}*: {meaning}." for kind, meaning in MEANINGS.items()]
    lines += ["", "| proved by | " + " | ".join(facts.title for facts in FACTS.values()) + " |"]
    lines.append("|" + " --- |" * (len(FACTS) + 1))
    for capability in PROOFS:
        cells = [_cell(capability, name) for name in FACTS]
        lines.append(f"| {capability} | " + " | ".join(cells) + " |")
    lines += ["", "The tests:", ""]
    for capability, proofs in PROOFS.items():
        named = "; ".join(f"{each.kind} `{each.test.removeprefix('tests/')}`" for each in proofs)
        lines.append(f"- {capability}: {named}")
    return "\n".join(lines)
