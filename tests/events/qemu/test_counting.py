"""What reads and writes of one thread tell of its clock and its DECR. Numbers by hand."""

from __future__ import annotations

from livemig.events.qemu.counting import Counting
from livemig.events.qemu.trace import DECR_LOAD, DECR_STORE, TB_LOAD, TB_STORE, Line
from livemig.events.qemu.window import OPEN, Window, point


def tb(value: int) -> Line:
    return Line(0, 0, 1, TB_LOAD, value)


def load(decr: int) -> Line:
    return Line(0, 0, 1, DECR_LOAD, decr % (1 << 64))


def store(old: int, value: int) -> Line:
    return Line(0, 0, 1, DECR_STORE, value % (1 << 32), old % (1 << 32), 32)


def seen(counting: Counting, *lines: Line) -> Counting:
    for line in lines:
        counting.see(line)
    return counting


def test_reads_of_tb_before_and_after_one_of_decr_bound_its_end() -> None:
    assert seen(Counting(OPEN, True), tb(1000), load(50)).end == Window(low=1050)
    assert seen(Counting(OPEN, True), tb(1000), load(50), tb(1004)).end == (1050, 1054)


def test_a_write_whose_clock_is_read_once_gives_the_end_anew_exactly() -> None:
    """At 1002, as DECR read 48 then: its new end is 1102, though no read of TB says so."""
    counting = seen(Counting(point(1050), True), tb(1000), load(48), store(48, 100))
    assert counting.end == point(1102)
    assert (counting.strain, counting.clock_at(90)) == (0, point(1012))


def test_one_whose_clock_is_read_twice_leaves_open_when_the_second_was() -> None:
    counting = seen(Counting(point(1050), False), tb(1000), load(48), store(48, 100))
    assert counting.end == Window(low=1102)
    assert seen(counting, tb(1009)).end == (1102, 1109)


def test_a_start_up_value_of_2_to_the_32_less_one_wraps_as_it_counts() -> None:
    counting = seen(Counting(point((1 << 32) - 1), True), load(-1 - 700), store(-1 - 700, 5000))
    assert counting.end.exact
    assert (counting.end.low - 5700) % (1 << 32) == 0


def test_a_read_that_cannot_be_is_told_by_how_many_ticks() -> None:
    assert seen(Counting(point(1050), True), tb(1000), load(60)).strain == 10
    assert seen(Counting(point(1050), True), tb(1000), load(40), tb(1003)).strain == -7
    assert seen(Counting(point(1050), True), tb(1000), load(40), store(48, 9), tb(1003)).strain != 0
    assert seen(Counting(point(1050), True, slack=2), tb(1000), load(52)).strain == 0


def test_what_the_guest_writes_to_tb_is_no_reading_of_the_clock() -> None:
    write = Line(0, 0, 1, TB_STORE, 1 << 60, ((1 << 60) - 700) % (1 << 64))
    counting = seen(Counting(OPEN, True), write, load(50), tb((1 << 60) + 4))
    assert (counting.tick, counting.end) == (704, (750, 754))


def test_a_tb_of_unknown_offset_says_nothing() -> None:
    counting = seen(Counting(OPEN, True, offset=None), tb(1000), load(50), tb(1009))
    assert counting.tick is None
    assert not counting.known
