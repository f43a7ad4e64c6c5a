"""What may stand in a field of a frame: kinds of value, each with its check and its form in msgpack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_RUNS: Final = 2048
MAX_NESTING: Final = 8

Runs = NDArray[np.int64]
"""Runs of pages: first page and count of each, a row a run."""

_INT64: Final = 1 << 63
_WIRE: Final = np.dtype(">u4")


def _same(value: Any) -> Any:
    return value


class Field(NamedTuple):
    """A kind of value.

    Attributes:
        check: raises ValueError for a value that is not allowed, given the number of pages of RAM.
        pack: from value to what msgpack knows.
        unpack: back again; raises ValueError.
    """

    check: Callable[[Any, int], None]
    pack: Callable[[Any], Any] = _same
    unpack: Callable[[Any], Any] = _same


def integer(low: int, high: int) -> Field:
    """An integer, both bounds included."""

    def check(value: Any, ram_pages: int) -> None:
        _need(int, value)
        if not low <= value <= high:
            raise ValueError(f"{value} is not in {low}..{high}")

    return Field(check)


def text(limit: int) -> Field:
    """A string of at most `limit` characters."""

    def check(value: Any, ram_pages: int) -> None:
        _need(str, value)
        if len(value) > limit:
            raise ValueError(f"has {len(value)} characters, at most {limit} are allowed")

    return Field(check)


def list_of(item: Field, limit: int) -> Field:
    """A list of at most `limit` values of one kind."""

    def check(value: Any, ram_pages: int) -> None:
        _need(list, value)
        if len(value) > limit:
            raise ValueError(f"has {len(value)} items, at most {limit} are allowed")
        for each in value:
            item.check(each, ram_pages)

    return Field(check)


def _check_map(value: Any, ram_pages: int) -> None:
    _need(dict, value)
    _check_plain(value, MAX_NESTING)


def _check_plain(value: Any, levels: int) -> None:
    """What JSON knows, `levels` deep: whoever reads it needs no guard against recursion of his own."""
    if levels == 0:
        raise ValueError(f"is nested more than {MAX_NESTING} deep")
    if type(value) is dict:
        for key, each in value.items():
            _need(str, key)
            _check_plain(each, levels - 1)
    elif type(value) is list:
        for each in value:
            _check_plain(each, levels - 1)
    elif value is not None and type(value) not in (bool, int, float, str):
        raise ValueError(f"holds a {type(value).__name__}")


def as_runs(value: Any) -> Runs:
    """`value`, such an array or nested lists, as runs.

    Raises:
        ValueError: it is not rows of two integers.
    """
    rows: NDArray[Any] = np.asarray(value)
    if rows.size == 0:
        return np.empty((0, 2), np.int64)
    if rows.ndim != 2 or rows.shape[1] != 2 or rows.dtype.kind not in "iu":
        raise ValueError("must be runs, [first, count] each")
    return rows.astype(np.int64, copy=False)


def _check_runs(value: Any, ram_pages: int) -> None:
    runs = as_runs(value)
    if len(runs) == 0:
        return
    if len(runs) > MAX_RUNS:
        raise ValueError(f"has {len(runs)} runs, at most {MAX_RUNS} are allowed")
    first, end = runs[:, 0], runs[:, 0] + runs[:, 1]
    if first[0] < 0 or np.count_nonzero(end <= first) or np.count_nonzero(first[1:] < end[:-1]):
        raise ValueError("runs must be ascending, disjoint and not empty")
    if end[-1] > ram_pages:
        raise ValueError(f"page {end[-1] - 1} is outside RAM of {ram_pages} pages")


def _pack_runs(value: Any) -> bytes:
    return as_runs(value).astype(_WIRE).tobytes()


def _unpack_runs(value: Any) -> Runs:
    _need(bytes, value)
    return np.frombuffer(value, _WIRE).reshape(-1, 2).astype(np.int64)


def _need(kind: type, value: Any) -> None:
    if type(value) is not kind:
        raise ValueError(f"must be {kind.__name__}, not {type(value).__name__}")


COUNT: Final = integer(0, _INT64 - 1)
"""An integer that is not negative."""

TIME: Final = integer(-_INT64, _INT64 - 1)
"""Virtual time in ns, signed 64-bit."""

PLAIN_MAP: Final = Field(_check_map)
"""A map of strings to what JSON knows, at most MAX_NESTING deep."""

RUNS: Final = Field(_check_runs, _pack_runs, _unpack_runs)
"""Runs inside RAM, ascending, disjoint, at most MAX_RUNS. On the wire they are pairs of 32 bits, big-endian: of
single pages, a msgpack list of lists takes longer to read than is fit."""
