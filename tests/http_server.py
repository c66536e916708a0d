"""A server on a free port of this machine, for tests of what asks others over HTTP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

ServerType = TypeVar("ServerType", bound="HttpServer")


class HttpServer(ThreadingHTTPServer):
    """asked: the paths of the questions, as the handler notes them. closing: is set when answers must not wait on."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.asked: list[str] = []
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(server: ServerType) -> Iterator[ServerType]:
    """The server while it answers, in a thread of its own."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
