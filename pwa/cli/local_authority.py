"""A certificate authority of this machine's own, so that phones nearby can open a demo over https.

It can vouch for names and addresses of private networks only, so a stolen key opens no other site.
"""

import os
import re
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from city import files

PRIVATE = tuple(
    map(
        IPv4Network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
    )
)
LOOPBACK = IPv4Address("127.0.0.1")
SOMEWHERE = ("198.51.100.1", 9)  # an address of the books (RFC 5737): nothing is sent there
AUTHORITY_LASTS = timedelta(days=3650)
CERTIFICATE_LASTS = timedelta(days=365)  # Apple refuses more than 825 days
RENEWED_BEFORE = timedelta(days=30)
CLOCK_SKEW = timedelta(days=1)  # a phone's clock may be behind
HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class BrokenAuthority(Exception):
    """What is kept on the disk is no authority of ours: names the file."""


@dataclass(frozen=True)
class Authority:
    """A certificate that phones are asked to trust, and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        """The certificate as phones download it."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in pairs of capital hex digits."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(" ").upper()

    @property
    def name(self) -> str:
        """What phones list it as."""
        return str(self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@dataclass(frozen=True)
class Served:
    """The PEM files that the web server reads: a certificate with its authority's, and its private key."""

    certificate: Path
    key: Path


def lan_addresses() -> list[IPv4Address]:
    """This machine's addresses in private networks; the one that it reaches others by comes first."""
    found: list[str] = []
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(SOMEWHERE)
        found.append(probe.getsockname()[0])
    with suppress(OSError):
        found += [str(row[4][0]) for row in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    addresses = dict.fromkeys(map(IPv4Address, found))
    return [address for address in addresses if is_private(address) and not address.is_loopback]


def is_private(address: IPv4Address) -> bool:
    """Whether our authority may vouch for it."""
    return any(address in network for network in PRIVATE)


def host_names() -> list[str]:
    """What this machine is called in its own network, also by mDNS; and `localhost`."""
    name = socket.gethostname().partition(".")[0].lower()
    return [*([name, f"{name}.local"] if HOST_NAME.fullmatch(name) else []), "localhost"]


def authority(folder: Path, now: datetime) -> Authority:
    """The authority that lies in `folder`, made on first use. Raises BrokenAuthority, OSError."""
    certificate_file, key_file = folder / "authority.crt", folder / "authority.key"
    if key_file.exists() or certificate_file.exists():
        kept = _read_authority(certificate_file, key_file)
        if kept.certificate.not_valid_after_utc > now + CERTIFICATE_LASTS:
            return kept
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = _make_authority(now)
    _write(key_file, _private_pem(made.key))
    _write(certificate_file, made.certificate.public_bytes(serialization.Encoding.PEM))
    return made


def certificate_for(
    folder: Path, issuer: Authority, names: Iterable[str], addresses: Iterable[IPv4Address], now: datetime
) -> Served:
    """The server's certificate in `folder`, made anew where it lacks a name or address, or ends soon."""
    wanted = _alternative_names(issuer, names, addresses)
    served = Served(folder / "server.crt", folder / "server.key")
    if not _still_serves(served, issuer, wanted, now):
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _sign_leaf(issuer, key.public_key(), wanted, now)
        _write(served.key, _private_pem(key))
        chain = (each.public_bytes(serialization.Encoding.PEM) for each in (leaf, issuer.certificate))
        _write(served.certificate, b"".join(chain))
    return served


def _read_authority(certificate_file: Path, key_file: Path) -> Authority:
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError) as fault:
        raise BrokenAuthority(str(key_file.parent)) from fault
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise BrokenAuthority(str(key_file.parent))
    key_file.chmod(0o600)
    return Authority(certificate, key)


def _make_authority(now: datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    host, *_rest = host_names()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"Cityline demo on {host}"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Cityline"),
        ]
    )
    permitted = [
        *(x509.IPAddress(network) for network in PRIVATE),
        *(x509.DNSName(each) for each in dict.fromkeys(("local", "localhost", host))),
    ]
    certificate = (
        _builder(name, name, key.public_key(), now, AUTHORITY_LASTS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def _sign_leaf(
    issuer: Authority, key: ec.EllipticCurvePublicKey, names: Sequence[x509.GeneralName], now: datetime
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Cityline demo")])
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    return (
        _builder(issuer.certificate.subject, subject, key, now, CERTIFICATE_LASTS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(issuer_key, critical=False)
        .sign(issuer.key, hashes.SHA256())
    )


def _builder(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lasts: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now - CLOCK_SKEW + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=signs_certificates,
        crl_sign=signs_certificates, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _alternative_names(
    issuer: Authority, names: Iterable[str], addresses: Iterable[IPv4Address]
) -> list[x509.GeneralName]:
    """Those of them that the authority may vouch for: a machine may have been renamed since it was made."""
    limits = issuer.certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    domains = [each.value for each in limits.permitted_subtrees or () if isinstance(each, x509.DNSName)]
    fit = [
        name
        for name in dict.fromkeys(names)
        if any(name == domain or name.endswith(f".{domain}") for domain in domains)
    ]
    return [
        *map(x509.DNSName, fit),
        *(x509.IPAddress(address) for address in dict.fromkeys(addresses) if is_private(address)),
    ]


def _still_serves(
    served: Served, issuer: Authority, wanted: Sequence[x509.GeneralName], now: datetime
) -> bool:
    try:
        leaf = x509.load_pem_x509_certificate(served.certificate.read_bytes())
        key = serialization.load_pem_private_key(served.key.read_bytes(), None)
        leaf.verify_directly_issued_by(issuer.certificate)
        held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    ours = key.public_key() == leaf.public_key()
    return ours and {*wanted} <= {*held} and leaf.not_valid_after_utc > now + RENEWED_BEFORE


def _private_pem(key: PrivateKeyTypes) -> bytes:
    """PKCS #8, which is all that the web server takes."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, pem: bytes) -> None:
    with files.atomic_write(path, 0o600) as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(pem)
