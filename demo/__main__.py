"""python -m demo: the whole system on this machine, with simulated cameras, until it has proved itself."""

from __future__ import annotations

import sys

from demo.interrupt import Interrupts

INTERRUPTED = 130


def main() -> int:
    """Run the demo; the exit status."""
    interrupts = Interrupts()
    interrupts.install()
    try:
        # Imported only now: the Google clients take seconds to load, and Ctrl-C must be clean then too.
        from demo.command import main as run  # noqa: PLC0415

        return run(sys.argv[1:], interrupts.check)
    except KeyboardInterrupt:
        print("\ndemo: interrupted; everything it had started is stopped", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
