"""GET over http(s) of addresses that others chose: limits on time, size, type and target."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from concurrent.futures import Future
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 5.0
TOTAL_TIMEOUT_S = 15.0
MAX_REDIRECTS = 3
CHUNK_BYTES = 64 * 1024


class FetchError(Exception):
    """Why nothing was fetched. `answered`: the server works, it only has no such thing (4xx)."""

    def __init__(self, text: str, *, answered: bool = False) -> None:
        super().__init__(text)
        self.answered = answered


def session() -> requests.Session:
    """A session that repeats a GET twice after a broken connection or a 5xx answer, and follows no redirect itself."""
    retry = Retry(
        total=2, redirect=0, backoff_factor=0.3, status_forcelist=(500, 502, 503, 504), allowed_methods=("GET",)
    )
    made = requests.Session()
    made.trust_env = False  # neither a proxy nor a password file of the machine is meant for these requests
    for scheme in ("http://", "https://"):
        made.mount(scheme, HTTPAdapter(max_retries=retry))
    return made


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def get(http: requests.Session, url: str, *, trusted: str, max_bytes: int) -> tuple[bytes, str]:
    """The body and content type of `url`, redirects followed.

    Only public addresses are asked, and the origin of `trusted`, which the operator configured. Raises FetchError.
    """
    found: Future[tuple[bytes, str]] = Future()

    def follow() -> None:
        try:
            found.set_result(_follow(http, url, trusted, max_bytes))
        except BaseException as error:  # noqa: BLE001 (raised again by result)
            found.set_exception(error)

    # A server that sends a byte now and then keeps each read within its time, so the whole is waited for from outside.
    threading.Thread(target=follow, name="fetch", daemon=True).start()
    try:
        return found.result(TOTAL_TIMEOUT_S)
    except TimeoutError as error:
        raise FetchError(f"GET {url}: not complete after {TOTAL_TIMEOUT_S:g} s") from error


def _follow(http: requests.Session, url: str, trusted: str, max_bytes: int) -> tuple[bytes, str]:
    deadline = time.monotonic() + TOTAL_TIMEOUT_S
    for _ in range(MAX_REDIRECTS + 1):
        _check_target(url, trusted)
        try:
            with http.get(
                url, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S), allow_redirects=False, stream=True
            ) as response:
                if not response.is_redirect:
                    return _body(response, max_bytes, deadline), response.headers.get("content-type", "")
                url = urljoin(url, response.headers["location"])
        except (requests.RequestException, ValueError) as error:
            raise FetchError(f"GET {url}: {type(error).__name__}: {error}") from error
    raise FetchError(f"GET {url}: more than {MAX_REDIRECTS} redirects")


def _check_target(url: str, trusted: str) -> None:
    try:
        scheme, host, port = origin(url)
    except ValueError as error:
        raise FetchError(f"{url!r} is no address: {error}") from error
    if scheme not in ("http", "https") or not host:
        raise FetchError(f"{url!r}: only http and https are fetched")
    if origin(trusted) == (scheme, host, port):
        return
    try:
        found = socket.getaddrinfo(host, port or scheme, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchError(f"{url!r}: {host!r} has no address: {error}") from error
    inner = [str(entry[4][0]) for entry in found if not ipaddress.ip_address(entry[4][0]).is_global]
    if inner:
        raise FetchError(f"{url!r}: {host!r} is {inner[0]}, which is no public address")


def _body(response: requests.Response, max_bytes: int, deadline: float) -> bytes:
    if response.status_code != requests.codes.ok:
        error = f"GET {response.url}: the answer was {response.status_code}"
        raise FetchError(error, answered=400 <= response.status_code < 500)
    body = bytearray()
    for chunk in response.iter_content(CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            raise FetchError(f"GET {response.url}: more than {max_bytes} bytes")
        if time.monotonic() > deadline:
            raise FetchError(f"GET {response.url}: not complete after {TOTAL_TIMEOUT_S:g} s")
    return bytes(body)
