"""What ``livemig monitor`` shows, as text: a side as it was last seen, in some lines or in one."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from livemig.analysis.table import DIM, GREEN, RED, YELLOW, paint, table
from livemig.analysis.units import duration, instant, size

GONE: Final = "gone"
_STYLES: Final = {"running": GREEN, "paused": YELLOW, "finish-migrate": YELLOW, GONE: RED}
_ESCAPE: Final = re.compile(r"(\x1b\[[0-9;]*m)")
_PASSES: Final = 5
_CPUS: Final = 16


@dataclass(slots=True)
class Seen:
    """A side as its QMP last had it.

    Attributes:
        name: what it calls itself; its socket until it has said so. state, migration, time: what ``query-status``,
            ``query-migrate`` and ``x-livemig-query-time`` said; the last is None of a real QEMU. passes: the latest.
        ended: why its part of the scenario is over; empty while it is not. leaving: why it said that it goes.
        gone: the connection has ended.
    """

    name: str
    state: Mapping[str, Any] = field(default_factory=dict)
    migration: Mapping[str, Any] = field(default_factory=dict)
    time: Mapping[str, Any] | None = None
    passes: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=_PASSES))
    ended: str = ""
    leaving: str = ""
    gone: bool = False

    @property
    def word(self) -> str:
        """Its run state; :data:`GONE` if it left without having ended."""
        return GONE if self.gone and not self.ended else str(self.state.get("status", "–"))


def screen(sides: Iterable[Seen], colour: bool) -> list[str]:
    """All of it, as lines."""
    lines: list[str] = []
    for side in sides:
        lines += ["", *_side(side, colour)] if lines else _side(side, colour)
    return lines


def cropped(line: str, width: int) -> str:
    """As much of ``line`` as ``width`` columns hold; ANSI escapes have no width, and all of them stay."""
    kept, left = [], width
    for part in _ESCAPE.split(line):
        if _ESCAPE.fullmatch(part):
            kept.append(part)
        else:
            kept.append(part[:left])
            left -= len(kept[-1])
    return "".join(kept)


def one_line(side: Seen) -> str:
    """What is worth a line where lines stay: changes whenever something has happened."""
    at = "" if side.time is None else f"t= {instant(side.time['t-ns'])}  "
    over = f"  ended: {side.ended}" if side.ended else ""
    return f"{side.name}: {at}{side.word}  migration {_status(side)}{_sent(side)}{over}"


def occasion(side: Seen) -> tuple[object, ...]:
    """Changes when there is something new to say."""
    sync = side.migration.get("ram", {}).get("dirty-sync-count", 0)
    return side.word, _status(side), sync, side.migration.get("x-livemig-owner"), side.ended, side.gone


def _side(side: Seen, colour: bool) -> list[str]:
    parts = [paint(side.word, _STYLES.get(side.word, ""), colour), f"migration {_status(side)}"]
    if (owner := side.migration.get("x-livemig-owner")) is not None:
        parts.append(f"owner {owner}")
    if side.ended:
        parts.append(f"ended: {side.ended}")
    at = "" if side.time is None else f"  t = {side.time['t-ns'] / 1e9:.3f} s{', held' * side.time['held']}"
    lines = [f"{side.name}  {' · '.join(parts)}{paint(at, DIM, colour)}"]
    if sent := _sent(side):
        lines.append(sent)
    if side.passes:
        lines += _passes(side.passes)
    if side.time is not None and not (side.ended and owner != side.name):
        lines += _clocks(side.time)
    return lines


def _status(side: Seen) -> str:
    why = side.migration.get("error-desc")
    return str(side.migration.get("status", "none")) + (f" ({why})" if why else "")


def _sent(side: Seen) -> str:
    ram, told = side.migration.get("ram"), side.migration
    if ram is None:
        return ""
    parts = [
        f"  sent {size(ram['transferred'])}", f"remaining {size(ram['remaining'])} of {size(ram['total'])}",
        f"{ram['mbps']:,.0f} Mbit/s", f"pass {ram['dirty-sync-count']}",
    ]  # fmt: skip
    if ram["dirty-pages-rate"]:
        parts.append(f"{ram['dirty-pages-rate']:,} dirty pages/s")
    for key, label in (("downtime", "downtime"), ("expected-downtime", "downtime expected")):
        if key in told:
            parts.append(f"{label} {told[key]:,} ms")
    if "cpu-throttle-percentage" in told:
        parts.append(f"throttled {told['cpu-throttle-percentage']} %")
    return " · ".join(parts)


def _passes(passes: Iterable[Mapping[str, Any]]) -> list[str]:
    head = ("pass", "sent", "took", "rate", "dirtied", "remaining")
    rows = [
        (
            str(each["pass"]), size(each["bytes"]), duration(each["duration_ns"]), f"{size(each['rate'])}/s",
            f"{size(each['dirty_rate'])}/s", size(each["remaining"]),
        )
        for each in passes
    ]  # fmt: skip
    return table([head, *rows], left=())


def _clocks(time: Mapping[str, Any]) -> list[str]:
    lines, timer = [], time["timer"]
    if timer is not None:
        error = "" if timer["tb-error-ticks"] is None else f"TB {timer['tb-error-ticks']:+,} ticks off · "
        lost = "" if timer["lost"] is None else f" · {timer['lost']} lost"
        lines.append(f"  {error}latest interrupt {duration(timer['worst-late-ns'])}{lost}")
    head = ("cpu", "TB", "DECR", "next interrupt", "delivered", "latest", "")
    rows = []
    for cpu in time["cpus"][:_CPUS]:
        due = cpu["due-ns"]
        when = "–" if due is None else f"in {duration(due - time['t-ns'])}" if due > time["t-ns"] else "due"
        if cpu["raised"]:
            when = "raised"
        rows.append(
            (
                str(cpu["cpu-index"]), f"{cpu['tb']:,}", f"{cpu['decr']:,}", when, f"{cpu['interrupts']:,}",
                duration(cpu["worst-late-ns"]), "waits for a page" * cpu["waits-for-page"],
            )
        )  # fmt: skip
    more = len(time["cpus"]) - len(rows)
    return lines + table([head, *rows], left=(6,)) + ([f"  and {more} more"] if more else [])
