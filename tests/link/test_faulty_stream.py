"""The faults of frames on a stream of bytes, through a chain: every instant by hand."""

from __future__ import annotations

from collections.abc import Sequence

from livemig.link.faults.bandwidth import Bandwidth
from livemig.link.faults.corrupt import Corrupt
from livemig.link.faults.latency import Latency
from livemig.link.faults.limit_data import LimitData
from livemig.link.faults.passage import LinkFault, When
from livemig.link.faults.reset_peer import ResetPeer
from livemig.link.faults.slicer import Slicer
from livemig.link.faults.slow_close import SlowClose
from livemig.link.faults.stall import Stall
from livemig.link.faults.timeout import Timeout
from livemig.link.faulty_stream import FaultyStream
from livemig.link.toxics import CLOSE, EOF, RESET, Chain
from livemig.timers.ticks import NEVER

MS = 1_000_000
START = 7_000 * MS
"""Of the scenario, on the chain's clock."""
NULL = 1
"""ns: what a write takes on a link that takes no time."""

Out = list[tuple[int, bytes, str]]
TOLD: list[tuple[int, str]] = []


def through(faults: Sequence[LinkFault], *writes: tuple[int, bytes], end: int | None = None, seed: int = 0) -> Out:
    """What comes out, and when, in ns since the start; ``writes`` go in at so many ns, ``end`` is when it is done."""
    TOLD.clear()
    stream = FaultyStream(faults, START, seed, lambda at, name: TOLD.append((at, name)))
    chain = Chain([stream], START)
    for at, data in writes:
        chain.put(START + at, data)
    if end is not None:
        chain.end(START + end)
    out: Out = []
    while (due := chain.next_ns) is not None and due < NEVER:
        out += [(step.at_ns - START, step.data, step.end) for step in chain.take(due)]
    return out


def test_without_a_fault_all_passes() -> None:
    assert through([], (5, b"abc"), end=9) == [(5 + NULL, b"abc", ""), (9, b"", EOF)]


def test_latency_from_a_time_until_another() -> None:
    late = Latency(When(10 * MS, 20 * MS), 3 * MS, 0, "uniform", 0, 1)
    out = through([late], (5 * MS, b"a"), (10 * MS, b"b"), (20 * MS, b"c"))
    assert out == [(5 * MS + NULL, b"a", ""), (13 * MS + NULL, b"b", ""), (20 * MS + NULL, b"c", "")]
    assert TOLD == [(10 * MS, "latency")]


def test_bandwidth_is_of_all_that_comes_in() -> None:
    """1000 bytes at 8 Mbit/s take 1 ms."""
    out = through([Bandwidth(When(), 8_000_000)], (0, bytes(1000)), (0, bytes(500)))
    assert [at for at, _, _ in out] == [MS, 1_500_000]


def test_slices_leave_with_pauses_and_the_next_write_behind_them() -> None:
    out = through([Slicer(When(), 2, 10)], (100, b"abcde"), (100, b"xyz"))
    first = 100 + NULL
    assert [(at, data) for at, data, _ in out] == [
        (first, b"ab"), (first + 10, b"cd"), (first + 20, b"e"), (first + 20 + NULL, b"xy"), (first + 30 + NULL, b"z"),
    ]  # fmt: skip


def test_a_stall_holds_what_comes_in_and_loses_nothing() -> None:
    out = through([Stall(When(10), 90)], (5, b"a"), (20, b"b"), (99, b"c"), (200, b"d"))
    assert [(at, data) for at, data, _ in out] == [(6, b"a"), (100, b"b"), (100, b"c"), (201, b"d")]


def test_one_bit_of_one_write_is_damaged() -> None:
    out = through([Corrupt(When(10))], (5, b"abc"), (20, b"abc"), (30, b"abc"))
    assert [data for _, data, _ in out] == [b"abc", b"acc", b"abc"]  # b is 0x62, c is 0x63


def test_a_reset_comes_although_nothing_is_sent_and_loses_what_is_on_its_way() -> None:
    out = through([Latency(When(), 50, 0, "uniform", 0, 1), ResetPeer(When(100), 20)], (69, b"a"), (70, b"b"))
    assert out == [(120, b"", RESET)]
    assert through([ResetPeer(When(100), 20)], (119, b"b"))[-1] == (120, b"", RESET)
    assert TOLD == [(120, "reset_peer")]


def test_so_many_bytes_pass_and_then_the_connection_is_closed() -> None:
    out = through([LimitData(When(), 5)], (10, b"abc"), (20, b"def"), (30, b"ghi"))
    assert out == [(11, b"abc", ""), (20, b"de", ""), (21, b"", CLOSE)]


def test_a_slow_close_is_of_any_end() -> None:
    assert through([SlowClose(When(), 40)], (10, b"a"), end=20) == [(11, b"a", ""), (60, b"", EOF)]
    assert through([ResetPeer(When(100), 0), SlowClose(When(), 40)]) == [(140, b"", RESET)]


def test_a_black_hole_holds_what_it_took_and_a_timeout_closes() -> None:
    stream = FaultyStream([Timeout(When(10), 0)], START, 0, lambda at, name: None)
    chain = Chain([stream], START)
    chain.put(START + 20, b"abc")
    assert chain.take(START + 20) == []
    assert chain.next_ns is not None
    assert chain.next_ns >= NEVER
    assert chain.held == 3
    assert through([Timeout(When(10), 30)], (20, b"abc")) == [(40, b"", CLOSE)]


def test_toxicity_is_drawn_once_for_a_connection() -> None:
    def late(seed: int) -> set[bool]:
        half = Latency(When(toxicity=50), 9, 0, "uniform", 0, 1)
        out = through([half], *((20 * i, b"a") for i in range(6)), seed=seed)
        return {at % 20 > NULL for at, _, _ in out}

    found = [late(seed) for seed in range(100)]
    assert all(len(each) == 1 for each in found)
    assert 30 < sum(True in each for each in found) < 70
