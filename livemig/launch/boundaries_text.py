"""The matrix of boundaries as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from livemig.analysis.table import GREEN, RED, paint, table
from livemig.launch.boundaries import Cell, Matrix

_SIGNS = {"on time": "·", "late": "L", "early": "E", "doubled": "D", "lost": "X"}
_LEGEND = "each cell: 1 tick before the barrier, on it, 1 tick after:  " + "  ".join(
    f"{sign} {word}" for word, sign in _SIGNS.items()
)


def boundaries_text(matrix: Matrix, colour: bool = False) -> str:
    """One table for each timer, trigger and masking: strategy × barrier; then what each strategy comes to."""
    parts = [_LEGEND]
    lanes = dict.fromkeys((cell.timer, cell.trigger, cell.masked) for cell in matrix.cells)
    for timer, trigger, masked in lanes:
        cells = [cell for cell in matrix.cells if (cell.timer, cell.trigger, cell.masked) == (timer, trigger, masked)]
        parts.append(f"{timer}, {trigger}, interrupts {'masked' if masked else 'let in'}")
        parts.append(_lane(cells))
    parts.append(_summary(matrix))
    held = sum(cell.holds for cell in matrix.cells if cell.strategy == matrix.own)
    count = sum(cell.strategy == matrix.own for cell in matrix.cells)
    word = paint("HOLDS", GREEN, colour) if matrix.holds else paint("FAILS", RED, colour)
    parts.append(f"{word}  {matrix.own}: {held:,} of {count:,} deadlines, by the interrupt and by every check")
    return "\n\n".join(parts)


def _lane(cells: list[Cell]) -> str:
    barriers = list(dict.fromkeys(cell.barrier for cell in cells))
    signs: dict[tuple[str, str], str] = {}
    for cell in cells:
        key = cell.strategy, cell.barrier
        signs[key] = signs.get(key, "") + _SIGNS[cell.outcome.word]
    strategies = dict.fromkeys(cell.strategy for cell in cells)
    rows = [("strategy", *barriers)]
    rows += [(strategy, *(signs[strategy, barrier] for barrier in barriers)) for strategy in strategies]
    return "\n".join(table(rows, left=range(len(barriers) + 1)))


def _summary(matrix: Matrix) -> str:
    rows = [("strategy", "deadlines", *_SIGNS, "worst late", "checks failed")]
    for strategy in dict.fromkeys(cell.strategy for cell in matrix.cells):
        cells = [cell for cell in matrix.cells if cell.strategy == strategy]
        words = Counter(cell.outcome.word for cell in cells)
        worst = max((cell.outcome.ticks for cell in cells if cell.outcome.word == "late"), default=0)
        counts = (f"{words[word]:,}" for word in _SIGNS)
        rows.append((strategy, f"{len(cells):,}", *counts, f"{worst:,}", ", ".join(_failed(cells))))
    return "\n".join(table(rows, left=(0, len(rows[0]) - 1)))


def _failed(cells: list[Cell]) -> Iterator[str]:
    for name, count in Counter(check for cell in cells for check in cell.checks).most_common():
        yield f"{name} {count:,}"
