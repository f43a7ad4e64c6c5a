"""Some thousand events of a log, in columns as far as they are what the guest's timers leave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from livemig.analysis.layout import Column
from livemig.analysis.log import Event, Log, Place


@dataclass(frozen=True, slots=True)
class Columns(ABC):
    """Consecutive lines of the log ``name``, the first of which is its line ``first``.

    ``kind``: 0 where a line is not in the columns, else one more than the index of its (side, timer) in ``kinds``.
    ``deadline_ns`` is that of an arm, and nothing elsewhere.
    """

    name: str
    first: int
    kind: NDArray[np.int32]
    kinds: list[tuple[str, str]]
    armed: NDArray[np.bool_]
    t_ns: Column
    cpu: Column
    tb: Column
    deadline_ns: Column

    @abstractmethod
    def event(self, line: int) -> Event:
        """That of one line, from 0."""

    @abstractmethod
    def told(self, log: Log, begin: int, end: int) -> Iterator[tuple[Event, Place]]:
        """Those of lines [begin, end), each held against what ``log`` has told before; raises as iterating it does."""

    def runs(self) -> Iterator[tuple[int, int]]:
        """[begin, end) of lines that are alike: all not in the columns, or of one kind and not going back in time."""
        kind, t_ns = self.kind, self.t_ns
        edges = (kind[1:] != kind[:-1]) | (t_ns[1:] < t_ns[:-1])
        cuts = [0, *(np.flatnonzero(edges) + 1).tolist(), len(kind)]
        return pairwise(cuts)
