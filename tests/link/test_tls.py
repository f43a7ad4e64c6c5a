"""TLS: who gets in, and what the others are told."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import trio
from cryptography import x509
from ends import certificates, on_trio, sockets

from livemig.errors import LivemigError, TlsError
from livemig.link.credentials import CLIENT, SERVER, context, make
from livemig.link.stream import Stream
from livemig.link.tls import prove_to_client, prove_to_server

Outcome = Stream | LivemigError


async def met(client: ssl.SSLContext, server: ssl.SSLContext, host: str = "localhost") -> tuple[Outcome, Outcome]:
    """What became of the client's and the server's end of a handshake."""
    near, far = sockets("tcp")
    outcomes: dict[str, Outcome] = {}

    async def end(name: str, connecting: object) -> None:
        try:
            outcomes[name] = await connecting  # type: ignore[misc]
        except TlsError as error:
            outcomes[name] = error

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end, "client", prove_to_server(near, client, host))
        nursery.start_soon(end, "server", prove_to_client(far, server))
    for outcome in outcomes.values():
        if isinstance(outcome, Stream):
            outcome.close()
    return outcomes["client"], outcomes["server"]


def contexts(client: Path | None = None, server: Path | None = None) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return context(client or certificates(), CLIENT), context(server or certificates(), SERVER)


@on_trio
async def test_the_right_ones_meet_by_tls_1_3_and_know_each_other() -> None:
    client, server = await met(*contexts())
    assert isinstance(client, Stream)
    assert isinstance(server, Stream)
    pem = x509.load_pem_x509_certificate
    assert x509.load_der_x509_certificate(server.identity) == pem((certificates() / "client-cert.pem").read_bytes())
    assert x509.load_der_x509_certificate(client.identity) == pem((certificates() / "server-cert.pem").read_bytes())


@on_trio
async def test_a_client_of_another_authority_is_refused_and_told(tmp_path: Path) -> None:
    make(tmp_path)
    stranger, server = context(tmp_path, CLIENT), context(certificates(), SERVER)
    stranger.load_verify_locations(certificates() / "ca-cert.pem")
    client_end, server_end = await met(stranger, server)
    assert "the peer's certificate is not accepted" in str(server_end)
    assert "the peer gave up: unknown ca" in str(client_end) or "decrypt error" in str(client_end)


@on_trio
async def test_a_client_without_a_certificate_is_refused_and_told() -> None:
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.load_verify_locations(certificates() / "ca-cert.pem")
    client_end, server_end = await met(nobody, context(certificates(), SERVER))
    assert "peer did not return a certificate" in str(server_end)
    assert "the peer gave up: certificate required" in str(client_end)


@on_trio
async def test_a_server_of_another_authority_is_not_believed(tmp_path: Path) -> None:
    make(tmp_path)
    client_end, server_end = await met(*contexts(server=tmp_path))
    assert "the peer's certificate is not accepted" in str(client_end)
    assert isinstance(server_end, TlsError)


@on_trio
async def test_a_server_under_another_name_is_not_believed() -> None:
    client_end, _ = await met(*contexts(), host="elsewhere.example")
    assert "Hostname mismatch" in str(client_end)
    by_address, _ = await met(*contexts(), host="127.0.0.1")
    assert isinstance(by_address, Stream)


@on_trio
async def test_an_expired_peer_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its own side would not even start with such a file: it expires meanwhile."""
    import livemig.link.credentials as module

    monkeypatch.setattr(module, "_DAYS", 3 / 86400)
    make(tmp_path)
    old = context(tmp_path, CLIENT)
    await trio.sleep(3)
    fresh = context(certificates(), SERVER)
    fresh.load_verify_locations(tmp_path / "ca-cert.pem")
    old.load_verify_locations(certificates() / "ca-cert.pem")
    client_end, server_end = await met(old, fresh)
    assert "certificate has expired" in str(server_end)
    assert "the peer gave up: certificate expired" in str(client_end)


@on_trio
async def test_nothing_older_than_1_3_is_spoken() -> None:
    client, server = contexts()
    client.minimum_version = ssl.TLSVersion.TLSv1_2
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    ends = await met(client, server)
    assert all(isinstance(end, TlsError) for end in ends)


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"", b"\x16\x03\x01\xff\xff" + b"x" * 100])
@on_trio
async def test_somebody_who_speaks_no_tls_is_an_error_of_ours_and_his_socket_is_closed(said: bytes) -> None:
    near, far = sockets("tcp")
    with near:
        near.sendall(said)
        near.shutdown(socket.SHUT_WR)
        with pytest.raises(TlsError) as error:
            await prove_to_client(far, context(certificates(), SERVER))
        assert "\n" not in str(error.value)
        assert far.fileno() == -1


@on_trio
async def test_a_handshake_can_be_given_up() -> None:
    near, far = sockets("tcp")
    with near:
        with trio.move_on_after(0.05) as scope:
            await prove_to_client(far, context(certificates(), SERVER))
        assert scope.cancelled_caught
        assert far.fileno() == -1
