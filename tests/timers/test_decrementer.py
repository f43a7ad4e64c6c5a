"""The decrementer, beside one that is counted down tick by tick."""

import pytest
from brute_decrementer import TickByTick
from hypothesis import given
from hypothesis import strategies as st

from livemig.timers.decrementer import (
    RESET_VALUE,
    Decrementer,
    DecrementerModel,
    Line,
    at_reset,
    goes_round,
    store,
    underflows,
)
from livemig.timers.timebase import Timebase

MODELS = st.builds(
    DecrementerModel, st.sampled_from([32, 40, 56]), st.booleans(), st.booleans(), st.sampled_from([0, 1])
)


@given(MODELS, st.integers(0, 2**56 - 1), st.integers(1, 10**9), st.integers(0, 10**18))
def test_a_written_value_reads_back_at_the_same_instant_for_every_value_and_frequency(
    model: DecrementerModel, value: int, hz: int, ns: int
) -> None:
    ticks = Timebase(0, 0, hz).ticks(ns)
    new, _ = store(model, at_reset(model), ticks, value)
    assert new.read(model, ticks) & model.mask == value & model.mask


def test_it_sign_extends_over_its_width() -> None:
    large = DecrementerModel(bits=56, level=True)
    new, line = store(large, at_reset(large), 0, 1 << 55)
    assert (new.read(large, 0), line) == (-(1 << 55), Line.RAISE)
    new, line = store(large, at_reset(large), 0, 0xFFFF_FFFF)
    assert (new.read(large, 0), line) == (0xFFFF_FFFF, Line.LOWER)


@given(
    # 8 bits, so that the oracle sees every wrap; the rules do not know the width
    level=st.booleans(),
    small=st.booleans(),
    lag=st.sampled_from([0, 1]),
    wraps=st.booleans(),
    first=st.integers(0, 255),
    script=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=6),
)
def test_it_raises_at_the_ticks_at_which_one_counted_by_hand_raises(
    level: bool, small: bool, lag: int, wraps: bool, first: int, script: list[tuple[int, int]]
) -> None:
    model = DecrementerModel(8, level, small, lag, wraps=wraps)
    oracle = TickByTick(8, level, small, lag == 1, register=first, timer=False, wraps=wraps)
    ours = Decrementer(first - 256 if first >= 128 else first, armed=False)
    raised: list[int] = []
    line_up, now = False, 0
    for wait, value in script:
        for _ in range(wait):
            now += 1
            oracle.tick()
            if ours.happens(model) == now and ours.armed:
                raised.append(now)
                line_up, ours = True, underflows(model, ours)
            elif ours.happens(model) == now:
                line_up, ours = line_up and not level, goes_round(model, ours)
            assert ours.read(model, now) == oracle.signed
            assert line_up == oracle.line
        ours, line = store(model, ours, now, value)
        oracle.write(value)
        if line is Line.RAISE or (ours.armed and ours.happens(model) == now):
            raised.append(now)
            line_up, ours = True, underflows(model, ours)
        elif line is Line.LOWER:
            line_up = False
        assert ours.read(model, now) == oracle.signed
        assert raised == oracle.raised_at
        assert line_up == oracle.line


@pytest.mark.parametrize(
    ("level", "old", "value", "line", "armed"),
    [
        (False, 5, 0x8000_0000, Line.RAISE, False),  # the sign bit rises
        (False, -5, 0x8000_0000, Line.KEEP, True),  # it was set: a long wait begins (QEMU 10 on the Macs)
        (False, 5, 10, Line.KEEP, True),
        (True, -5, 0x8000_0000, Line.RAISE, False),  # set means pending
        (True, -5, 10, Line.LOWER, True),
    ],
)
def test_edge_and_level_differ_where_the_book_says(level: bool, old: int, value: int, line: Line, armed: bool) -> None:
    model = DecrementerModel(level=level)
    new, happened = store(model, Decrementer(1000 + old, armed=False), 1000, value)
    assert (happened, new.armed) == (line, armed)


def test_the_negative_value_that_qemu_10_stores_waits_as_long_as_the_capture_waited() -> None:
    """``q100-mac99-pending-long-freeze``: DECR -271063 stored over a negative one at 25 MHz; 171.79 s by arithmetic,
    171.81 s measured."""
    model = DecrementerModel()
    new, line = store(model, Decrementer(-25_154_368, armed=False), 0, -271_063)
    assert line is Line.KEEP
    assert new.due(model) == 2**32 - 271_063
    assert 171.78 < new.due(model) / 25e6 < 171.80


def test_values_below_three_raise_at_once_only_where_the_switch_says_so() -> None:
    for value in range(4):
        for small in (False, True):
            model = DecrementerModel(small_values_raise=small)
            _, line = store(model, at_reset(model), 0, value)
            assert (line is Line.RAISE) == (small and value < 3)


def test_the_start_up_decrementer_runs_out_on_an_edge_cpu_and_never_on_a_level_one() -> None:
    edge, level = DecrementerModel(), DecrementerModel(level=True)
    assert at_reset(edge).armed
    assert at_reset(edge).due(edge) == RESET_VALUE == 2**32 - 1
    assert not at_reset(level).armed
    assert at_reset(edge).read(edge, 7) == sum((0xFFFF_FFFF, -7)) - 2**32  # reads -TB - 1
