"""Codes of the venues that prove something about an order.

REJECTS: the documented meaning proves that the order was not accepted. DUPLICATES: it proves that
an earlier send of the same client id was. A code that is in neither proves nothing: the order is
asked for. Left out on purpose is every code that may stand for an order that lives on: time-outs,
"system busy", maintenance, unexpected answers of inner services, and codes that one venue uses
for several meanings.
"""

from __future__ import annotations

# Not here: -1000, -1001, -1006, -1007, -1008 and -1 (unknown by the venue's own words), -1010,
# -1013, -1016, -2010 (carries the text "Duplicate order sent" at spot), -2020.
BINANCE_REJECTS = frozenset(
    {
        # keys, rights, address, signature
        *("-1002", "-1005", "-1011", "-1022", "-1099", "-1109", "-2014", "-2015", "-2017"),
        # too many requests, too many orders
        *("-1003", "-1015"),
        # the stamp is outside the window, at the gateway or at the matching engine
        *("-1021", "-5028"),
        # a parameter is missing, unknown, malformed or not allowed with another
        *("-1014", "-1020", "-1100", "-1101", "-1102", "-1103", "-1104", "-1105", "-1106"),
        *("-1108", "-1111", "-1112", "-1114", "-1115", "-1116", "-1117", "-1118", "-1119"),
        *("-1120", "-1121", "-1122", "-1126", "-1128", "-1130", "-1131", "-1136", "-4015"),
        # balance or margin does not suffice
        *("-2018", "-2019", "-2028", "-4050", "-4051"),
        # reduce-only would not reduce, or there is no such position
        *("-2022", "-2024", "-2026", "-4118"),
        # position, order count or account is at its limit or in liquidation
        *("-2023", "-2025", "-2027"),
        # price outside its filters
        *("-4001", "-4002", "-4013", "-4014", "-4016", "-4024", "-4029", "-4131"),
        *("-4183", "-4184"),
        # size outside its filters
        *("-4003", "-4004", "-4005", "-4023", "-4030", "-4164"),
        # the order does not fit the position mode
        *("-4060", "-4061", "-4062"),
        # this account may not trade, or only reduce
        *("-4087", "-4088", "-4192", "-4400", "-4401", "-4402"),
        # this contract does not trade
        *("-4022", "-4140", "-4141", "-4144"),
        # FOK or post-only that could not be
        *("-5021", "-5022"),
    }
)
BINANCE_DUPLICATES = frozenset({"-4116"})  # clientOrderId is duplicated

# Not here: 10000 and 10016 (server time-out, internal error), 10014 (request is duplicate),
# 110001, 110008 and 110010 (about an order that exists or did), 110030 (duplicate order id),
# 110071, 5004.
BYBIT_REJECTS = frozenset(
    {
        # keys, rights, address, signature, banned
        *("10003", "10004", "10005", "10007", "10008", "10009", "10010", "10024", "10027"),
        *("10028", "10029", "33004"),
        # too many requests
        *("10006", "10018"),
        # the stamp is outside the window
        "10002",
        # a parameter or the path is wrong
        *("7001", "10001", "10017", "110032", "110092", "110093"),
        # balance or margin does not suffice
        *("110004", "110006", "110007", "110012", "110044", "110045", "110051", "110052"),
        "110053",
        # reduce-only would not reduce, or the contract only takes that
        *("110017", "110023", "110042"),
        # price or value outside its limits
        *("110003", "110094"),
        # risk limit, order count, open interest, or it would end in liquidation
        *("110016", "110020", "110021", "110040"),
        # hedge books are not available for the contract
        "110029",
        # no trading now, or not for this account
        *("110063", "110066", "110068", "110069", "110070"),
    }
)
BYBIT_DUPLICATES = frozenset(
    {
        "110072",  # OrderLinkedID is duplicate
        "170141",  # the same at spot
        "12141",  # the same, older
    }
)

# Not here: 50001, 50004, 50005, 50013 and 50026 (upgrade, time-out, offline, busy), 1 and 2 (the
# order's own code decides), 51011 (duplicated order id), 51400 to 51410 (cancels).
OKX_REJECTS = frozenset(
    {
        # keys, rights, address, signature
        *("50101", "50103", "50104", "50105", "50106", "50107", "50110", "50111", "50112"),
        *("50113", "50114"),
        # too many requests or orders
        *("50011", "50061"),
        # the stamp is outside the window
        "50102",
        # the request is malformed
        *("50000", "50002", "50006", "50014", "50015", "50016", "50024", "50025", "50115"),
        *("51000", "51003", "51204"),
        # account, position or currency is blocked, frozen or in liquidation
        *("50007", "50008", "50009", "50012", "50017", "50018", "50019", "50020", "50021"),
        *("50022", "50023", "50027", "51009", "51024"),
        # the account level does not allow it
        *("51010", "51128"),
        # no such contract, or it does not trade now
        *("51001", "51002", "51012", "51014", "51015", "51021", "51022", "51026", "51027"),
        *("51028", "51029", "51030"),
        # balance or margin does not suffice
        *("51008", "51119", "51127", "51131"),
        # size outside its limits
        *("51004", "51005", "51007", "51020", "51100", "51101", "51105", "51107", "51112"),
        *("51118", "51120", "51121", "51129", "51185", "51203"),
        # order count at its limit
        *("51025", "51102", "51103", "51104", "51106", "51117", "51174"),
        # price outside its limits
        *("51006", "51031", "51116", "51122", "51135", "51136", "51137", "51138"),
        # nothing there to close, or reduce-only is not to be had
        *("51023", "51134", "51205"),
        # no trading here
        "51155",
    }
)
OKX_DUPLICATES = frozenset({"51016"})  # duplicated client order ID

# Not here: INTERNAL, SERVER_ERROR, TOO_BUSY, NOT_FOUND, ACCOUNT_EXCEPTION, and every label about
# an order that exists (ORDER_NOT_FOUND, ORDER_CLOSED, ORDER_FINISHED, ...).
GATE_REJECTS = frozenset(
    {
        # the request is malformed
        *("INVALID_PARAM_VALUE", "INVALID_PROTOCOL", "INVALID_ARGUMENT", "BAD_REQUEST"),
        *("INVALID_REQUEST_BODY", "MISSING_REQUIRED_PARAM", "INVALID_CONTENT_TYPE"),
        *("NOT_ACCEPTABLE", "METHOD_NOT_ALLOWED", "INVALID_PRECISION"),
        # keys, rights, address, signature, stamp
        *("AUTHENTICATION_FAILED", "INVALID_CREDENTIALS", "INVALID_KEY", "IP_FORBIDDEN"),
        *("READ_ONLY", "INVALID_SIGNATURE", "MISSING_REQUIRED_HEADER", "REQUEST_EXPIRED"),
        *("ACCOUNT_LOCKED", "FORBIDDEN", "SUB_ACCOUNT_LOCKED", "USER_NOT_FOUND"),
        # too many requests or orders
        *("TOO_FAST", "TOO_MANY_REQUESTS", "TOO_MANY_ORDERS"),
        # balance or margin does not suffice
        *("BALANCE_NOT_ENOUGH", "FUTURES_BALANCE_NOT_ENOUGH", "MARGIN_BALANCE_NOT_ENOUGH"),
        *("INSUFFICIENT_AVAILABLE", "TRADE_RESTRICTED"),
        # no such contract, or it does not trade
        *("CONTRACT_NOT_FOUND", "CONTRACT_IN_DELISTING"),
        # risk limit, leverage, or it would end in liquidation
        *("RISK_LIMIT_EXCEEDED", "RISK_LIMIT_TOO_LOW", "LEVERAGE_TOO_HIGH", "LEVERAGE_TOO_LOW"),
        *("LIQUIDATE_IMMEDIATELY", "POSITION_IN_LIQUIDATION", "POSITION_IN_CLOSE"),
        # reduce-only would not reduce
        *("POSITION_EMPTY", "INCREASE_POSITION"),
        # price outside its limits
        *("PRICE_TOO_DEVIATED", "PRICE_OVER_LIQUIDATION", "PRICE_OVER_BANKRUPT"),
        *("PRICE_THRESHOLD_EXCEEDED", "ORDER_POC_IMMEDIATE", "POC_FILL_IMMEDIATELY"),
        # size outside its limits
        *("SIZE_TOO_LARGE", "SIZE_TOO_SMALL", "AMOUNT_TOO_LITTLE", "AMOUNT_TOO_MUCH"),
    }
)
GATE_DUPLICATES = frozenset({"REPEATED_CREATION"})  # by its name; the venue says no more

# Not here: 400, 500, 502 and 503 (gateway, service, connection refused behind it), 403 and 404.
XT_REJECTS = frozenset(
    {
        # keys, rights, address, signature, stamp
        *("AUTH_001", "AUTH_002", "AUTH_003", "AUTH_004", "AUTH_005", "AUTH_006", "AUTH_007"),
        *("AUTH_101", "AUTH_102", "AUTH_103", "AUTH_104", "AUTH_105", "AUTH_106"),
        # region, risk control, account locked
        *("gateway_decommission_ip_country", "gateway_decommission_kyc_country"),
        *("GATEWAY_0003", "GATEWAY_0006", "GATEWAY_0007", "user_can_not_trade"),
        *("sub_account_not_trade", "user_can_not_open_position", "account_error"),
        # too many requests
        "429",
        # the contract does not exist, does not trade, or not through an API
        *("invalid_symbol", "symbol_is_not_trading", "symbol_is_not_open_position"),
        *("contract_not_open", "openapi_not_supported", "symbol_not_support_openapi"),
        "symbol_not_support_trading_via_api",
        # a parameter is missing or wrong
        *("invalid_params", "invalid_price", "invalid_quantity_scale", "invalid_time_in_force"),
        # balance does not suffice, leverage too high, value too small, price limit at listing
        *("insufficient_balance", "exceed_max_leverage", "open_order_min_nominal_value_limit"),
        "on_board_30_minutes_limit_order_price_limit",
        # a bonus position stands against it
        "exist_bonus_positon_not_create_reverse_position",
    }
)
XT_DUPLICATES: frozenset[str] = frozenset()  # the venue documents none

# Not here: 40010 (request timed out), 40015 (system abnormal), 40200, 40308 and 41114
# (maintenance), 40604 (busy), 45001, 25003; 50060 (said to be a duplicate; meaning not seen).
BITGET_REJECTS = frozenset(
    {
        # keys, rights, address, signature, stamp, account kind
        *("40001", "40002", "40003", "40005", "40006", "40007", "40008", "40009", "40011"),
        *("40012", "40014", "40018", "40025", "40036", "40037", "40038", "40041", "40078"),
        *("40079", "40085", "22010"),
        # account frozen, restricted or not allowed here
        *("40013", "40022", "40023", "40024", "40026", "40035", "40101", "40103"),
        # too many requests
        "429",
        # a parameter is missing or wrong
        *("40017", "40019", "40020", "40034", "40053", "40064", "40808", "400171", "400172"),
        # no such contract, or not through an API, or not in cross margin
        *("40072", "40102", "40309", "22004", "22005"),
        # balance or margin does not suffice
        *("40711", "40712", "40762", "43012"),
        # nothing there to close
        "22002",
        # the order does not fit the position mode
        "40774",
        # price outside its limits or off its steps
        *("22006", "22007", "41103", "41117"),
        # size outside its limits or off its steps
        *("40108", "22034", "22038", "45110", "45113"),
        # close to delivery or auto-deleveraging
        *("22039", "22040", "22041", "22043", "22067"),
    }
)
BITGET_DUPLICATES = frozenset(
    {
        "40786",  # Duplicate clientOid
        "45034",  # clientOid duplicate
        "43118",  # clientOrderId duplicate
        "25212",  # Duplicate clientOid, unified account
    }
)

# Not here: 400100 (parameter error, but also the text clientOidDuplicated), 126033 ("duplicate
# order", of margin trading), 300010 (failed to close), 408000 and 500000 (time-out, internal).
KUCOIN_REJECTS = frozenset(
    {
        # keys, rights, address, signature, stamp, frozen
        *("400001", "400002", "400003", "400004", "400005", "400006", "400007", "411100"),
        "40010",
        # too many requests
        *("200002", "429000"),
        # a parameter is wrong
        *("100001", "100003", "200003", "300000", "404000"),
        # balance or margin does not suffice
        *("300003", "330008"),
        # order count or risk limit
        *("300001", "300005", "300016"),
        # price outside its limits, or worse than bankruptcy or liquidation
        *("300006", "300007", "300011", "300012"),
        # nothing on the other side of the book
        *("300008", "300013"),
        # nothing there to close
        "300009",
        # no trading now: suspended, in liquidation, in settlement
        *("300002", "300014", "300015"),
        # the order does not fit the margin or position mode
        *("330005", "330012"),
    }
)
KUCOIN_DUPLICATES = frozenset(
    {
        "126044",  # clientOid duplicate
        "300018",  # clientOid parameter repeated
    }
)

# Not here: 500, 501, 504 and 9999 (internal, busy, time-out, common), 604 and 801 (maintenance).
MEXC_REJECTS = frozenset(
    {
        # keys, rights, address, signature, stamp
        *("401", "402", "406", "511", "513", "602", "701", "702", "703", "704"),
        # too many requests
        "510",
        # a parameter is wrong
        *("600", "601", "1004", "2001", "2002", "2022", "2029", "2030"),
        # no such account or contract, or it does not trade
        *("1000", "1001", "1002"),
        # price outside its limits or off its steps
        *("2003", "2004", "2007", "2015", "2032"),
        # size outside its limits
        *("2011", "2014", "2028"),
        # balance does not suffice
        "2005",
        # leverage or risk limit
        *("1003", "2006", "2021", "2025", "2027", "2031"),
        # nothing there to close, or less than asked
        *("2008", "2009"),
    }
)
MEXC_DUPLICATES = frozenset({"603"})  # repeated request

#: sentences, as `answers.sentence` shortens them; a rate-limit sentence has numbers and is left out
HYPERLIQUID_REJECTS = frozenset(
    {
        # price outside its limits or off its steps
        "Price must be divisible by tick size",
        "Order price cannot be more than 80% away from the reference price",
        # size outside its limits
        "Order must have minimum value of $10",
        "Order has invalid size",
        "Order has zero size",
        # margin does not suffice
        "Insufficient margin to place order",
        # reduce-only would not reduce
        "Reduce only order would increase position",
        # nothing on the other side of the book: an IOC order is gone without a fill
        "Order could not immediately match against any resting orders",
        "No liquidity available for market order",
        # the signer is not known
        "User or API Wallet 0x does not exist",
    }
)
HYPERLIQUID_DUPLICATES: frozenset[str] = frozenset()  # no sentence for it was seen
