"""A transport that lets reads through and nothing else, for a dry run with live keys.

Every request has to be on the venue's list of reads, by method and path; whatever else ccxt may
build is refused before a connection is opened. That a request is a GET proves nothing: among
ccxt's endpoints there are a GET of OKX that sets automatic repayment and one of Bitget that
switches what an account is margined in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import yarl

from rebalancer.errors import BrokenInvariant
from rebalancer.venues.transport import Transport
from rebalancer.venues.wire import Reply, SignedRequest

_ID = r"[\w-]+"
#: paths of GET requests, by ccxt's name of the venue; a path is matched whole
_GETS: Mapping[str, str] = MappingProxyType(
    {
        "binanceusdm": r"/fapi/v1/(exchangeInfo|time|leverageBracket|positionSide/dual|symbolConfig"
        r"|order|openOrders|allOrders|userTrades|income|fundingRate)"
        r"|/fapi/v3/(account|positionRisk)"
        r"|/sapi/v1/account/apiRestrictions",
        "bybit": r"/v5/(market/(time|instruments-info|funding/history)|position/list"
        r"|account/(wallet-balance|info)|order/(realtime|history)|execution/list|user/query-api)",
        "okx": r"/api/v5/(public/(time|instruments|funding-rate-history)"
        r"|account/(config|positions|balance|bills-archive|leverage-info)"
        r"|trade/(order|orders-pending|orders-history|fills-history))",
        "gate": r"/api/v4/(spot/(time|currency_pairs)|margin/currency_pairs|options/underlyings"
        r"|delivery/usdt/contracts|futures/(usdt|btc)/(contracts|positions|accounts|orders"
        rf"|orders/{_ID}|orders_timerange|my_trades_timerange|account_book|funding_rate))",
        "xt": r"/v4/public/(time|symbol)|/future/market/v1/public/(symbol/list"
        r"|q/funding-rate-record)|/future/user/v1/(position/list|position/break-list|balance/list"
        r"|balance/funding-rate-list)|/future/trade/v1/order/(list|list-history|detail|trade-list)",
        "bitget": r"/api/v2/(public/time|spot/public/symbols|margin/currencies"
        r"|mix/market/(contracts|history-fund-rate)|mix/position/all-position"
        r"|mix/account/(account|accounts|bill)"
        r"|mix/order/(detail|orders-pending|orders-history|fills))",
        "kucoinfutures": r"/api/v3/margin/symbols|/api/v2/(position/getPositionMode"
        r"|position/getMarginMode|getCrossUserLeverage)|/api/v1/(timestamp|isolated/symbols"
        r"|hf/accounts/opened|contracts/active|contract/funding-rates|positions|account-overview"
        rf"|funding-history|fills|orders|orders/{_ID})",
        "mexc": r"/api/v3/(time|exchangeInfo)|/api/v1/contract/(detail|funding_rate/history)"
        r"|/api/v1/private/(account/assets|position/(open_positions|position_mode|leverage"
        r"|funding_records)|order/(list/(open_orders|history_orders|order_deals)"
        rf"|get/{_ID}|external/{_ID}/{_ID}))",
        "hyperliquid": "",
    }
)
#: venues that answer questions to a POST
_POSTS: Mapping[str, str] = MappingProxyType({"hyperliquid": "/info"})


class ReadOnlyTransport(Transport):
    """Sends what is on the list of reads of a venue; raises BrokenInvariant at anything else."""

    def __init__(self, timeout_seconds: float, venue_id: str) -> None:
        super().__init__(timeout_seconds)
        self._venue_id = venue_id
        #: what was refused, as method and path
        self.refused: list[str] = []

    async def send(self, request: SignedRequest) -> Reply:
        """Send a read; refuse a write before anything of it leaves."""
        if not is_read(self._venue_id, request.method, request.url):
            what = f"{request.method} {yarl.URL(request.url, encoded=True).path}"
            self.refused.append(what)
            raise BrokenInvariant(f"a dry run reads, and {what} is no read of {self._venue_id}")
        return await super().send(request)


def is_read(venue_id: str, method: str, url: str) -> bool:
    """Whether a request is known to change nothing at the venue."""
    listed = {"GET": _GETS, "POST": _POSTS}.get(method, {}).get(venue_id, "")
    return bool(listed) and bool(re.fullmatch(listed, yarl.URL(url, encoded=True).path))
