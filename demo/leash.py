"""python -m demo.leash MODULE [arguments]: runs a module, and ends it when whoever started it is gone.

The parent holds the write end of standard input; the operating system closes it when the parent ends, however it ends.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def main(argv: list[str]) -> None:
    """Run the module that the first argument names, with the others as its command line."""
    # Ctrl-C is for the parent, which then stops its stages one after the other.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = list(argv)
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1:])
