"""Guest RAM, its dirty bitmap, and what guests do to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from livemig.config.model import Config
from livemig.emulator.build import machine
from livemig.guests.draws import Stream, draw, draws
from livemig.guests.memory import MemoryWorkload
from livemig.machine.ram import BLOCK, PAGE, Ram
from livemig.migration.passes import page_runs

PAGES = 64


def test_fresh_ram_is_zero_and_clean() -> None:
    ram = Ram(PAGES * PAGE)
    assert bytes(ram.memory) == bytes(PAGES * PAGE)
    assert len(ram.take_dirty()) == 0


@pytest.mark.parametrize("size", [0, -4096, 4095, 4097])
def test_ram_is_whole_pages(size: int) -> None:
    with pytest.raises(ValueError, match="multiple of 4096"):
        Ram(size)


@given(st.lists(st.lists(st.integers(0, PAGES - 1)), max_size=5))
def test_the_bitmap_gives_each_written_page_once_and_forgets_it(rounds: list[list[int]]) -> None:
    ram = Ram(PAGES * PAGE)
    for written in rounds:
        ram.mark(np.array(written, np.int64))
        assert ram.dirty_count == len(set(written))
        assert ram.take_dirty().tolist() == sorted(set(written))
        assert ram.dirty_count == 0


@given(st.sets(st.integers(0, PAGES - 1), min_size=1), st.sets(st.integers(0, PAGES * PAGE - 1), max_size=8))
def test_a_page_is_zero_if_no_byte_of_it_is_set(asked: set[int], set_bytes: set[int]) -> None:
    ram = Ram(PAGES * PAGE)
    for at in set_bytes:
        ram.memory[at] = 1
    pages = np.array(sorted(asked), np.int64)
    expected = [not any(at // PAGE == page for at in set_bytes) for page in pages.tolist()]
    assert ram.zero(pages).tolist() == expected


def test_the_digest_sees_every_byte() -> None:
    ram = Ram(4 * PAGE)
    before = ram.digest()
    for at in (0, PAGE - 1, 2 * PAGE + 5, 4 * PAGE - 1):
        ram.memory[at] = 1
        assert ram.digest() != before
        ram.memory[at] = 0
    assert ram.digest() == before


@given(st.sets(st.integers(0, 200)))
def test_runs_are_the_pages_in_maximal_pieces(pages: set[int]) -> None:
    runs = page_runs(np.array(sorted(pages), np.int64))
    assert {page for first, count in runs for page in range(first, first + count)} == pages
    ends = [first + count for first, count in runs]
    assert all(end < first for end, (first, _) in zip(ends, runs[1:], strict=False))


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**40), st.integers(0, 50))
def test_draws_by_the_batch_are_draws_by_number(seed: int, first: int, count: int) -> None:
    assert draws(seed, first, count).tolist() == [draw(seed, first + i) for i in range(count)]


def test_the_first_draws_of_seed_zero_are_splitmix64s() -> None:
    """The published first outputs of SplitMix64 with state 0."""
    assert [draw(0, k) for k in range(3)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


@given(st.integers(0, 2**63), st.integers(0, 3000))
def test_a_stream_goes_on_elsewhere_from_its_position(seed: int, taken: int) -> None:
    here, there = (Stream(seed, lambda drawn: (drawn >> np.uint64(1)).astype(np.int64)) for _ in range(2))
    for _ in range(taken):
        here.take()
    there.position = here.position
    assert here.position == taken
    assert [here.take() for _ in range(5)] == [there.take() for _ in range(5)]


WORKLOADS = st.builds(
    MemoryWorkload,
    seed=st.integers(0, 2**63 - 1),
    cpus=st.integers(1, 64),
    rate=st.integers(0, 10**9),
    locality=st.sampled_from(["uniform", "hot", "sequential"]),
    working_set=st.integers(1, PAGES),
    hot=st.just(1),
    hot_share=st.integers(0, 100),
    filled=st.integers(0, 100),
)


@given(WORKLOADS, st.lists(st.integers(0, 40), max_size=6))
def test_when_the_writes_are_caught_up_with_changes_nothing(workload: MemoryWorkload, pieces: list[int]) -> None:
    often, once = Ram(PAGES * PAGE), Ram(PAGES * PAGE)
    done = 0
    for count in pieces:
        often.mark(workload.apply(often.words, done, count))
        done += count
    once.mark(workload.apply(once.words, 0, done))
    assert often.digest() == once.digest()
    assert often.take_dirty().tolist() == once.take_dirty().tolist()


@given(WORKLOADS)
def test_the_share_of_pages_filled_at_boot_is_as_asked(workload: MemoryWorkload) -> None:
    ram = Ram(PAGES * PAGE)
    workload.fill(ram.words)
    zero = int(ram.zero(np.arange(PAGES)).sum())
    assert PAGES - zero == PAGES * workload.filled // 100


def test_the_rate_is_pages_a_second_and_localities_are_what_they_say() -> None:
    made = {"seed": 1, "cpus": 1, "rate": 4096 * 1000, "working_set": 50, "hot": 5, "hot_share": 90, "filled": 0}
    uniform, hot, sequential = (MemoryWorkload(locality=name, **made) for name in ("uniform", "hot", "sequential"))
    assert [uniform.writes_before(ns) for ns in (0, 999_999, 1_000_000, 10**9)] == [0, 0, 1, 1000]
    assert sequential.pages(48, 5).tolist() == [48, 49, 0, 1, 2]
    spread = np.bincount(uniform.pages(0, 5000), minlength=50)
    assert spread.max() < 160
    assert spread.min() > 50  # 100 each is even
    in_hot = int((hot.pages(0, 5000) < 5).sum())
    assert 4500 < in_hot < 4700  # 90 % by design, and a tenth of the rest


def resident() -> int:
    """Bytes of this process that the host has given it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def test_populated_ram_is_the_process_s_at_once_and_zero() -> None:
    size = 32 << 20
    before = resident()
    ram = Ram(size)
    assert resident() - before < size // 4
    ram.populate()
    assert resident() - before > size * 3 // 4
    assert len(ram.take_dirty()) == 0
    assert ram.zero(np.arange(ram.page_count)).all()
    ram.close()


def test_machine_prealloc_populates() -> None:
    size = 32 << 20
    for prealloc, few in ((False, True), (True, False)):
        config = Config.model_validate({"machine": {"ram": "32MiB", "prealloc": prealloc}})
        before = resident()
        ram = machine(config, "destination").ram
        assert (resident() - before < size // 4) == few
        ram.close()


MANY = 5 * BLOCK * 9 + 3
"""Pages: more blocks than one thread hashes, the last of them short."""


def digest_of(content: bytes) -> str:
    """As docs/design.md has it."""
    size = BLOCK * PAGE
    parts = [xxhash.xxh3_64_digest(content[begin : begin + size]) for begin in range(0, len(content), size)]
    return xxhash.xxh3_128_hexdigest(b"".join(parts))


@pytest.mark.parametrize("pages", [BLOCK + 1, 2 * BLOCK, MANY])
def test_a_digest_of_more_than_a_block_is_of_the_digests_of_its_blocks(pages: int) -> None:
    ram = Ram(pages * PAGE)
    ram.words[:, 3] = np.arange(pages)
    before = ram.digest()
    assert before == digest_of(bytes(ram.memory))
    ram.words[-1, -1] = 8
    assert ram.digest() == digest_of(bytes(ram.memory)) != before
    ram.close()


def hashed(ram: Ram, first: int, count: int) -> None:
    """As a link does when it reads pages."""
    pages = np.arange(first, first + count)
    since = ram.watch.stamps(pages)
    ram.watch.learn(pages, since, xxhash.xxh3_64_digest(ram.memory[first * PAGE : (first + count) * PAGE]))


def test_a_block_that_was_hashed_on_its_way_is_not_hashed_again_until_it_is_written() -> None:
    """Seen by what must not happen to RAM: a change behind the watch's back goes unnoticed."""
    ram = Ram(2 * BLOCK * PAGE + PAGE)
    hashed(ram, BLOCK, BLOCK)
    before = ram.digest()
    ram.words[BLOCK + 7] = 1
    assert ram.digest() == before
    ram.watch.stamp(np.array([BLOCK + 9]))
    assert ram.digest() == digest_of(bytes(ram.memory)) != before
    ram.close()


def test_the_short_block_at_the_end_is_one_too() -> None:
    ram = Ram(BLOCK * PAGE + 2 * PAGE)
    hashed(ram, BLOCK, 2)
    before = ram.digest()
    ram.words[-1] = 1
    assert ram.digest() == before
    ram.close()


@settings(max_examples=60)
@given(st.lists(st.one_of(
    st.tuples(st.just("write"), st.integers(0, 2 * BLOCK + 4), st.just(1)),
    st.tuples(st.just("hash"), st.sampled_from([0, 1, BLOCK, 2 * BLOCK]), st.sampled_from([5, BLOCK - 1, BLOCK])),
    st.tuples(st.just("digest"), st.just(0), st.just(0)),
    st.tuples(st.just("clear"), st.just(0), st.just(0)),
), max_size=12))  # fmt: skip
def test_whatever_was_hashed_and_written_when_the_digest_is_of_what_is_there(steps: list[tuple[str, int, int]]) -> None:
    """Whole blocks hashed, parts of blocks, runs across two; written before and after."""
    ram = Ram((2 * BLOCK + 5) * PAGE)
    for number, (kind, first, count) in enumerate(steps, 1):
        if kind == "write":
            write(ram, first, number)
        elif kind == "hash":
            hashed(ram, first, min(count, ram.page_count - first))
        elif kind == "clear":
            ram.clear()
        else:
            assert ram.digest() == digest_of(bytes(ram.memory))
    assert ram.digest() == digest_of(bytes(ram.memory))
    ram.close()


def write(ram: Ram, page: int, value: int) -> None:
    """As the guest does."""

    def writes(words: Any) -> Any:
        words[page, 5] = value
        return np.array([page])

    ram.write(writes)


def test_a_page_whose_last_word_alone_is_set_is_not_zero() -> None:
    ram = Ram(600 * PAGE)
    ram.words[1, -1] = ram.words[599, 1] = 1
    assert np.flatnonzero(~ram.zero(np.arange(600))).tolist() == [1, 599]
