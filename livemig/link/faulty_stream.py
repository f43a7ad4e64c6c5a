"""The faults of frames, on a stream of bytes: what comes in at once counts as one frame, of no type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from livemig.guests.draws import draw
from livemig.link.faults.link import FaultyLink
from livemig.link.faults.passage import LinkFault
from livemig.link.model import LinkModel
from livemig.link.toxics import CLOSE, RESET, Step, Toxic
from livemig.timers.ticks import NEVER

_AT_ONCE = 1 << 62
"""bit/s of a link that takes no time."""
_PER_CENT = 100

Tell = Callable[[int, str], None]
"""Told of the first time that a fault acts: when, in ns since the scenario's start, and its name."""


class FaultyStream(Toxic):
    """``faults`` act on one direction of one connection, in their order.

    A stream has no messages to draw for: as Toxiproxy's, a fault's ``toxicity`` is drawn once for a connection. A black
    hole takes in what it holds, and then nothing: so the sender has to wait, as at a link that is gone.

    Args:
        since_ns: the scenario's start, on the clock by which the toxic's methods are called. seed: of the draws.
    """

    def __init__(self, faults: Sequence[LinkFault], since_ns: int, seed: int, tell: Tell) -> None:
        there = [fault for number, fault in enumerate(faults) if draw(seed, number) % _PER_CENT < fault.when.toxicity]
        for fault in there:
            fault.when.toxicity = _PER_CENT
        self._link = FaultyLink(LinkModel(_AT_ONCE, 0), there, lambda now, name, kind: tell(now, name))
        self._since, self._free, self._last = since_ns, 0, 0
        self._ended = False

    def begin(self, now: int) -> Iterator[Step]:
        yield from self._cut(now)

    def put(self, now: int, data: bytes) -> Iterator[Step]:
        sent = max(now - self._since, self._free)
        self._free, arrives = self._link.transmit(sent, len(data))
        harm = self._link.claim(arrives, "")
        if harm.damaged:
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        if harm.most is not None:
            yield self._step(now, sent, data[: harm.most])
        elif arrives >= NEVER:
            yield Step(NEVER, data)
        else:
            size = harm.slice_bytes or len(data)
            for number, begin in enumerate(range(0, len(data), size)):
                yield self._step(now, arrives - (harm.pauses - number) * harm.pause_ns, data[begin : begin + size])
        yield from self._cut(now)

    def end(self, now: int, how: str) -> Iterator[Step]:
        at = now - self._since
        late = max((fault.closing_ns(at) for fault in self._link.faults), default=0)
        yield self._step(now, at + late, end=how)

    def _step(self, now: int, at: int, data: bytes = b"", end: str = "") -> Step:
        self._last = max(self._last, self._since + at, now)
        return Step(self._last, data, end)

    def _cut(self, now: int) -> Iterator[Step]:
        """Once it is known when the connection is lost: what would come out later does not."""
        link = self._link
        if link.cut_ns < NEVER and not self._ended:
            self._ended = True
            # A connection that begins later than it was to be lost is lost as it begins.
            link.tell_once(max(link.lost_ns, now - self._since), link.cause)
            yield Step(max(self._since + link.cut_ns, now), end=RESET if link.cause == "reset_peer" else CLOSE)
