"""A measured figure, beside what the same run measured of a peer."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """``ratio``: the median over rounds of value / peer, which holds where absolute values drift."""

    name: str
    value: float
    unit: str
    peer: str
    peer_value: float
    ratio: float

    def show(self) -> None:
        """One line of JSON."""
        print(json.dumps(asdict(self)), flush=True)


def beside(name: str, unit: str, values: list[float], peer: str, peer_values: list[float]) -> Figure:
    """The medians of ``values`` and of ``peer_values``, measured in turn, and the median of their ratios."""
    ratios = [ours / theirs for ours, theirs in zip(values, peer_values, strict=True)]
    return Figure(
        name, round(median(values), 4), unit, peer, round(median(peer_values), 4), round(median(ratios), 3)
    )
