"""XBZRLE: bytes by hand and by a model of another make; hostile deltas; the cache."""

from __future__ import annotations

import numpy as np
import pytest
from brute_xbzrle import brute_decode, brute_encode
from hypothesis import given
from hypothesis import strategies as st

from livemig.machine.ram import PAGE
from livemig.migration.xbzrle import Cache, decode, encode

ZEROS = bytes(PAGE)


def of(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8).copy()


def changed(*places: tuple[int, bytes]) -> bytes:
    page = bytearray(ZEROS)
    for at, data in places:
        page[at : at + len(data)] = data
    return bytes(page)


def test_deltas_by_hand() -> None:
    cases = {
        changed((0, b"\x01")): b"\x00\x01\x01",  # no equal byte first; the rest of the page is not mentioned
        changed((5, b"ab")): b"\x05\x02ab",
        changed((127, b"x")): b"\x7f\x01x",
        changed((128, b"x")): b"\x80\x01\x01x",  # ULEB128: 0x80 | 0, then 1
        changed((300, b"x")): b"\xac\x02\x01x",  # 300 = 2 × 128 + 44
        changed((1, b"ab"), (4, b"c")): b"\x01\x02ab\x01\x01c",
        changed((PAGE - 1, b"z")): b"\xff\x1f\x01z",  # 4095 = 31 × 128 + 127
        ZEROS: b"",
    }
    for new, delta in cases.items():
        assert encode(of(ZEROS), of(new)) == delta
        page = of(ZEROS)
        decode(memoryview(delta), page)
        assert page.tobytes() == new


def test_a_page_that_has_nothing_in_common_overflows_and_half_of_one_does_not() -> None:
    assert encode(of(ZEROS), of(b"\xff" * PAGE)) is None
    half = encode(of(ZEROS), of(b"\xff" * (PAGE // 2) + bytes(PAGE // 2)))
    assert half == b"\x00\x80\x10" + b"\xff" * (PAGE // 2)


SMALL = 64
small_pages = st.lists(st.integers(0, 2), min_size=SMALL, max_size=SMALL).map(bytes)


@given(small_pages, small_pages, st.integers(0, SMALL + 8))
def test_the_encoder_agrees_with_one_that_goes_byte_by_byte_and_the_decoder_undoes_it(
    old: bytes, new: bytes, limit: int
) -> None:
    delta = encode(of(old), of(new), limit)
    assert delta == brute_encode(old, new, limit)
    if delta is not None:
        page = of(old)
        decode(memoryview(delta), page)
        assert page.tobytes() == new


@given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(0, PAGE - 1), st.integers(1, 900)), max_size=12))
def test_whole_pages_with_long_runs_too(seed: int, runs: list[tuple[int, int]]) -> None:
    random = np.random.default_rng(seed)
    old = random.integers(0, 256, PAGE, np.uint8)
    new = old.copy()
    for at, length in runs:
        new[at : at + length] += 1
    delta = encode(old, new)
    assert delta == brute_encode(old.tobytes(), new.tobytes(), PAGE)
    if delta is not None:
        decode(memoryview(delta), old)
        assert np.array_equal(old, new)


@given(st.binary(max_size=20) | st.lists(st.integers(0, 5), max_size=20).map(bytes), small_pages)
def test_any_bytes_are_a_delta_or_an_error_as_the_slow_decoder_says(delta: bytes, old: bytes) -> None:
    page = of(old)
    expected = brute_decode(delta, old)
    if expected is None:
        with pytest.raises(ValueError, match=r"run|short|length"):
            decode(memoryview(delta), page)
    else:
        decode(memoryview(delta), page)
        assert page.tobytes() == expected


@pytest.mark.parametrize(
    ("delta", "problem"),
    [
        (b"\x00\x00a", "a run of no length"),
        (b"\x00\x01a\x00\x01b", "a run of no length"),
        (b"\x05", "ends where a run is due"),
        (b"\x05\x02a", "ends 1 bytes short"),
        (b"\xff\x1f\x02ab", "a run up to byte 4097 of a page of 4096"),
        (b"\x80\x80\x01", "a length of more than two bytes"),
        (b"\x85\x85", "a length of more than two bytes"),
        (b"\x05\x82\x80", "a length of more than two bytes"),
    ],
)
def test_what_no_encoder_writes_is_refused_and_says_why(delta: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        decode(memoryview(delta), of(ZEROS))


def test_the_cache_keeps_a_page_until_it_has_not_been_seen_for_two_looks() -> None:
    cache = Cache(4 * PAGE, ram_pages=64)
    one, five = of(changed((0, b"1"))), of(changed((0, b"5")))
    assert cache.insert(1, one, age=1)
    assert not cache.insert(5, five, age=2)  # the same place, 1 + 2 > 2
    assert cache.get(5, age=2) is None
    assert cache.insert(5, five, age=3)
    assert cache.get(1, age=3) is None
    hit = cache.get(5, age=4)  # seen: its age is 4 now
    assert hit is not None
    assert hit.tobytes() == five.tobytes()
    assert not cache.insert(1, one, age=5)
    assert cache.insert(5, one, age=5)  # its own place is always open to a page


def test_a_cache_larger_than_ram_is_no_larger_than_ram() -> None:
    cache = Cache(64 << 20, ram_pages=100)
    assert cache.capacity == 16384
    for page in range(100):
        assert cache.insert(page, of(changed((0, bytes([page])))), age=1)
    assert all(cache.get(page, 1) is not None for page in range(100))
