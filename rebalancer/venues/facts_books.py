"""Which venues keep a book for long and one for short positions, whatever they are asked.

Beside the rows of `facts.py`, whose loading takes longer than the configuration can wait.
"""

from __future__ import annotations

ALWAYS_HEDGED = frozenset({"xt"})
"""By ccxt's name of the venue. At any other it is a setting of the account, `hedge`."""
