"""Rows of the venues that count orders in contracts: OKX, Gate, XT, KuCoin Futures, MEXC."""

from __future__ import annotations

from rebalancer.core.order import PositionSide
from rebalancer.venues import answers
from rebalancer.venues import facts_codes as codes
from rebalancer.venues import facts_ids as ids
from rebalancer.venues import facts_limits as limits
from rebalancer.venues import facts_lookups as lookups
from rebalancer.venues.evidence import Judge
from rebalancer.venues.facts_shape import (
    Batch,
    Certainty,
    Reach,
    Setting,
    Shown,
    Spelling,
    Streams,
    Unit,
    Units,
    VenueFacts,
    units,
)

_NET, _LONG, _SHORT = PositionSide.NET, PositionSide.LONG, PositionSide.SHORT
_IOC = {"timeInForce": "IOC"}
_SHRINK = {"reduceOnly": True}
_SHOWS_NOTHING = Shown(market_id=answers.nothing_of)
OKX = VenueFacts(
    venue_id="okx",
    title="OKX",
    account="futures mode or higher; the simple mode is refused",
    client_ids=ids.OKX,
    lookup=lookups.OKX,
    cancel=lookups.cancel_by_unified_id,
    batch=Batch(most=20, read=answers.read_okx_batch, certainty=Certainty.DOCUMENTED),
    units=units(Unit.CONTRACTS),
    spelling=Spelling(
        books={_NET: {}, _LONG: {"positionSide": "long"}, _SHORT: {"positionSide": "short"}},
        always={**_IOC, "tdMode": "cross"},
        # Only net positions take reduceOnly.
        shrink_net=_SHRINK,
    ),
    position_mode=Setting(read="fetch_position_mode", set="set_position_mode", reach=Reach.ACCOUNT),
    margin_mode=Setting(note="said by every order (tdMode), so there is nothing to set"),
    leverage=Setting(read="fetch_leverage", set="set_leverage", calls=({"marginMode": "cross"},)),
    streams=Streams(
        mark="watch_mark_prices",
        index=None,
        bid_ask="watch_bids_asks",
        note="ccxt streams no index, and polls none: it is asked for as index-tickers",
    ),
    valid_ms=30_000,
    valid_note="remembered: the stamp may be 30 s old; ccxt sends no expTime",
    limits=limits.OKX,
    fee_query="fetch_trading_fee",
    funding_query="fetch_funding_history",
    presets={
        "defaultMarginMode": "cross",
        "fetchCurrencies": False,
        "fetchMarkets": {"types": ["swap"]},
    },
    judge=Judge(
        read=answers.read_okx,
        rejects=codes.OKX_REJECTS,
        duplicates=codes.OKX_DUPLICATES,
        echoes_client_id=True,
    ),
    shown=_SHOWS_NOTHING,
    notes=("ccxt sends single orders to batch-orders; the venue counts them as such",),
)

GATE = VenueFacts(
    venue_id="gate",
    title="Gate",
    account="classic futures account; a unified account is refused",
    client_ids=ids.GATE,
    lookup=lookups.GATE,
    cancel=lookups.cancel_by_text_as_id,
    batch=Batch(most=10, read=answers.read_gate_batch, certainty=Certainty.CCXT_SOURCE),
    units=units(Unit.CONTRACTS),
    spelling=Spelling(
        # The sign of the size and reduce_only name the book; nothing else is sent for it.
        books={_NET: {}, _LONG: {}, _SHORT: {}},
        always=_IOC,
        shrink_net=_SHRINK,
        shrink_hedged=_SHRINK,
    ),
    position_mode=Setting(
        set="set_position_mode",
        reach=Reach.ACCOUNT,
        note="one mode for the whole account; read it from the positions",
    ),
    margin_mode=Setting(
        with_leverage=True, note="cross is a leverage of 0 with a limit, set with the leverage"
    ),
    leverage=Setting(
        # ccxt's fetch_leverage is for spot margin only here.
        set="set_leverage",
        calls=({"marginMode": "cross"},),
        note="read it from the positions",
    ),
    streams=Streams(
        mark="watch_tickers",
        index="watch_tickers",
        bid_ask="watch_bids_asks",
        note="tickers carry mark_price and index_price",
    ),
    valid_ms=60_000,
    valid_note="remembered: the stamp may be 60 s old",
    limits=limits.GATE,
    fee_query="fetch_trading_fee",
    funding_query="fetch_funding_history",
    presets={
        "unifiedAccount": False,
        "fetchCurrencies": False,
        "fetchMarkets": {"types": ["swap"]},
    },
    judge=Judge(
        read=answers.read_gate,
        rejects=codes.GATE_REJECTS,
        duplicates=codes.GATE_DUPLICATES,
        echoes_client_id=True,
    ),
    shown=Shown(market_id=answers.contract_of),
    notes=("an order is found by its text for 60 s after its end only",),
)

XT = VenueFacts(
    venue_id="xt",
    title="XT",
    account="USDT-margined futures wallet",
    client_ids=ids.XT,
    lookup=lookups.XT,
    cancel=lookups.cancel_by_order_id,
    batch=None,
    units=Units(
        request=Unit.CONTRACTS,
        order_amount=Unit.BASE,
        order_filled=Unit.BASE,
        trade=Unit.BASE,
        position=Unit.CONTRACTS,
        stream_order=Unit.CONTRACTS,
    ),
    spelling=Spelling(
        # Named outright: ccxt would take a plain sell for a new short.
        books={_LONG: {"positionSide": "LONG"}, _SHORT: {"positionSide": "SHORT"}},
        always=_IOC,
    ),
    position_mode=Setting(note="cannot be set: always a long and a short book"),
    margin_mode=Setting(
        set="set_margin_mode", calls=({"positionSide": "LONG"}, {"positionSide": "SHORT"})
    ),
    leverage=Setting(
        set="set_leverage",
        calls=({"positionSide": "LONG"}, {"positionSide": "SHORT"}),
        note="read it from the positions",
    ),
    streams=Streams(
        mark=None,
        index=None,
        bid_ask=None,
        note="poll the contract ticker: m, i, bp and ap; ccxt's order stream loses the status",
    ),
    valid_ms=None,
    valid_note="futures requests carry a stamp but no window; how the venue uses it is unknown",
    limits=limits.XT,
    fee_query="fetch_trading_fee",
    funding_query="fetch_funding_history",
    presets={"fetchCurrencies": False},
    judge=Judge(
        read=answers.read_xt,
        rejects=codes.XT_REJECTS,
        duplicates=codes.XT_DUPLICATES,
        echoes_client_id=False,
    ),
    shown=_SHOWS_NOTHING,
    notes=(
        "no test network, no demo: paper trading is the only rehearsal",
        "an answer carries an order id and nothing else",
        "order amounts are whole contracts",
        "ccxt mixes base coins and contracts in one order: read `info`",
    ),
)

KUCOIN = VenueFacts(
    venue_id="kucoinfutures",
    title="KuCoin Futures",
    account="classic futures account; a unified account is refused",
    client_ids=ids.KUCOIN,
    lookup=lookups.KUCOIN,
    cancel=lookups.cancel_by_unified_id,
    batch=Batch(most=20, read=answers.read_kucoin_batch, certainty=Certainty.CCXT_SOURCE),
    units=units(Unit.CONTRACTS),
    spelling=Spelling(
        books={_NET: {}, _LONG: {"positionSide": "LONG"}, _SHORT: {"positionSide": "SHORT"}},
        always={**_IOC, "marginMode": "CROSS"},
        shrink_net=_SHRINK,
        shrink_hedged=_SHRINK,
        whole_amounts=True,
        leverage_param="leverage",
    ),
    position_mode=Setting(read="fetch_position_mode", set="set_position_mode", reach=Reach.ACCOUNT),
    margin_mode=Setting(read="fetch_margin_mode", set="set_margin_mode"),
    leverage=Setting(read="fetch_leverage", set="set_leverage", calls=({"marginMode": "cross"},)),
    streams=Streams(
        mark=None,
        index=None,
        bid_ask="watch_bids_asks",
        note="ccxt's watch_mark_price is of the unified account",
    ),
    valid_ms=5_000,
    valid_note="the stamp may be 5 s off",
    limits=limits.KUCOIN,
    fee_query="fetch_trading_fee",
    funding_query="fetch_funding_history",
    presets={"uta": False, "fetchCurrencies": False},
    judge=Judge(
        read=answers.read_kucoin,
        rejects=codes.KUCOIN_REJECTS,
        duplicates=codes.KUCOIN_DUPLICATES,
        echoes_client_id=False,
    ),
    shown=_SHOWS_NOTHING,
    notes=(
        "without marginMode and leverage ccxt orders isolated margin at leverage 1",
        "order amounts are whole contracts and must be given to ccxt as a number",
        "some answers name the client id, some do not",
    ),
)

MEXC = VenueFacts(
    venue_id="mexc",
    title="MEXC",
    account="futures account",
    client_ids=ids.MEXC,
    lookup=lookups.MEXC,
    cancel=lookups.cancel_by_external_oid,
    batch=None,
    units=units(Unit.CONTRACTS),
    spelling=Spelling(
        # ccxt's own `hedged` turns closing sides about: a sell would close the short book.
        books={_NET: {"positionMode": 2}, _LONG: {"positionMode": 1}, _SHORT: {"positionMode": 1}},
        # ccxt sends a limit order with timeInForce IOC as good till cancelled.
        order_type=3,
        always={"openType": 2},
        shrink_net=_SHRINK,
        shrink_hedged=_SHRINK,
    ),
    position_mode=Setting(read="fetch_position_mode", set="set_position_mode", reach=Reach.ACCOUNT),
    margin_mode=Setting(note="said by every order (openType), so there is nothing to set"),
    leverage=Setting(
        read="fetch_leverage",
        set="set_leverage",
        calls=({"openType": 2, "positionType": 1}, {"openType": 2, "positionType": 2}),
    ),
    streams=Streams(
        mark="watch_tickers",
        index="watch_tickers",
        bid_ask=None,
        note="tickers carry fairPrice and indexPrice; ccxt's watch_bids_asks is for spot only",
    ),
    valid_ms=10_000,
    valid_note="code 513: more than 10 s from the venue's time is refused",
    limits=limits.MEXC,
    fee_query="fetch_trading_fee",
    funding_query="fetch_funding_history",
    presets={"fetchCurrencies": False},
    judge=Judge(
        read=answers.read_mexc,
        rejects=codes.MEXC_REJECTS,
        duplicates=codes.MEXC_DUPLICATES,
        echoes_client_id=False,
    ),
    shown=_SHOWS_NOTHING,
    notes=(
        "ccxt has no batch for swaps",
        "ccxt sends amount and price as JSON numbers",
        "on a net position a shrinking order is side 2 or 4; ccxt cannot send reduceOnly as well",
        "cancelling by client id goes past ccxt's own method, to cancel_with_external",
        "own trades go past it as well, and sides of orders: ccxt takes closing a short for a sale",
        "own trades are asked for at order_deals; ccxt knows an order_deals/v3 besides",
    ),
)
