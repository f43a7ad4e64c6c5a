"""Toxics: bytes and times in, bytes and times out. Expected values are by hand, from Toxiproxy's words for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.errors import UsageError
from livemig.link.toxics import (
    CLOSE,
    EOF,
    RESET,
    TOXICS,
    Bandwidth,
    Chain,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Stall,
    Step,
    Timeout,
    Toxic,
    toxic,
)

LATE = 1 << 62


def all_of(chain: Chain) -> list[tuple[int, bytes | str]]:
    return [(step.at_ns, step.end or step.data) for step in chain.take(LATE)]


def test_without_a_toxic_everything_passes_at_once() -> None:
    chain = Chain([], 0)
    chain.put(3, b"ab")
    chain.end(4)
    assert all_of(chain) == [(3, b"ab"), (4, EOF)]


def test_nothing_comes_out_before_its_time() -> None:
    chain = Chain([Latency(10)], 0)
    chain.put(5, b"abc")
    assert chain.take(14) == []
    assert (chain.held, chain.next_ns) == (3, 15)
    assert chain.take(15) == [Step(15, b"abc")]
    assert (chain.held, chain.next_ns) == (0, None)


def test_latency_delays_all_and_the_end_with_it() -> None:
    chain = Chain([Latency(100)], 0)
    for t in (0, 7):
        chain.put(t, b"x")
    chain.end(8)
    assert all_of(chain) == [(100, b"x"), (107, b"x"), (108, EOF)]


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(0, 99))
def test_jitter_is_within_its_bound_and_keeps_the_order(gaps: list[int], seed: int) -> None:
    chain, now, put = Chain([Latency(10, 40, seed)], 0), 0, []
    for number, gap in enumerate(gaps):
        now += gap
        put.append(now)
        chain.put(now, bytes([number]))
    steps = chain.take(LATE)
    assert [step.data for step in steps] == [bytes([n]) for n in range(len(gaps))]
    assert all(at + 10 <= step.at_ns for at, step in zip(put, steps, strict=True))
    assert all(step.at_ns <= max(put[: n + 1]) + 50 for n, step in enumerate(steps))


def test_bandwidth_lets_bytes_out_at_its_rate_and_not_faster_after_a_pause() -> None:
    chain = Chain([Bandwidth(8_000_000_000)], 0)  # a byte a nanosecond
    chain.put(0, bytes(10))
    chain.put(4, bytes(6))
    chain.put(100, bytes(5))
    chain.end(101)
    assert [at for at, _ in all_of(chain)] == [10, 16, 105, 105]


def test_slicer_cuts_into_pieces_with_a_pause_between_them() -> None:
    chain = Chain([Slicer(4, 0, delay=3)], 0)
    chain.put(0, b"abcdefghij")
    chain.put(1, b"k")
    chain.end(1)
    assert all_of(chain) == [(0, b"abcd"), (3, b"efgh"), (6, b"ij"), (9, b"k"), (12, EOF)]


@given(st.binary(max_size=300), st.integers(1, 20), st.integers(0, 30), st.integers(0, 9))
def test_slices_vary_within_their_bound_and_lose_nothing(data: bytes, size: int, variation: int, seed: int) -> None:
    chain = Chain([Slicer(size, variation, seed=seed)], 0)
    chain.put(0, data)
    pieces = [step.data for step in chain.take(LATE)]
    assert b"".join(pieces) == data
    assert all(1 <= len(piece) <= size + variation for piece in pieces)
    assert all(len(piece) >= size - variation for piece in pieces[:-1])


def test_slow_close_delays_the_end_alone() -> None:
    chain = Chain([SlowClose(50)], 0)
    chain.put(1, b"a")
    chain.end(2)
    assert all_of(chain) == [(1, b"a"), (52, EOF)]


def test_timeout_lets_nothing_through_and_closes_in_the_end() -> None:
    chain = Chain([Timeout(30)], 5)
    chain.put(6, b"a")
    assert all_of(chain) == [(35, CLOSE)]
    silent = Chain([Timeout(0)], 5)
    silent.put(6, b"a")
    assert all_of(silent) == []


def test_reset_peer_loses_what_is_on_its_way() -> None:
    chain = Chain([Latency(20), ResetPeer(30)], 0)
    for t in (0, 9, 15):
        chain.put(t, b"x")
    assert all_of(chain) == [(20, b"x"), (29, b"x"), (30, RESET)]
    assert (chain.held, chain.ended) == (0, True)


def test_a_reset_is_not_held_up_by_what_comes_after_it() -> None:
    chain = Chain([ResetPeer(30), Latency(500), Bandwidth(8), Slicer(1, delay=9), Stall(0, 900)], 0)
    chain.put(0, b"xyz")
    assert all_of(chain) == [(30, RESET)]


def test_limit_data_closes_when_so_many_bytes_have_passed() -> None:
    chain = Chain([LimitData(5)], 0)
    for t in range(4):
        chain.put(t, b"abc")
    assert all_of(chain) == [(0, b"abc"), (1, b"ab"), (1, CLOSE)]


def test_a_stall_holds_everything_back_and_then_lets_it_go() -> None:
    chain = Chain([Stall(10, 20)], 100)
    for t in (105, 110, 125, 131):
        chain.put(t, bytes([t - 100]))
    assert all_of(chain) == [(105, b"\x05"), (130, b"\x0a"), (130, b"\x19"), (131, b"\x1f")]


def test_each_toxic_of_a_chain_sees_times_that_do_not_go_back() -> None:
    class Watch(Toxic):
        def __init__(self) -> None:
            self.times: list[int] = []

        def put(self, now: int, data: bytes):  # type: ignore[no-untyped-def]
            self.times.append(now)
            return super().put(now, data)

        def end(self, now: int, how: str):  # type: ignore[no-untyped-def]
            self.times.append(now)
            return super().end(now, how)

    watch = Watch()
    chain = Chain([ResetPeer(1000), Slicer(2, delay=7), Latency(30, 9), watch], 0)
    for t in range(0, 300, 11):
        chain.put(t, b"abcd")
    chain.take(LATE)
    assert watch.times == sorted(watch.times)
    assert watch.times[-1] == 1000


passing = st.lists(
    st.sampled_from([Latency(9, 5), Bandwidth(3_000_000_000), Slicer(3, 1, 2), SlowClose(4), Stall(3, 40)]), max_size=4
)


@given(st.lists(st.tuples(st.integers(0, 20), st.binary(min_size=1, max_size=9)), max_size=20), passing)
def test_what_only_delays_loses_nothing_and_keeps_the_order(given: list[tuple[int, bytes]], kinds: list[Toxic]) -> None:
    chain, now = Chain([type(kind)(**SAME[type(kind)]) for kind in kinds], 0), 0
    for gap, data in given:
        now += gap
        chain.put(now, data)
    chain.end(now)
    steps = chain.take(LATE)
    assert b"".join(step.data for step in steps) == b"".join(data for _, data in given)
    assert steps[-1].end == EOF
    assert [step.at_ns for step in steps] == sorted(step.at_ns for step in steps)
    assert chain.held == 0


SAME: dict[type[Toxic], dict[str, int]] = {
    Latency: {"latency": 9, "jitter": 5}, Bandwidth: {"rate": 3_000_000_000},
    Slicer: {"average_size": 3, "size_variation": 1, "delay": 2}, SlowClose: {"delay": 4},
    Stall: {"start": 3, "duration": 40},
}  # fmt: skip


def test_toxiproxy_s_vocabulary_is_whole() -> None:
    theirs = {"latency", "bandwidth", "slow_close", "timeout", "reset_peer", "slicer", "limit_data"}
    assert set(TOXICS) == theirs | {"stall"}


@pytest.mark.parametrize(
    ("name", "attributes", "problem"),
    [
        ("gremlin", {}, "no toxic 'gremlin' .allowed: latency, bandwidth"),
        ("latency", {"latency": -1}, "latency = -1 .allowed: an integer from 0"),
        ("bandwidth", {"rate": 0}, "rate = 0 .allowed: an integer from 1"),
        ("slicer", {"average_size": 0}, "average_size = 0"),
        ("latency", {"latency": 1.5}, "latency = 1.5"),
        ("latency", {"speed": 1}, "unexpected keyword argument 'speed'"),
        ("stall", {"start": 1}, "missing 1 required positional argument: 'duration'"),
    ],
)
def test_a_toxic_by_name_says_what_is_wrong(name: str, attributes: dict[str, int], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        toxic(name, attributes)


def test_a_toxic_by_name_is_the_toxic() -> None:
    chain = Chain([toxic("latency", {"latency": 5})], 0)
    chain.put(0, b"a")
    assert all_of(chain) == [(5, b"a")]
