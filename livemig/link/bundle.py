"""What several connections have in common that are one channel, whichever frame goes by which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import trio
from numpy.typing import NDArray

from livemig.link.channel import Breakable, Channel, PagesTally
from livemig.machine.ram import Watch


class Bundle(Channel, Breakable):
    """Takes over ``connections``."""

    def __init__(self, connections: Sequence[Channel]) -> None:
        self._all = connections

    @property
    def tally(self) -> PagesTally:
        each = [channel.tally for channel in self._all]
        return PagesTally(
            sum(tally.frames for tally in each),
            sum(tally.pages for tally in each),
            sum(tally.zero_pages for tally in each),
            sum(tally.payload_bytes for tally in each),
            max(tally.arrives_ns for tally in each),
        )

    @property
    def signs(self) -> int:
        return sum(channel.signs for channel in self._all)

    @property
    def signs_of_life(self) -> int:
        return sum(channel.signs_of_life for channel in self._all)

    @property
    def ahead(self) -> int:
        return sum(channel.ahead for channel in self._all)

    def grant(self, memory: memoryview, watch: Watch | None = None) -> None:
        for channel in self._all:
            channel.grant(memory, watch)

    def restrict(self, takes: NDArray[np.bool_]) -> None:
        for channel in self._all:
            channel.restrict(takes)

    async def flush(self) -> None:
        for channel in self._all:
            await channel.flush()

    def silence(self, at_once: bool) -> None:
        for channel in self._all:
            assert isinstance(channel, Breakable)
            channel.silence(at_once)

    def break_off(self, reset: bool) -> None:
        for channel in self._all:
            assert isinstance(channel, Breakable)
            channel.break_off(reset)

    async def aclose(self) -> None:
        with trio.CancelScope(shield=True):
            for channel in self._all:
                await channel.aclose()
        await trio.lowlevel.checkpoint()
