"""Where the program begins, as `rebalancer` and as `python -m rebalancer`."""

from __future__ import annotations

import sys


def main() -> None:
    """Load the command line and run it; a ctrl-c while it loads ends it as quietly as any other."""
    try:
        from rebalancer.cli.app import main as run  # noqa: PLC0415 - what it takes is in the try

        run()
    except KeyboardInterrupt:
        sys.exit(130)  # Exit.INTERRUPTED, which may not be loaded


if __name__ == "__main__":
    main()
