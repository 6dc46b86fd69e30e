"""Seven venues that have no loopback of their own: their answers, in their own shapes.

Nothing is matched here: an account stands as a test says it does, and prices are what a test says.
Shapes are those of the venues' public documentation, as ccxt's parsers quote it beside each answer.
"""
