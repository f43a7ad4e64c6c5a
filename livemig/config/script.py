"""The language of ``guest.script``: one act a line, for the smallest guest that shows a bug.

::

    decr = 100               a register of the timers is written: decr, hdecr, pit, decar, tcr, tsr, nap
    ee off                   MSR[EE]; "ce" masks those timers that EE does not: the watchdog, HDECR
    wait 200                 ticks; or a time, "wait 3ms"; what a handler takes comes on top
    expect decr 1            so many interrupts of it since the last such line, or the start
    expect decr reads ..-1   it reads from LOW to HIGH, either of which may be left out
    on decr                  what follows is the handler of that timer: writes, ee and ce, no more

Numbers are decimal or 0x…, signed; "_" may part digits. "#" begins a comment, ";" ends a line as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pydantic_core import CoreSchema, core_schema

from livemig.config.shown import shown
from livemig.config.units import TIME

MOST: Final = 1 << 63
"""Numbers are below this, and not below its negative."""
LONGEST: Final = 10_000
"""Lines of a script at most."""
_NUMBER: Final = r"-?(?:0x[0-9a-fA-F][0-9a-fA-F_]*|[0-9][0-9_]*)"
REGISTERS: Final = ("decr", "hdecr", "pit", "decar", "tcr", "tsr", "nap")
TIMERS: Final = ("decr", "hdecr", "pit", "fit", "watchdog")


class Verb(Enum):
    """What a line does."""

    WRITE = "write"
    MASK = "mask"
    WAIT_TICKS = "wait ticks"
    WAIT_NS = "wait ns"
    COUNT = "interrupts"
    READS = "reads"


class Line(NamedTuple):
    """``name``: of the register, of the timer, ``ee`` or ``ce``. ``value``: that is written, on (1) or off (0), how
    long. ``low``, ``high``: what is expected, both included; None for anything."""

    verb: Verb
    name: str = ""
    value: int = 0
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class Program:
    """``main``: from the boot on. ``handlers``: by timer."""

    main: tuple[Line, ...]
    handlers: Mapping[str, tuple[Line, ...]]

    @property
    def expectations(self) -> int:
        """How many there are."""
        return sum(line.verb in (Verb.COUNT, Verb.READS) for line in self.main)

    def names(self) -> set[str]:
        """The registers and timers that it speaks of."""
        lines = [*self.main, *(line for lines in self.handlers.values() for line in lines)]
        return {line.name for line in lines if line.verb is not Verb.MASK and line.name} | set(self.handlers)


@lru_cache(64)
def parse(text: str) -> Program:
    """The program that ``text`` is, not to be changed; ValueError says which line is wrong."""
    main: list[Line] = []
    handlers: dict[str, list[Line]] = {}
    block = main
    texts = re.split(r"[\n;]", re.sub(r"#[^\n]*", "", text))
    if len(texts) > LONGEST:
        raise ValueError(f"{len(texts)} lines")
    for number, line in enumerate(texts, 1):
        words = " ".join(line.split())
        if match := re.fullmatch(rf"on ({'|'.join(TIMERS)})", words):
            block = handlers.setdefault(match[1], [])
        elif words:
            found = _line(words)
            if found is None:
                raise ValueError(f"line {number}: {shown(words)} is not an act")
            if block is not main and found.verb not in (Verb.WRITE, Verb.MASK):
                raise ValueError(f"line {number}: {shown(words)} in a handler")
            block.append(found)
    return Program(tuple(main), {timer: tuple(lines) for timer, lines in handlers.items()})


def _line(words: str) -> Line | None:
    if match := re.fullmatch(rf"({'|'.join(REGISTERS)}) ?= ?({_NUMBER})", words):
        return Line(Verb.WRITE, match[1], _number(match[2]))
    if match := re.fullmatch(r"(ee|ce) (on|off)", words):
        return Line(Verb.MASK, match[1], int(match[2] == "on"))
    if match := re.fullmatch(r"wait ([0-9][0-9_]*)", words):
        return Line(Verb.WAIT_TICKS, value=_number(match[1]))
    if match := re.fullmatch(r"wait (\S+)", words):
        return Line(Verb.WAIT_NS, value=_within(TIME.parse(match[1])))
    if match := re.fullmatch(rf"expect ({'|'.join(TIMERS)}) ([0-9]+)", words):
        return Line(Verb.COUNT, match[1], low=_number(match[2]), high=_number(match[2]))
    if match := re.fullmatch(rf"expect ({'|'.join(TIMERS[:3])}) reads ({_NUMBER})?\.\.({_NUMBER})?", words):
        low, high = (None if bound is None else _number(bound) for bound in (match[2], match[3]))
        return Line(Verb.READS, match[1], low=low, high=high)
    return None


def _number(text: str) -> int:
    digits = text.replace("_", "")
    return _within(int(digits, 16 if "0x" in digits else 10)) if len(digits) < 40 else _within(MOST)


def _within(number: int) -> int:
    if not -MOST <= number < MOST:
        raise ValueError(f"{number} does not fit into 64 bits, signed")
    return number


@dataclass(frozen=True, slots=True)
class Script:
    """A program, as text in TOML and in the model."""

    def parse(self, value: object) -> str:
        """The text; ValueError says what is wrong with it."""
        if not isinstance(value, str):
            raise ValueError(f"{shown(value)} is not a text")
        parse(value)
        return value

    def plain(self, text: str) -> str:
        """The TOML value."""
        return text

    @property
    def range(self) -> str:
        """What is allowed."""
        return "lines as docs/config.md has them: REGISTER = N, ee on, wait N, expect TIMER N, on TIMER, …"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)
