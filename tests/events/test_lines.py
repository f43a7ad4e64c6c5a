"""Blocks of lines are what orjson makes of each event, in order."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.events import lines
from livemig.events.lines import Column, Lines, pieces, render

INT64 = np.iinfo(np.int64)
UINT64 = np.iinfo(np.uint64)

# As many lines of a kind as are formatted one by one, and as are printed at a time.
LIMITS = [(1, 1), (1, 3), (1, 1000), (3, 2), (6, 5), (1000, 4)]


def one_by_one(kinds: Sequence[Lines]) -> bytes:
    """The model: a dictionary for every line."""
    events = {}
    for kind in kinds:
        for row, order in enumerate(kind.order.tolist()):
            events[order] = {
                key: int(value[row]) if isinstance(value, np.ndarray) else value for key, value in kind.fields
            }
    return b"".join(orjson.dumps(events[order]) + b"\n" for order in sorted(events))


@st.composite
def columns(draw: st.DrawFn, rows: int) -> Column:
    """Of one width or many, near one value or anywhere, of one sign or both."""
    limits = draw(st.sampled_from([INT64, UINT64]))
    some = st.integers(limits.min, limits.max) | st.integers(0, 62).map(lambda bits: 1 << bits)
    low, high = sorted(draw(st.tuples(some, some | st.just(0))))
    if draw(st.booleans()):
        high = min(high, low + draw(st.integers(0, 20_000)))
    values = st.integers(low, high) | st.sampled_from([low, high])
    column = draw(st.lists(values, min_size=rows, max_size=rows))
    return np.array(column, np.int64) if limits is INT64 else np.array(column, np.uint64)


@st.composite
def blocks(draw: st.DrawFn) -> list[Lines]:
    sizes = draw(st.lists(st.integers(0, 12), max_size=4))
    places = draw(st.permutations(range(sum(sizes))))
    constants = st.none() | st.text(max_size=4) | st.integers(INT64.min, UINT64.max)
    kinds = []
    for size in sizes:
        keys = draw(st.lists(st.text(max_size=3) | st.just("%d"), unique=True, max_size=5))
        fields = tuple((key, draw(constants | columns(size))) for key in keys)
        # Orders need be neither dense nor positive.
        kinds.append(Lines(fields, np.array(sorted(places[:size]), np.int64) * 7 - 20))
        places = places[size:]
    return kinds


@given(blocks(), st.sampled_from(LIMITS))
def test_any_block_is_what_orjson_writes(kinds: list[Lines], limits: tuple[int, int]) -> None:
    with patch.object(lines, "_FEW", limits[0]), patch.object(lines, "_ROWS", limits[1]):
        assert render(kinds) == one_by_one(kinds)


@pytest.mark.parametrize("few", [1, 1000])
def test_kinds_are_interleaved_by_order(few: int) -> None:
    interrupt = Lines(
        (
            ("t_ns", np.array([98, 1_234_567])),
            ("side", "source"),
            ("event", "interrupt"),
            ("cpu", np.array([3, 10])),
            ("tb", np.array([2**64 - 1, 50], np.uint64)),
            ("decr", np.array([0, -17])),
        ),
        np.array([1, 5]),
    )
    armed = Lines(
        (
            ("t_ns", np.array([99, 100])),
            ("event", "timer_armed"),
            ("deadline_ns", None),
            ("value", np.array([-(2**63), 2**63 - 1])),
        ),
        np.array([2, 4]),
    )
    with patch.object(lines, "_FEW", few):
        assert render([armed, interrupt]) == (
            b'{"t_ns":98,"side":"source","event":"interrupt","cpu":3,"tb":18446744073709551615,"decr":0}\n'
            b'{"t_ns":99,"event":"timer_armed","deadline_ns":null,"value":-9223372036854775808}\n'
            b'{"t_ns":100,"event":"timer_armed","deadline_ns":null,"value":9223372036854775807}\n'
            b'{"t_ns":1234567,"side":"source","event":"interrupt","cpu":10,"tb":50,"decr":-17}\n'
        )


def train(rng: np.random.Generator, order: np.ndarray, first: int) -> Lines:
    """Times that grow wider, numbers of every width and both signs, and a constant between."""
    t_ns = first + np.cumsum(rng.integers(0, 2000, len(order)))
    late = rng.integers(0, 10 ** rng.integers(1, 10, len(order)))
    decr = rng.integers(INT64.min, INT64.max, len(order)) >> rng.integers(0, 63, len(order))
    return Lines((("t_ns", t_ns), ("side", "source"), ("late_ns", late), ("decr", decr)), order)


@pytest.mark.parametrize(
    "rows", [lines._FEW - 1, lines._FEW, lines._ROWS, lines._ROWS + 1, 2 * lines._ROWS + 1]
)
@pytest.mark.parametrize("first", [0, 999_000, 10**18])
def test_blocks_about_the_limits(rows: int, first: int) -> None:
    rng = np.random.default_rng(rows)
    places = rng.permutation(rows + 500)
    kinds = [train(rng, np.sort(places[:rows]), first), train(rng, np.sort(places[rows:]), first)]
    assert render(kinds) == one_by_one(kinds)


@pytest.mark.parametrize(
    ("a", "b"), [(10**4, 10**9), (10**5, 1), (10**18, 10**18), (1, 10**12), (10**4, 10**13)]
)
def test_padding_wider_than_all_the_text_before_it(a: int, b: int) -> None:
    """Padding that reached into the line before would overwrite its end."""
    rows = 2 * lines._FEW
    kind = Lines((("", np.resize([0, a], rows)), ("b", np.resize([0, b], rows))), np.arange(rows))
    assert render([kind]) == b'{"":0,"b":0}\n{"":%d,"b":%d}\n' % (a, b) * lines._FEW


def test_columns_may_be_strided() -> None:
    matrix = np.arange(4 * lines._FEW).reshape(-1, 4) - 50
    signed, unsigned = matrix[:, 1], matrix[:, 3].view(np.uint64)
    kind = Lines((("a", signed), ("b", unsigned)), np.arange(len(matrix)))
    assert render([kind]) == one_by_one([kind])


def test_pieces_of_a_long_block_are_whole_lines_and_bounded() -> None:
    rows = 5 * lines._ROWS
    kinds = [Lines((("t_ns", np.arange(i, rows, 2)),), np.arange(i, rows, 2)) for i in (0, 1)]
    parts = [bytes(piece) for piece in pieces(kinds)]
    assert [part.count(b"\n") for part in parts] == [2 * lines._ROWS, 2 * lines._ROWS, lines._ROWS]
    assert b"".join(parts) == b"".join(b'{"t_ns":%d}\n' % t for t in range(rows))


def test_no_lines_are_no_bytes() -> None:
    empty = Lines((("t_ns", np.array([], np.int64)), ("side", "source")), np.array([], np.int64))
    assert render([]) == render([empty, empty]) == b""
