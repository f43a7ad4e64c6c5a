"""Lines of a log as they stand there, with their neighbours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from livemig.analysis.verdict import Evidence

AROUND: Final = 3
WIDEST: Final = 2000


@dataclass(frozen=True, slots=True)
class Excerpt:
    """``seen`` and the lines around it, as (number, text); none if the file does not have it."""

    seen: Evidence
    lines: tuple[tuple[int, str], ...]


def excerpts(directory: Path, evidence: Iterable[Evidence]) -> dict[Evidence, Excerpt]:
    """One of each, reading every file once and no further than needed."""
    wanted: dict[str, list[Evidence]] = {}
    for seen in dict.fromkeys(evidence):
        wanted.setdefault(seen.file, []).append(seen)
    found: dict[Evidence, Excerpt] = {}
    for name, places in wanted.items():
        numbers = {line for seen in places for line in range(seen.line - AROUND, seen.line + AROUND + 1)}
        text = _lines(directory / name, numbers)
        for seen in places:
            around = range(seen.line - AROUND, seen.line + AROUND + 1)
            found[seen] = Excerpt(seen, tuple((line, text[line]) for line in around if line in text))
    return found


def _lines(path: Path, numbers: set[int]) -> dict[int, str]:
    last, found = max(numbers), dict[int, str]()
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number in numbers:
                    text = line.decode(errors="replace").rstrip("\r\n")
                    found[number] = text if len(text) <= WIDEST else text[:WIDEST] + " …"
                if number >= last:
                    break
    except OSError:
        return {}
    return found
