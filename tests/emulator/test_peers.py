"""Peers that mean harm, or are half dead: for how long, and for whom, they matter."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgpack
import pytest

from livemig.config.migration import MAX_CHANNELS
from livemig.migration.checksum import checksum
from livemig.migration.frames import ALIVE, MAX_SNAPSHOT, PROTOCOL_VERSION, Frame, encode

CONFIG = """
[run]
duration = "800ms"
clock = "{clock}"
[machine]
ram = "1MiB"
[migration]
start = "100ms"
peer_timeout = "600ms"
"""


@contextmanager
def side(tmp_path: Path, kind: str, uri: str, clock: str = "virtual", *more: str) -> Iterator[subprocess.Popen[str]]:
    config = tmp_path / "scenario.toml"
    config.write_text(CONFIG.format(clock=clock))
    option = "--connect" if kind == "source" else "--listen"
    command = [sys.executable, "-m", "livemig", kind, str(config), option, uri, "--out", str(tmp_path / "run"), *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def outcome(process: subprocess.Popen[str]) -> tuple[int, str]:
    stdout, stderr = process.communicate(timeout=30)
    assert "Traceback" not in stderr, stderr
    return process.returncode, stdout


def listener(tmp_path: Path) -> tuple[socket.socket, str]:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(f"{tmp_path}/sock")
    sock.listen()
    return sock, f"unix:{tmp_path}/sock"


def guest_ran_to_the_end(tmp_path: Path) -> bool:
    last = json.loads((tmp_path / "run/source.jsonl").read_text().splitlines()[-1])
    return last["t_ns"] >= 800_000_000 and last["reason"] == "duration"


@pytest.mark.parametrize("clock", ["virtual", "wall"])
def test_a_destination_that_takes_all_and_says_nothing_is_given_up_and_the_guest_runs_on(
    tmp_path: Path, clock: str
) -> None:
    """In virtual time nothing else would end it: the clock stands still until the answer comes."""
    listening, uri = listener(tmp_path)
    with listening, side(tmp_path, "source", uri, clock) as source:
        with listening.accept()[0]:
            code, said = outcome(source)
        assert code == 3
        assert "owner of the guest: source" in said
        if clock == "virtual":
            assert "the peer has said nothing for 0.6 s" in said
        assert guest_ran_to_the_end(tmp_path)


def test_signs_of_life_are_no_answer(tmp_path: Path) -> None:
    """They keep a source from being taken for dead by the destination; a destination owes more."""
    listening, uri = listener(tmp_path)
    with listening, side(tmp_path, "source", uri) as source, listening.accept()[0] as destination:
        destination.settimeout(20)
        while source.poll() is None:
            try:
                destination.sendall(ALIVE)
            except OSError:
                break
            time.sleep(0.05)
        code, said = outcome(source)
        assert code == 3
        assert "the peer has said nothing for 0.6 s" in said
        assert guest_ran_to_the_end(tmp_path)


def test_a_destination_cannot_write_to_the_sources_ram(tmp_path: Path) -> None:
    listening, uri = listener(tmp_path)
    with listening, side(tmp_path, "source", uri) as source, listening.accept()[0] as destination:
        pages = Frame("pages", 0, 0, {"runs": [[0, 1]], "zero": []})
        destination.sendall(encode(pages, 0, ram_pages=256) + b"x" * 4096 + checksum(b"x" * 4096))
        code, said = outcome(source)
        assert code == 3
        assert "frame 'pages', runs: page 0 is outside RAM of 0 pages" in said
        assert guest_ran_to_the_end(tmp_path)


def test_a_destination_that_floods_the_source_does_not_stop_the_guest_nor_fill_its_memory(tmp_path: Path) -> None:
    listening, uri = listener(tmp_path)
    with listening, side(tmp_path, "source", uri, "wall") as source, listening.accept()[0] as destination:
        destination.settimeout(0.2)
        welcome = {"version": PROTOCOL_VERSION}
        flood = b"".join(encode(Frame("welcome", 0, 0, welcome), seq) for seq in range(20_000))
        sent = 0
        try:
            for _ in range(100):
                sent += destination.send(flood[sent % len(flood) :])
        except OSError:
            pass
        resident = int(Path(f"/proc/{source.pid}/statm").read_text().split()[1]) * 4096
        assert resident < 200 << 20
        code, _ = outcome(source)
        assert code == 3
        assert guest_ran_to_the_end(tmp_path)


def hello(seq: int) -> bytes:
    fields = {"version": PROTOCOL_VERSION, "machine": {}, "strategy": "none", "capabilities": []}
    return encode(Frame("hello", 0, 0, fields), seq)


def channel(session: str) -> bytes:
    return encode(Frame("channel", 0, 0, {"session": session, "index": 0, "channels": 0, "preempt": 0}), 0)


def connect(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            sock.connect(str(path))
        except OSError:
            time.sleep(0.02)
        else:
            return sock
    raise AssertionError("nobody listens")


def test_strangers_before_and_a_second_source_beside_it_do_not_disturb_a_migration(tmp_path: Path) -> None:
    uri = f"unix:{tmp_path}/sock"
    longer = ("--set", "migration.peer_timeout=5s", "--set", "run.duration=2s", "--set", "migration.downtime=1s")
    with side(tmp_path, "destination", uri, "wall", *longer) as destination:
        silent, garbage = connect(tmp_path / "sock"), connect(tmp_path / "sock")
        garbage.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with side(tmp_path, "source", uri, "wall", *longer) as source:
            log, deadline = tmp_path / "run/source.jsonl", time.monotonic() + 20
            while time.monotonic() < deadline and not (log.exists() and '"status":"active"' in log.read_text()):
                time.sleep(0.02)
            second = connect(tmp_path / "sock")
            second.sendall(channel("2") + hello(1))
            second.settimeout(10)
            assert b"another source migrates here" in second.recv(1000)
            assert outcome(source)[0] == 0
            assert outcome(destination)[0] == 0
        for sock in (silent, garbage, second):
            sock.close()


def test_strangers_cannot_fill_the_memory_of_a_destination_with_what_they_say(tmp_path: Path) -> None:
    """As many as are before the door at a time, each with the largest payload there is, all but its last byte."""
    uri, most = f"unix:{tmp_path}/sock", 2 * (MAX_CHANNELS + 1)
    with side(tmp_path, "destination", uri, "wall", "--set", "migration.peer_timeout=30s") as destination:
        strangers = [connect(tmp_path / "sock") for _ in range(most)]
        payload = bytes(MAX_SNAPSHOT)
        said = encode(Frame("snapshot", 0, 0, {}, payload), 1)
        for number, sock in enumerate(strangers):
            with suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(channel(str(number)) + said + payload[:-1])
        peak = int(Path(f"/proc/{destination.pid}/status").read_text().split("VmHWM:")[1].split()[0]) << 10
        assert peak < 200 << 20
        assert destination.poll() is None
        for sock in strangers:
            sock.close()


def test_a_source_that_stops_dead_is_given_up_by_the_destination(tmp_path: Path) -> None:
    """SIGSTOP: its connection stays, its signs of life do not. While it lives, silence is no offence."""
    uri = f"unix:{tmp_path}/sock"
    with side(tmp_path, "destination", uri, "wall") as destination:
        slow = ("--set", "link.bandwidth=10kbit/s", "--set", "run.duration=30s")
        connect(tmp_path / "sock").close()
        with side(tmp_path, "source", uri, "wall", *slow) as source:
            log, deadline = tmp_path / "run/source.jsonl", time.monotonic() + 20
            while time.monotonic() < deadline and not (log.exists() and '"status":"active"' in log.read_text()):
                time.sleep(0.02)
            time.sleep(1.5)
            assert destination.poll() is None
            os.kill(source.pid, signal.SIGSTOP)
            code, said = outcome(destination)
            assert code == 3
            assert "the peer has said nothing for 0.6002 s" in said  # the link there and back as well


def test_a_damaged_page_ends_the_migration_by_name_and_the_source_learns_of_it(tmp_path: Path) -> None:
    """A proxy between the two turns one bit of the first page's content, to which the guest does not write meanwhile:
    else it would be sent once more."""
    still = ("virtual", "--set", "guest.memory.dirty_rate=0B/s")
    uri, front = f"unix:{tmp_path}/back", f"unix:{tmp_path}/front"
    proxy = socket.socket(socket.AF_UNIX)
    proxy.bind(f"{tmp_path}/front")
    proxy.listen()
    (tmp_path / "far").mkdir()
    with proxy, side(tmp_path / "far", "destination", uri) as destination, side(
        tmp_path, "source", front, *still
    ) as source:
        back = connect(tmp_path / "back")
        near, _ = proxy.accept()
        _relay(near, back)
        code, said = outcome(source)
        assert code == 3
        assert "the destination refused: frame 'pages', checksum: the payload of frame 2 arrived damaged" in said
        assert guest_ran_to_the_end(tmp_path)
        code, said = outcome(destination)
        assert code == 3
        assert "arrived damaged" in said


def _relay(near: socket.socket, back: socket.socket) -> None:
    """Both ways until the destination has said all it has to say."""
    turned, heard = False, [near, back]
    with near, back:
        while True:
            for sock in select.select(heard, [], [])[0]:
                try:
                    data = bytearray(sock.recv(4096))
                except ConnectionResetError:
                    data = bytearray()
                if not data and sock is back:
                    return
                if not data:
                    heard = [back]
                    back.shutdown(socket.SHUT_WR)
                if sock is near and len(data) == 4096 and b"pages" not in data and not turned:
                    data[1000] ^= 1
                    turned = True
                with suppress(OSError):
                    (back if sock is near else near).sendall(data)


PREEMPT = ("--set", "migration.postcopy_ram=true", "--set", "migration.postcopy_preempt=true")


@pytest.mark.parametrize("preempt", [False, True])
@pytest.mark.parametrize("multifd", [0, 2])
def test_a_source_opens_the_connections_asked_for_and_each_says_which_it_is(
    tmp_path: Path, multifd: int, preempt: bool
) -> None:
    listening, uri = listener(tmp_path)
    more = ("--set", f"migration.multifd_channels={multifd}", *(PREEMPT if preempt else ()))
    channels = multifd + preempt
    with listening, side(tmp_path, "source", uri, "virtual", *more) as source:
        told = []
        sockets = [listening.accept()[0] for _ in range(channels + 1)]
        for sock in sockets:
            length = int.from_bytes(sock.recv(12, socket.MSG_WAITALL)[:4], "big")
            told.append(msgpack.unpackb(sock.recv(length, socket.MSG_WAITALL)))
        assert [(each["type"], each["index"], each["channels"]) for each in told] == [
            ("channel", index, channels) for index in range(channels + 1)
        ]
        assert {each["preempt"] for each in told} == {2 * preempt}  # in virtual time: in step
        assert len({each["session"] for each in told}) == 1
        for sock in sockets:
            sock.close()
        assert outcome(source)[0] == 3
        listening.settimeout(0.1)
        with pytest.raises(TimeoutError):
            listening.accept()
