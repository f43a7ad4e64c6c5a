"""What may stand in a field of a frame: kinds of value, each with its check and its form in msgpack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from livemig.machine.ram import PAGE

MAX_RUNS: Final = 2048
MAX_SIZES: Final = 256

Runs = NDArray[np.int64]
"""Runs of pages: first page and count of each, a row a run."""

_INT64: Final = 1 << 63
_WIRE: Final = np.dtype(">u4")
_SIZE: Final = np.dtype(">u2")

Convert = Callable[[Any, int], Any]
"""From one form of a value to the other, given the number of pages of RAM; raises ValueError(problem)."""


class Field(NamedTuple):
    """A kind of value. Both directions check it.

    Attributes:
        pack: from value to what msgpack knows.
        unpack: back again.
    """

    pack: Convert
    unpack: Convert


def _plain(check: Callable[[Any], None]) -> Field:
    """A kind that msgpack knows."""

    def convert(value: Any, ram_pages: int) -> Any:
        check(value)
        return value

    return Field(convert, convert)


def integer(low: int, high: int) -> Field:
    """An integer, both bounds included."""

    def check(value: Any) -> None:
        _need(int, value)
        if not low <= value <= high:
            raise ValueError(f"{value} is not in {low}..{high}")

    return _plain(check)


def integers(limit: int, low: int, high: int) -> Field:
    """A list of at most `limit` integers, both bounds included."""

    def check(value: Any) -> None:
        _need(list, value)
        if len(value) > limit:
            raise ValueError(f"has {len(value)} items, at most {limit} are allowed")
        for each in value:
            _need(int, each)
            if not low <= each <= high:
                raise ValueError(f"{each} is not in {low}..{high}")

    return _plain(check)


def text(limit: int) -> Field:
    """A string of at most `limit` characters."""
    return _plain(lambda value: _check_text(value, limit))


def texts(limit: int, longest: int) -> Field:
    """A list of at most `limit` strings of at most `longest` characters."""

    def check(value: Any) -> None:
        _need(list, value)
        if len(value) > limit:
            raise ValueError(f"has {len(value)} items, at most {limit} are allowed")
        for each in value:
            _check_text(each, longest)

    return _plain(check)


def plain_map(levels: int) -> Field:
    """A map of strings to what JSON knows, nested at most `levels` deep: reading it needs no guard."""

    def check(value: Any) -> None:
        _need(dict, value)
        _check_json(value, levels)

    return _plain(check)


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


def _pack_runs(value: Any, ram_pages: int) -> bytes:
    return _checked(as_runs(value), ram_pages).astype(_WIRE).tobytes()


def _unpack_runs(value: Any, ram_pages: int) -> Runs:
    _need(bytes, value)
    return _checked(np.frombuffer(value, _WIRE).reshape(-1, 2).astype(np.int64), ram_pages)


def _checked(runs: Runs, ram_pages: int) -> Runs:
    if len(runs) == 0:
        return runs
    if len(runs) > MAX_RUNS:
        raise ValueError(f"has {len(runs)} runs, at most {MAX_RUNS} are allowed")
    first, end = runs[:, 0], runs[:, 0] + runs[:, 1]
    if first[0] < 0 or np.count_nonzero(end <= first) or np.count_nonzero(first[1:] < end[:-1]):
        raise ValueError("runs must be ascending, disjoint and not empty")
    if end[-1] > ram_pages:
        raise ValueError(f"page {end[-1] - 1} is outside RAM of {ram_pages} pages")
    return runs


def _pack_sizes(value: Any, ram_pages: int) -> bytes:
    return _checked_sizes(np.asarray(value, np.int64)).astype(_SIZE).tobytes()


def _unpack_sizes(value: Any, ram_pages: int) -> NDArray[np.int64]:
    _need(bytes, value)
    return _checked_sizes(np.frombuffer(value, _SIZE).astype(np.int64))


def _checked_sizes(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(sizes) > MAX_SIZES:
        raise ValueError(f"has {len(sizes)} sizes, at most {MAX_SIZES} are allowed")
    if np.count_nonzero((sizes < 0) | (sizes > PAGE)):
        raise ValueError(f"a size is not in 0..{PAGE}")
    return sizes


def check_disjoint(one: Runs, other: Runs) -> None:
    """Whether no page is in both; each is ascending and disjoint in itself.

    Raises:
        ValueError: one is.
    """
    if len(one) and len(other):
        both = np.concatenate((one, other))
        both = both[both[:, 0].argsort()]
        if np.count_nonzero(both[1:, 0] < both[:-1].sum(axis=1)):
            raise ValueError("a page is in runs as well")


def _check_text(value: Any, limit: int) -> None:
    _need(str, value)
    if len(value) > limit:
        raise ValueError(f"has {len(value)} characters, at most {limit} are allowed")


def _check_json(value: Any, levels: int) -> None:
    if levels == 0:
        raise ValueError("is nested too deep")
    if type(value) is dict:
        for key, each in value.items():
            _need(str, key)
            _check_json(each, levels - 1)
    elif type(value) is list:
        for each in value:
            _check_json(each, levels - 1)
    elif value is not None and type(value) not in (bool, int, float, str):
        raise ValueError(f"holds a {type(value).__name__}")


def _need(kind: type, value: Any) -> None:
    if type(value) is not kind:
        raise ValueError(f"must be {kind.__name__}, not {type(value).__name__}")


COUNT: Final = integer(0, _INT64 - 1)
"""An integer that is not negative."""

FAR: Final = _INT64 // 4
"""As good as never, of virtual time in ns."""

TIME: Final = integer(-FAR, FAR)
"""Virtual time in ns: signed 64 bits, and room for what is added to it."""

RUNS: Final = Field(_pack_runs, _unpack_runs)
"""Runs inside RAM, ascending, disjoint, at most MAX_RUNS. On the wire they are pairs of 32 bits, big-endian: for a
frame of single pages, lists of lists take four times as long to write and to read (measured)."""

SIZES: Final = Field(_pack_sizes, _unpack_sizes)
"""Bytes that each page of a frame takes in its payload, 0 to PAGE, at most MAX_SIZES; 16 bits each on the wire."""
