"""python -m generator: simulated cameras; python -m generator score: fines against the truth."""

import sys

from generator.cli import main

if __name__ == "__main__":
    sys.exit(main())
