"""A migration's stream in a file: what a source says to a destination, kept until somebody listens to it.

    8 bytes    MAGIC
    4 bytes    version of the format, big-endian
    frames     as on the wire, the last one `switchover`

The file gets its name when it is whole and on the disk, in one step: half a stream has no name, and whoever wrote it
still has the guest. It can be read any number of times.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import IO, Final

import numpy as np
import trio
from numpy.typing import NDArray

from livemig.errors import InputError, PeerLost, ProtocolError, StreamFileError
from livemig.link.channel import Channel, PagesTally
from livemig.link.faults.harm import NO_HARM, Harm
from livemig.link.inbound import Inbound
from livemig.link.outbound import Outbound
from livemig.machine.ram import Watch
from livemig.migration.frames import Frame

MAGIC: Final = b"livemig\n"
VERSION: Final = 1

_HEAD: Final = len(MAGIC) + 4
_RETRY_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Stored:
    """A stream in the file at `path`. `awaited`: it may not be there yet, and is waited for."""

    path: str
    awaited: bool = False


def check_head(path: str) -> None:
    """That there is a stream at `path`, as far as its first bytes tell.

    Raises:
        InputError: there is none, or one that this version cannot read.
    """
    try:
        with open(path, "rb") as file:
            _read_head(path, file)
    except OSError as error:
        raise InputError(path, error.strerror or str(error)) from None


def _read_head(path: str, file: IO[bytes] | FileIO) -> None:
    head = file.read(_HEAD) or b""
    if head[: len(MAGIC)] != MAGIC:
        raise InputError(path, "not the stream of a migration: it does not begin as one")
    if len(head) < _HEAD:
        raise InputError(path, "truncated in its first bytes")
    if (version := int.from_bytes(head[len(MAGIC) :], "big")) != VERSION:
        raise InputError(path, f"a stream of version {version}, but {VERSION} is understood here")


class FileWriter(Channel):
    """The source's end. What it answers, `bye`, to `switchover` is the file's and not a peer's: it has its name.

    Args:
        path: of the file; it is made beside, and moved there. memory, watch: guest RAM, see
            `Channel`.

    Raises:
        StreamFileError: it cannot be made.
    """

    def __init__(self, path: str, memory: memoryview | None, watch: Watch | None = None) -> None:
        self._path = Path(path)
        self._outbound = Outbound(memory, watch)
        self._tally = PagesTally()
        self._signs = 0
        self._not_before = 0.0
        self._last: Frame | None = None
        self._whole = trio.Event()
        self._broken: StreamFileError | None = None
        try:
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        except OSError as error:
            raise StreamFileError(path, error.strerror or str(error)) from None
        self._name: str | None = name
        self._file = os.fdopen(handle, "wb")
        self._write(MAGIC + VERSION.to_bytes(4, "big"))

    @property
    def tally(self) -> PagesTally:
        return self._tally

    @property
    def signs(self) -> int:
        self._signs += 1  # a disk takes its time, and is there
        return self._signs

    @property
    def signs_of_life(self) -> int:
        return 0

    def grant(self, memory: memoryview, watch: Watch | None = None) -> None:
        """A file writes to nobody's memory."""

    def restrict(self, takes: NDArray[np.bool_]) -> None:
        """Nor to a part of it."""

    def post(self, frame: Frame, *, not_before: float | None = None, harm: Harm = NO_HARM) -> None:
        if frame.type == "cancel":
            self._discard()
            return
        self._write(self._outbound.header(frame))
        for piece in self._outbound.payload(frame):
            for part in piece:
                self._write(part)
        self._not_before = max(self._not_before, not_before or 0.0)
        if frame.type == "switchover":
            self._last = frame
            self._whole.set()

    async def flush(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive(self) -> Frame:
        await self._whole.wait()
        if self._broken is not None:
            raise self._broken
        last, self._last = self._last, None
        if last is None:
            await trio.sleep_forever()
        await trio.to_thread.run_sync(self._publish)
        await trio.sleep(max(0.0, self._not_before - time.monotonic()))
        return Frame("bye", last.arrives_ns, last.arrives_ns)

    async def aclose(self) -> None:
        self._discard()
        self._outbound.release()
        await trio.lowlevel.checkpoint()

    def _write(self, data: bytes | memoryview) -> None:
        try:
            self._file.write(data)
        except (OSError, ValueError) as error:
            self._discard()
            if self._broken is None:
                self._broken = StreamFileError(str(self._path), getattr(error, "strerror", None) or str(error))
            self._whole.set()  # whoever listens hears of it
            raise self._broken from None

    def _publish(self) -> None:
        """On the disk, and by its name: only then is it a guest."""
        assert self._name is not None
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._name, self._path)
            self._name = str(self._path)
            directory = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
            self._name = None
        except OSError as error:
            self._discard()  # whatever its name is by now: the guest goes on where it was, and must not be here too
            raise StreamFileError(str(self._path), error.strerror or str(error)) from None

    def _discard(self) -> None:
        """Half a stream is nothing."""
        name, self._name = self._name, None
        if name is not None:
            with suppress(OSError):
                self._file.close()
            with suppress(OSError):
                os.unlink(name)


class FileReader(Channel):
    """The destination's end. What it is told goes nowhere: nobody listens any more."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._inbound = Inbound(None)
        self._file: FileIO | None = None
        self._ended = False

    @property
    def tally(self) -> PagesTally:
        return self._inbound.tally

    @property
    def signs(self) -> int:
        return self._inbound.whole

    @property
    def signs_of_life(self) -> int:
        return 0

    def grant(self, memory: memoryview, watch: Watch | None = None) -> None:
        self._inbound.memory, self._inbound.watch = memory, watch

    def restrict(self, takes: NDArray[np.bool_]) -> None:
        self._inbound.takes = takes

    async def open(self) -> None:
        """Wait for the file, if it may be waited for, and open it.

        Raises:
            InputError: it is not there, or no stream.
        """
        while self._stored.awaited and not os.path.exists(self._stored.path):
            await trio.sleep(_RETRY_S)
        try:
            self._file = FileIO(self._stored.path)
        except OSError as error:
            raise InputError(self._stored.path, error.strerror or str(error)) from None
        _read_head(self._stored.path, self._file)

    def post(self, frame: Frame, *, not_before: float | None = None, harm: Harm = NO_HARM) -> None:
        """To nobody."""

    async def flush(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive(self) -> Frame:
        if self._ended:
            await trio.sleep_forever()
        try:
            frame = await trio.to_thread.run_sync(self._next_frame)
        except PeerLost as error:
            raise StreamFileError(self._stored.path, f"truncated in {error.during}") from None
        except ProtocolError as error:
            raise StreamFileError(self._stored.path, str(error)) from None
        self._ended = frame.type == "switchover"
        return frame

    async def aclose(self) -> None:
        if self._file is not None:
            self._file.close()
        self._inbound.release()
        await trio.lowlevel.checkpoint()

    def _next_frame(self) -> Frame:
        assert self._file is not None
        while (frame := self._inbound.next_frame()) is None:
            self._inbound.received(self._file.readinto(self._inbound.wants[0]) or 0)
        if frame.type == "switchover" and self._file.read(1):
            raise ProtocolError("switchover", "payload", "the file goes on behind the last frame")
        return frame
