"""The trace log is read while it grows, wherever a piece of it ends."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from livemig.events.qemu.trace import Line
from livemig.launch.qemu.follow import Following, _Tail

CAPTURE = Path(__file__).parents[2] / "fixtures/qemu/q72-pseries-stopcopy/destination.log.gz"
TEXT = gzip.decompress(CAPTURE.read_bytes())


@given(st.lists(st.integers(0, len(TEXT)), max_size=20))
def test_in_pieces_it_is_the_same_as_at_once(cuts: list[int]) -> None:
    tail, pieces = _Tail(Path("log")), []
    places = [0, *sorted(cuts), len(TEXT)]
    for begin, end in pairwise(places):
        pieces += tail.take(TEXT[begin:end])
    assert pieces == list(enumerate(TEXT.split(b"\n")[:-1], 1))


def test_a_file_that_grows_is_read_from_where_it_was(tmp_path: Path) -> None:
    seen: list[Line] = []
    following = Following(tmp_path / "log", seen.append)
    assert following.read() is False
    with (tmp_path / "log").open("wb") as log:
        log.write(b"1@2.000003:ppc_decr_excp raise decrementer\n1@2.000004:ppc_decr")
        log.flush()
        assert following.read() is True
        assert (following.raised, len(seen)) == (1, 1)
        log.write(b"_excp lower decrementer\nnoise\n")
        log.flush()
        assert following.read() is True
    assert following.read() is False
    assert (following.raised, following.counts["ppc_decr_excp"], len(seen)) == (1, 2, 2)


def test_a_line_without_an_end_does_not_fill_memory() -> None:
    tail = _Tail(Path("log"))
    for _ in range(100):
        tail.take(b"x" * 100_000)
    assert len(tail._rest) <= 4096


def test_a_file_for_each_thread_is_read_as_it_comes(tmp_path: Path) -> None:
    seen: list[Line] = []
    following = Following(tmp_path / "source.%d.log", seen.append)
    assert following.read() is False
    (tmp_path / "source.12.log").write_text("2026-11-28T04:00:43.864852Z ppc_decr_excp raise decrementer\n2026")
    assert following.read() is True
    (tmp_path / "source.9.log").write_text("2026-11-28T04:00:44Z vm_state_notify running 1 reason 9 (running)\n")
    assert following.read() is True
    assert following.read() is False
    assert [(line.tid, line.t_us, line.event) for line in seen] == [
        (12, 1795838443864852, "ppc_decr_excp"), (9, 1795838444000000, "vm_state_notify"),
    ]  # fmt: skip
