"""Grids: ``--grid migration.downtime=0ms..2s:50ms``, the cells of a map."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from livemig.config.keys import leaves, tables
from livemig.config.model import Config
from livemig.config.quantity import Quantity
from livemig.config.section import notation
from livemig.errors import UsageError
from livemig.stress.scenario import Settings, Value

_FORM: Final = "KEY=FROM..TO:STEP or KEY=A,B,C"
_RANGE: Final = re.compile(r"(.+?)\.\.(.+?):(.+)")
_MOST: Final = 100_000


@dataclass(frozen=True, slots=True)
class Axis:
    """A key and the values it takes, in order."""

    key: str
    values: tuple[Value, ...]


def axis(text: str) -> Axis:
    """Read one ``--grid``; a range holds both its ends, where the steps meet the upper one.

    Raises:
        UsageError: it has not that form, or the key is none, or has no quantity to step through.
    """
    key, equals, values = text.partition("=")
    if not equals or not values:
        raise UsageError(f"--grid: {text!r} is not of the form {_FORM}")
    key = key.strip()
    field = {
        f"{name}.{leaf}" if name else leaf: info
        for name, model in tables(Config) for leaf, info in leaves(model).items()
    }.get(key)  # fmt: skip
    if field is None:
        raise UsageError(f"--grid: {key}: unknown key; docs/config.md has them all")
    match = _RANGE.fullmatch(values)
    if match is None:
        return Axis(key, tuple(_plain(value.strip()) for value in values.split(",")))
    written = notation(field)
    dimension = written.dimension if isinstance(written, Quantity) else None
    parse: Callable[[str], int] = int if dimension is None else dimension.parse
    try:
        low, high, step = (parse(part.strip()) for part in match.groups())
    except ValueError as problem:
        raise UsageError(f"--grid: {key}: {problem}") from None
    if step <= 0 or high < low or (high - low) // step >= _MOST:
        raise UsageError(f"--grid: {key}: from {low} to {high} by {step} is no range of at most {_MOST} steps")
    numbers = range(low, high + 1, step)
    return Axis(key, tuple(number if dimension is None else dimension.format(number) for number in numbers))


def _plain(text: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def cells(axes: Sequence[Axis]) -> list[Settings]:
    """All combinations, the last axis fastest.

    Raises:
        UsageError: there are too many.
    """
    count = 1
    for each in axes:
        count *= len(each.values)
    if count > _MOST:
        raise UsageError(f"--grid: {count:,} cells (allowed: up to {_MOST:,})")
    keys = [each.key for each in axes]
    return [dict(zip(keys, values, strict=True)) for values in product(*(each.values for each in axes))]
