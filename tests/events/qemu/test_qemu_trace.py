"""Lines of QEMU's trace log: what is read, in which order, and what is counted as not understood."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_log import CPU0, CPU1, MAIN, line, load, migration, raised, runs, saved, stops, store, tb

from livemig.errors import InputError
from livemig.events.qemu.trace import Line, TraceLog, parse


def read(path: Path) -> tuple[list[Line], TraceLog]:
    log = TraceLog(path)
    return list(log), log


def only(text: str) -> Line:
    line = parse(text.encode(), 7)
    assert line is not None
    return line


def test_each_event_gives_its_numbers() -> None:
    at = 1_795_376_463_401_441, 7, 12895
    head = "12895@1795376463.401441:"
    assert only(head + "ppc_tb_load tb 0x0000000001d540af") == Line(*at, "ppc_tb_load", 0x1D540AF)
    assert only(head + "ppc_decr_load decr 0xfffffffffffff13b") == Line(*at, "ppc_decr_load", 0xFFFFFFFFFFFFF13B)
    assert only(head + "ppc_decr_store 32-bit 0x00000000fffff11b => 0x0000000000028870") == Line(
        *at, "ppc_decr_store", 0x28870, old=0xFFFFF11B, bits=32
    )
    assert only(head + "ppc_decr_excp raise decrementer") == Line(*at, "ppc_decr_excp", word="raise")
    assert only(head + "ppc_tb_store tb 0x12345678fff00000 offset 0x12345678ffef233f") == Line(
        *at, "ppc_tb_store", 0x12345678FFF00000, old=0x12345678FFEF233F
    )
    assert only(head + "vm_state_notify running 0 reason 7 (finish-migrate)") == Line(
        *at, "vm_state_notify", 0, word="finish-migrate"
    )
    assert only(head + "migrate_set_state new state active") == Line(*at, "migrate_set_state", word="active")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "qemu-system-ppc: warning: nothing",
        "12895@1795376463.401441:ppc_tb_load tb 0x0000000001d540a",  # cut by one digit: another number
        "12895@1795376463.401441:ppc_tb_load tb 0x0000000001d540afa",
        "12895@1795376463.40144:ppc_tb_load tb 0x0000000001d540af",
        "12895@1795376463.401441:ppc_decr_store 32-bit 0x00000000fffff11b => ",
        "12895@1795376463.401441:ppc_decr_excp raise",
        "12895@1795376463.401441:ppc_tb_load tb 12896@1795376463.401442:ppc_tb_load tb 0x0000000001d540af",
        "x12895@1795376463.401441:ppc_tb_load tb 0x0000000001d540af",
    ],
)
def test_a_mangled_line_is_no_event(text: str) -> None:
    assert parse(text.encode(), 1) is None


def test_other_trace_events_are_neither_ours_nor_mangled(tmp_path: Path) -> None:
    others = line(2, "cpu_halt cpu 0", CPU0) + line(2, "ppc_decr_excp raise HV decrementer", MAIN)
    lines, log = read(saved(tmp_path / "log", tb(1, 5), others, "rubbish\n", tb(3, 6)))
    assert [line.value for line in lines] == [5, 6]
    assert (log.lines, log.events, log.not_understood, log.places) == (5, 2, 1, [4])


def test_the_first_few_places_of_rubbish_are_kept_and_all_of_it_is_counted(tmp_path: Path) -> None:
    _, log = read(saved(tmp_path / "log", "rubbish\n" * 9))
    assert (log.not_understood, log.places) == (9, [1, 2, 3, 4, 5])


def test_a_last_line_without_its_end_was_cut(tmp_path: Path) -> None:
    """Even where it looks whole: the offset of a TB store has no fixed width."""
    lines, log = read(saved(tmp_path / "log", tb(1, 5), tb(2, 6).rstrip("\n")))
    assert [line.value for line in lines] == [5]
    assert (log.not_understood, log.places) == (1, [2])


def test_a_line_of_a_megabyte_counts_once(tmp_path: Path) -> None:
    lines, log = read(saved(tmp_path / "log", tb(1, 5), "x" * 1_000_000 + "\n", tb(2, 6)))
    assert [line.value for line in lines] == [5, 6]
    assert (log.lines, log.not_understood) == (3, 1)


def test_windows_line_ends_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(tb(1, 5).replace("\n", "\r\n").encode())
    assert read(path)[0][0].value == 5


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    text = tb(1, 5) + tb(2, 6)
    zipped, plain = tmp_path / "zipped.log", tmp_path / "plain.gz"
    zipped.write_bytes(gzip.compress(text.encode()))
    plain.write_text(text)
    assert read(zipped)[0] == read(plain)[0]
    assert len(read(plain)[0]) == 2


@pytest.mark.parametrize("harm", ["cut", "bent"])
def test_a_broken_gzip_is_read_up_to_the_break(tmp_path: Path, harm: str) -> None:
    text = "".join(tb(i, i * 7919 % 4099) for i in range(5000))
    whole = gzip.compress(text.encode())
    half = len(whole) // 2
    path = tmp_path / "log"
    path.write_bytes(whole[:half] if harm == "cut" else whole[:half] + bytes(256) + whole[half + 256 :])
    lines, log = read(path)
    assert 100 < len(lines) < 5000
    assert log.not_understood > 0


def test_reading_it_again_counts_anew(tmp_path: Path) -> None:
    log = TraceLog(saved(tmp_path / "log", tb(1, 5), "rubbish\n"))
    assert list(log) == list(log)
    assert (log.lines, log.not_understood) == (2, 1)


def test_between_threads_the_time_decides(tmp_path: Path) -> None:
    """The main thread took the time of its raise first, and got to write it last."""
    lines, log = read(saved(tmp_path / "log", tb(12, 1, CPU0), tb(13, 2, CPU0), raised(10, MAIN), tb(14, 3, CPU0)))
    assert [(line.tid, line.number) for line in lines] == [(MAIN, 3), (CPU0, 1), (CPU0, 2), (CPU0, 4)]
    assert log.out_of_order == 1


def test_a_thread_keeps_its_own_order_when_the_host_clock_is_set_back(tmp_path: Path) -> None:
    lines, _ = read(saved(tmp_path / "log", tb(50, 1, CPU0), tb(20, 2, CPU0), tb(30, 9, CPU1), tb(60, 3, CPU0)))
    assert [line.value for line in lines if line.tid == CPU0] == [1, 2, 3]
    assert [line.t_us % 1000 for line in lines] == [30, 50, 50, 60]


@given(st.lists(st.tuples(st.integers(0, 50_000), st.sampled_from([CPU0, CPU1, MAIN])), max_size=40), st.integers(1, 8))
def test_whatever_the_times_every_line_comes_once_and_time_never_goes_back(
    tmp_path_factory: pytest.TempPathFactory, stamps: list[tuple[int, int]], window: int
) -> None:
    path = tmp_path_factory.mktemp("order") / "log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("livemig.events.qemu.trace._WINDOW", window)
        lines, _ = read(saved(path, *(tb(t, 0, tid) for t, tid in stamps)))
    assert sorted(line.number for line in lines) == list(range(1, len(stamps) + 1))
    assert all(a.t_us <= b.t_us for a, b in pairwise(lines))
    for tid in (CPU0, CPU1, MAIN):
        own = [line.number for line in lines if line.tid == tid]
        assert own == sorted(own)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent: No such file"):
        read(tmp_path / "absent")
    with pytest.raises(InputError, match="not a regular file"):
        read(tmp_path)


def test_all_helpers_of_the_tests_write_lines_that_are_understood() -> None:
    texts = (tb(0, 1), load(0, -1), store(0, 1, 2), raised(0), runs(0), stops(0), migration(0, "active"))
    assert all(only(text).event for text in texts)
