"""Clearing pages."""

from __future__ import annotations

import mmap
from pathlib import Path

from ends import PAGE, ram
from hypothesis import given
from hypothesis import strategies as st

import livemig.link.pages as pages
from livemig.migration.fields import as_runs


@given(st.sets(st.integers(0, 19)), st.sets(st.integers(0, 19)))
def test_exactly_the_pages_named_are_cleared(named: set[int], zero_before: set[int]) -> None:
    memory = ram(20, seed=4)
    for page in zero_before:
        memory[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    before = memory[:]
    pages.clear(memoryview(memory), as_runs([[page, 1] for page in sorted(named)]))
    for page in range(20):
        expected = bytes(PAGE) if page in named else before[page * PAGE : (page + 1) * PAGE]
        assert memory[page * PAGE : (page + 1) * PAGE] == expected


def test_a_run_longer_than_a_block_is_cleared_to_its_last_byte() -> None:
    memory = ram(2100, seed=5)
    pages.clear(memoryview(memory), as_runs([[1, 2098]]))
    assert memory[PAGE : 2099 * PAGE] == bytes(2098 * PAGE)
    assert memory[:PAGE].strip(b"\0")
    assert memory[2099 * PAGE :].strip(b"\0")


def resident_pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


def test_private_memory_that_was_never_written_stays_unallocated() -> None:
    memory = mmap.mmap(-1, 16384 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    pages.clear(memoryview(memory), as_runs([[0, 1]]))
    for page in range(0, 16384, 512):
        memory[page * PAGE] = 1
    before = resident_pages()
    pages.clear(memoryview(memory), as_runs([[0, 16384]]))
    assert resident_pages() - before < 4096
    assert not memory[512 * PAGE]
