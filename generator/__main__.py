"""python -m generator: simulated cameras; python -m generator score: fines against the truth."""

import signal
import sys

from generator.cli import main

if __name__ == "__main__":
    if sys.argv[1:2] == ["score"] and sys.platform != "win32":
        # A reader that has enough, such as head, ends it quietly. Cameras keep Python's way: they have connections.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
