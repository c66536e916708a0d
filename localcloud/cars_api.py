"""A stand-in for the EDEM course's cars API: GET / answers {"image_url": ...}, a picture of a car from a folder.

The picture of a vehicle is the file of its name (``?vehicle_id=KJR4821`` -> KJR4821.jpg), else one chosen by its hash;
without a vehicle_id the pictures follow each other in the order of their names.
"""

import hashlib
import itertools
import json
import mimetypes
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from localcloud.serving import HOST, ServiceArgs

PICTURES_DIR_VARIABLE = "CARS_API_PICTURES"
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder by name; a folder that does not exist yet has none."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())


def choose(pictures: list[Path], vehicle_id: str | None, turn: Iterator[int]) -> Path:
    """The picture for a vehicle; ``pictures`` must not be empty."""
    if vehicle_id is None:
        return pictures[next(turn) % len(pictures)]
    by_name = {path.stem: path for path in pictures}
    if vehicle_id in by_name:
        return by_name[vehicle_id]
    digest = hashlib.sha256(vehicle_id.encode()).digest()
    return pictures[int.from_bytes(digest[:8], "big") % len(pictures)]


class CarsServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, folder: Path) -> None:
        super().__init__((HOST, port), CarsHandler)
        self.folder = folder
        self.turn = itertools.count()


class CarsHandler(BaseHTTPRequestHandler):
    server: CarsServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/":
            self._answer_choice(parse_qs(url.query).get("vehicle_id", [None])[0])
        elif url.path.startswith("/pictures/"):
            self._answer_picture(unquote(url.path.removeprefix("/pictures/")))
        else:
            self._answer_error(f"no such path: {url.path}; ask / or /pictures/NAME")

    def _answer_choice(self, vehicle_id: str | None) -> None:
        pictures = pictures_in(self.server.folder)
        if not pictures:
            self._answer_error(f"no pictures in {self.server.folder}; put .jpg or .png files there")
            return
        name = choose(pictures, vehicle_id, self.server.turn).name
        link = f"http://{HOST}:{self.server.server_address[1]}/pictures/{quote(name)}"
        self._answer(200, "application/json", json.dumps({"image_url": link}).encode())

    def _answer_picture(self, name: str) -> None:
        # Looked up among the folder's own names, so no path in the request leads out of the folder.
        found = next((path for path in pictures_in(self.server.folder) if path.name == name), None)
        if found is None:
            self._answer_error(f"no picture named {name}")
            return
        self._answer(200, mimetypes.guess_type(name)[0] or "application/octet-stream", found.read_bytes())

    def _answer_error(self, message: str) -> None:
        self._answer(404, "application/json", json.dumps({"error": message}).encode())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@asynccontextmanager
async def serving(args: ServiceArgs) -> AsyncIterator[None]:
    folder = Path(os.environ.get(PICTURES_DIR_VARIABLE) or args.data_dir / "cars")
    with CarsServer(args.port, folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()
