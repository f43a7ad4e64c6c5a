"""How a jitter is distributed, as netem has it: 4096 values, one as likely as the other, in 8192ths of the jitter.

netem reads them from iproute2's ``*.dist`` files; these are made by the same formulas.
"""

from __future__ import annotations

from functools import cache
from itertools import starmap
from typing import Final

SIZE: Final = 4096
ONE: Final = 8192
"""The jitter itself, as a value of a table."""
_MOST, _LEAST = 4 * ONE - 1, -4 * ONE

FARTHEST: Final = {"uniform": 1, "normal": 4, "pareto": 4, "paretonormal": 4}
"""How many times the jitter a draw may lie above the latency."""


@cache
def table(name: str) -> tuple[int, ...]:
    """In order, those of ``normal``, ``pareto`` or ``paretonormal``; uniform needs none."""
    if name == "paretonormal":
        return tuple(starmap(_mixed, zip(table("normal"), table("pareto"), strict=True)))
    return _normal() if name == "normal" else tuple(map(_pareto, range(SIZE)))


def _normal() -> tuple[int, ...]:
    """The jitter is the standard deviation."""
    from statistics import NormalDist

    standard = NormalDist()
    return tuple(round(standard.inv_cdf((number + 0.5) / SIZE) * ONE) for number in range(SIZE))


def _pareto(number: int) -> int:
    """4/3 · ((1 - u)^(-1/3) - 3/2): the mean is 0 but for what lies beyond 4 times the jitter, which is 4 times it."""
    cube_root = _cube_root((SIZE << 96) // (SIZE - number))
    return min((4 * ONE * ((cube_root << 1) - (3 << 32)) >> 33) // 3, _MOST)


def _mixed(normal: int, pareto: int) -> int:
    """A quarter of one, three of the other."""
    return max((normal + 3 * pareto) // 4, _LEAST)


def _cube_root(value: int) -> int:
    """Of an integer, rounded down."""
    low, high = 0, 1 << (value.bit_length() // 3 + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**3 <= value else (low, middle)
    return low
