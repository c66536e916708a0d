"""What every service process does: start its server, and end when told to or when the process that started it is gone.

The parent holds the write end of the child's standard input. Its end of file means "stop": the parent closes it to stop
the child, and the operating system closes it when the parent dies, however it dies. This works alike on every platform.
"""

import argparse
import asyncio
import importlib
import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from localcloud.serving import ServiceArgs, ServiceModule


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m localcloud.child")
    parser.add_argument("module")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--project", required=True)
    options = parser.parse_args(argv)
    parent = ParentWatch()
    parent.start()
    service = cast(ServiceModule, importlib.import_module(options.module))
    asyncio.run(_serve(service, ServiceArgs(options.port, options.data_dir, options.project), parent))


class ParentWatch(threading.Thread):
    """Calls ``on_end`` at the end of standard input; until there is something to stop in order, that just ends."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.on_end: Callable[[], object] = lambda: os._exit(0)

    def run(self) -> None:
        # Not sys.stdin: a thread that waits in its lock keeps the interpreter from ending in good order.
        while os.read(0, 4096):
            pass
        self.on_end()


async def _serve(service: ServiceModule, args: ServiceArgs, parent: ParentWatch) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(*_: object) -> None:
        loop.call_soon_threadsafe(stopped.set)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent.on_end = stop
    async with service.serving(args):
        await stopped.wait()


if __name__ == "__main__":
    main()
