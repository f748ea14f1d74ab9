"""What goes out to addresses that others named reaches public machines only, over TLS, and not for ever."""

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import deadhosts
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from city import safe_http
from city.safe_http import PrivateAddressError, SafeSession


@pytest.mark.parametrize(
    "url",
    [
        "http://push.example/x", "ftp://push.example/x", "https://", "https:///x", "push.example",
        "https://127.0.0.1/x", "https://127.1/x", "https://10.0.0.7/x", "https://192.168.1.1/", "https://169.254.169.254/",
        "https://[::1]/", "https://[fd00::1]/", "https://[::ffff:10.0.0.7]/", "https://[64:ff9b::a00:7]/",
        "https://[2002:a00:7::]/", "https://[64:ff9b:1::a00:7]/",
        "https://[::127.0.0.1]/", "https://[::ffff:0:127.0.0.1]/", "https://[fec0::1]/", "https://[5f00::1]/",
        "https://[2001:0:a00:7::]/", "https://0.0.0.0/", "https://224.0.0.1/", "https://100.64.0.1/",
        "https://localhost/x", "https://intranet/x", "https://ana:word@push.example/x", "https://push.example:99999/",
        "https://push.example/\nX: y", "https://push.example/" + "x" * 1000, "https://[::1/",
    ],
)  # fmt: skip
def test_an_address_within_somebodys_own_network_is_refused(url: str) -> None:
    with pytest.raises(PrivateAddressError):
        safe_http.validate_url(url)
    with pytest.raises(PrivateAddressError):
        SafeSession().post(url)


def test_public_addresses_are_taken_as_they_are() -> None:
    for url in (
        "https://fcm.googleapis.com/fcm/send/abc:d-e_f",
        "https://8.8.8.8/x",
        "https://[2001:4860:4860::8888]/x",
    ):
        assert safe_http.validate_url(url) == url


def test_loopback_is_let_through_only_where_it_is_meant() -> None:
    url = "http://127.0.0.1:9/x"
    assert safe_http.validate_url(url, loopback=True) == url
    for inner in ("http://10.0.0.7/x", "http://169.254.169.254/"):
        with pytest.raises(PrivateAddressError):
            safe_http.validate_url(inner, loopback=True)


def test_a_public_name_that_leads_to_this_machine_is_not_asked(
    server: Callable[[bytes], tuple[int, list[bytes]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, heard = server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    found = socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_given, **_named: found)
    with pytest.raises(PrivateAddressError):
        SafeSession().post(f"https://push.example:{port}/x", data=b"secret")
    time.sleep(0.1)
    assert heard == [], "not a byte was sent"


@pytest.mark.parametrize(("named", "is_taken"), [("localhost", True), ("push.example", False)])
def test_a_certificate_is_checked_for_the_name_and_not_for_the_address(
    named: str, is_taken: bool, tmp_path: Path
) -> None:
    certificate = certified(named, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer_once, args=(listener, context), daemon=True).start()
        url = f"https://localhost:{listener.getsockname()[1]}/x"
        session = SafeSession(loopback=True)
        session.verify = str(certificate)
        if is_taken:
            assert session.post(url, data=b"x").status_code == 201
        else:
            with pytest.raises(requests.exceptions.SSLError):
                session.post(url, data=b"x")


def certified(name: str, folder: Path) -> Path:
    """A key and the certificate that it signs for itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    raw = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file = folder / "certificate.pem"
    file.write_bytes(key.private_bytes(*raw) + made.public_bytes(serialization.Encoding.PEM))
    return file


def answer_once(listener: socket.socket, context: ssl.SSLContext) -> None:
    there, _who = listener.accept()
    with suppress(OSError), context.wrap_socket(there, server_side=True) as line:
        told = line.recv(65536)
        while told and not told.endswith(b"\r\n\r\nx"):  # what lies unread as it closes would cut the answer
            told += line.recv(65536)
        line.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")


def test_a_redirect_is_not_followed(server: Callable[[bytes], tuple[int, list[bytes]]]) -> None:
    port, heard = server(b"HTTP/1.1 307 Away\r\nLocation: http://10.0.0.7/\r\nContent-Length: 0\r\n\r\n")
    answer = SafeSession(loopback=True).post(f"http://127.0.0.1:{port}/x", data=b"x")
    assert (answer.status_code, len(heard)) == (307, 1)


def test_of_an_endless_answer_little_is_read(server: Callable[[bytes], tuple[int, list[bytes]]]) -> None:
    port, _heard = server(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 3_000_000)
    answer = SafeSession(loopback=True).post(f"http://127.0.0.1:{port}/x", data=b"x")
    assert len(answer.content) == safe_http.MOST_BYTES


@pytest.mark.parametrize("begins", [b"", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["its head", "its body"])
def test_an_answer_that_trickles_in_is_cut(
    begins: bytes, monkeypatch: pytest.MonkeyPatch, soon: None
) -> None:
    monkeypatch.setattr(safe_http, "MOST_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle() -> None:
            with suppress(OSError):  # whoever asked has gone
                there, _who = listener.accept()
                with there:
                    there.sendall(begins)
                    for _ in range(1000):
                        there.sendall(b"H" if not begins else b"x")
                        time.sleep(0.1)

        threading.Thread(target=trickle, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(requests.RequestException):
            SafeSession(loopback=True).post(f"http://127.0.0.1:{listener.getsockname()[1]}/x", data=b"x")
    assert time.monotonic() - began < 3


def test_who_gave_no_answer_is_left_alone_for_a_while_and_others_are_not(
    server: Callable[[bytes], tuple[int, list[bytes]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safe_http, "MOST_SECONDS", 0.3)
    monkeypatch.setattr(safe_http, "REST", 2.0)
    port, _heard = server(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    with deadhosts.listening() as dead:
        session, (url,) = SafeSession(loopback=True), dead.urls()
        with pytest.raises(requests.Timeout):
            session.post(url, data=b"x")
        for _ in range(3):
            with pytest.raises(safe_http.Resting):
                session.post(url + "another/way", data=b"x")
        assert len(dead.calls) == 1
        with monkeypatch.context() as patient:  # whoever answers is busy now and then
            patient.setattr(safe_http, "MOST_SECONDS", 30)
            for _ in range(2):  # an answer is one, whatever it says
                assert session.post(f"http://127.0.0.1:{port}/x", data=b"x").status_code == 503
        time.sleep(2.0)
        with pytest.raises(requests.Timeout):
            session.post(url, data=b"x")
        assert len(dead.calls) == 2


def test_a_name_that_leads_to_many_dead_addresses_is_waited_for_no_longer(
    monkeypatch: pytest.MonkeyPatch, soon: None
) -> None:
    monkeypatch.setattr(safe_http, "MOST_SECONDS", 0.5)
    with deadhosts.full() as port:
        looks_up = socket.getaddrinfo

        def ten(name: str, *given: Any, **named: Any) -> Any:
            return looks_up("127.0.0.1", *given, **named) * (10 if name == "localhost" else 1)

        monkeypatch.setattr(socket, "getaddrinfo", ten)
        began = time.monotonic()
        with pytest.raises(requests.Timeout):
            SafeSession(loopback=True).post(f"http://localhost:{port}/x", data=b"x")
    assert time.monotonic() - began < 3


def test_who_is_found_too_late_is_not_asked_at_all(
    server: Callable[[bytes], tuple[int, list[bytes]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safe_http, "MOST_SECONDS", 0.2)
    port, heard = server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    looks_up = socket.getaddrinfo

    def slowly(*given: Any, **named: Any) -> Any:
        time.sleep(0.5)
        return looks_up(*given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    with pytest.raises(requests.Timeout):
        SafeSession(loopback=True).post(f"http://127.0.0.1:{port}/x", data=b"x")
    time.sleep(0.1)
    assert heard == []


@pytest.fixture
def server() -> Iterator[Callable[[bytes], tuple[int, list[bytes]]]]:
    """A server that gives one answer to whoever comes, and what it heard."""
    listeners: list[socket.socket] = []

    def start(answer: bytes) -> tuple[int, list[bytes]]:
        listener, heard = socket.create_server(("127.0.0.1", 0)), list[bytes]()
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    there, _who = listener.accept()
                except OSError:
                    return
                with there:
                    if told := _whole(there):
                        heard.append(told)
                    try:
                        # It ends here: who kept the connection could ask again on it just before it closes.
                        there.sendall(answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1], heard

    yield start
    for listener in listeners:
        listener.close()


def _whole(there: socket.socket) -> bytes:
    """A request with its body: who closes before all of it was read resets the connection."""
    told = b""
    while more := there.recv(65536):
        told += more
        head, end, body = told.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if end and len(body) >= int(length[1] if length else 0):
            break
    return told
