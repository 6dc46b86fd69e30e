"""`make bench` runs every benchmark and prints its ratios."""

from benchmarks import burst, send_path, tick_cost

tick_cost.run()
send_path.run()
burst.run()
