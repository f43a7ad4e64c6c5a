"""The readers of a peer's bytes as functions of bytes, which raise only if something is wrong with livemig."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgpack

from livemig.config.model import Config
from livemig.emulator import build
from livemig.errors import PeerLost, ProtocolError
from livemig.events.lines import render
from livemig.events.schema import DESTINATION, SOURCE
from livemig.link.buffers import fill
from livemig.link.inbound import Inbound
from livemig.machine.version import NEWEST
from livemig.migration.checksum import checksum
from livemig.migration.destination import Destination
from livemig.migration.frames import PROTOCOL_VERSION, Frame, encode, prefixed
from livemig.migration.source import Source
from livemig.migration.status import Status
from livemig.strategies.table import STRATEGIES

PAGE = 4096
PAGES = 4
CPUS = 2

_ram = bytearray((PAGES + 2) * PAGE)
MODELS = {
    "darwin": "mac99", "linux": "pseries", "periodic": "g3beige", "hypervisor": "powernv", "embedded": "e500",
}  # fmt: skip
CONFIGS = {
    kind: Config.model_validate(
        {
            "machine": {"model": model, "cpus": CPUS, "ram": "1MiB"},
            "guest": {"kind": kind, "memory": {"dirty_rate": "0B/s"}},
        }
    )
    for kind, model in MODELS.items()
}
MS = 1_000_000
STOP, START = 20 * MS, 30 * MS


def frames(data: bytes) -> None:
    """`data` as what a peer sends: the first byte says what of it is put right, so that more than checksums is read.

    Bit 0: the rest is one header, and gets its length and checksum. Bit 1: behind it come pages of content with a
    right checksum. Neither: the rest is a stream as it is.
    """
    if not data:
        return
    how, rest = data[0], data[1:]
    if how & 1:
        content = bytes(PAGE) * (how >> 2 & 3) if how & 2 else b""
        try:
            rest = prefixed(rest) + content + (checksum(content) if content else b"")
        except ProtocolError:
            return
    _ram[:PAGE] = _ram[-PAGE:] = b"\xa5" * PAGE
    inbound = Inbound(None)
    inbound.memory = memoryview(_ram)[PAGE:-PAGE]
    try:
        _feed(inbound, memoryview(rest))
    except (PeerLost, ProtocolError):
        pass
    finally:
        inbound.release()
    assert _ram[:PAGE] == _ram[-PAGE:] == b"\xa5" * PAGE


def _feed(inbound: Inbound, rest: memoryview) -> None:
    while True:
        while inbound.next_frame() is None:
            count = fill(inbound.wants, rest)
            rest = rest[count:]
            inbound.received(count)


def snapshots(data: bytes, kind: str = "darwin") -> None:
    """`data` as the snapshot that a destination gets. If that says `loaded`, the guest must be able to go on."""
    destination = _destination(kind)
    try:
        destination.receive(START, Frame("snapshot", 0, 0, {}, data))
    except ProtocolError:
        return
    _ready.clear()
    crossing = {"stopped_ns": STOP, "resume_ns": START, "paused": 0, "due_ns": [], "booted_ns": -1}
    destination.receive(START, Frame("switchover", 0, 0, crossing))
    destination.tick(START)
    machine = destination.machine
    for now in range(START, START + 5 * MS, MS):
        machine.run_to(now)
        render(machine.drain(now))


_ready: dict[str, Destination] = {}


def _destination(kind: str) -> Destination:
    """One that waits for a snapshot of a guest of `kind`; made once for all that it refuses."""
    if kind not in _ready:
        config = CONFIGS[kind]
        machine = build.machine(config, DESTINATION)
        parts = build.host(config, DESTINATION), build.link(config, DESTINATION), build.settings(config)
        made = Destination(machine, *parts, lambda t_ns, event, /, **fields: None)
        hello = {
            "version": PROTOCOL_VERSION, "machine": build.spec(config).as_fields(), "strategy": "tb-offset",
            "capabilities": [],
        }  # fmt: skip
        hello["machine"]["version"] = NEWEST.number
        made.receive(0, Frame("hello", 0, 0, hello))
        _ready[kind] = made
    _ready[kind].outbox.clear()
    return _ready[kind]


def some_snapshots(data: bytes) -> None:
    """As `snapshots`, but of those that are taken one in eight goes on: that takes far longer than to read it."""
    if checksum(data)[0] % 8:
        destination = _destination("darwin")
        try:
            destination.receive(START, Frame("snapshot", 0, 0, {}, data))
        except ProtocolError:
            return
        destination.status = Status.ACTIVE
    else:
        snapshots(data)


READERS: dict[str, Callable[[bytes], None]] = {"frames": frames, "snapshot": some_snapshots}


def seeds(name: str) -> Iterator[bytes]:
    """Right inputs to begin with."""
    yield from _frames() if name == "frames" else _snapshots()


def _frames() -> Iterator[bytes]:
    hello = {"version": PROTOCOL_VERSION, "machine": {"cpus": 2}, "strategy": "none", "capabilities": ["a"]}
    examples = {
        "channel": {"session": "ab", "index": 1, "channels": 2, "preempt": 1},
        "preempted": {"number": 3},
        "sync": {"number": 0},
        "hello": hello,
        "welcome": {"version": PROTOCOL_VERSION},
        "refuse": {"reason": "no"},
        "pages": {"runs": [[0, 1], [2, 1]], "zero": [[1, 1]]},
        "pass_end": {"pass": 1, "pages": 5},
        "loaded": {"ram_digest": "0f"},
        "switchover": {"stopped_ns": -1, "resume_ns": 1, "paused": 0, "due_ns": [-1, 7], "booted_ns": 0},
        "resumed": {},
        "cancel": {"reason": ""},
    }
    for kind, fields in examples.items():
        header = encode(Frame(kind, 0, 0, fields), 0, ram_pages=PAGES)
        yield b"\0" + header
        yield (b"\x0b" if kind == "pages" else b"\x01") + header[12:]
    yield b"\0" + encode(Frame("snapshot", 0, 0, {}, b"abc"), 0) + b"abc" + checksum(b"abc")


def snapshot_of(kind: str) -> bytes:
    """A right one."""
    config = CONFIGS[kind]
    sent: list[bytes] = []
    machine = build.machine(config, SOURCE)
    parts = build.host(config, SOURCE), build.link(config, SOURCE), build.settings(config)
    source = Source(machine, STRATEGIES["tb-offset"], *parts, lambda t_ns, event, /, **fields: None)
    destination = build.machine(config, DESTINATION)
    machine.boot(0)
    machine.ram.words[:] = 0
    source.start(0)
    source.outbox.clear()
    source.receive(0, Frame("welcome", 0, 0, {"version": PROTOCOL_VERSION}))
    while not sent and source.due is not None:
        now = source.due
        machine.run_to(now)
        machine.drain(now)
        machine.ram.words[:] = 0  # as in the destination, so that the digest is right
        source.tick(now)
        sent += [frame.payload for frame in source.outbox if frame.type == "snapshot"]
        source.outbox.clear()
    assert destination.ram.digest() in sent[0].decode("latin-1")
    return sent[0]


def _snapshots() -> Iterator[bytes]:
    yield snapshot_of("darwin")
    yield msgpack.packb({"version": 1, "sections": [["lucky", 1, False, {}]]})
