"""A pass over dirty memory, and pages as runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from livemig.machine.ram import Pages


@dataclass(frozen=True, slots=True)
class Pass:
    """The ``number``-th look at the dirty bitmap, at ``began_ns``, which found ``pages``; what was sent since."""

    number: int
    began_ns: int
    pages: int
    bytes: int = 0
    zero_pages: int = 0

    def sent(self, content: int, zero_pages: int) -> Pass:
        """After ``content`` bytes of pages and ``zero_pages`` more."""
        return replace(self, bytes=self.bytes + content, zero_pages=self.zero_pages + zero_pages)


def page_runs(pages: Pages) -> list[list[int]]:
    """Ascending page numbers as [first, count] of what is contiguous."""
    if len(pages) == 0:
        return []
    breaks = np.flatnonzero(np.diff(pages) != 1) + 1
    starts = np.concatenate(([0], breaks))
    counts = np.diff(np.concatenate((starts, [len(pages)])))
    return np.column_stack((pages[starts], counts)).tolist()  # type: ignore[no-any-return]
