"""A link that knows frames: it stops at the one that is asked for, and does to it what is asked for.

One thread a direction, so that the other goes on. Between processes, so that what breaks is a socket; over TLS it is a
peer of either side, with certificates of the same authority, and sees the frames all the same.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import msgpack

from livemig.migration.checksum import SIZE
from livemig.migration.frames import ALIVE, PREFIX, REPEATED
from matrix.ends import End, accepted, connected, listener

TO_DESTINATION, TO_SOURCE = "to destination", "to source"
SIGN_OF_LIFE = "alive"
URGENT = "urgent"
"""A frame of pages that were asked for, beside its type."""
_NUMBERS = count()


@dataclass
class Hold:
    """Where to stop: at the `number`-th frame of a `kind` that goes that way. `held`: the proxy has come to it."""

    towards: str
    kind: str
    number: int = 1
    held: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    what: str = "pass"
    """What is then to be done with it: `pass`, `truncate`, `corrupt`."""


class Proxy:
    """Listens, and connects whoever comes to the destination at `uri`, one after the other; its socket and the
    certificates in `tls` are in `directory`."""

    def __init__(self, to: str, directory: Path, hold: Hold | None = None) -> None:
        self.hold = hold
        self._to, self._transport, self._tls = to, to.partition(":")[0], directory / "tls"
        self._listener, self.uri = listener(self._transport, directory / f"line{next(_NUMBERS)}")
        self._ends: list[End] = []
        self._preempt: list[End] = []
        """Both ends of the connection for pages that are asked for."""
        self._mute: set[End] = set()
        self._quiet = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def reset(self, preempt: bool = False) -> None:
        """Both ends hear a reset, and nothing before it; `preempt`: of that connection alone."""
        ends = self._silenced(preempt)
        for end in ends:
            end.reset()
        for end in ends:
            end.close()
            self._ends.remove(end)
        self._release("pass")

    def vanish(self, preempt: bool = False) -> None:
        """Nothing comes through any more, and nobody is told; `preempt`: on that connection alone."""
        self._silenced(preempt)
        self._release("pass")

    def _silenced(self, preempt: bool) -> list[End]:
        if preempt:
            assert self._preempt
            self._mute.update(self._preempt)
            return list(self._preempt)
        self._quiet.set()
        return list(self._ends)

    def let(self, what: str = "pass") -> None:
        """Do so with the frame that is held, and go on."""
        self._release(what)

    def _release(self, what: str) -> None:
        if self.hold is not None and not self.hold.go_on.is_set():
            self.hold.what = what
            self.hold.go_on.set()

    def _serve(self) -> None:
        while True:
            source = accepted(self._listener.accept()[0], self._transport, self._tls)
            try:
                destination = connected(self._to, self._tls)
            except OSError:  # it is dead, and what forked it may still hold its socket
                source.close()
                continue
            self._ends += [source, destination]
            for sender, receiver, towards in (
                (source, destination, TO_DESTINATION), (destination, source, TO_SOURCE),
            ):  # fmt: skip
                threading.Thread(target=self._carry, args=(sender, receiver, towards), daemon=True).start()

    def _passes(self, receiver: End) -> bool:
        return not self._quiet.is_set() and receiver not in self._mute

    def _next(self, sender: End, receiver: End) -> tuple[set[str], bytes]:
        """The next frame: as what it may be held, and its bytes."""
        fields, data = _frame(sender)
        if fields["type"] == "channel" and fields["preempt"] and fields["index"] == fields["channels"]:
            self._preempt = [sender, receiver]
        return {fields["type"], *([URGENT] if fields.get("answers") else [])}, data

    def _carry(self, sender: End, receiver: End, towards: str) -> None:
        seen = 0
        with contextlib.suppress(OSError, EOFError):
            while True:
                kinds, data = self._next(sender, receiver)
                hold = self.hold
                if hold is not None and hold.towards == towards and hold.kind in kinds:
                    seen += 1
                    if seen == hold.number and not hold.held.is_set():
                        hold.held.set()
                        hold.go_on.wait()
                        data = _done(hold.what, data)
                        if hold.what == "truncate":
                            receiver.sendall(data)
                            break
                if self._passes(receiver):
                    receiver.sendall(data)
        if self._passes(receiver):
            for end in (sender, receiver):
                end.shut(socket.SHUT_WR if end is receiver else socket.SHUT_RD)


def _frame(sender: End) -> tuple[dict[str, Any], bytes]:
    prefix = _exactly(sender, PREFIX)
    if prefix == ALIVE:
        return {"type": SIGN_OF_LIFE}, prefix
    header = _exactly(sender, int.from_bytes(prefix[:4], "big"))
    fields = msgpack.unpackb(header)
    length = fields["payload"]
    payload = _exactly(sender, length + SIZE if length else 0)
    if payload.endswith(REPEATED):
        payload += _exactly(sender, length + SIZE)
    return fields, prefix + header + payload


def _exactly(sender: End, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = sender.recv(min(size - len(data), 1 << 16))
        if not more:
            raise EOFError
        data += more
    return bytes(data)


def _done(what: str, data: bytes) -> bytes:
    if what == "truncate":
        return data[: len(data) // 2]
    if what == "corrupt":
        last = len(data) - SIZE - 1  # of the content, if there is any, in the form that counts
        return data[:last] + bytes([data[last] ^ 0x10]) + data[last + 1 :]
    return data
