"""Rows of the venues that count orders in base coins: Binance, Bybit, Bitget, Hyperliquid."""

from __future__ import annotations

from rebalancer.core.instant import DAY_MS
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
    VenueFacts,
    units,
)

_NET, _LONG, _SHORT = PositionSide.NET, PositionSide.LONG, PositionSide.SHORT
_IOC = {"timeInForce": "IOC"}
_SHRINK = {"reduceOnly": True}
_SHOWS_NOTHING = Shown(market_id=answers.nothing_of)
BINANCE = VenueFacts(
    venue_id="binanceusdm",
    title="Binance USD-M",
    account="USD-M futures wallet; portfolio margin is refused",
    client_ids=ids.BINANCE,
    lookup=lookups.BINANCE,
    cancel=lookups.cancel_by_unified_id,
    batch=Batch(most=5, read=answers.read_binance_batch, certainty=Certainty.DOCUMENTED),
    units=units(Unit.BASE),
    spelling=Spelling(
        books={_NET: {}, _LONG: {"positionSide": "LONG"}, _SHORT: {"positionSide": "SHORT"}},
        always=_IOC,
        # In hedge mode the venue refuses reduceOnly: the book says it already.
        shrink_net=_SHRINK,
    ),
    position_mode=Setting(read="fetch_position_mode", set="set_position_mode", reach=Reach.ACCOUNT),
    margin_mode=Setting(read="fetch_margin_mode", set="set_margin_mode"),
    leverage=Setting(read="fetch_leverage", set="set_leverage"),
    streams=Streams(
        mark="watch_mark_prices",
        index="watch_mark_prices",
        bid_ask="watch_bids_asks",
        note="the index comes with the mark",
    ),
    valid_ms=5_000,
    valid_note="recvWindow; ccxt's default of 10,000 is preset to 5,000",
    limits=limits.BINANCE,
    fee_query="fetch_trading_fee",
    funding_query="fetch_funding_history",
    presets={"recvWindow": 5_000, "portfolioMargin": False, "fetchCurrencies": False},
    judge=Judge(
        read=answers.read_binance,
        rejects=codes.BINANCE_REJECTS,
        duplicates=codes.BINANCE_DUPLICATES,
        echoes_client_id=True,
    ),
    shown=Shown(market_id=answers.symbol_of),
    notes=("a filled order's client id may be used again: it finds the order, it guards nothing",),
)

BYBIT = VenueFacts(
    venue_id="bybit",
    title="Bybit",
    account="unified trading account; a classic account is refused",
    client_ids=ids.BYBIT,
    lookup=lookups.BYBIT,
    cancel=lookups.cancel_by_link_id,
    batch=Batch(most=10, read=answers.read_bybit_batch, certainty=Certainty.DOCUMENTED),
    units=units(Unit.BASE),
    spelling=Spelling(
        books={_NET: {"positionIdx": 0}, _LONG: {"positionIdx": 1}, _SHORT: {"positionIdx": 2}},
        always=_IOC,
        shrink_net=_SHRINK,
        # ccxt drops it from hedge books; the venue asks for it in every closing order.
        shrink_hedged=_SHRINK,
    ),
    position_mode=Setting(set="set_position_mode", note="read it from the positions"),
    margin_mode=Setting(
        read="fetch_margin_mode",
        set="set_margin_mode",
        reach=Reach.ACCOUNT,
        note="one mode for the whole account",
    ),
    leverage=Setting(read="fetch_leverage", set="set_leverage"),
    streams=Streams(
        mark="watch_tickers",
        index="watch_tickers",
        bid_ask="watch_bids_asks",
        note="tickers carry markPrice and indexPrice",
    ),
    valid_ms=5_000,
    valid_note="recv_window, as ccxt sends it",
    limits=limits.BYBIT,
    fee_query="fetch_trading_fee",
    funding_query="fetch_funding_history",
    presets={
        "enableUnifiedMargin": False,
        "enableUnifiedAccount": True,
        "recvWindow": 5_000,
        "fetchCurrencies": False,
        "fetchMarkets": {"types": ["linear"]},
    },
    judge=Judge(
        read=answers.read_bybit,
        rejects=codes.BYBIT_REJECTS,
        duplicates=codes.BYBIT_DUPLICATES,
        echoes_client_id=True,
    ),
    shown=_SHOWS_NOTHING,
    notes=(
        "a good answer means received, not accepted: the order may still be rejected after",
        "a payment of funding is told as a fee, above zero where it was paid (said by others)",
    ),
)

BITGET = VenueFacts(
    venue_id="bitget",
    title="Bitget",
    account="classic account (v2); a unified account is refused",
    client_ids=ids.BITGET,
    lookup=lookups.BITGET,
    cancel=lookups.cancel_by_client_oid,
    # Its batches are for one contract each, and the desk has one order at a time per contract.
    batch=None,
    units=units(Unit.BASE),
    spelling=Spelling(
        # ccxt turns the side of a closing order about, as the venue wants it in hedge mode.
        books={_NET: {}, _LONG: {"hedged": True}, _SHORT: {"hedged": True}},
        always={**_IOC, "marginMode": "cross"},
        shrink_net=_SHRINK,
        shrink_hedged=_SHRINK,
    ),
    position_mode=Setting(
        set="set_position_mode",
        reach=Reach.QUOTE,
        note="one mode for the whole account; read it from the positions",
    ),
    margin_mode=Setting(read="fetch_margin_mode", set="set_margin_mode"),
    leverage=Setting(read="fetch_leverage", set="set_leverage"),
    streams=Streams(
        mark="watch_tickers",
        index="watch_tickers",
        bid_ask="watch_bids_asks",
        note="tickers carry markPrice and indexPrice",
    ),
    valid_ms=30_000,
    valid_note="remembered: the stamp may be 30 s old",
    limits=limits.BITGET,
    fee_query="fetch_trading_fee",
    funding_query="fetch_funding_history",
    presets={"uta": False, "fetchCurrencies": False, "fetchMarkets": {"types": ["swap"]}},
    judge=Judge(
        read=answers.read_bitget,
        rejects=codes.BITGET_REJECTS,
        duplicates=codes.BITGET_DUPLICATES,
        echoes_client_id=True,
    ),
    shown=_SHOWS_NOTHING,
    notes=("to close a long book the side on the wire is buy, with tradeSide Close",),
)

HYPERLIQUID = VenueFacts(
    venue_id="hyperliquid",
    title="Hyperliquid",
    account="perpetuals of the first exchange; builder-deployed ones are refused",
    client_ids=ids.HYPERLIQUID,
    lookup=lookups.HYPERLIQUID,
    cancel=lookups.cancel_by_unified_id,
    batch=Batch(most=39, read=answers.read_hyperliquid_batch, certainty=Certainty.DOCUMENTED),
    units=units(Unit.BASE),
    spelling=Spelling(
        books={_NET: {}},
        always={"timeInForce": "Ioc"},
        shrink_net=_SHRINK,
        price_digits=5,
    ),
    position_mode=Setting(note="cannot be set: one-way"),
    margin_mode=Setting(with_leverage=True, note="set with the leverage; read the positions"),
    leverage=Setting(
        set="set_leverage", calls=({"marginMode": "cross"},), note="read it from the positions"
    ),
    streams=Streams(
        mark=None,
        index=None,
        bid_ask=None,
        note="watch_tickers carries mid prices only; polled tickers carry markPx and oraclePx, and "
        "the middle of bid and ask as the last price",
    ),
    valid_ms=2 * DAY_MS,
    valid_note="a nonce is good for two days; ccxt sends no expiresAfter with orders",
    limits=limits.HYPERLIQUID,
    fee_query="fetch_trading_fee",
    funding_query="fetch_funding_history",
    presets={
        "builderFee": False,
        "enableUnifiedMargin": False,
        "fetchCurrencies": False,
        "fetchMarkets": {"types": ["swap"]},
    },
    # It would sign a builder fee and a referrer, and put the builder into every order.
    silenced=("initialize_client",),
    judge=Judge(
        read=answers.read_hyperliquid,
        rejects=codes.HYPERLIQUID_REJECTS,
        duplicates=codes.HYPERLIQUID_DUPLICATES,
        echoes_client_id=False,
    ),
    shown=_SHOWS_NOTHING,
    notes=(
        "prices have five significant digits at most unless they are whole",
        "the documented answer names the order and not the client id",
        "a batch of 40 or more takes twice the weight, so 39 is the most",
        "own trades are refused where 10,000 were made since: it keeps no more, of all contracts",
        "an order stays unknown where the newest 2,000 ended ones do not reach back to it",
    ),
)
