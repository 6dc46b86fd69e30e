"""Binance USD-M futures, as far as a rebalancing desk and its client library use it.

`dialect` is the whole: it admits a call (`security`, `budget`), finds its handler (`routes`) in
`market`, `trading`, `account` or `modes`, and turns what happened into stream frames (`frames`).

Known difference to the venue itself: ccxt derives Binance's error classes from the start of the
address, so that with redirected addresses -2019 becomes a plain ExchangeError where the venue's
own address gives InsufficientFunds. Codes and texts are in the exception either way.

Not confirmed by a live venue: texts and codes come from recorded answers, from ccxt and from
memory; a halted symbol's code (-4108) and a reducing symbol's (-4140) from memory only.
"""
