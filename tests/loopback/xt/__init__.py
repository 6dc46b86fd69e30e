"""XT linear futures (fapi), as far as a rebalancing desk and its client library use them.

Sizes are whole contracts, every account has a LONG and a SHORT book, a client order id may be used
any number of times, and every refusal is an error inside HTTP 200. The three hosts of the venue
become three prefixes here: /fapi (linear), /dapi (inverse: an empty list of symbols), /sapi (spot:
only the clock and empty lists).

Not confirmed by a live venue: no page of the venue says how it answers a locked-out client (here:
429 with its code 429), how old a signed futures request may be (here: 5 s), or which texts go with
most refusals. Known from ccxt and from field notes are `insufficient_balance`, `order_not_exist`,
`open_order_min_nominal_value_limit`, `symbol_not_support_trading_via_api`,
`invalid_quantity_scale` and `invalid signature`; the other codes in `errors` are ours.
"""
