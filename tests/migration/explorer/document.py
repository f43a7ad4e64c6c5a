"""The tables of docs/switchover.md: written from what was explored, and read again.

    python tests/migration/explorer/document.py        prints them
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

if __name__ == "__main__":
    sys.path[:0] = map(str, list(Path(__file__).parents)[1:3])

from switchover_document import rows as document_rows

from explorer.explore import Explored, Explorer
from explorer.scenarios import FILES, SCENARIOS

_NOTHING: Final = "–"
_ORDER: Final = (
    "none", "setup", "active", "active, discarded", "pre-switchover", "device, last pass", "device, asked",
    "device, loaded", "device, switched", "postcopy-active", "postcopy-active, waits", "postcopy-paused",
    "postcopy-paused, waits", "postcopy-paused, not ours", "postcopy-recover-setup", "postcopy-recover",
    "postcopy-recover, waits", "postcopy-recover, not ours",
)  # fmt: skip


class Row(NamedTuple):
    """A transition: in `state`, what `happens`; what is then said, what state it is, and whose the guest is."""

    state: str
    happens: str
    says: str
    becomes: str
    owner: str


@cache
def explored(name: str) -> Explored:
    return Explorer((SCENARIOS | FILES)[name]).run()


def transitions(side: str, found: Iterable[Explored]) -> set[Row]:
    """All that was seen on `side`."""
    return {
        Row(state, happens, *outcome)
        for each in found
        for (where, state, happens), outcomes in each.told.items()
        for outcome in outcomes
        if where == side
    }


def endings(found: Iterable[Explored]) -> set[tuple[str, str, str]]:
    return {ending for each in found for ending in each.endings}


def table(rows: set[Row]) -> str:
    """What has the same outcome in the same state is one line."""
    together: defaultdict[Row, list[str]] = defaultdict(list)
    for row in rows:
        together[row._replace(happens="")].append(row.happens)
    lines = [(row, ", ".join(f"`{each}`" for each in sorted(happens))) for row, happens in together.items()]
    lines.sort(key=lambda line: (_ORDER.index(line[0].state), line[1], line[0]))
    head = "| state | what happens | says | becomes | owner |\n|---|---|---|---|---|\n"
    return head + "".join(
        f"| {row.state} | {happens} | {_code(row.says)} | {row.becomes if row.becomes != row.state else '='} "
        f"| {row.owner or '='} |\n"
        for row, happens in lines
    )


def _code(says: str) -> str:
    return " ".join(f"`{each}`" for each in says.split()) or _NOTHING


def read_transitions(heading: str) -> set[Row]:
    """Those of the document's table below `heading`."""
    rows = set()
    for state, happens, says, becomes, owner in document_rows(heading):
        for each in happens.replace("`", "").split(", "):
            after = state if becomes == "=" else becomes
            said = "" if says == _NOTHING else says.replace("`", "")
            rows.add(Row(state, each, said, after, "" if owner == "=" else owner))
    return rows


def main() -> None:
    found = [explored(name) for name in SCENARIOS]
    kept = [explored(name) for name in FILES]
    for each, name in zip([*found, *kept], [*SCENARIOS, *FILES], strict=True):
        print(f"{name}: {each.states} states, {each.transitions} transitions")
    for side in ("source", "destination"):
        print(f"\n## The {side}\n\n{table(transitions(side, found))}")
    for heading, ends in (("How it can end", endings(found)), ("A file", endings(kept))):
        print(f"\n## {heading}\n\n| source | destination or file | the guest | |\n|---|---|---|---|")
        for ending in sorted(ends):
            print(f"| {' | '.join(ending)} | |")


if __name__ == "__main__":
    main()
