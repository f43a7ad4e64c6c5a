"""Aligned columns of plain text, painted or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

RED: Final = "1;31"
GREEN: Final = "1;32"
YELLOW: Final = "1;33"
DIM: Final = "2"
STYLE: Final = {"valid": GREEN, "invalid": RED, "unknown": YELLOW}
"""Of a verdict."""


def paint(text: str, style: str, colour: bool) -> str:
    """``text`` between ANSI escapes, if ``colour`` and there is a style."""
    return f"\x1b[{style}m{text}\x1b[0m" if colour and style else text


def table(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,), indent: int = 2) -> list[str]:
    """One line a row; columns are aligned right but for those in ``left``, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((" " * indent + "  ".join(cells)).rstrip())
    return lines
