"""A pass over dirty memory, and pages as runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from livemig.machine.ram import Pages
from livemig.migration.fields import Runs


@dataclass(frozen=True, slots=True)
class Pass:
    """The ``number``-th look at the dirty bitmap, at ``began_ns``, which found ``pages``; what was sent since."""

    number: int
    began_ns: int
    pages: int
    bytes: int = 0
    zero_pages: int = 0
    encoded_pages: int = 0
    skipped_pages: int = 0

    def sent(self, content: int, zero_pages: int, encoded_pages: int, skipped_pages: int) -> Pass:
        """After so many more bytes, and pages: zero, in another form than their content, and not sent at all."""
        return replace(
            self,
            bytes=self.bytes + content,
            zero_pages=self.zero_pages + zero_pages,
            encoded_pages=self.encoded_pages + encoded_pages,
            skipped_pages=self.skipped_pages + skipped_pages,
        )


def page_runs(pages: Pages) -> Runs:
    """Ascending page numbers as (first, count) of what is contiguous."""
    if not len(pages):
        return np.empty((0, 2), np.int64)
    breaks = np.flatnonzero(pages[1:] != pages[:-1] + 1) + 1
    starts = np.concatenate(([0], breaks))
    ends = np.concatenate((breaks, [len(pages)]))
    return np.column_stack((pages[starts], ends - starts))
