"""`make bench` runs every benchmark and prints its ratios."""

from benchmarks import burst, fan_out, replay_speed, send_path, tick_cost

tick_cost.run()
send_path.run()
burst.run()
fan_out.run()
replay_speed.run()
