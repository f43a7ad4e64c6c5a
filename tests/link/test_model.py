"""The link's arithmetic, by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from livemig.link.model import LinkModel


def test_by_hand_a_megabyte_at_a_gigabit_takes_8_ms_and_the_latency_after() -> None:
    link = LinkModel(10**9, 100_000)
    assert link.transmit(0, 10**6) == (8_000_000, 8_100_000)
    assert link.transmit(1_000, 1) == (8_000_008, 8_100_008)  # queues behind it
    assert link.transmit(20_000_000, 0) == (20_000_000, 20_100_000)


@given(
    st.integers(1, 10**12),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**7)), max_size=30),
)
def test_frames_keep_their_order_and_none_is_faster_than_the_link(
    bandwidth: int, latency: int, jitter: int, sends: list[tuple[int, int]]
) -> None:
    link = LinkModel(bandwidth, latency, jitter, seed=7)
    now = last = total = 0
    for wait, size in sends:
        now += wait
        free, arrives = link.transmit(now, size)
        total += size
        assert free >= now
        assert free * bandwidth >= total * 8 * 10**9  # never more bytes than the line carries since t = 0
        assert arrives >= max(last, free + latency)
        last = arrives


def test_jitter_is_drawn_from_zero_to_its_bound_and_by_seed() -> None:
    def delays(seed: int) -> list[int]:
        link = LinkModel(10**12, 1_000, 500, seed)
        return [link.transmit(i * 10**6, 0)[1] - i * 10**6 - 1_000 for i in range(400)]

    assert min(delays(1)) < 20
    assert 480 < max(delays(1)) <= 500
    assert delays(1) != delays(2)
    assert delays(1) == delays(1)


def test_a_late_sender_makes_up_for_what_it_is_allowed_to() -> None:
    link = LinkModel(8 * 10**9, 0, catch_up_ns=2_000)  # a byte a nanosecond
    link.transmit(0, 10_000)
    assert link.transmit(11_500, 1_000) == (11_000, 11_500)  # 1.5 µs late, made up for; not in the past
    assert link.transmit(100_000, 1_000)[0] == 99_000
