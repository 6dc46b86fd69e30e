"""`make bench` runs every benchmark and prints its ratios."""

from benchmarks import tick_cost

tick_cost.run()
