"""The tables of docs/switchover.md, read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

DOCUMENT: Final = Path(__file__).parents[1] / "docs/switchover.md"


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below `heading`, without its head."""
    return _table(heading)[2:]


def head(heading: str) -> list[str]:
    return _table(heading)[0]


def endings(heading: str = "How it can end") -> set[tuple[str, str, str]]:
    """How it can end: either side's state, or the source's and the file, and the guest."""
    return {(source, other, guest) for source, other, guest, *_ in rows(heading)}


def _table(heading: str) -> list[list[str]]:
    text = DOCUMENT.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
