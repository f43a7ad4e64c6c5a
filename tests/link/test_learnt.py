"""What a block of RAM hashes to is learnt where it is sent and where it arrives, and forgotten when it changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xxhash

from livemig.link.buffers import fill
from livemig.link.inbound import Inbound
from livemig.link.outbound import Outbound
from livemig.link.pages import PIECE
from livemig.machine.ram import BLOCK, PAGE, Ram
from livemig.migration.encoding import ZSTD
from livemig.migration.frames import Frame

WHOLE, PART = [[0, BLOCK]], [[0, BLOCK - 1]]


def ram(value: int = 1) -> Ram:
    made = Ram((BLOCK + 1) * PAGE)
    made.words[:] = np.arange(made.page_count, dtype=np.uint64)[:, np.newaxis] + np.uint64(value)
    return made


class Pair:
    """Two RAMs and a link between them."""

    def __init__(self) -> None:
        self.here, self.there = ram(), ram(9)
        self._out = Outbound(self.here.memory, self.here.watch)
        self._in = Inbound(self.there.memory, self.there.watch)

    def send(self, frame: Frame, written_meanwhile: int | None = None) -> None:
        data = self._out.header(frame)
        for number, piece in enumerate(self._out.payload(frame)):
            data += b"".join(piece)
            if number == 0 and written_meanwhile is not None:
                write(self.here, written_meanwhile)
        rest = memoryview(data)
        while rest:
            assert self._in.next_frame() is None
            self._in.received(count := fill(self._in.wants, rest))
            rest = rest[count:]
        assert self._in.next_frame() is None

    def known(self) -> tuple[bytes | None, bytes | None]:
        return self.here.watch.known(0), self.there.watch.known(0)


def write(to: Ram, page: int) -> None:
    def writes(words: Any) -> Any:
        words[page] = 77
        return np.array([page])

    to.write(writes)


def pages(runs: list[list[int]], zero: list[list[int]] | None = None) -> Frame:
    return Frame("pages", 0, 0, {"runs": runs, "zero": zero or []})


def content(of: Ram) -> bytes:
    return xxhash.xxh3_64_digest(of.memory[: BLOCK * PAGE])


def test_both_ends_know_a_block_that_went_in_one_frame() -> None:
    pair = Pair()
    pair.send(pages(WHOLE))
    assert pair.known() == (content(pair.here), content(pair.there))
    assert content(pair.here) == content(pair.there)


@pytest.mark.parametrize("runs", [PART, [[1, BLOCK]], [[0, 7], [8, BLOCK - 8]]], ids=["short", "across", "holes"])
def test_nobody_knows_a_block_that_did_not(runs: list[list[int]]) -> None:
    pair = Pair()
    pair.send(pages(runs))
    assert pair.known() == (None, None)


def test_what_was_written_while_it_was_sent_only_the_peer_knows_who_got_it_once_more() -> None:
    pair = Pair()
    pair.send(pages(WHOLE), written_meanwhile=PIECE - 1)
    assert pair.known() == (None, content(pair.there))
    assert bytes(pair.here.memory[: BLOCK * PAGE]) == bytes(pair.there.memory[: BLOCK * PAGE])


def test_what_is_written_afterwards_nobody_knows() -> None:
    pair = Pair()
    pair.send(pages(WHOLE))
    for side in (pair.here, pair.there):
        write(side, BLOCK)
    assert None not in pair.known()
    for side in (pair.here, pair.there):
        write(side, 3)
    assert pair.known() == (None, None)


def one_more(of: Ram, kind: str) -> Frame:
    if kind == "runs":
        return pages([[5, 1]])
    if kind == "zero":
        return pages([], [[5, 1]])
    payload = bytes(of.memory[5 * PAGE : 6 * PAGE])
    return Frame("encoded", 0, 0, {"encoding": ZSTD, "runs": [[5, 1]], "sizes": [0], "zero": []}, payload)


@pytest.mark.parametrize("kind", ["runs", "zero", "encoded"])
def test_a_page_that_comes_later_however_it_comes_makes_the_peer_forget(kind: str) -> None:
    pair = Pair()
    pair.send(pages(WHOLE))
    write(pair.here, 5)
    pair.send(one_more(pair.here, kind))
    assert pair.known() == (None, None)


def test_the_digest_is_of_what_is_there_whatever_was_learnt() -> None:
    pair = Pair()
    for frame in (pages(WHOLE), pages([[BLOCK, 1]]), pages([[9, 2]], [[3, 1]])):
        pair.send(frame)
        unwatched = ram()
        unwatched.memory[:] = pair.there.memory
        assert pair.there.digest() == unwatched.digest()
