"""Bytes become frames and RAM in the same way however they are cut."""

from __future__ import annotations

import mmap

import pytest
from ends import PAGE, ram
from hypothesis import given, settings
from hypothesis import strategies as st

from livemig.errors import PeerLost, ProtocolError
from livemig.link.buffers import behind, fill
from livemig.link.inbound import Inbound
from livemig.link.outbound import Outbound
from livemig.migration.frames import Frame

PAGES = 12

runs = st.sets(st.integers(0, PAGES - 1)).map(lambda pages: [[page, 1] for page in sorted(pages)])
frames = st.one_of(
    st.builds(lambda n: Frame("pass_end", 0, 0, {"pass": n, "pages": n}), st.integers(0, 9)),
    st.builds(lambda payload: Frame("snapshot", 0, 0, {}, payload), st.binary(max_size=2000)),
    st.builds(lambda some: Frame("pages", 0, 0, {"runs": some, "zero": []}), runs),
    st.builds(lambda some: Frame("pages", 0, 0, {"runs": [], "zero": some}), runs),
)


def stream(sent: list[Frame], memory: mmap.mmap) -> bytes:
    outbound = Outbound(memoryview(memory))
    return b"".join(outbound.header(frame) + b"".join(map(b"".join, outbound.payload(frame))) for frame in sent)


def feed(inbound: Inbound, data: bytes, sizes: list[int]) -> list[Frame]:
    """All frames in `data`, given to `inbound` in reads of at most `sizes` bytes each, in turn."""
    got: list[Frame] = []
    rest, reads = memoryview(data), 0
    while True:
        while (frame := inbound.next_frame()) is None:
            count = fill(inbound.wants, rest[: sizes[reads % len(sizes)]])
            if not rest:
                return got
            inbound.received(count)
            rest, reads = rest[count:], reads + 1
        got.append(frame)


def applied(sent: list[Frame], source: bytes, destination: bytes) -> bytes:
    """What `destination` must hold after `sent`."""
    pages = [destination[i : i + PAGE] for i in range(0, len(destination), PAGE)]
    for frame in sent:
        for first, count in frame.fields.get("runs", []):
            pages[first : first + count] = [source[i * PAGE : (i + 1) * PAGE] for i in range(first, first + count)]
        for first, count in frame.fields.get("zero", []):
            pages[first : first + count] = [bytes(PAGE)] * count
    return b"".join(pages)


@given(st.lists(frames, max_size=6), st.lists(st.integers(1, 3 * PAGE), min_size=1, max_size=5))
@settings(max_examples=60)
def test_frames_and_pages_come_out_the_same_however_the_stream_is_cut(sent: list[Frame], sizes: list[int]) -> None:
    source, destination = ram(PAGES, seed=1), ram(PAGES, seed=2)
    before = destination[:]
    got = feed(Inbound(memoryview(destination)), stream(sent, source), sizes)
    assert got == [frame for frame in sent if frame.type != "pages"]
    assert destination[:] == applied(sent, source[:], before)


@given(st.lists(frames, min_size=1, max_size=3), st.data())
@settings(max_examples=60)
def test_one_wrong_byte_is_refused_or_waited_for_and_changes_nothing_outside_the_pages_named(
    sent: list[Frame], data: st.DataObject
) -> None:
    source, destination = ram(PAGES, seed=1), ram(2 * PAGES, seed=2)
    before = destination[:]
    whole = bytearray(stream(sent, source))
    position = data.draw(st.integers(0, len(whole) - 1))
    whole[position] ^= data.draw(st.integers(1, 255))
    inbound = Inbound(memoryview(destination)[: PAGES * PAGE])
    try:
        got = feed(inbound, bytes(whole), [1 << 20])
        assert len(got) + inbound.tally.frames < len(sent)  # it waits for what a wrong length promised
    except ProtocolError:
        with pytest.raises(ProtocolError):
            inbound.next_frame()
    assert destination[PAGES * PAGE :] == before[PAGES * PAGE :]


def test_a_read_is_never_longer_than_what_the_peer_owes() -> None:
    inbound = Inbound(None)
    whole = stream([Frame("snapshot", 0, 0, {}, b"x" * 5000)], ram(1))
    asked = []
    while inbound.next_frame() is None:
        asked.append(sum(map(len, inbound.wants)))
        inbound.received(fill(inbound.wants, memoryview(whole)[sum(asked) - asked[-1] :]))
    assert asked == [12, len(whole) - 5020, 5008]  # the checksum is owed with the payload


def test_an_end_in_the_middle_of_pages_says_where() -> None:
    inbound = Inbound(memoryview(ram(2)))
    whole = stream([Frame("pages", 0, 0, {"runs": [[0, 2]], "zero": []})], ram(2))
    feed(inbound, whole[:-1], [1000])
    with pytest.raises(PeerLost, match="payload of 'pages'"):
        inbound.received(0)


lengths = st.lists(st.integers(0, 5), max_size=5)


@given(lengths, st.data())
def test_behind_is_the_tail_of_the_concatenation(sizes: list[int], data: st.DataObject) -> None:
    buffers = [memoryview(bytes([i]) * size) for i, size in enumerate(sizes)]
    count = data.draw(st.integers(0, sum(sizes)))
    assert b"".join(behind(buffers, count)) == b"".join(buffers)[count:]
    assert bool(behind(buffers, count)) == (count < sum(sizes))


@given(lengths, st.binary(max_size=20))
def test_fill_copies_as_far_as_there_is_room(sizes: list[int], data: bytes) -> None:
    buffers = [memoryview(bytearray(size)) for size in sizes]
    copied = fill(buffers, memoryview(data))
    assert copied == min(len(data), sum(sizes))
    assert b"".join(buffers) == data[:copied].ljust(sum(sizes), b"\0")
