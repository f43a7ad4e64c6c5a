"""Certificates in a directory: made whole, and what is wrong with one is said of the file."""

from __future__ import annotations

import datetime
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from livemig.errors import InputError, OutputError, UsageError
from livemig.link import credentials
from livemig.link.credentials import CLIENT, FILES, SERVER, context, make

BOTH = pytest.mark.parametrize("role", [CLIENT, SERVER])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    make(tmp_path / "tls")
    return tmp_path / "tls"


def spoil(path: Path, text: bytes) -> None:
    path.unlink()
    path.write_bytes(text)


def self_made(days_from: int, days_to: int) -> tuple[bytes, bytes]:
    """A certificate that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
        .not_valid_before(now + datetime.timedelta(days=days_from))
        .not_valid_after(now + datetime.timedelta(days=days_to)).sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(pem), private


def test_a_set_has_qemus_names_and_only_its_owner_reads_the_keys(place: Path) -> None:
    assert sorted(path.name for path in place.iterdir()) == sorted(FILES)
    for path in place.iterdir():
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o600 if path.name.endswith("-key.pem") else 0o644), path
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_overwritten_and_then_nothing_is_made(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match="nothing is overwritten") as error:
        make(tmp_path)
    assert error.value.path == str(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_server_is_for_this_host_by_any_of_its_names_and_for_those_asked_for(tmp_path: Path) -> None:
    make(tmp_path, ["far.example", "192.0.2.7"])
    made = x509.load_pem_x509_certificate((tmp_path / "server-cert.pem").read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "far.example"} <= set(names.get_values_for_type(x509.DNSName))
    assert {"127.0.0.1", "::1", "192.0.2.7"} <= set(map(str, names.get_values_for_type(x509.IPAddress)))


def test_a_name_that_no_certificate_can_hold_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'gewölbe' is no name of a host"):
        make(tmp_path / "tls", ["gewölbe"])
    assert not (tmp_path / "tls").exists()


@BOTH
def test_a_role_needs_no_files_of_the_other(place: Path, role: str) -> None:
    for path in place.glob(f"{'client' if role == SERVER else 'server'}-*"):
        path.unlink()
    context(place, role)


SPOILED: list[tuple[str, Callable[[Path], None], str]] = [
    ("ca-cert.pem", lambda path: path.unlink(), "No such file"),
    ("{role}-cert.pem", lambda path: path.unlink(), "No such file"),
    ("{role}-key.pem", lambda path: path.unlink(), "No such file"),
    ("{role}-key.pem", lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
    ("ca-cert.pem", lambda path: spoil(path, b"hullo"), "is not a certificate in PEM"),
    ("{role}-cert.pem", lambda path: spoil(path, b""), "is not a certificate in PEM"),
    ("{role}-key.pem", lambda path: spoil(path, b"hullo"), "is not a private key in PEM"),
    ("{role}-key.pem", lambda path: spoil(path, self_made(-1, 1)[1]), "is not the key of {role}-cert.pem"),
    ("{role}-cert.pem", lambda path: spoil(path, self_made(-1, 1)[0]), "was not issued by ca-cert.pem"),
    ("{role}-cert.pem", lambda path: spoil(path, self_made(-9, -1)[0]), "expired on 20"),
    ("{role}-cert.pem", lambda path: spoil(path, self_made(1, 9)[0]), "is not valid before 20"),
    ("ca-cert.pem", lambda path: spoil(path, self_made(-9, -1)[0]), "expired on 20"),
    ("ca-cert.pem", lambda path: spoil(path, self_made(-1, 1)[0]), "was not issued by ca-cert.pem"),
]


@BOTH
@pytest.mark.parametrize(("name", "spoiling", "said"), SPOILED)
def test_what_is_wrong_with_a_file_of_ours_is_one_line_that_names_it(
    place: Path, role: str, name: str, spoiling: Callable[[Path], None], said: str
) -> None:
    path = place / name.format(role=role)
    spoiling(path)
    with pytest.raises(InputError) as error:
        context(place, role)
    to_blame = place / f"{role}-cert.pem" if said.startswith("was not issued") else path
    assert error.value.path == str(to_blame)
    assert said.format(role=role) in error.value.problem
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


def test_a_certificate_for_the_other_role_is_refused(place: Path) -> None:
    for kind in ("cert", "key"):
        os.replace(place / f"server-{kind}.pem", place / f"client-{kind}.pem")
    with pytest.raises(InputError, match=r"client-cert.pem: is not meant for a client"):
        context(place, CLIENT)


def test_a_file_that_may_not_be_read_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match=r"ca-cert.pem: Permission denied"):
        context(place, SERVER)


def test_without_a_directory_or_the_library_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--tls-dir DIR or migration.tls_dir"):
        context("", CLIENT)
    monkeypatch.setattr(credentials, "find_spec", lambda name: None)
    for call in (lambda: context(tmp_path, CLIENT), lambda: make(tmp_path)):
        with pytest.raises(UsageError, match=r"pip install 'livemig\[tls\]'"):
            call()
