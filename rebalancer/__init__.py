"""The rebalancing desk of a leveraged-token platform."""

__version__ = "0.1.0"
