"""Certificates and keys for TLS in a directory, under QEMU's names: looked at, and made.

What is wrong with a file of ours is found here, before anybody is connected to, so that it can be said of which file.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from livemig.errors import InputError, OutputError, UsageError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

CLIENT: Final = "client"
SERVER: Final = "server"
CA_CERT: Final = "ca-cert.pem"
FILES: Final = (CA_CERT, "server-cert.pem", "server-key.pem", "client-cert.pem", "client-key.pem")

_DAYS: Final = 365
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


def context(directory: str | os.PathLike[str], role: str) -> ssl.SSLContext:
    """What the `role` (CLIENT: the source, SERVER: the destination) needs to prove itself and to check the peer.

    Raises:
        InputError: a file is missing, unreadable, expired, or not what its name says.
        UsageError: no directory, or `cryptography` is not installed.
    """
    if not str(directory):
        raise UsageError("tls needs certificates: --tls-dir DIR or migration.tls_dir (livemig tls-init DIR makes them)")
    require_cryptography()
    place = Path(directory)
    _check(place, role)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if role == SERVER else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(place / CA_CERT)
    made.load_cert_chain(place / f"{role}-cert.pem", place / f"{role}-key.pem")
    if role == SERVER:
        made.num_tickets = 0  # nobody comes back, and a ticket that nobody reads is a reset when he leaves
    return made


def make(directory: str | os.PathLike[str], hosts: Sequence[str] = ()) -> list[Path]:
    """A whole set: an authority whose key is thrown away, a server for this host and `hosts`, a client.

    Raises:
        OutputError: a file is there already, or cannot be written; nothing is overwritten.
        UsageError: `cryptography` is not installed, or a host has no name that a certificate could hold.
    """
    require_cryptography()
    from cryptography.hazmat.primitives.asymmetric import ec

    place = Path(directory)
    for name in FILES:
        if os.path.lexists(place / name):
            raise OutputError(str(place / name), "exists; nothing is overwritten")
    authority, server, client = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = _certificate("livemig CA", authority, None, authority, [])
    names = [*dict.fromkeys((*_LOCAL, socket.gethostname(), *hosts))]
    content = {
        CA_CERT: _pem(root),
        "server-cert.pem": _pem(_certificate("livemig destination", server, root, authority, names)),
        "server-key.pem": _pem(server),
        "client-cert.pem": _pem(_certificate("livemig source", client, root, authority, [])),
        "client-key.pem": _pem(client),
    }
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in content.items():
            mode = 0o600 if name.endswith("-key.pem") else 0o644
            with open(os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(text)
    except OSError as error:
        raise OutputError(str(error.filename or place), error.strerror or str(error)) from error
    return [place / name for name in FILES]


def require_cryptography() -> None:
    """Raises UsageError where it is not installed."""
    if find_spec("cryptography") is None:
        raise UsageError("tls needs cryptography: pip install 'livemig[tls]'")


def _check(place: Path, role: str) -> None:
    """InputError names the file of ours with which no peer would be satisfied, and says why."""
    from cryptography.hazmat.primitives import serialization

    authorities = _certificates(place / CA_CERT)
    path, key_path = place / f"{role}-cert.pem", place / f"{role}-key.pem"
    own, *more = _certificates(path)
    if not any(_issued(own, by) for by in (*more, *authorities)):
        raise InputError(str(path), f"was not issued by {CA_CERT}")
    if not _serves(own, role):
        raise InputError(str(path), f"is not meant for a {role} (its extended key usage)")
    try:
        key = serialization.load_pem_private_key(_read(key_path), password=None)
    except (ValueError, TypeError):
        raise InputError(str(key_path), "is not a private key in PEM without a pass phrase") from None
    if key.public_key() != own.public_key():
        raise InputError(str(key_path), f"is not the key of {path.name}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(str(path), error.strerror or str(error)) from None


def _certificates(path: Path) -> list[x509.Certificate]:
    """All in a file, valid today."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(_read(path))
    except ValueError:
        raise InputError(str(path), "is not a certificate in PEM") from None
    now = datetime.datetime.now(datetime.UTC)
    for each in found:
        if now > each.not_valid_after_utc:
            raise InputError(str(path), f"expired on {each.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC")
        if now < each.not_valid_before_utc:
            raise InputError(str(path), f"is not valid before {each.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC")
    return found


def _issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _serves(certificate: x509.Certificate, role: str) -> bool:
    """As OpenSSL looks at it: a certificate that says nothing of what it is for is for everything."""
    from cryptography import x509

    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return _usage(role) in usage


def _usage(role: str) -> x509.ObjectIdentifier:
    from cryptography.x509.oid import ExtendedKeyUsageOID

    return ExtendedKeyUsageOID.SERVER_AUTH if role == SERVER else ExtendedKeyUsageOID.CLIENT_AUTH


def _certificate(
    name: str,
    key: EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    signer: EllipticCurvePrivateKey,
    hosts: Sequence[str],
) -> x509.Certificate:
    """For `key`: an authority if there is no `issuer`, a server if there are `hosts`, else a client."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    authority = issuer is None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # hosts' clocks differ
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(_key_usage(authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not authority:
        usage = x509.ExtendedKeyUsage([_usage(SERVER if hosts else CLIENT)])
        builder = builder.add_extension(usage, critical=False)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(each) for each in hosts]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _key_usage(authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _host(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError:
        raise UsageError(f"{host!r} is no name of a host (names beyond ASCII as xn--…)") from None


def _pem(what: x509.Certificate | EllipticCurvePrivateKey) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization as form

    if isinstance(what, x509.Certificate):
        return what.public_bytes(form.Encoding.PEM)
    return what.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
