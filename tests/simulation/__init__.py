"""Whole days of the real desk in virtual time, with seeded faults: a seed is a day, bit for bit.

Engine, loop, executor, recovery, codec and exchange adapter are the product's own, ccxt included;
only the wire, the disk, the clock and the timers are simulated. The venue is the loopback venue's
matching core and protocol, called in memory.
"""
