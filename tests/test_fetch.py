"""GET of addresses that others chose, against a server that does everything wrong."""

import gzip
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler

import pytest
from http_server import HttpServer, serving

from pipeline import fetch
from pipeline.fetch import FetchError

BODY = b"\xff\xd8\xff" + bytes(2_000)


class Answers(BaseHTTPRequestHandler):
    """Answers by path; what is asked is noted in `server.asked`."""

    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        with suppress(ConnectionError):
            getattr(self, self.path.strip("/").split("?")[0].replace("-", "_"), self.missing)()

    def log_message(self, *_: object) -> None:
        pass

    def send(self, status: int, body: bytes = b"", **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def missing(self) -> None:
        self.send(404)

    def picture(self) -> None:
        self.send(200, BODY, content_type="image/jpeg", content_length=len(BODY))

    def large(self) -> None:
        self.send(200, bytes(100_000))

    def packed(self) -> None:
        self.send(200, gzip.compress(bytes(20_000_000)), content_encoding="gzip")

    def broken(self) -> None:
        self.send(500)

    def recovering(self) -> None:
        self.picture() if self.server.asked.count(self.path) > 1 else self.send(503)

    def short(self) -> None:
        self.send(200, BODY[:100], content_length=len(BODY))

    def hang(self) -> None:
        self.server.closing.wait(20)

    def drip_body(self) -> None:
        self.send(200, content_length=100)
        self.drip(b"x" * 100)

    def drip_headers(self) -> None:
        self.wfile.write(b"HTTP/1.0 200 OK\r\n")
        self.drip(b"x: 345678\r\n" * 9 + b"x")
        self.wfile.write(b"content-length: 2\r\n\r\nok")

    def drip(self, data: bytes) -> None:
        """Something every 50 ms, well within any time limit on a single read, for 5 s in all."""
        for number in range(100):
            self.server.dripped = number > 60
            self.wfile.write(data[number : number + 1])
            self.wfile.flush()
            if self.server.closing.wait(0.05):
                return

    def no_http(self) -> None:
        self.wfile.write(b"\x00\x01 this is no answer\r\n\r\n")

    def redirect(self) -> None:
        self.send(302, location=self.server.target)

    def loop(self) -> None:
        self.send(302, location="/loop")

    def once(self) -> None:
        self.send(302, location="/picture")


class Server(HttpServer):
    def __init__(self) -> None:
        super().__init__(Answers)
        self.target = ""
        self.dripped = False


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as running:
        yield running


@pytest.fixture(autouse=True)
def _short_times(monkeypatch):
    for name in ("CONNECT_TIMEOUT_S", "READ_TIMEOUT_S", "TOTAL_TIMEOUT_S"):
        monkeypatch.setattr(fetch, name, 0.5)


def get(server: Server, path: str, max_bytes: int = 50_000) -> bytes:
    http = fetch.session()
    for adapter in http.adapters.values():
        adapter.max_retries = adapter.max_retries.new(backoff_factor=0)
    return fetch.get(http, server.url + path, trusted=server.url, max_bytes=max_bytes)[0]


def test_body_arrives(server):
    assert get(server, "/picture") == BODY


def test_redirect_within_the_origin_is_followed(server):
    assert get(server, "/once") == BODY


def test_redirect_to_the_same_origin_in_full_is_followed(server):
    server.target = server.url + "/picture"
    assert get(server, "/redirect") == BODY


def test_body_of_exactly_the_limit_arrives(server):
    assert len(get(server, "/large", max_bytes=100_000)) == 100_000


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/large", "more than 50000 bytes"),
        ("/packed", "more than 50000 bytes"),
        ("/missing", "404"),
        ("/broken", "/broken"),
        ("/short", "/short"),
        ("/hang", "/hang"),
        ("/no-http", "/no-http"),
        ("/loop", "more than 3 redirects"),
    ],
)
def test_what_is_wrong_is_said(server, path, says):
    with pytest.raises(FetchError, match=says):
        get(server, path)


@pytest.mark.parametrize("path", ["/drip-body", "/drip-headers"])
def test_slow_drip_is_cut_off(server, path):
    """A byte now and then keeps every single read within its time; only a limit on the whole ends it."""
    with pytest.raises(FetchError):
        get(server, path)
    assert not server.dripped


def test_server_error_is_tried_again(server):
    assert get(server, "/recovering") == BODY


def test_server_error_is_tried_three_times_in_all(server):
    with pytest.raises(FetchError):
        get(server, "/broken")
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "gopher://127.0.0.1/",
        "http://169.254.169.254/computeMetadata/v1/",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://127.0.0.1:1/",
        "http://localhost:1/",
        "http://[::1]:1/",
        "http://[::ffff:127.0.0.1]:1/",
        "http://0.0.0.0:1/",
        "http://2130706433:1/",
        "http://0x7f.1:1/",
        "//127.0.0.1:1/",
        "http://[",
        "http://[::1",
        "http://a]b/",
        "http://127.0.0.1:99999999/",
        "http://127.0.0.1:port/",
        "http://" + "a" * 70 + ".invalid/",
        "http://\u2100.invalid/",
        "",
    ],
)
def test_redirect_elsewhere_is_not_followed(server, target):
    server.target = target.encode("ascii", "backslashreplace").decode()
    with pytest.raises(FetchError):
        get(server, "/redirect")
    assert set(server.asked) == {"/redirect"}


def test_redirect_to_another_port_of_this_machine_is_not_followed(server):
    with serving(Server()) as inner:
        server.target = inner.url + "/picture"
        with pytest.raises(FetchError, match="no public address"):
            get(server, "/redirect")
        assert inner.asked == []


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gs://b/x", "/relative", "", "http://", "http://[", "javascript:1"]
)
def test_address_that_is_none(url):
    with pytest.raises(FetchError):
        fetch.get(fetch.session(), url, trusted="http://127.0.0.1:1/", max_bytes=10)


def test_refused_connection_is_said(server):
    closed = f"http://127.0.0.1:{server.server_port}/"
    server.server_close()
    with pytest.raises(FetchError):
        fetch.get(fetch.session(), closed, trusted=closed, max_bytes=10)


def test_proxies_of_the_machine_are_not_used(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert get(server, "/picture") == BODY


def test_origin_is_scheme_host_and_port():
    assert fetch.origin("http://A.example:8080/x?y") == ("http", "a.example", 8080)
    assert fetch.origin("http://a.example/") != fetch.origin("https://a.example/")
    assert fetch.origin("http://trusted@other.example/")[1] == "other.example"
