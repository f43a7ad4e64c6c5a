"""Random draws by number: the k-th draw of a seed, the same on either side of a migration.

SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) as a counter-based generator: state is one integer, so a guest's
randomness crosses with it, and a stretch of draws is one vector operation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1
MOST_DRAWS = 1 << 62
"""More than anybody takes, and far from where numbers of draws leave 64 bits."""
_GAMMA = 0x9E3779B97F4A7C15


def draw(seed: int, k: int) -> int:
    """The ``k``-th draw of ``seed``: 0 … 2^64-1."""
    z = (seed + (k + 1) * _GAMMA) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def draws(seed: int, first: int, count: int, stride: int = 1) -> NDArray[np.uint64]:
    """``count`` draws of ``seed`` from ``first`` on, each ``stride`` after the other, equal to :func:`draw` of each."""
    k = np.arange(first + 1, first + 1 + count * stride, stride, dtype=np.uint64)
    z = np.uint64(seed & _MASK) + k * np.uint64(_GAMMA)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Stream:
    """Draw after draw of ``seed``, made by the batch, each given the form that ``shape`` gives a batch.

    ``position``: how many were taken. It may be set; that is all there is to a stream's state.
    """

    _BATCH = 1024

    def __init__(self, seed: int, shape: Callable[[NDArray[np.uint64]], NDArray[np.int64]]) -> None:
        self._seed, self._shape = seed, shape
        self._made = 0
        self._ahead: list[int] = []  # the next one last

    @property
    def position(self) -> int:
        return self._made - len(self._ahead)

    @position.setter
    def position(self, taken: int) -> None:
        self._made, self._ahead = taken, []

    def peek(self, count: int) -> NDArray[np.int64]:
        """The next ``count``, which are not taken yet."""
        return self._shape(draws(self._seed, self.position, count))

    def take(self) -> int:
        """The next one."""
        if not self._ahead:
            self._ahead = self._shape(draws(self._seed, self._made, self._BATCH)).tolist()
            self._ahead.reverse()
            self._made += self._BATCH
        return self._ahead.pop()
