"""The exchange's own Python client, in an environment of its own, reads the loopback Binance.

It wants other versions of what the desk runs on, so it is never imported here: `environment` makes
the environment from a lock of its own, and `reader` is run by it.
"""

from __future__ import annotations

from pathlib import Path


def reader_path() -> str:
    """Return where the reader is, for another interpreter."""
    return str(Path(__file__).with_name("reader.py"))
