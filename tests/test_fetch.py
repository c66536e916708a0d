"""GET of addresses that others chose, against a server that does everything wrong."""

import gzip
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
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
    monkeypatch.setattr(fetch, "PAUSES_S", (0.0, 0.0, 0.0))


def get(server: Server, path: str, max_bytes: int = 50_000) -> bytes:
    return fetch.get(fetch.session(server.url), server.url + path, max_bytes=max_bytes)


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


@pytest.mark.parametrize("path", ["/drip-body", "/drip-headers", "/hang"])
def test_what_is_given_up_ends(server, path):
    """Neither a thread nor a connection stays behind, and nothing is asked again."""
    before = set(threading.enumerate())
    with pytest.raises(FetchError) as caught:
        get(server, path)
    assert caught.value.down
    for thread in [one for one in threading.enumerate() if one.name == "fetch" and one not in before]:
        thread.join(2.0)
        assert not thread.is_alive()
    assert len(server.asked) <= len(fetch.PAUSES_S)


def test_server_error_is_tried_again(server):
    assert get(server, "/recovering") == BODY


def test_server_error_is_tried_three_times_in_all(server):
    with pytest.raises(FetchError, match="the answer was 500") as caught:
        get(server, "/broken")
    assert len(server.asked) == 3
    assert caught.value.down


@pytest.mark.parametrize("path", ["/missing", "/large", "/loop", "/redirect"])
def test_server_that_answers_is_not_down(server, path):
    server.target = "http://10.0.0.1/"
    with pytest.raises(FetchError) as caught:
        get(server, path)
    assert not caught.value.down


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
        fetch.get(fetch.session("http://127.0.0.1:1/"), url, max_bytes=10)


@pytest.mark.parametrize("trusted", [None, "", "http://a b/", "http://[", "http://" + "a" * 70 + ".example/"])
def test_trusted_address_that_is_none_is_told_when_it_is_asked(trusted):
    """Not before, where the error would end the step with all its cases."""
    http = fetch.session(trusted)
    with pytest.raises(FetchError):
        fetch.get(http, trusted or "http://127.0.0.1:1/", max_bytes=10)


def test_refused_connection_is_said(server):
    closed = f"http://127.0.0.1:{server.server_port}/"
    server.server_close()
    with pytest.raises(FetchError, match="refused") as caught:
        fetch.get(fetch.session(closed), closed, max_bytes=10)
    assert caught.value.down


def test_proxies_of_the_machine_are_not_used(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert get(server, "/picture") == BODY


def test_origin_is_scheme_host_and_port():
    assert fetch.origin("http://A.example:8080/x?y") == ("http", "a.example", 8080)
    assert fetch.origin("http://a.example/") == fetch.origin("http://a.example:80/x")
    assert fetch.origin("http://a.example/") != fetch.origin("https://a.example/")
    assert fetch.origin("http://trusted@other.example/")[1] == "other.example"


# --- which addresses are connected to


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.1.2.3",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:808:808::1",
        "2001:db8::1",
        "2002:a00:1::1",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ],
)
def test_address_that_is_not_public(address):
    assert not fetch.is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "192.0.1.1", "223.255.255.254", "2001:4860:4860::8888", "2606:4700::1111", "2a00:1450::1"]
)
def test_address_that_is_public(address):
    assert fetch.is_public(address)


class Names:
    """The names of this machine: each look-up of a name takes the next of its answers."""

    def __init__(self, monkeypatch, **answers: list[list[str]]) -> None:
        self._answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.asked: list[str] = []
        self._really = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self.getaddrinfo)

    def getaddrinfo(self, host, port, *args, **kwargs):
        if host not in self._answers:
            return self._really(host, port, *args, **kwargs)
        self.asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in self._answers[host].pop(0)]


def get_anywhere(url: str) -> bytes:
    return fetch.get(fetch.session(None), url, max_bytes=50_000)


def at(server: Server, host: str, path: str = "/picture") -> str:
    return f"http://{host}:{server.server_port}{path}"


@pytest.fixture
def _here_is_public(monkeypatch):
    """This machine stands for a public server."""
    monkeypatch.setattr(fetch, "is_public", lambda address: address == "127.0.0.1")


@pytest.mark.usefixtures("_here_is_public")
def test_name_is_looked_up_once_and_what_was_checked_is_connected_to(server, monkeypatch):
    """A second look-up, answered otherwise, would be the way in."""
    names = Names(monkeypatch, pictures_example=[["127.0.0.1"], ["10.0.0.1"]])
    assert get_anywhere(at(server, "pictures.example")) == BODY
    assert names.asked == ["pictures.example"]


@pytest.mark.usefixtures("_here_is_public")
def test_every_address_of_a_name_is_checked(server, monkeypatch):
    Names(monkeypatch, pictures_example=[["127.0.0.1", "10.0.0.1"]])
    with pytest.raises(FetchError, match="no public address"):
        get_anywhere(at(server, "pictures.example"))
    assert server.asked == []


@pytest.mark.usefixtures("_here_is_public")
def test_address_that_refuses_is_followed_by_the_next(server, monkeypatch):
    monkeypatch.setattr(fetch, "is_public", lambda address: address.startswith("127."))
    Names(monkeypatch, pictures_example=[["127.0.0.9", "127.0.0.1"]])
    assert get_anywhere(at(server, "pictures.example")) == BODY


@pytest.mark.usefixtures("_here_is_public")
def test_every_hop_is_looked_up_and_checked_anew(server, monkeypatch):
    names = Names(monkeypatch, pictures_example=[["127.0.0.1"]], other_example=[["10.0.0.1"]])
    server.target = at(server, "other.example")
    with pytest.raises(FetchError, match="no public address"):
        get_anywhere(at(server, "pictures.example", "/redirect"))
    assert names.asked == ["pictures.example", "other.example"]
    assert server.asked == ["/redirect"]


@pytest.mark.usefixtures("_here_is_public")
def test_server_is_asked_under_its_name(server, monkeypatch):
    hosts = []
    monkeypatch.setattr(Answers, "missing", lambda self: (hosts.append(self.headers["host"]), self.send(200)))
    Names(monkeypatch, pictures_example=[["127.0.0.1"]])
    get_anywhere(at(server, "pictures.example", "/any"))
    assert hosts == [f"pictures.example:{server.server_port}"]


def test_name_that_does_not_exist_is_said(monkeypatch):
    with pytest.raises(FetchError, match=r"nowhere\.invalid.*has no address"):
        get_anywhere("http://nowhere.invalid/x")


def test_only_the_trusted_origin_may_be_on_this_machine(server):
    with pytest.raises(FetchError, match="no public address"):
        get_anywhere(server.url + "/picture")
    assert server.asked == []


@pytest.mark.parametrize("trick", ["{inner}\\@{trusted}/picture", "{inner}#@{trusted}/picture", "{inner}?@{trusted}/x"])
def test_address_is_not_read_in_two_ways(server, trick):
    """One reader takes the host to be what stands after the @, the other what stands before it."""
    with Server() as inner:
        thread = threading.Thread(target=inner.serve_forever, args=(0.01,))
        thread.start()
        try:
            url = trick.format(inner=inner.url, trusted=server.url.removeprefix("http://"))
            with pytest.raises(FetchError):
                fetch.get(fetch.session(server.url), url, max_bytes=50_000)
            assert inner.asked == []
        finally:
            inner.shutdown()
            thread.join()


def test_no_cookie_is_kept(server, monkeypatch):
    monkeypatch.setattr(Answers, "missing", lambda self: self.send(200, set_cookie="a=b; Path=/"))
    http = fetch.session(server.url)
    fetch.get(http, server.url + "/any", max_bytes=10)
    assert not http.cookies


# --- over TLS


@pytest.fixture
def certified(server, tmp_path):
    """The server over TLS, as pictures.example; the file of the certificate to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pictures.example")])
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(key_id, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("pictures.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    both = tmp_path / "both.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    server.names = []
    context.sni_callback = lambda _socket, name, _context: server.names.append(name)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return both


@pytest.mark.usefixtures("_here_is_public")
@pytest.mark.parametrize(("host", "right"), [("pictures.example", True), ("other.example", False)])
def test_certificate_is_that_of_the_name(server, certified, monkeypatch, host, right):
    Names(monkeypatch, pictures_example=[["127.0.0.1"]] * 3, other_example=[["127.0.0.1"]] * 3)
    http = fetch.session("http://trusted.example/")
    http.verify = str(certified)
    url = at(server, host).replace("http://", "https://")
    if right:
        assert fetch.get(http, url, max_bytes=50_000) == BODY
    else:
        with pytest.raises(FetchError, match=r"other\.example"):
            fetch.get(http, url, max_bytes=50_000)
    assert set(server.names) == {host}


@pytest.mark.usefixtures("_here_is_public")
def test_certificate_that_nobody_vouches_for_is_refused(server, certified, monkeypatch):
    """Three attempts, on a machine that does other work."""
    monkeypatch.setattr(fetch, "TOTAL_TIMEOUT_S", 30.0)
    Names(monkeypatch, pictures_example=[["127.0.0.1"]] * 3)
    with pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED"):
        get_anywhere(at(server, "pictures.example").replace("http://", "https://"))
    assert server.asked == []


# --- what is said of it

SECRETS = ("KLM4821", "s3cret", "somebody")


@pytest.mark.parametrize("path", ["/missing", "/broken", "/hang", "/short", "/no-http", "/loop", "/large", "/redirect"])
def test_neither_key_nor_plate_nor_password_is_told(server, caplog, path):
    server.target = "http://somebody:s3cret@10.0.0.1/x?key=s3cret"
    url = server.url.replace("://", "://somebody:s3cret@") + path + "?key=s3cret&vehicle_id=KLM4821"
    with pytest.raises(FetchError) as caught:
        fetch.get(fetch.session(server.url), url, max_bytes=50_000)
    assert "127.0.0.1" in str(caught.value) or "10.0.0.1" in str(caught.value)
    assert not [secret for secret in SECRETS if secret in str(caught.value) + caplog.text]


@pytest.mark.parametrize(
    "url",
    [
        "http://somebody:s3cret@10.0.0.1/?KLM4821",
        "ftp://somebody:s3cret@host/#KLM4821",
        "http://somebody:s3cret@[::1/",
        "http://somebody:s3cret@host:port/",
        "http://somebody:s3cret\u2100@host/",
        "http://somebody:s3cret@nowhere.invalid/?KLM4821",
        "somebody:s3cret@host",
    ],
)
def test_address_that_is_refused_is_told_without_its_secrets(url):
    with pytest.raises(FetchError) as caught:
        get_anywhere(url)
    assert not [secret for secret in SECRETS if secret in str(caught.value)]
