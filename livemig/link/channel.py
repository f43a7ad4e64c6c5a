"""A channel: frames in both directions, in order, page content from guest RAM to guest RAM."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from livemig.link.faults.harm import NO_HARM, Harm
from livemig.machine.ram import Watch
from livemig.migration.frames import Frame


@dataclass(slots=True)
class PagesTally:
    """What has been received in frames of pages so far.

    Attributes:
        frames: of pages.
        pages: with content.
        zero_pages: without.
        payload_bytes: of content.
        arrives_ns: virtual arrival of the last one.
    """

    frames: int = 0
    pages: int = 0
    zero_pages: int = 0
    payload_bytes: int = 0
    arrives_ns: int = 0


class Breakable(ABC):
    """A channel that can be made to fail as a link does."""

    @abstractmethod
    def silence(self, at_once: bool) -> None:
        """Nothing leaves any more, signs of life neither; what was posted before does still, unless ``at_once``."""

    @abstractmethod
    def break_off(self, reset: bool) -> None:
        """End the connection at once, what was not sent being lost; ``reset``: by RST, where there is such a thing.
        ``aclose`` is to follow."""


class Ear(ABC):
    """Where frames come in, one after the other."""

    @property
    @abstractmethod
    def signs(self) -> int:
        """Grows with every frame received to its end, of pages too, and with what the peer took."""

    @property
    @abstractmethod
    def signs_of_life(self) -> int:
        """How many the peer sent between frames: its process is there."""

    @abstractmethod
    async def receive(self) -> Frame:
        """The next frame but for those of pages that are not announced; all pages go to guest RAM and `tally`.

        Cancelled, it loses nothing: the next call goes on where this one was.

        Raises:
            PeerLost: the connection ended; so will every further call.
            TlsError: the same, and the peer said why.
            ProtocolError: the peer sent what it must not; so will every further call.
            trio.ClosedResourceError: this end was closed.
        """


class Channel(Ear):
    """One end of a connection. An async context manager: leaving it closes it.

    One task receives; any may post. Guest RAM is given as a writable memoryview of bytes, whole pages; None
    if there is none. What is given to a channel when it is made is sent from; nothing is written to it. With a `watch`
    over the guest's writes it is sent from where it is; without, from a copy.
    """

    @property
    @abstractmethod
    def tally(self) -> PagesTally:
        """Grows while `receive` waits; still while it does not."""

    @property
    def ears(self) -> Sequence[Ear]:
        """What can be listened to at a time; all of it is to be."""
        return (self,)

    @property
    def ahead(self) -> int:
        """Bytes that were posted and are not written yet; 0 where they are written as they are posted."""
        return 0

    @abstractmethod
    def grant(self, memory: memoryview, watch: Watch | None = None) -> None:
        """Let the peer write pages to `memory` from now on, and send from it; not while `receive` waits."""

    @abstractmethod
    def restrict(self, takes: NDArray[np.bool_]) -> None:
        """From now on the peer may write those pages only that are set in `takes`, each once, where it is cleared; and
        in frames only that `receive` gives too."""

    @abstractmethod
    def post(self, frame: Frame, *, not_before: float | None = None, harm: Harm = NO_HARM) -> None:
        """Hand `frame` over for sending, behind all that were posted before; returns at once.

        The content of page runs is read from guest RAM when it is sent, not now: pages written meanwhile must
        be sent again. What is not sent when the channel is closed is lost; see `flush`.

        Args:
            not_before: `time.monotonic()` (s) before which it must not be sent. harm: what is done to its bytes, where
                there are a thread and a socket to do it; its pauses in ns of the host's time.

        Raises:
            PeerLost: the connection is known to be gone.
            ProtocolError: `frame` is one that no peer would take.
            trio.ClosedResourceError: this end was closed.
        """

    @abstractmethod
    async def flush(self) -> None:
        """Wait until everything posted so far is on its way: it will arrive although this end is closed.

        Raises:
            PeerLost: the connection is gone.
            trio.ClosedResourceError: this end was closed.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """End the connection at once, even if cancelled; no thread and no hold on guest RAM stays behind."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
