"""What may happen to a stream of bytes on its way, as pure rules: bytes and times in, bytes and times out.

The words, and what they mean, are Toxiproxy's (its README, "Toxics"): latency, bandwidth, slow_close, timeout,
reset_peer, slicer, limit_data; `stall` is ours: nothing is lost, it only waits. A toxic acts on one direction of one
connection. Several make a :class:`Chain`. Times are ns on any clock that does not go back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

from livemig.errors import UsageError
from livemig.guests.draws import draw

_NS_PER_S: Final = 1_000_000_000

EOF, CLOSE, RESET = "eof", "close", "reset"
"""How a direction ends: its sender is done; the whole connection is closed; it is closed by a RST, and what is
still on its way is lost."""


class Step(NamedTuple):
    """At ``at_ns``: ``data`` comes out, or, if ``end`` is not empty, the direction ends so."""

    at_ns: int
    data: bytes = b""
    end: str = ""


class Toxic:
    """Lets everything pass. Its methods are called in the order of their times, and so are the steps that they give,
    none of which is before ``now``."""

    def begin(self, now: int) -> Iterator[Step]:
        """The connection is made."""
        yield from ()

    def put(self, now: int, data: bytes) -> Iterator[Step]:
        """``data`` comes in."""
        yield Step(now, data)

    def end(self, now: int, how: str) -> Iterator[Step]:
        """The direction ends."""
        yield Step(now, end=how)


class Latency(Toxic):
    """Every byte is late by ``latency`` ns and up to ``jitter`` ns more, drawn by ``seed``; the order stays.

    Toxiproxy's jitter goes to both sides of the latency; here it only adds, as that of [link] does.
    """

    def __init__(self, latency: int, jitter: int = 0, seed: int = 0) -> None:
        self._latency, self._jitter, self._seed = latency, jitter, seed
        self._draws = self._last = 0

    def _late(self, now: int) -> int:
        delay = self._latency
        if self._jitter:
            delay += draw(self._seed, self._draws) % (self._jitter + 1)
            self._draws += 1
        self._last = max(self._last, now + delay)
        return self._last

    def put(self, now: int, data: bytes) -> Iterator[Step]:
        yield Step(self._late(now), data)

    def end(self, now: int, how: str) -> Iterator[Step]:
        yield Step(now if how == RESET else self._late(now), end=how)


class Bandwidth(Toxic):
    """``rate`` bit/s. What comes in at once leaves when its last byte has."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._free = 0

    def put(self, now: int, data: bytes) -> Iterator[Step]:
        self._free = max(now, self._free) - (-len(data) * 8 * _NS_PER_S // self._rate)
        yield Step(self._free, data)

    def end(self, now: int, how: str) -> Iterator[Step]:
        yield Step(now if how == RESET else max(now, self._free), end=how)


class Slicer(Toxic):
    """Cuts what comes in into pieces of ``average_size`` bytes, give or take ``size_variation``, ``delay`` ns apart."""

    def __init__(self, average_size: int, size_variation: int = 0, delay: int = 0, seed: int = 0) -> None:
        self._size, self._variation, self._delay, self._seed = average_size, size_variation, delay, seed
        self._draws = self._free = 0

    def put(self, now: int, data: bytes) -> Iterator[Step]:
        at = max(now, self._free)
        while data:
            size = self._size - self._variation
            if self._variation:
                size += draw(self._seed, self._draws) % (2 * self._variation + 1)
                self._draws += 1
            piece, data = data[: max(1, size)], data[max(1, size) :]
            yield Step(at, piece)
            at += self._delay
        self._free = at

    def end(self, now: int, how: str) -> Iterator[Step]:
        yield Step(now if how == RESET else max(now, self._free), end=how)


class SlowClose(Toxic):
    """The end comes ``delay`` ns late."""

    def __init__(self, delay: int) -> None:
        self._delay = delay

    def end(self, now: int, how: str) -> Iterator[Step]:
        yield Step(now + self._delay, end=how)


class Timeout(Toxic):
    """Nothing gets through; after ``timeout`` ns the connection is closed, if that is not 0."""

    def __init__(self, timeout: int) -> None:
        self._timeout = timeout

    def begin(self, now: int) -> Iterator[Step]:
        if self._timeout:
            yield Step(now + self._timeout, end=CLOSE)

    def put(self, now: int, data: bytes) -> Iterator[Step]:
        yield from ()


class ResetPeer(Toxic):
    """The connection is reset ``timeout`` ns after it was made."""

    def __init__(self, timeout: int = 0) -> None:
        self._timeout = timeout

    def begin(self, now: int) -> Iterator[Step]:
        yield Step(now + self._timeout, end=RESET)


class LimitData(Toxic):
    """The connection is closed when ``bytes`` bytes have passed."""

    def __init__(self, bytes: int) -> None:
        self._left = bytes

    def put(self, now: int, data: bytes) -> Iterator[Step]:
        if self._left > 0:
            yield Step(now, data[: self._left])
        self._left -= len(data)
        if self._left <= 0:
            yield Step(now, end=CLOSE)


class Stall(Toxic):
    """From ``start`` ns after the connection was made nothing moves for ``duration`` ns; then all of it does."""

    def __init__(self, start: int, duration: int) -> None:
        self._start, self._duration = start, duration
        self._from = self._until = 0

    def begin(self, now: int) -> Iterator[Step]:
        self._from, self._until = now + self._start, now + self._start + self._duration
        yield from ()

    def _late(self, now: int) -> int:
        return self._until if self._from <= now < self._until else now

    def put(self, now: int, data: bytes) -> Iterator[Step]:
        yield Step(self._late(now), data)

    def end(self, now: int, how: str) -> Iterator[Step]:
        yield Step(now if how == RESET else self._late(now), end=how)


TOXICS: Final[Mapping[str, type[Toxic]]] = {
    "latency": Latency,
    "bandwidth": Bandwidth,
    "slow_close": SlowClose,
    "timeout": Timeout,
    "reset_peer": ResetPeer,
    "slicer": Slicer,
    "limit_data": LimitData,
    "stall": Stall,
}
"""By the names that a fault has in files and on the command line."""


def toxic(name: str, attributes: Mapping[str, int]) -> Toxic:
    """The toxic of that name: times in ns, sizes in bytes, ``rate`` in bit/s.

    Raises:
        UsageError: there is none, or its attributes are others, or negative, or would let nothing through.
    """
    kind = TOXICS.get(name)
    if kind is None:
        raise UsageError(f"no toxic {name!r} (allowed: {', '.join(TOXICS)})")
    for attribute, value in attributes.items():
        least = 1 if attribute in ("rate", "average_size") else 0
        if type(value) is not int or value < least:
            raise UsageError(f"toxic {name}: {attribute} = {value!r} (allowed: an integer from {least})")
    try:
        return kind(**attributes)
    except TypeError as error:
        raise UsageError(f"toxic {name}: {str(error).partition(' ')[2]}") from None


class Chain:
    """Toxics one after the other, on one direction of a connection made at ``now``.

    Put in what arrives, take out what is due. After an end nothing comes out any more.
    """

    def __init__(self, toxics: Sequence[Toxic], now: int) -> None:
        self._toxics = list(toxics)
        self._waiting: list[tuple[int, int, int, Step]] = []
        self._count = 0
        self.held = 0
        """Bytes that went in and have not come out."""
        self.ended = False
        for stage, each in enumerate(self._toxics):
            self._add(stage + 1, each.begin(now))

    def put(self, now: int, data: bytes) -> None:
        """``data`` arrives."""
        self._add(0, iter([Step(now, data)]))

    def end(self, now: int, how: str = EOF) -> None:
        """The sender is done, or gone."""
        self._add(0, iter([Step(now, end=how)]))

    @property
    def next_ns(self) -> int | None:
        """When there is something to take, or to be done; None: not before more is put in."""
        return self._waiting[0][0] if self._waiting else None

    def take(self, now: int) -> list[Step]:
        """What has come out by ``now``, in order."""
        out: list[Step] = []
        while self._waiting and self._waiting[0][0] <= now and not self.ended:
            at, _, stage, step = heappop(self._waiting)
            self.held -= len(step.data)
            if stage == len(self._toxics):
                out.append(step)
                self.ended = bool(step.end)
            elif step.end:
                self._add(stage + 1, self._toxics[stage].end(at, step.end))
            else:
                self._add(stage + 1, self._toxics[stage].put(at, step.data))
        if self.ended:
            self._waiting.clear()
            self.held = 0
        return out

    def _add(self, stage: int, steps: Iterator[Step]) -> None:
        for step in steps:
            self._count += 1
            self.held += len(step.data)
            heappush(self._waiting, (step.at_ns, self._count, stage, step))
