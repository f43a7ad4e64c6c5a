"""Where a peer is, and getting there."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from pathlib import Path

import pytest
import trio
from ends import on_trio
from hypothesis import given
from hypothesis import strategies as st

from livemig.errors import AddressInUse, ConnectTimeout, UsageError
from livemig.link.uri import TcpAddress, UnixAddress, connect, listen, parse_uri

S = 1_000_000_000


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("unix:/tmp/x", UnixAddress("/tmp/x")),
        ("unix:relative:with:colons", UnixAddress("relative:with:colons")),
        ("unix:" + "x" * 107, UnixAddress("x" * 107)),
        ("tcp:localhost:4444", TcpAddress("localhost", 4444)),
        ("tcp:127.0.0.1:0", TcpAddress("127.0.0.1", 0)),
        ("tcp:[::1]:65535", TcpAddress("::1", 65535)),
    ],
)
def test_a_uri_names_an_address_and_an_address_its_uri(uri: str, address: UnixAddress | TcpAddress) -> None:
    assert parse_uri(uri) == address
    assert str(address) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "", "unix", "unix:", "/tmp/x", "UNIX:/tmp/x", "unix:a\0b", "udp:localhost:1",
        "tcp:", "tcp:localhost", "tcp::1", "tcp:localhost:", "tcp:h:65536", "tcp:h:-1", "tcp:h:+1", "tcp:h: 1",
        "tcp:h:1x", "tcp:h:٣", "tcp:::1:5", "tcp:[]:5", "tcp:[h]:5", "tcp:[::1]",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_what_is_allowed(uri: str) -> None:
    with pytest.raises(UsageError, match=r"allowed: unix:PATH, tcp:HOST:PORT") as error:
        parse_uri(uri)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", ["x" * 108, "é" * 54])
def test_a_path_that_no_socket_can_have_is_refused_for_that(path: str) -> None:
    with pytest.raises(UsageError, match="at most 107 bytes"):
        parse_uri("unix:" + path)


@given(st.text())
def test_parsing_any_text_gives_an_address_that_parses_to_itself_or_a_usage_error(text: str) -> None:
    for uri in (text, "unix:" + text, "tcp:" + text, "tcp:h:" + text):
        try:
            address = parse_uri(uri)
        except UsageError:
            continue
        assert parse_uri(str(address)) == address


@pytest.mark.parametrize("place", ["unix:{}/s", "tcp:127.0.0.1:0", "tcp:localhost:0"])
@on_trio
async def test_who_listens_can_be_connected_to_at_the_uri_given(tmp_path: Path, place: str) -> None:
    listener, uri = listen(place.format(tmp_path))
    with listener, await connect(uri, S) as near, listener.accept()[0] as far:
        assert os.get_blocking(near.fileno())
        near.sendall(b"x")
        assert far.recv(9) == b"x"
    assert uri == place.format(tmp_path) or not uri.endswith(":0")


@on_trio
async def test_ipv6_in_brackets(tmp_path: Path) -> None:
    try:
        listener, uri = listen("tcp:[::1]:0")
    except UsageError:
        pytest.skip("no IPv6 here")
    with listener, await connect(uri, S):
        assert uri.startswith("tcp:[::1]:")


@pytest.mark.parametrize("uri", ["unix:{}/nobody", "tcp:127.0.0.1:1"])
@on_trio
async def test_nobody_there_is_a_timeout_that_says_why_the_last_try_failed(tmp_path: Path, uri: str) -> None:
    began = time.monotonic()
    with pytest.raises(ConnectTimeout, match=r"No such file|refused"):
        await connect(uri.format(tmp_path), S // 10)
    assert 0.1 <= time.monotonic() - began < 1


@on_trio
async def test_a_listener_that_comes_late_is_found(tmp_path: Path) -> None:
    uri = f"unix:{tmp_path}/s"
    listeners: list[socket.socket] = []

    async def late() -> None:
        await trio.sleep(0.05)
        listeners.append(listen(uri)[0])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(late)
        (await connect(uri, 5 * S)).close()
    listeners[0].close()


@on_trio
async def test_connecting_can_be_cancelled(tmp_path: Path) -> None:
    with trio.move_on_after(0.03) as scope:
        await connect(f"unix:{tmp_path}/nobody", 3600 * S)
    assert scope.cancelled_caught


def test_a_unix_socket_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with listen(f"unix:{tmp_path}/s")[0]:
            assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    finally:
        os.umask(old)


def test_what_a_dead_listener_left_is_replaced(tmp_path: Path) -> None:
    uri = f"unix:{tmp_path}/s"
    listen(uri)[0].close()
    with listen(uri)[0], socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))


def test_a_live_listener_is_left_alone_and_never_sees_who_asked(tmp_path: Path) -> None:
    uri = f"unix:{tmp_path}/s"
    with listen(uri)[0] as first:
        with pytest.raises(AddressInUse):
            listen(uri)
        first.setblocking(False)
        with pytest.raises(BlockingIOError):
            first.accept()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "s"))


def test_a_file_that_is_no_socket_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(UsageError, match="not a socket"):
        listen(f"unix:{tmp_path}/s")
    assert (tmp_path / "s").read_text() == "precious"


def test_a_port_that_is_taken_is_in_use() -> None:
    listener, uri = listen("tcp:127.0.0.1:0")
    with listener, pytest.raises(AddressInUse):
        listen(uri)


@pytest.mark.parametrize("uri", ["unix:/no/such/directory/s", "tcp:no-such-host.invalid:1", "tcp:192.0.2.1:0"])
def test_a_place_that_cannot_be_listened_at_is_a_usage_error(uri: str) -> None:
    with pytest.raises(UsageError) as error:
        listen(uri, insecure=True)
    assert str(error.value).startswith(uri)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1"])
def test_plain_tcp_stays_on_loopback(host: str) -> None:
    with pytest.raises(UsageError, match="--insecure"):
        listen(f"tcp:{host}:0")


def test_unless_told_otherwise() -> None:
    listener, uri = listen("tcp:0.0.0.0:0", insecure=True)
    with listener:
        assert uri == f"tcp:0.0.0.0:{listener.getsockname()[1]}"


def test_listening_leaves_no_thread() -> None:
    before = threading.active_count()
    listen("tcp:localhost:0")[0].close()
    assert threading.active_count() == before
