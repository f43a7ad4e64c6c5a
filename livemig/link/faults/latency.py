"""``latency``: frames take longer, by so much and a draw."""

from __future__ import annotations

from livemig.guests.draws import draw
from livemig.link.faults.passage import LinkFault, Passage, When

_BITS = 32
_ONE = 1 << _BITS


class Latency(LinkFault):
    """Distribution and correlation as netem has them: a draw is mixed with the one before, ``correlation`` per cent
    of it. ``normal`` is the sum of twelve even draws, ``pareto`` falls with the cube; both in integers, so that every
    host draws the same."""

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
        if self._distribution == "uniform":
            return (self._correlated() - (_ONE >> 1)) * 2 * self._jitter >> _BITS
        if self._distribution == "normal":
            return (sum(self._even() for _ in range(12)) - 6 * _ONE) * self._jitter >> _BITS
        share = self._correlated()
        return self._jitter * (_ONE // max(_ONE - share, _ONE >> 6) - 1) // 3  # at most 21 times the jitter

    def _correlated(self) -> int:
        mixed = (self._even() * (100 - self._correlation) + self._last * self._correlation) // 100
        self._last = mixed
        return mixed

    def _even(self) -> int:
        self._drawn += 1
        return draw(self._seed, self._drawn) & (_ONE - 1)
