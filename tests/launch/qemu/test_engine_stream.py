"""Saved migration streams of QEMU: two real ones, one made by hand, and what becomes of broken ones.

``qemu-7.2-mac99.gz`` was saved at TB 31,621,135 (``info registers``), ``qemu-10.0-pseries.gz`` at TB 119,774,057 with
DECR 167,903 on the first CPU and 4,175,193,238 (unsigned) on the second, which had not been started.
"""

from __future__ import annotations

import gzip
import json
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livemig.cli.main import main
from livemig.errors import InputError
from livemig.launch.qemu import inspection
from livemig.launch.qemu.inspection import inspect_stream
from livemig.launch.qemu.stream import read_stream
from livemig.launch.qemu.vmstate import Undescribed, time_saved

STREAMS = Path(__file__).parents[2] / "fixtures/streams"
OLD, NEW = STREAMS / "qemu-7.2-mac99.gz", STREAMS / "qemu-10.0-pseries.gz"


# ── real ones ──


def test_a_real_stream_of_7_2_has_no_decr_and_a_clock_that_gives_its_tb() -> None:
    found = inspect_stream(OLD)
    assert (found.stream.problem, found.stream.machine, found.stream.size) == ("", "mac99", 140_368)
    assert (100_000_000, 31_621_135) in found.timebases
    assert [(cpu.cpu, cpu.decr, cpu.nip) for cpu in found.time.cpus] == [(0, 0, 0xFFF01174)]
    assert found.stream.ram.blocks == {"ppc_core99.ram": 32 << 20, "ppc_core99.bios": 1 << 20}
    assert found.stream.ram.normal + found.stream.ram.zero == 33 * 256


def test_a_real_stream_of_10_0_has_the_decr_of_each_cpu() -> None:
    found = inspect_stream(NEW)
    assert (found.stream.problem, found.stream.machine) == ("", "pseries-10.0")
    assert found.timebases == [(512_000_000, 119_774_057)]
    assert [(cpu.cpu, cpu.decr) for cpu in found.time.cpus] == [(0, 167_903), (1, 4_175_193_238 - (1 << 32))]
    assert found.time.guest_timebase is not None


def test_its_sections_are_those_that_its_description_lists() -> None:
    for path in (OLD, NEW):
        stream = inspect_stream(path).stream
        described = [(each["name"], each["instance_id"]) for each in json.loads(stream.description)["devices"]]
        listed = [(section.name, section.instance) for section in stream.sections]
        assert listed[0] == ("ram", 0)
        assert [section for section in listed if section[0] not in ("ram", "spapr/htab")] == described


def test_the_virtual_clock_is_before_any_cpu_and_spapr_after_all() -> None:
    names = [section.name for section in inspect_stream(NEW).stream.sections]
    assert names.index("timer") < names.index("cpu")
    assert names.index("spapr") > len(names) - 1 - names[::-1].index("cpu")


# ── one made by hand ──


def section(number: int, name: str, instance: int, version: int, content: bytes, kind: int = 4) -> bytes:
    head = struct.pack(">BIB", kind, number, len(name)) + name.encode() + struct.pack(">II", instance, version)
    return head + content + struct.pack(">BI", 0x7E, number)


def part(number: int, content: bytes, kind: int = 2) -> bytes:
    return struct.pack(">BI", kind, number) + content + struct.pack(">BI", 0x7E, number)


CLOCK = 1_000_000_000
SPR = [0] * 23
SPR[22] = 0xFFFF_FFF0
RAM_START = struct.pack(">QB", 8192 | 0x04, 1) + b"r" + struct.pack(">QQ", 8192, 0x10)
PAGES = (
    struct.pack(">QB", 0 | 0x08, 1) + b"r" + bytes(4096)  # a whole page, of a named block
    + struct.pack(">QB", 4096 | 0x02 | 0x20, 0)  # a zero page of the same block
    + struct.pack(">QBH", 0 | 0x40 | 0x20, 1, 3) + b"abc"  # a difference
    + struct.pack(">QQ", 0x200, 0x10)
)  # fmt: skip
FIELDS = [
    {"name": "timer", "instance_id": 0, "fields": [
        {"name": "cpu_ticks_offset", "size": 8}, {"name": "cpu_clock_offset", "size": 8}]},
    {"name": "cpu", "instance_id": 3, "fields": [
        {"name": "env.spr", "array_len": 23, "size": 4}, {"name": "env.nip", "size": 8},
        {"name": "env.msr", "size": 8}]},
]  # fmt: skip


def made(description: Any = None, cpu: bytes = struct.pack(">23IQQ", *SPR, 0x1174, 0x8000)) -> bytes:
    text = json.dumps({"page_size": 4096, "devices": FIELDS} if description is None else description).encode()
    return (
        b"QEVM" + struct.pack(">IBI", 3, 7, 5) + b"mac99"
        + section(1, "ram", 0, 4, RAM_START, kind=1)
        + struct.pack(">BHH", 8, 3, 2) + b"ab"
        + part(1, PAGES)
        + part(1, struct.pack(">Q", 0x10), kind=3)
        + section(2, "timer", 0, 2, struct.pack(">qq", 5, CLOCK))
        + section(9, "cpu", 3, 5, cpu)
        + b"\0" + struct.pack(">BI", 6, len(text)) + text
    )  # fmt: skip


def test_every_part_of_a_stream_is_read() -> None:
    data = made()
    stream = read_stream(data)
    assert stream.problem == ""
    ram, timer, cpu = stream.sections
    assert (ram.name, ram.parts, ram.size) == ("ram", 3, len(RAM_START) + len(PAGES) + 8)
    assert (timer.size, cpu.size, cpu.instance, cpu.version) == (16, 23 * 4 + 16, 3, 5)
    pages = stream.ram
    assert (pages.blocks, pages.normal, pages.zero, pages.xbzrle, stream.commands) == ({"r": 8192}, 1, 1, 1, 1)
    time = time_saved(memoryview(data), stream)
    assert (time.clock_ns, time.cpus[0].cpu, time.cpus[0].decr, time.cpus[0].nip) == (CLOCK, 3, -16, 0x1174)


def test_a_footer_in_the_content_of_a_section_does_not_end_it() -> None:
    """What looks like one is followed by something that no section begins with."""
    data = made(cpu=struct.pack(">BIB", 0x7E, 9, 0x55) + bytes(23 * 4 + 16 - 6))
    stream = read_stream(data)
    assert (stream.problem, stream.sections[-1].size) == ("", 23 * 4 + 16)


def test_wherever_it_is_cut_it_says_so_and_shows_what_was_before() -> None:
    data = made()
    end = data.index(b"\0" + b"\x06", len(data) - 600)
    for length in range(len(data)):
        stream = read_stream(data[:length])
        if length == end + 1:
            assert stream.problem == ""  # all but the description
        else:
            assert stream.problem, length
        assert len(stream.sections) <= 3


WHOLE = made()


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_no_stream_makes_the_reader_fail(changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for at, value in changes:
        data[at] = value
    stream = read_stream(bytes(data))
    with suppress(Undescribed):
        time_saved(memoryview(bytes(data)), stream)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"QEVM\0\0\0\4", "version 4, and 3 is known"),
        (made().replace(b"\x07\0\0\0\x05mac99", b"\x55\0\0\0\x05mac99"), "the unknown kind 0x55"),
        (b"QEVM\0\0\0\3" + part(7, b""), "a part of section 7, which was not begun"),
        (b"QEVM\0\0\0\3" + section(1, "x", 0, 1, b"") * 2, "the number was another section's"),
        (b"QEVM\0\0\0\3" + section(1, "ram", 0, 4, struct.pack(">Q", 0x80), kind=1), "unknown flags 0x80"),
        (b"QEVM\0\0\0\3" + section(1, "ram", 0, 4, struct.pack(">QBcQ", 8196, 1, b"r", 1 << 60), kind=1), "block 'r'"),
        (b"QEVM\0\0\0\3\0" + struct.pack(">BI", 6, 1 << 31), "bytes long"),
        (b"QEVM\0\0\0\3\7\xff\xff\xff\xff", "ends 4,294,967,295 bytes too soon"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(data: bytes, problem: str) -> None:
    said = read_stream(data).problem
    assert problem in said
    assert said.startswith("byte ")


@pytest.mark.parametrize(
    "description",
    [
        [], {"devices": 5}, {"devices": [{"name": "cpu"}]},
        {"devices": [{"name": "cpu", "instance_id": 3, "fields": [7]}]},
        {"devices": [{"name": "cpu", "instance_id": 3, "fields": [{"name": "env.spr", "size": "8"}]}]},
        {"devices": [{"name": "cpu", "instance_id": 3, "fields": [{"name": "env.spr", "size": 4, "array_len": 5}]}]},
        {"devices": [{"name": "cpu", "instance_id": 3, "fields": [{"name": "env.spr", "size": 8, "array_len": 99}]}]},
        {"devices": [{"name": "cpu", "instance_id": 3, "fields": [{"name": "env.spr", "size": -8, "array_len": 99}]}]},
        {"devices": [{"name": "cpu", "instance_id": 3, "fields": [{"name": "x", "size": 1 << 70}]}]},
    ],
)  # fmt: skip
def test_a_description_that_does_not_fit_is_not_believed(description: Any) -> None:
    data = made(description)
    with pytest.raises(Undescribed):
        time_saved(memoryview(data), read_stream(data))


def test_a_description_nested_too_deeply_is_not_believed() -> None:
    data = made()
    stream = read_stream(data)
    stream.description = b"[" * 200_000
    with pytest.raises(Undescribed):
        time_saved(memoryview(data), stream)


# ── the command ──


def test_the_command_shows_sections_and_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "stream"
    path.write_bytes(gzip.decompress(NEW.read_bytes()))
    assert main(["inspect", str(path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("QEMU, machine pseries-10.0, 2,870,395 bytes, 18 sections\n")
    assert "TB 119,774,057 at 512,000,000 Hz" in said
    assert "cpu 0: DECR 167,903, NIP 0x1174" in said
    assert main(["inspect", str(path), "--json", "--timebase-hz", "1000000000"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["timebases"] == [{"timebase_hz": 10**9, "tb": found["virtual_clock_ns"]}]


def test_a_cut_file_is_shown_as_far_as_it_goes_with_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in (("plain", gzip.decompress(OLD.read_bytes())[:100_000]), ("packed", OLD.read_bytes()[:12_000])):
        path = tmp_path / name
        path.write_bytes(data)
        assert main(["inspect", str(path)]) == 2
        said = capsys.readouterr()
        assert "ram" in said.out
        assert said.err.startswith(f"livemig: {path}: byte ")
        assert said.err.count("\n") == 1


def test_a_packed_one_that_is_too_large_is_refused_before_it_fills_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "_MOST_UNPACKED", 100_000)
    with pytest.raises(InputError, match="unpack it first"):
        inspect_stream(OLD)


@pytest.mark.parametrize(
    ("content", "problem"), [(b"", "is empty"), (b"hello", "not a migration stream"), (None, "No such file")]
)
def test_what_is_no_stream_is_one_line(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=problem):
        inspect_stream(path)


def test_names_from_a_file_do_not_reach_the_terminal_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "stream"
    path.write_bytes(made().replace(b"\x05timer", b"\x05\x1b[2Jr"))
    main(["inspect", str(path)])
    assert "\x1b" not in capsys.readouterr().out
