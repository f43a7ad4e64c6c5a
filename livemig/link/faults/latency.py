"""``latency``: frames take longer, by so much and a draw."""

from __future__ import annotations

from livemig.guests.draws import draw
from livemig.link.faults.distribution import ONE, SIZE, table
from livemig.link.faults.passage import LinkFault, Passage, When

_BITS = 32
_ONE = 1 << _BITS


class Latency(LinkFault):
    """Distribution and correlation as netem has them: an even draw, mixed with the one before, ``correlation`` per cent
    of it, tells which value of the distribution it is. All in integers, so that every host draws the same."""

    name = "latency"

    def __init__(
        self, when: When, latency_ns: int, jitter_ns: int, distribution: str, correlation: int, seed: int
    ) -> None:
        super().__init__(when)
        self._latency, self._jitter, self._distribution = latency_ns, jitter_ns, distribution
        self._correlation, self._seed = correlation, seed
        self._drawn = 0
        self._last = _ONE >> 1

    def apply(self, frame: Passage) -> None:
        self._late(frame, max(0, self._latency + self._offset()))

    def _offset(self) -> int:
        """Around 0, by the distribution; uniform: from -jitter to jitter."""
        if not self._jitter:
            return 0
        share = self._correlated()
        if self._distribution == "uniform":
            return (share - (_ONE >> 1)) * 2 * self._jitter >> _BITS
        return self._jitter * table(self._distribution)[share * SIZE >> _BITS] // ONE

    def _correlated(self) -> int:
        mixed = (self._even() * (100 - self._correlation) + self._last * self._correlation) // 100
        self._last = mixed
        return mixed

    def _even(self) -> int:
        self._drawn += 1
        return draw(self._seed, self._drawn) & (_ONE - 1)
