"""Where a side's events go that nobody may ever read as text: into memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from livemig.events.entries import Entries
from livemig.events.lines import Lines
from livemig.events.log import EventLog, line_of


class KeptLog(EventLog):
    """The log of ``side``, of which nothing is printed before it is asked for; there is no file."""

    def __init__(self, side: str) -> None:
        self.path = Path(f"{side}.jsonl")
        self.entries = Entries()
        self._side = side

    def event(self, t_ns: int, event: str, /, **fields: Any) -> None:
        self.entries.all.append(line_of({"side": self._side, "event": event, "t_ns": t_ns, **fields}))

    def block(self, tables: Sequence[Lines]) -> None:
        if tables:
            self.entries.all.append(tables)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing is open."""
