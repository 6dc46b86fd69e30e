"""`python -m rebalancer` is the command line."""

from rebalancer.cli.app import main

main()
