"""A loopback venue: two real exchange protocols over one small matching core, on 127.0.0.1.

What comes in is read into a `Call` (calls), checked and answered by a protocol (binance, xt) that
is a pure function over the matching core (matching), and put on the wire by a fault (faults) that
may mutilate it. Only `server` and `streams` touch sockets.

    async with LoopbackVenue(presets.binance()) as venue, client(venue, "binanceusdm") as exchange:
        venue.price("BTC/USDT", "51000")
        venue.faults.plan(Fault(shape=Shape.CUT_BODY, taken=Taken.FIRST, path="order$"))
        ...
        assert not venue.violations
"""
