"""GET over http(s) of addresses that others chose: limits on time, size and target."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 5.0
TOTAL_TIMEOUT_S = 15.0
PAUSES_S = (0.0, 0.3, 0.6)  # before each attempt
MAX_REDIRECTS = 3
CHUNK_BYTES = 64 * 1024
MAX_SHOWN = 200  # characters of an address in a message

_PORTS = {"http": 80, "https": 443}
_PASSING = (500, 502, 503, 504)  # states of a server that may be over at the next attempt
# All of IPv6 that is given out to hosts; outside lie loopback, local and multicast addresses, and those that carry one
# of IPv4 inside: mapped, compatible, translated (NAT64).
_UNICAST = ipaddress.ip_network("2000::/3")
# Within it, protocols' own ones such as Teredo, 6to4, documentation; and the relay of 6to4 in IPv4.
_REFUSED = tuple(map(ipaddress.ip_network, ("2001::/23", "2002::/16", "3fff::/20", "192.88.99.0/24")))
_fetching = threading.local()  # .watch: that of the fetch this thread is for

Origin = tuple[str, str, int]


class FetchError(Exception):
    """Why nothing was fetched. `down`: the server itself does not work, so that others need not ask it now."""

    def __init__(self, text: str, *, down: bool = False) -> None:
        super().__init__(text)
        self.down = down


def session(trusted: str | None) -> requests.Session:
    """A session that connects to public addresses only, and to the origin of `trusted`, which the operator configured.

    It follows no redirect, keeps no cookie, and uses neither a proxy nor a password file of the machine.
    """
    made = requests.Session()
    made.trust_env = False
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    adapter = _Adapter(_trusted_origin(trusted))
    for scheme in _PORTS:
        made.mount(f"{scheme}://", adapter)
    return made


def origin(url: str) -> Origin:
    """Scheme, host and port. Raises ValueError where one of them is missing."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("allowed: http or https, and a host")
    return parts.scheme, parts.hostname, _PORTS[parts.scheme] if parts.port is None else parts.port


def _trusted_origin(url: str | None) -> Origin | None:
    """As requests spells it, since it is compared with what requests connects to; what it cannot ask needs no trust."""
    with suppress(requests.RequestException, ValueError):
        return origin(requests.Request("GET", url or "").prepare().url or "")
    return None


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, and is not a way to another one that need not be."""
    found = ipaddress.ip_address(address)
    if found.version == 6 and found not in _UNICAST:
        return False
    return found.is_global and not found.is_multicast and not any(found in network for network in _REFUSED)


def shown(url: str) -> str:
    """The address as it may be told: no password, and no query, which may hold a key or a plate."""
    try:
        scheme, host, port = origin(url)
        path = urlsplit(url).path
    except ValueError:
        return "an address that is none of http or https"
    return repr(f"{scheme}://{host}:{port}{path}"[:MAX_SHOWN])


def get(http: requests.Session, url: str, *, max_bytes: int) -> bytes:
    """The body of what is at `url`, redirects followed. `http` is a session made here. Raises FetchError."""
    watch = _Watch()
    found: Future[bytes] = Future()

    def follow() -> None:
        _fetching.watch = watch
        try:
            found.set_result(_follow(http, url, max_bytes, watch))
        except BaseException as error:  # noqa: BLE001 (raised again by result)
            found.set_exception(error)

    # A server that sends a byte now and then keeps each read within its time, so the whole is waited for from outside.
    threading.Thread(target=follow, name="fetch", daemon=True).start()
    try:
        return found.result(TOTAL_TIMEOUT_S)
    except TimeoutError as error:
        watch.end()
        raise FetchError(f"GET {shown(url)}: not complete after {TOTAL_TIMEOUT_S:g} s", down=True) from error


class _Watch:
    """What a fetch waits for, so that another thread can end it."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self._socket: socket.socket | None = None

    def hold(self, opened: socket.socket | None) -> None:
        """This is waited for now."""
        self._socket = opened
        if self.over.is_set():
            raise FetchError("given up")

    def end(self) -> None:
        """Nothing is asked any more, and what is waited for breaks off."""
        self.over.set()
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class _Http(HTTPConnection):
    """A connection that can be ended while it waits for an answer."""

    def getresponse(self) -> Any:  # noqa: ANN401 (urllib3's own type contradicts that of its base class)
        _fetching.watch.hold(self.sock)
        return super().getresponse()


class _PublicHttp(_Http):
    """One that is made to a public address only: of one look-up, so that what is checked is what is connected to."""

    def _new_conn(self) -> socket.socket:
        failed: OSError | None = None
        for family, kind, protocol, _, address in _public_addresses(self.host, self.port):
            if _fetching.watch.over.is_set():
                break
            opened = socket.socket(family, kind, protocol)
            try:
                opened.settimeout(self.timeout)
                opened.connect(address)
            except OSError as error:
                opened.close()
                failed = error
            else:
                return opened
        raise NewConnectionError(self, str(failed)) from failed


class _Https(_Http, HTTPSConnection):
    pass


class _PublicHttps(_PublicHttp, HTTPSConnection):
    pass


_TRUSTED = {"http": _Http, "https": _Https}
_PUBLIC = {"http": _PublicHttp, "https": _PublicHttps}


def _public_addresses(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    """What to connect to, from one look-up of the name. Raises FetchError unless all of it is public."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchError(f"{host!r} has no address: {error}", down=True) from error
    inner = [entry[4][0] for entry in found if not is_public(str(entry[4][0]))]
    if inner:
        raise FetchError(f"{host!r} is {inner[0]}, which is no public address")
    return found


class _Adapter(HTTPAdapter):
    """Decides by what is connected to, not by the text of an address, which two readers may read in two ways."""

    def __init__(self, trusted: Origin | None) -> None:
        super().__init__()
        self._trusted = trusted

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: Any,  # noqa: ANN401 (as requests has it)
        proxies: Any = None,  # noqa: ANN401
        cert: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        pool: Any = super().get_connection_with_tls_context(request, verify, proxies, cert)
        is_trusted = (pool.scheme, pool.host, pool.port) == self._trusted
        pool.ConnectionCls = (_TRUSTED if is_trusted else _PUBLIC)[pool.scheme]
        return pool


def _follow(http: requests.Session, url: str, max_bytes: int, watch: _Watch) -> bytes:
    for _ in range(MAX_REDIRECTS + 1):
        try:
            origin(url)  # refuses what is no address before it is asked
            with _answer(http, url, watch) as response:
                if not response.is_redirect:
                    return _body(response, url, max_bytes)
                url = urljoin(url, response.headers["location"])
        except (requests.ConnectionError, requests.Timeout) as error:
            raise FetchError(f"GET {shown(url)}: {_cause(error)}", down=True) from error
        except (OSError, HTTPError, ValueError) as error:
            raise FetchError(f"GET {shown(url)}: {_cause(error)}") from error
    raise FetchError(f"GET {shown(url)}: more than {MAX_REDIRECTS} redirects")


def _answer(http: requests.Session, url: str, watch: _Watch) -> requests.Response:
    """The answer to a GET, which is asked again where a connection broke or the server had a passing trouble."""
    for pause_s in PAUSES_S[:-1]:
        watch.over.wait(pause_s)
        with suppress(requests.ConnectionError, requests.Timeout):
            response = _ask(http, url)
            if response.status_code not in _PASSING:
                return response
            response.close()
    watch.over.wait(PAUSES_S[-1])
    return _ask(http, url)


def _ask(http: requests.Session, url: str) -> requests.Response:
    return http.get(url, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S), allow_redirects=False, stream=True)


def _body(response: requests.Response, url: str, max_bytes: int) -> bytes:
    if response.status_code != requests.codes.ok:
        raise FetchError(f"GET {shown(url)}: the answer was {response.status_code}", down=response.status_code >= 500)
    body = bytearray()
    for chunk in response.iter_content(CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            raise FetchError(f"GET {shown(url)}: more than {max_bytes} bytes")
    return bytes(body)


def _cause(error: Exception) -> str:
    """What went wrong, without the library's own texts that repeat the address."""
    inner = getattr(error.args[0], "reason", None) if error.args else None
    return type(error).__name__ if inner is None else f"{type(error).__name__}: {inner}"
