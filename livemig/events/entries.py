"""A log that is no text yet: what CPUs did stays in columns until somebody wants to read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from livemig.events.lines import Lines, render

Entry: TypeAlias = bytes | Sequence[Lines]
"""One line, or what CPUs did between two barriers."""


class Entries:
    """Those of one log, in order."""

    def __init__(self) -> None:
        self.all: list[Entry] = []

    def text(self) -> bytes:
        """The lines, byte for byte what :class:`EventLog` writes."""
        return b"".join([entry if isinstance(entry, bytes) else render(entry) for entry in self.all])
