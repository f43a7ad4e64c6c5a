"""Pages go out from where they are while the guest writes, and what arrives is never taken for what it is not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from livemig.errors import ProtocolError
from livemig.link.buffers import fill
from livemig.link.inbound import Inbound
from livemig.link.outbound import Outbound
from livemig.link.pages import PIECE, pages_of, pieces
from livemig.machine.ram import PAGE, Ram
from livemig.migration.fields import as_runs
from livemig.migration.frames import REPEATED, Frame, encode

PAGES = 3 * PIECE
ALL = [[0, PAGES]]
APART = [[page, 1] for page in range(0, PAGES, 2)]


def filled() -> Ram:
    made = Ram(PAGES * PAGE)
    made.words[:] = np.arange(PAGES, dtype=np.uint64)[:, np.newaxis] + np.uint64(1)
    return made


def frame(runs: list[list[int]]) -> Frame:
    return Frame("pages", 0, 0, {"runs": runs, "zero": []})


def write(ram: Ram, page: int, value: int) -> None:
    def writes(words: np.ndarray) -> np.ndarray:
        words[page] = value
        return np.array([page])

    ram.write(writes)


def sent(outbound: Outbound, it: Frame, between: Callable[[int], None] = lambda number: None) -> list[bytes]:
    """The pieces as whoever writes them finds them; `between` runs after each."""
    found = []
    for number, piece in enumerate(outbound.payload(it)):
        found.append(b"".join(piece))
        between(number)
    return found


def received(data: bytes, ram: Ram) -> Inbound:
    """An `Inbound` that was given `data`."""
    inbound, rest = Inbound(ram.memory), memoryview(data)
    while inbound.next_frame() is None and rest:
        count = fill(inbound.wants, rest)
        inbound.received(count)
        rest = rest[count:]
    return inbound


def content(ram: Ram, runs: list[list[int]]) -> bytes:
    return b"".join(bytes(ram.memory[first * PAGE : (first + count) * PAGE]) for first, count in runs)


@pytest.mark.parametrize("runs", [ALL, APART], ids=["contiguous", "apart"])
def test_pages_that_nobody_writes_to_go_out_once_from_where_they_are(runs: list[list[int]]) -> None:
    ram = filled()
    outbound = Outbound(ram.memory, ram.watch)
    places = [np.frombuffer(view, np.uint8) for piece in outbound.payload(frame(runs)) for view in piece]
    assert all(np.shares_memory(place, ram.words) for place in places[:-1])
    assert places[-1].tobytes() == xxhash.xxh3_64_digest(content(ram, runs))
    assert not outbound.repeated


def test_without_a_watch_pages_are_copied() -> None:
    ram = filled()
    for piece in Outbound(ram.memory).payload(frame(ALL)):
        assert not any(np.shares_memory(np.frombuffer(view, np.uint8), ram.words) for view in piece)


@pytest.mark.parametrize("page", [0, PIECE, PAGES - 1])
def test_what_is_written_to_on_its_way_is_sent_once_more(page: int) -> None:
    ram, there = filled(), Ram(PAGES * PAGE)
    outbound = Outbound(ram.memory, ram.watch)
    before = bytes(ram.memory)
    pieces_sent = sent(outbound, frame(ALL), lambda number: write(ram, page, 99) if number == 1 else None)
    assert outbound.repeated == 1
    torn, mark, again, checksum = (
        b"".join(pieces_sent[:3]), pieces_sent[3], b"".join(pieces_sent[4:7]), pieces_sent[7],
    )  # fmt: skip
    assert (torn == before) == (page < 2 * PIECE)  # the last piece went out after the write
    assert (mark, again, checksum) == (REPEATED, bytes(ram.memory), xxhash.xxh3_64_digest(bytes(ram.memory)))
    received(Outbound(ram.memory).header(frame(ALL)) + b"".join(pieces_sent), there)
    assert bytes(there.memory) == bytes(ram.memory)


def test_a_write_elsewhere_is_no_reason_to_send_anything_once_more() -> None:
    ram = filled()
    outbound = Outbound(ram.memory, ram.watch)
    sent(outbound, frame(APART), lambda number: write(ram, 1, 99))
    assert not outbound.repeated


def test_a_write_that_is_still_going_on_may_be_anywhere() -> None:
    ram = filled()
    outbound = Outbound(ram.memory, ram.watch)
    ram.watch.writing = True
    sent(outbound, frame(ALL))
    assert outbound.repeated == 1


def test_a_write_is_announced_before_it_begins_and_stamped_after_it_ends() -> None:
    ram, pages = filled(), np.array([7])
    stamps = ram.watch.stamps(pages)

    def writes(words: np.ndarray) -> np.ndarray:
        assert ram.watch.writing
        assert np.array_equal(ram.watch.stamps(pages), stamps)
        return pages

    ram.write(writes)
    assert not ram.watch.unwritten(pages, stamps)
    assert ram.watch.unwritten(np.array([6, 8]), ram.watch.stamps(np.array([6, 8])))
    assert ram.take_dirty().tolist() == [7]


def test_after_such_a_frame_sixteen_are_copied_at_once_and_then_none() -> None:
    ram = filled()
    outbound = Outbound(ram.memory, ram.watch)
    sent(outbound, frame(ALL), lambda number: write(ram, 0, 99) if number == 0 else None)
    for _ in range(16 - 1):  # its own copy was the first
        assert len(sent(outbound, frame(ALL), lambda number: write(ram, 0, 98))) == 4
    sent(outbound, frame(ALL), lambda number: write(ram, 0, 97) if number == 0 else None)
    assert outbound.repeated == 2


def test_content_comes_once_more_at_most() -> None:
    ram, there = filled(), Ram(PAGES * PAGE)
    data = encode(frame([[0, 1]]), 0, ram_pages=PAGES) + (content(ram, [[0, 1]]) + REPEATED) * 2
    with pytest.raises(ProtocolError, match="the payload of frame 0 arrived damaged"):
        received(data, there)


def test_damage_to_the_second_sending_is_found_too() -> None:
    ram, there = filled(), Ram(PAGES * PAGE)
    outbound = Outbound(ram.memory, ram.watch)
    pieces_sent = sent(outbound, frame(ALL), lambda number: write(ram, 0, 99) if number == 0 else None)
    data = bytearray(Outbound(ram.memory).header(frame(ALL)) + b"".join(pieces_sent))
    data[-9] ^= 1  # the last byte of content
    with pytest.raises(ProtocolError, match="arrived damaged"):
        received(bytes(data), there)


runs_of_pages = st.lists(st.booleans(), min_size=PAGES, max_size=PAGES).map(
    lambda set_: [[page, 1] for page in range(PAGES) if set_[page]]
)
merged = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2 * PIECE)), min_size=1, max_size=6).map(
    lambda steps: list(_merged(steps))
)


def _merged(steps: list[tuple[int, int]]) -> Iterator[list[int]]:
    at = 0
    for gap, count in steps:
        count = min(count, PAGES - at - gap)
        if count > 0:
            yield [at + gap, count]
        at += gap + count + 1


@given(st.one_of(runs_of_pages, merged).filter(len))
def test_pieces_are_all_of_the_pages_in_order_and_none_is_long(runs: list[list[int]]) -> None:
    memory = memoryview(np.repeat(np.arange(PAGES, dtype=np.uint16), PAGE // 2).tobytes())
    found = pieces(memory, as_runs(runs))
    assert all(sum(map(len, piece)) < 2 * PIECE * PAGE for piece in found)
    assert b"".join(view for piece in found for view in piece) == b"".join(
        bytes(memory[page * PAGE : (page + 1) * PAGE]) for page in pages_of(as_runs(runs))
    )


@given(st.one_of(runs_of_pages, merged).filter(len), st.dictionaries(st.integers(0, 9), st.integers(0, PAGES - 1)))
def test_whatever_is_written_meanwhile_what_arrives_is_what_was_there_at_one_instant_or_other(
    runs: list[list[int]], writes: dict[int, int]
) -> None:
    ram, there = filled(), Ram(PAGES * PAGE)
    outbound = Outbound(ram.memory, ram.watch)
    states = [content(ram, runs)]

    def between(number: int) -> None:
        if number in writes:
            write(ram, writes[number], 1000 + number)
            states.append(content(ram, runs))

    data = b"".join(sent(outbound, frame(runs), between))
    received(encode(frame(runs), 0, ram_pages=PAGES) + data, there)
    if not outbound.repeated:
        assert content(there, runs) == states[0]
    for page in pages_of(as_runs(runs)).tolist():  # the copy may be of several instants, a page of one
        assert any(content(there, [[page, 1]]) == _page_in(state, runs, page) for state in states)


def _page_in(state: bytes, runs: list[list[int]], page: int) -> bytes:
    at = pages_of(as_runs(runs)).tolist().index(page) * PAGE
    return state[at : at + PAGE]


def test_a_guest_in_another_thread_never_makes_a_frame_look_damaged() -> None:
    ram, there = filled(), Ram(PAGES * PAGE)
    outbound, inbound = Outbound(ram.memory, ram.watch), Inbound(there.memory)
    over = threading.Event()

    def guest() -> None:
        value = 1000
        while not over.is_set():
            value += 1
            write(ram, value % PAGES, value)

    thread = threading.Thread(target=guest)
    thread.start()
    try:
        for _ in range(60):
            for data in (outbound.header(frame(ALL)), *map(b"".join, outbound.payload(frame(ALL)))):
                rest = memoryview(data)
                while rest:
                    assert inbound.next_frame() is None
                    count = fill(inbound.wants, rest)
                    inbound.received(count)
                    rest = rest[count:]
    finally:
        over.set()
        thread.join()
    assert inbound.next_frame() is None  # raises, if anything did not fit
    assert inbound.tally.frames == 60
    assert outbound.repeated
