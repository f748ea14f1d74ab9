"""The authority of `--https`: what it vouches for, what is kept, and what a strict client says of it."""

import socket
import ssl
import stat
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import click
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from pwa.cli import local_authority, nearby
from pwa.cli.local_authority import Authority, Served

NOW = datetime.now(UTC)
AT_HOME = IPv4Address("192.168.1.20")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tls"


@pytest.fixture
def authority(folder: Path) -> Authority:
    return local_authority.authority(folder, NOW)


def served(folder: Path, authority: Authority, *addresses: IPv4Address, now: datetime = NOW) -> Served:
    return local_authority.certificate_for(folder, authority, local_authority.host_names(), addresses, now)


def leaf(files: Served) -> x509.Certificate:
    return x509.load_pem_x509_certificates(files.certificate.read_bytes())[0]


def greeted(files: Served, authority: Path, name: str) -> None:
    """Opens a TLS connection as `name` would be opened. Raises ssl.SSLCertVerificationError."""
    ours, theirs = socket.socketpair()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.certificate, files.key)
    client = ssl.create_default_context(cafile=str(authority))
    client.verify_flags |= ssl.VERIFY_X509_STRICT

    def answer() -> None:
        with theirs, suppress(ssl.SSLError, OSError):
            server.wrap_socket(theirs, server_side=True).close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with ours:
            client.wrap_socket(ours, server_hostname=name).close()
    finally:
        thread.join(10)


def test_a_strict_client_trusts_each_name_and_address(folder: Path, authority: Authority) -> None:
    files = served(folder, authority, AT_HOME, local_authority.LOOPBACK)
    for name in (str(AT_HOME), "127.0.0.1", *local_authority.host_names()):
        greeted(files, folder / "authority.crt", name)
    with pytest.raises(ssl.SSLCertVerificationError):
        greeted(files, folder / "authority.crt", "192.168.1.21")


def test_it_is_what_apple_asks_for(folder: Path, authority: Authority) -> None:
    """https://support.apple.com/103769 and 102028: no more than 825 days, for servers, named as such."""
    made = leaf(served(folder, authority, AT_HOME))
    assert made.not_valid_after_utc - made.not_valid_before_utc <= timedelta(days=825)
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert AT_HOME in names.get_values_for_type(x509.IPAddress)
    assert made.not_valid_after_utc <= authority.certificate.not_valid_after_utc


def test_a_stolen_key_opens_no_other_site(folder: Path, authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    forged = local_authority._sign_leaf(authority, key.public_key(), [x509.DNSName("bank.example")], NOW)
    files = Served(folder / "forged.crt", folder / "forged.key")
    files.key.write_bytes(local_authority._private_pem(key))
    files.certificate.write_bytes(forged.public_bytes(local_authority.serialization.Encoding.PEM))
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        greeted(files, folder / "authority.crt", "bank.example")


def test_keys_are_nobody_elses_to_read_and_are_kept(folder: Path, authority: Authority) -> None:
    files = served(folder, authority, AT_HOME)
    for key in (folder / "authority.key", files.key):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    again = local_authority.authority(folder, NOW + timedelta(days=400))
    assert again.certificate == authority.certificate
    before = leaf(files)
    assert leaf(served(folder, again, AT_HOME)) == before


def test_a_new_address_or_a_late_day_brings_a_new_certificate_of_the_same_authority(
    folder: Path, authority: Authority
) -> None:
    first = leaf(served(folder, authority, AT_HOME))
    moved = leaf(served(folder, authority, IPv4Address("10.0.0.7")))
    assert moved != first
    late = leaf(served(folder, authority, IPv4Address("10.0.0.7"), now=NOW + timedelta(days=350)))
    assert late.not_valid_after_utc > moved.not_valid_after_utc
    for each in (first, moved, late):
        each.verify_directly_issued_by(authority.certificate)


def test_a_name_that_came_later_is_left_out(
    folder: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "renamed.example")
    held = leaf(served(folder, authority, AT_HOME)).extensions
    names = held.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"renamed.local", "localhost"}


@pytest.mark.parametrize("damage", ["authority.key", "authority.crt"])
def test_a_damaged_authority_is_named_and_not_replaced(
    folder: Path, authority: Authority, damage: str
) -> None:
    (folder / damage).write_text("half a fi")
    with pytest.raises(click.ClickException, match=r"is damaged\. Remove that folder"):
        nearby.prepare(folder, "127.0.0.1", 8311, NOW)
    assert (folder / damage).read_text() == "half a fi"


@pytest.mark.parametrize("host", ["8.8.8.8", "203.0.113.5"])
def test_an_address_of_the_internet_is_refused(folder: Path, host: str) -> None:
    with pytest.raises(click.ClickException, match="needs an address in a private network"):
        nearby.prepare(folder, host, 8311, NOW)


def test_a_machine_without_a_network_says_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_authority, "lan_addresses", list)
    with pytest.raises(click.ClickException, match="Connect this machine to the phone's Wi-Fi"):
        nearby.prepare(folder, nearby.EVERY_ADDRESS, 8311, NOW)


class TestTheTrustPage:
    @pytest.fixture
    def shown(self, folder: Path) -> nearby.Nearby:
        return nearby.prepare(folder, str(local_authority.LOOPBACK), 8311, NOW)

    def test_it_speaks_the_phones_language(self, shown: nearby.Nearby) -> None:
        browser = nearby.trust_app(shown, "Larkhaven", ("en", "es")).test_client()
        english = browser.get("/", headers={"Accept-Language": "de"}).text
        spanish = browser.get("/", headers={"Accept-Language": "es-MX,es;q=0.9"}).text
        assert "Download certificate" in english
        assert "Descargar certificado" in spanish
        assert 'href="https://127.0.0.1:8311/crew"' in english
        assert "Descargar certificado" in browser.get("/?lang=es").text

    def test_the_phones_own_steps_come_first(self, shown: nearby.Nearby) -> None:
        browser = nearby.trust_app(shown, "Larkhaven", ("en",)).test_client()
        iphone = browser.get("/", headers={"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0)"}).text
        android = browser.get("/", headers={"User-Agent": "Mozilla/5.0 (Linux; Android 15)"}).text
        assert iphone.index("Use Safari") < iphone.index("Use Chrome")
        assert android.index("Use Chrome") < android.index("Use Safari")

    def test_it_gives_the_certificate_and_never_the_key(self, shown: nearby.Nearby) -> None:
        browser = nearby.trust_app(shown, "Larkhaven", ("en",)).test_client()
        answer = browser.get("/cityline.crt")
        assert answer.mimetype == "application/x-x509-ca-cert"
        assert x509.load_der_x509_certificate(answer.data) == shown.authority.certificate
        for path in ("/authority.key", "/tls/authority.key", "/../tls/authority.key", "/cityline.key"):
            assert browser.get(path).status_code == 404
